#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Every step of every plan fails, is ignored, hangs, kills: what is left, what is told, and that it can be mended.

usage: test_faults.py [TOPOLOGY...] [-k PATTERN]
"""

import functools
import os
import re
import sys

sys.dont_write_bytecode = True
import harness  # noqa: E402
from harness import Case, Host, SECOND, TOPOLOGIES, expand, run, template, tree_changes  # noqa: E402

DEADLINE = 0.25
REVERSE = {"to-vm": "to-host", "to-host": "to-vm"}
DISPLAY = {"desktop-2xrtx3050": "0000:0a:00.0", "x10drh-3xv340": "0000:17:00.0", "x10drh-v340-noacs": "0000:0d:00.0"}
OPTIONS = {"x10drh-v340-noacs": ("--mode", "02:00.1=none-only", "--mode", "81:00.1=none-only")}
# GPUs that change mode in one plan: each alone, a card, two cards; where the group is shared it is the whole group.
ALL_PLANS = {
    "desktop-2xrtx3050": ["1032a"],
    "gtx690": ["1a", "1b", "1a 1b"],
    "m2000": ["1a"],
    "r9-295x2": ["1a", "1b", "1b 1a"],
    "x10drh-3xv340": ["1a", "1b", "2a", "2b", "3a", "3b", "2a 2b", "1b 3a"],
    "x10drh-v340-noacs": ["1a 1b", "2a 2b"],
}
# Of plans that differ in nothing but the place of the card, one will do where time counts: tests/run --long takes all.
ALIKE = {"gtx690": ["1b"], "r9-295x2": ["1b", "1b 1a"], "x10drh-3xv340": ["1b", "2a", "2b", "3a", "3b", "1b 3a"], "x10drh-v340-noacs": ["2a 2b"]}
PLANS = {name: [plan for plan in plans if os.environ.get("LAB_LONG") or plan not in ALIKE.get(name, [])]
         for name, plans in ALL_PLANS.items()}


@functools.lru_cache(maxsize=None)
def start_state(topology, verb):
    """A folder in which `verb` has something to do: all GPUs on their host drivers, or all in mode vm."""
    host = Host(template(topology, *OPTIONS.get(topology, ())))
    host.configure("step-deadline = 30s", "read-deadline = 5s")
    if verb == "to-host":
        result = host.cli("to-vm", *sorted({name for plan in ALL_PLANS[topology] for name in plan.split()}))
        assert result.code == 0, result
    host.forget()
    return host.root


def without_numbers(tree):
    """vfio numbers devices and groups in the order in which they come, which nobody can bring back."""
    found = {}
    for path, content in tree.items():
        if "vfio" in path or (path.startswith("sys/dev/char/") and "vfio" in content):
            key = re.sub(r"vfio-dev/vfio\d+|devices/vfio\d+", "vfio-dev/N", path)
            if isinstance(content, bytes):
                content = re.sub(rb"\d+:\d+|MINOR=\d+|vfio\d+", b"N", content)
            if path.startswith(("sys/dev/char/", "sys/class/vfio-dev/")):
                key = re.sub(r"[^/]*$", "", path) + re.sub(r"vfio\d+$", "N", content)
                content = None
            elif path.startswith("dev/vfio/devices/"):
                key, content = "dev/vfio/devices/", found.get("dev/vfio/devices/", 0) + 1
            found[key] = content
        else:
            found[path] = content
    return found


def without_stale(tree, root):
    """A list of reset methods that was made anew is not to come back: it counts as the same."""
    with open(f"{root}/.fake/reset", encoding="utf-8") as file:
        true = dict((line.strip() + " ").split(" ", 1) for line in file)
    for path, content in tree.items():
        address = path.split("/")[-2] if path.endswith("/reset_method") else None
        if address and [word for word in content.decode().split() if word != "bus"] == [
                word for word in true[address].split() if word != "bus"]:
            tree[path] = "with or without a stale bus"
    return tree


def tree_of(root):
    return without_stale(without_numbers(harness.read_tree(root, (".fake", "run", "etc"))), root)


@functools.lru_cache(maxsize=None)
def before(topology, verb):
    return tree_of(start_state(topology, verb))


@functools.lru_cache(maxsize=None)
def ready(topology, verb):
    return {gpu["name"]: gpu["ready"] for gpu in run("--root", start_state(topology, verb), "list", "--json").json["gpus"]}


@functools.lru_cache(maxsize=None)
def steps(topology, verb, names):
    found = run("--root", start_state(topology, verb), verb, *names.split(), "--dry-run", "--json").json["steps"]
    return [step for step in found if step["attribute"] and step["attribute"].startswith("/sys/")]


@functools.lru_cache(maxsize=None)
def name_of(topology, address):
    gpus = run("--root", start_state(topology, "to-vm"), "list", "--json").json["gpus"]
    return next(gpu["name"] for gpu in gpus if gpu["address"] == address)


def is_setting(step):
    return step["attribute"].endswith(("/power/control", "/d3cold_allowed", "/reset_method"))


def is_noop(step, verb):
    return verb == "to-host" and (step["attribute"].rpartition("/power/")[2], step["value"]) == ("control", "on")


@functools.lru_cache(maxsize=None)
def above(topology, gpu):
    shown = run("--root", start_state(topology, "to-vm"), "show", gpu, "--json").json
    return [function["address"] for function in shown["path"]]


def chosen(topology, verb, names):
    """Numbers of steps: of the many that write to bridges the first two; all with tests/run --long."""
    every = steps(topology, verb, names)
    bridges = [k for k, step in enumerate(every, 1)
               if is_setting(step) and any(function_of(step) in above(topology, name) for name in names.split())]
    left_out = set() if os.environ.get("LAB_LONG") else set(bridges[2:])
    return [k for k in range(1, len(every) + 1) if k not in left_out]


def function_of(step):
    """The function that a step acts on."""
    return step["value"] if ":" in step["value"] else step["attribute"].split("/")[5]


class Faults(Case):
    """Each test gives its host back as it found it, so that one copy serves many."""

    pool = {}

    def borrow(self, topology, verb, names):
        self.topology, self.verb, self.names = topology, verb, names.split()
        kept = self.pool.setdefault((topology, verb), [])
        self.now = kept.pop() if kept else Host(start_state(topology, verb))
        self.before = before(topology, verb)
        self.steps = steps(topology, verb, names)
        self.addCleanup(self.now.close)
        return self.now

    def give_back(self):
        self.same()
        self.assertEqual(os.listdir(self.now.path("run/vfioctl/stuck")) if os.path.isdir(
            self.now.path("run/vfioctl/stuck")) else [], [])
        self.now.forget()
        self.pool[self.topology, self.verb].append(self.now)
        self._cleanups = [c for c in self._cleanups if c[0] != self.now.close]

    def changes(self):
        return tree_changes(self.before, tree_of(self.now.root))

    def same(self):
        changes = self.changes()
        self.assertEqual(sorted(changes)[:8], [])

    def act(self, **faults):
        self.now.forget()
        # Another test may have left the list of reset methods true.
        for step in self.steps:
            if step["value"] == "default":
                with open(f"{start_state(self.topology, self.verb)}{step['attribute']}", encoding="utf-8") as file:
                    self.now.write(step["attribute"][1:], file.read())
        return self.now.cli(self.verb, *self.names, faults=faults, killed=True)

    def repeat(self, *verbs):
        """Without any fault; whatever it was, this is the way out of it."""
        for verb in verbs:
            self.code(0, self.now.cli(verb, *self.names))
            mode = {"to-vm": "vm", "to-host": "host"}[verb]
            self.assertEqual({gpu["mode"] for gpu in self.now.gpus() if gpu["name"] in self.names}, {mode})

    def named(self, gpu, result):
        """Some line begins with the GPU's short name or address, or both."""
        labels = re.findall(r"^vfioctl: (.*?): ", result.err, re.MULTILINE)
        self.assertTrue({gpu, name_of(self.topology, gpu)} & set(re.findall(r"[\w:.]+", " ".join(labels))), f"{gpu}: {result}")

    # ---- a step fails

    def fails(self, topology, verb, names, k):
        host = self.borrow(topology, verb, names)
        result = self.says(self.code(1, self.act(FAIL=k)), "step-failed", self.steps[k - 1]["text"], "Input/output error",
                           "all that had been done is undone")
        self.named(self.steps[k - 1]["gpu"], result)
        self.assertEqual([line[3] for line in host.log()].count("EIO"), 1, "it is not tried again")
        self.give_back()

    def is_ignored(self, topology, verb, names, k):
        self.borrow(topology, verb, names)
        if self.steps[k - 1]["value"] == "default":
            # The list may well be true already; whether it is now is looked at with the next plan.
            self.code(0, self.act(FAIL_SILENT=k))
            self.repeat(REVERSE[verb])
        else:
            self.says(self.code(1, self.act(FAIL_SILENT=k)), "step-failed", self.steps[k - 1]["text"], "nothing came of it")
        self.give_back()

    def fails_and_so_does_all_after_it(self, topology, verb, names, k):
        self.borrow(topology, verb, names)
        self.left_and_told(self.act(FAIL_FROM=k), 1 if k == 1 else 4)
        self.repeat("to-host", "to-vm") if verb == "to-host" else self.repeat("to-host")
        self.give_back()

    def left_and_told(self, result, code=None):
        """Exit 4 just when something is left, and each function that is not as before is named."""
        changes = self.changes()
        self.code(code or (4 if changes else 1), result)
        self.assertEqual(result.code, 4 if changes else 1, result)
        self.fit(result)
        told = [line for line in result.lines if "could not be undone" in line]
        self.assertEqual(bool(told), bool(changes))
        touched = {function_of(step) for step in self.steps}
        for function in touched:
            links = [path for path in changes if f"/{function}/driver" in path]
            if links:
                self.assertTrue([line for line in told if function in line], f"{links}: {result}")
        self.assertTrue(all("vfioctl to-host" in line for line in told), result)

    @staticmethod
    def chosen_back(k, back):
        """The first ones of the way back, the last, and every third between; all with tests/run --long."""
        return [j for j in range(k + 1, k + back + 1)
                if os.environ.get("LAB_LONG") or j <= k + 2 or j == k + back or (j - k) % 3 == 0]

    def rollback_fails(self, topology, verb, names, k):
        """Step k fails, and then the way back does, after any number of its writes."""
        host = self.borrow(topology, verb, names)
        self.act(FAIL=k)
        back = len(host.log()) - k
        for j in self.chosen_back(k, back):
            with self.subTest(j=j):
                self.left_and_told(self.act(FAIL=k, FAIL_FROM=j))
                self.repeat("to-host", "to-vm", "to-host")
                if verb == "to-host":
                    self.repeat("to-vm")
                self.same()
        self.give_back()

    def one_undo_fails(self, topology, verb, names, k):
        """One write of the way back fails: the others are done all the same."""
        host = self.borrow(topology, verb, names)
        self.act(FAIL=k)
        back = len(host.log()) - k
        for j in self.chosen_back(k, back):
            with self.subTest(j=j):
                self.left_and_told(self.act(FAIL=f"{k},{j}"))
                self.repeat("to-host", "to-vm", "to-host")
                if verb == "to-host":
                    self.repeat("to-vm")
                self.same()
        self.give_back()

    # ---- a step hangs

    def hangs(self, topology, verb, names, k):
        host = self.borrow(topology, verb, names)
        host.configure(f"step-deadline = {int(DEADLINE * 1000)}ms")
        self.addCleanup(lambda: self.topology and self.now.configure("step-deadline = 30s", "read-deadline = 5s"))
        gpu = self.steps[k - 1]["gpu"]
        result = self.says(self.code(4, self.act(HANG=k)), "stuck", self.steps[k - 1]["text"])
        self.assertLess(result.seconds, DEADLINE + SECOND)
        self.assertEqual([(line[0], line[3]) for line in host.log()],
                         [(str(n), "ok") for n in range(1, k)] + [(str(k), "hang")], "nothing else is written")
        for step in self.steps[:k]:
            if not is_setting(step) or step is self.steps[k - 1]:
                self.named(step["gpu"], result)  # also one that was changed before, and is left so
        self.while_stuck(host, gpu, function_of(self.steps[k - 1]))
        host.release()
        self.until(lambda: "stuck" not in host.codes(gpu), "the record of what was stuck clears itself")
        host.configure("step-deadline = 30s", "read-deadline = 5s")
        host.forget()
        self.repeat(verb, REVERSE[verb])
        self.give_back()

    def while_stuck(self, host, stuck, hung):
        """All verbs answer for the other GPUs within a second, and the stuck one is left alone."""
        def soon(code, *args):
            result = self.code(code, host.cli(*args))
            self.assertLess(result.seconds, SECOND, args)
            return result
        gpus = soon(0, "list", "--json").json["gpus"]
        was = ready(self.topology, self.verb)
        for gpu in gpus:
            if gpu["address"] == stuck:
                self.assertFalse(gpu["ready"])
            elif gpu["name"] not in self.names:
                self.assertEqual(gpu["ready"], was[gpu["name"]], gpu["name"])
        findings = soon(3, "check", "--json").json["findings"]
        self.assertEqual([f["gpu"] for f in findings if f["code"] == "stuck"], [stuck])
        soon(0, "show", stuck)
        writes = len(host.log())
        for verb in ("to-vm", "to-host"):
            if {"to-vm": "vm", "to-host": "host"}[verb] != next(g["mode"] for g in gpus if g["address"] == stuck):
                self.says(soon(3, verb, stuck), "stuck", "nothing was changed")
        others = [gpu for gpu in gpus if gpu["name"] not in self.names and gpu["ready"]
                  and hung not in above(self.topology, gpu["name"])]
        self.assertEqual(len(host.log()), writes)
        if not others or self.topology == "x10drh-v340-noacs":
            soon(3, "to-vm", DISPLAY.get(self.topology, "0000:03:00.0"))
            return
        soon(0, "show", others[0]["name"])
        self.assertNotIn("stuck", host.codes(others[0]["name"]))
        soon(0, self.verb, others[0]["name"])
        soon(0, REVERSE[self.verb], others[0]["name"])

    def way_back_hangs(self, topology, verb, names, k):
        host = self.borrow(topology, verb, names)
        self.act(FAIL=k)
        self.assertGreater(len(host.log()), k)
        host.configure(f"step-deadline = {int(DEADLINE * 1000)}ms")
        result = self.says(self.code(4, self.act(FAIL=k, HANG=k + 1)), "stuck")
        self.assertLess(result.seconds, 2 * DEADLINE + SECOND)
        self.assertEqual([line[3] for line in host.log()], ["ok"] * (k - 1) + ["EIO", "hang"])
        for step in self.steps[:k - 1]:
            if not is_setting(step):
                self.assertIn(function_of(step), result.err, "what is left is told")
        host.release()
        self.until(lambda: not any("stuck" in host.codes(name) for name in self.names), "it clears itself")
        host.configure("step-deadline = 30s", "read-deadline = 5s")
        host.forget()
        self.repeat("to-host", "to-vm", "to-host")
        if verb == "to-host":
            self.repeat("to-vm")
        self.give_back()

    # ---- a process dies

    def worker_dies(self, topology, verb, names, k):
        self.borrow(topology, verb, names)
        self.says(self.code(1, self.act(DIE=k)), "step-failed", self.steps[k - 1]["text"])
        self.give_back()

    def program_dies(self, topology, verb, names, k):
        """Killed after write k, and started again: either way it ends where it was told to go."""
        self.borrow(topology, verb, names)
        self.assertEqual(self.act(DIE=f"{k}:parent").code, -9)
        self.repeat(verb, REVERSE[verb])
        self.same()
        self.assertEqual(self.act(DIE=f"{k}:parent").code, -9)
        self.repeat(REVERSE[verb], verb, REVERSE[verb])
        self.give_back()


EACH_STEP = ("fails", "is_ignored", "fails_and_so_does_all_after_it", "hangs", "worker_dies", "program_dies")
# The way back in all its steps is long: once for each kind of card.
WAY_BACK = {"gtx690": ["1a", "1a 1b"], "x10drh-3xv340": ["1a", "1b 3a"], "m2000": ["1a"], "x10drh-v340-noacs": ["1a 1b"]}

wanted = [argument for argument in sys.argv[1:] if argument in TOPOLOGIES] or TOPOLOGIES
for _topology in wanted:
    for _names in PLANS[_topology]:
        for _verb in REVERSE:
            for _k in chosen(_topology, _verb, _names):
                _name = f"{_topology} {_verb} {_names} step {_k}"
                for _method in EACH_STEP:
                    # What a driver leaves as it ought to be needs no write: nobody notices that one is missing.
                    if _method == "is_ignored" and is_noop(steps(_topology, _verb, _names)[_k - 1], _verb):
                        continue
                    expand(Faults, [(f"{_name} {_method}", _topology, _verb, _names, _k)], _method)
                # And there for each second step, unless time does not count.
                if _k > 1 and _names in WAY_BACK.get(_topology, ()) and (os.environ.get("LAB_LONG") or _k % 2 == 0):
                    for _method in ("rollback_fails", "one_undo_fails", "way_back_hangs"):
                        expand(Faults, [(f"{_name} {_method}", _topology, _verb, _names, _k)], _method)

if __name__ == "__main__":
    harness.main()
