#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Killed after each single change it makes, then one reconcile: the host is whole, and there is nothing left to do.

usage: test_kills.py [TOPOLOGY...] [-k PATTERN]
"""

import functools
import os
import sys

sys.dont_write_bytecode = True
import harness  # noqa: E402
from harness import Host, TOPOLOGIES, expand, template  # noqa: E402
from vms import Vms, defined, domain, hostdev, moves, test_domain, uuid_of  # noqa: E402

# GPUs of one VM: a die, a whole card, one with companions, a group that goes as a whole.
GPUS = {"x10drh-3xv340": ("2a",), "gtx690": ("1a",), "desktop-2xrtx3050": ("1032a",), "x10drh-v340-noacs": ("1a", "1b")}
OPTIONS = {"x10drh-v340-noacs": ("--mode", "02:00.1=none-only", "--mode", "81:00.1=none-only")}
MOVED = ("--bus-offset", "1")


@functools.lru_cache(maxsize=None)
def gpus_of(topology, *options):
    host = Host(template(topology, *OPTIONS.get(topology, ()), *options))
    found = {gpu["name"]: gpu for gpu in host.gpus()}
    host.close()
    return [found[name] for name in GPUS[topology]]


class Kills(Vms):
    definition = {}

    def begin(self, topology, *options, config=()):
        self.topology, self.options = topology, options
        self.names_of = GPUS[topology]
        self.gpus = gpus_of(topology, *options)
        self.source = Host(template(topology, *OPTIONS.get(topology, ()), *options))
        self.addCleanup(self.source.close)
        self.source.configure("step-deadline = 30s", "read-deadline = 5s", *config)
        self.libvirt(domain("vm1"))

    def given(self):
        """vm1 with the GPUs, as assign writes it."""
        if self.topology not in self.definition:
            self.definition[self.topology] = self.assigned(self.topology, ("vm1", *self.names_of),
                                                           options=OPTIONS.get(self.topology, ()))["vm1"]
        return self.definition[self.topology]

    def fresh(self):
        self.now = Host(self.source.root)

    # ---- what must hold

    def whole(self):
        """The mode that all of each GPU's functions are in; each GPU may have its own, as plans are of one GPU then."""
        found = set()
        for gpu in self.gpus:
            states = {(self.now.driver(f) == "vfio-pci", self.now.override(f) == "vfio-pci") for f in gpu["functions"]}
            self.assertIn(states, ({(True, True)}, {(False, False)}), gpu["name"])
            for function in gpu["functions"]:
                if states == {(False, False)}:
                    self.assertEqual(self.now.driver(function), self.native[function], function)
            found.add("vm" if (True, True) in states else "host")
        return found

    def reconcile(self):
        result = self.now.cli("--connect", self.uri, "reconcile")
        self.code(0, result)
        return result

    def settled(self, modes, claims=None):
        self.reconcile()
        self.assertIn(self.whole(), modes)
        self.assertEqual((self.names("work"), self.names("stuck")), ([], []))
        self.assertEqual(self.names("claims"), claims or [])
        writes, state = len(self.now.log()), self.now.tree((".fake",))
        result = self.reconcile()
        self.assertEqual(result.err, "", "nothing is left to do")
        self.assertEqual(len(self.now.log()), writes)
        changes = harness.tree_changes(state, self.now.tree((".fake",)))
        self.assertTrue(set(changes) <= {"run/vfioctl/reconciled"}, changes)

    def every(self, act, check):
        """`act(faults)` on a fresh host, killed after each change that it makes there when nobody kills it."""
        self.native = {f: self.driver_of(f) for gpu in self.gpus for f in gpu["functions"]}
        self.fresh()
        self.code(0, act({}))
        changes = [line.split() for line in self.now.read(".fake/changes").splitlines()]
        self.now.close()
        self.assertGreater(len(changes), 3)
        for n, (number, what, path) in enumerate(changes):
            # A file that was not renamed yet is as good as none: looked at on one host only.
            if what in ("make", "write") and path.startswith("run/") and self.topology != "gtx690":
                continue
            # Each on one host, each second one on the others; all with tests/run --long.
            if n % 2 and self.topology != "gtx690" and not os.environ.get("LAB_LONG"):
                continue
            with self.subTest(killed_after=f"{number}: {what} {path}"):
                self.fresh()
                try:
                    self.assertIn(act({"DIE_ANY": number}).code, (-9, 128 + 9))
                    self.now.forget()
                    check()
                finally:
                    self.now.close()

    def driver_of(self, function):
        """Its host driver: as the host was made."""
        link = f"{template(self.topology, *OPTIONS.get(self.topology, ()), *self.options)}/sys/bus/pci/devices/{function}/driver"
        return os.path.basename(os.readlink(link)) if os.path.islink(link) else None

    def either(self):
        """Each GPU has come to where it went, or was not yet begun."""
        return ({"vm"}, {"host"}) if len(self.names_of) == 1 else ({"vm"}, {"host"}, {"vm", "host"})

    # ---- the verbs

    def to_vm(self, topology):
        self.begin(topology)
        self.every(lambda faults: self.now.cli("to-vm", *self.names_of, faults=faults, killed=True),
                   lambda: self.settled(self.either()))

    def to_host(self, topology):
        self.begin(topology)
        self.code(0, Host.cli(self.source, "to-vm", *self.names_of))
        self.source.forget()
        self.every(lambda faults: self.now.cli("to-host", *self.names_of, faults=faults, killed=True),
                   lambda: self.settled(self.either()))

    def assign(self, topology):
        self.begin(topology)
        gpus = [word for name in self.names_of for word in ("--gpu", name)]
        self.every(lambda faults: self.now.cli("--connect", self.uri, "assign", "vm1", *gpus, faults=faults, killed=True),
                   lambda: self.settled(self.either()))

    def unassign(self, topology):
        """It makes no change but that of the definition, and its lock: so the definition says where the GPU belongs."""
        self.begin(topology)
        text = self.given()
        self.libvirt(test_domain(text))
        self.native = {}
        for k in (1, 2, 3):
            self.fresh()
            self.now.cli("--connect", self.uri, "unassign", "vm1", faults={"DIE_ANY": k}, killed=True)
            self.now.forget()
            self.settled(({"vm"},))
            self.now.close()

    def prepare(self, topology):
        """With the daemon gone, libvirt's file says that the VM does not run."""
        self.begin(topology)
        text = self.given()
        self.libvirt(test_domain(text))
        self.every(lambda faults: self.hook(text, dead=True, faults=faults, killed=True), lambda: self.settled(({"vm"},)))

    def release(self, topology, idle):
        """Back to the host, by the configuration; or where libvirt's file has it, and no hook is live, to mode vm."""
        self.begin(topology, config=("gpus = " + " ".join(GPUS[topology]), f"idle = {idle}"))
        text = domain("vm1", "".join(hostdev(f[5:]) for gpu in self.gpus for f in gpu["functions"]))
        self.now = self.source
        self.fine_hook(text)
        self.source.forget()
        self.every(lambda faults: self.hook(text, operation="release", stage="end", dead=True, faults=faults, killed=True),
                   lambda: self.settled(({idle},)))

    def fine_hook(self, text):
        self.code(0, self.hook(text, dead=True))

    def reconciles(self, topology):
        """To mode vm by the configuration, a claim that is stale, and a change that was begun."""
        self.begin(topology, config=("gpus = " + " ".join(GPUS[topology]),))
        self.source.write(f"run/vfioctl/claims/{self.gpus[0]['address']}", f"{uuid_of('vm1')} 1 1\nvm1\n")
        self.source.write(f"run/vfioctl/work/{self.gpus[0]['address']}", "host")
        self.every(lambda faults: self.now.cli("--connect", self.uri, "reconcile", faults=faults, killed=True), lambda: self.settled(({"vm"},)))

    def moves(self, topology):
        """The definition is mended, or will be: by the next run, in the same way."""
        self.begin(topology, *MOVED)
        text = self.given()
        self.libvirt(test_domain(text))

        def check():
            result, log = self.asks("reconcile")
            self.code(0, result)
            new = defined(log)["vm1"]
            self.assertEqual(moves(new), moves(text))
            for gpu in self.gpus:
                self.assertIn(f'address="{gpu["address"]}"', new)
            self.assertEqual(self.whole(), {"vm"})
            self.assertEqual(self.names("work"), [])
        self.every(lambda faults: self.now.cli("--connect", self.uri, "reconcile", faults=faults, killed=True), check)


wanted = [argument for argument in sys.argv[1:] if argument in TOPOLOGIES] or list(GPUS)
for _topology in wanted:
    for _method in ("to_vm", "to_host", "assign", "unassign", "prepare", "reconciles", "moves"):
        expand(Kills, [(f"{_topology} {_method}", _topology)], _method)
    for _idle in ("vm", "host"):
        expand(Kills, [(f"{_topology} release to {_idle}", _topology, _idle)], "release")

if __name__ == "__main__":
    harness.main()
