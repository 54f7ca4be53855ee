#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""list, show and check on every topology, compared with the topology's own file; names and numbers that move."""

import json
import re
import sys

sys.dont_write_bytecode = True
import harness  # noqa: E402
from harness import Case, HOSTS, TOPOLOGIES, expand, run, template  # noqa: E402

# Short names by address; None: the board's own display, which goes by its address.
NAMES = {
    "desktop-2xrtx3050": {"0a:00.0": "1031a", "0b:00.0": "1032a"},
    "gtx690": {"03:00.0": None, "83:00.0": "1a", "84:00.0": "1b"},
    "m2000": {"03:00.0": None, "04:00.0": "1a"},
    "r9-295x2": {"03:00.0": None, "83:00.0": "1a", "84:00.0": "1b"},
    "x10drh-3xv340": {"06:00.0": "1a", "0a:00.0": "1b", "10:00.0": "2a", "14:00.0": "2b", "17:00.0": None,
                      "85:00.0": "3a", "89:00.0": "3b"},
    "x10drh-v340-noacs": {"06:00.0": "1a", "0a:00.0": "1b", "0d:00.0": None, "85:00.0": "2a", "89:00.0": "2b"},
}
NO_SMBIOS = {"x10drh-3xv340": ["1020a", "1020b", "1030a", "1030b", "2020a", "2020b"], "gtx690": ["2020a", "2020b"]}
NEVER = {"desktop-2xrtx3050": "0a:00.0", "gtx690": "03:00.0", "m2000": "03:00.0", "r9-295x2": "03:00.0",
         "x10drh-3xv340": "17:00.0", "x10drh-v340-noacs": "0d:00.0"}


def functions(topology):
    with open(f"{HOSTS}/{topology}.json", encoding="utf-8") as file:
        return {f["address"]: f for f in json.load(file)["functions"]}


def expected(topology):
    """What `list --json` has to say, from the file that describes the machine."""
    found = functions(topology)
    gpus = {}
    for address, f in found.items():
        if f["class"][:2] not in ("03", "12"):
            continue
        slot = [a for a in sorted(found) if a[:-1] == address[:-1] and a != address]
        gpus[address] = {
            "name": NAMES[topology][address[5:]] or address, "address": address, "vendor": f["vendor"][2:],
            "device": f["device"][2:], "class": f["class"], "driver": f["driver"],
            "mode": "host" if f["driver"] else "none", "iommu_group": f["iommu_group"],
            "numa_node": f["numa_node"] if f["numa_node"] >= 0 else None,
            "ready": address[5:] != NEVER[topology] and topology != "x10drh-v340-noacs",
            "vms": [], "functions": [address] + slot,
        }
    return gpus


class Contract(Case):
    def each(self, topology):
        result = self.code(0, run("--root", template(topology), "list", "--json"))
        self.assertEqual(result.err, "")
        self.assertEqual(list(result.json), ["gpus"])
        gpus = {gpu["address"]: gpu for gpu in result.json["gpus"]}
        self.assertEqual(len(gpus), len(result.json["gpus"]))
        want = expected(topology)
        self.assertEqual(sorted(gpus), sorted(want))
        for address, keys in want.items():
            self.assertEqual({key: gpus[address].get(key, "missing") for key in keys}, keys)
        for gpu in gpus.values():
            self.types(gpu)
        self.assertEqual(len({gpu["name"] for gpu in gpus.values()}), len(gpus), "names are unique")
        self.assertEqual(len({gpu["identity"] for gpu in gpus.values()}), len(gpus), "and so are identities")

    def types(self, gpu):
        for key in ("name", "address", "card", "vendor", "device", "class", "mode"):
            self.assertIsInstance(gpu[key], str, key)
        self.assertRegex(gpu["address"], r"^[0-9a-f]{4,8}:[0-9a-f]{2}:[01][0-9a-f]\.[0-7]$")
        self.assertRegex(gpu["vendor"] + gpu["device"], r"^[0-9a-f]{8}$")
        self.assertRegex(gpu["class"], r"^[0-9a-f]{6}$")
        self.assertIn(gpu["mode"], ("vm", "host", "none"))
        self.assertIs(type(gpu["ready"]), bool)
        self.assertEqual(gpu["functions"][0], gpu["address"])


expand(Contract, [(topology, topology) for topology in TOPOLOGIES])


class Cards(Case):
    def test_dies_of_one_card_belong_together(self):
        for topology, cards in (("x10drh-3xv340", [["1a", "1b"], ["2a", "2b"], ["3a", "3b"]]), ("gtx690", [["1a", "1b"]]),
                                ("r9-295x2", [["1a", "1b"]]), ("x10drh-v340-noacs", [["1a", "1b"], ["2a", "2b"]]),
                                ("desktop-2xrtx3050", [["1031a"], ["1032a"]])):
            gpus = run("--root", template(topology), "list", "--json").json["gpus"]
            found = {}
            for gpu in gpus:
                if ":" not in gpu["name"]:
                    found.setdefault(gpu["card_index"], []).append(gpu["name"])
            self.assertEqual(sorted(found.values()), cards, topology)

    def test_equal_chains_on_two_sockets_are_two_gpus(self):
        gpus = {g["name"]: g for g in run("--root", template("x10drh-3xv340"), "list", "--json").json["gpus"]}
        chain = [re.sub(r"^\S+ \S+ ", "", gpus[name]["identity"]) for name in ("1a", "3a")]
        self.assertEqual(chain[0], chain[1], "which is what makes the test worth while")
        self.assertNotEqual(gpus["1a"]["identity"], gpus["3a"]["identity"])


class Moving(Case):
    """Bus numbers move when a card is added; what a GPU is called does not."""

    def gpus(self, topology, *options):
        return [gpu for gpu in self.host(topology, *options).gpus() if ":" not in gpu["name"]]

    def each(self, topology, *options):
        before, after = self.gpus(topology), self.gpus(topology, *options)
        self.assertEqual([(g["name"], g["identity"]) for g in after], [(g["name"], g["identity"]) for g in before])
        for a, b in zip(before, after):
            self.assertNotEqual(a["address"], b["address"])

    def test_other_domain(self):
        gpus = self.gpus("x10drh-3xv340", "--domain", "10000")
        self.assertEqual(gpus[0]["address"], "10000:06:00.0")
        self.assertEqual([gpu["name"] for gpu in gpus], NO_SMBIOS["x10drh-3xv340"])
        host = self.host("x10drh-3xv340", "--domain", "10000")
        self.assertEqual(self.code(3, host.cli("show", "06:00.0")).err.count("\n"), 1)
        self.code(0, host.cli("to-vm", "10000:06:00.0"))
        self.assertEqual(host.gpu("10000:06:00.0")["mode"], "vm")
        self.code(0, host.cli("to-host", "1020a"))

    def test_without_smbios(self):
        for topology, names in NO_SMBIOS.items():
            self.assertEqual([gpu["name"] for gpu in self.gpus(topology, "--no-smbios")], names)

    def test_hot_plug_slots_give_numbers_too(self):
        self.assertEqual([gpu["name"] for gpu in self.gpus("x10drh-3xv340", "--no-smbios", "--slots")],
                         ["1a", "1b", "2a", "2b", "3a", "3b"])


expand(Moving, [(f"{topology}_{''.join(options)}", topology, *options)
                for topology in ("x10drh-3xv340", "gtx690", "r9-295x2", "m2000", "x10drh-v340-noacs", "desktop-2xrtx3050")
                for options in (("--bus-offset-below", "3"), ("--bus-offset", "16"))])


class Table(Case):
    def lines(self, *args, topology="gtx690"):
        return self.code(0, run("--root", template(topology), *args)).out.splitlines()

    def test_usual_columns(self):
        lines = self.lines("list")
        self.assertEqual(lines[0].split(), ["GPU", "CARD", "VRAM", "NODE", "ADDRESS", "MODE", "USED", "BY", "READY"])
        self.assertEqual(len(lines), 4)
        self.assertEqual([line.split()[0] for line in lines[1:]], ["-", "1a", "1b"])
        self.assertEqual([line.split()[-1] for line in lines[1:]], ["never", "yes", "yes"])
        self.assertIn("console", lines[1])

    def test_chosen_columns(self):
        self.assertEqual(self.lines("list", "-o", "GPU,FUNCTIONS", "--noheadings")[1].split(), ["1a", "83:00.0,83:00.1"])
        self.assertEqual(self.lines("list", "--output=gpu,mode")[0].split(), ["GPU", "MODE"])
        self.assertEqual(self.lines("list", "-o", "IDS,CLASS,DRIVER,GROUP,NODE", "--noheadings")[2].split(),
                         ["10de:1188", "0302", "nouveau", "14", "1"])

    def test_added_columns(self):
        lines = self.lines("list", "-o", "+GROUP,DRIVER")
        self.assertEqual(lines[0].split()[-2:], ["GROUP", "DRIVER"])
        self.assertEqual(lines[2].split()[-2:], ["13", "nouveau"])

    def test_no_headings(self):
        self.assertEqual(self.lines("list", "--noheadings"), self.lines("list")[1:])

    def test_unknown_numa_node(self):
        self.assertEqual(self.lines("list", "-o", "NODE", "--noheadings", topology="desktop-2xrtx3050"), ["   -", "   -"])

    def test_unknown_columns(self):
        for columns in ("NOPE", "GPU,NOPE", "", "+", "GPU,", ",", "GPU,,MODE", "+NOPE", "GP", "GPUS", "x" * 5000,
                        ",".join(["GPU"] * 65)):
            with self.subTest(columns=columns):
                result = self.code(2, run("--root", template("gtx690"), "list", "-o", columns))
                self.assertEqual(result.out, "")
                self.assertEqual(len(result.lines), 1, result)
                self.fit(result)

    def test_a_reader_that_goes_away_is_no_crash(self):
        process = harness.start("--root", template("x10drh-3xv340"), "list", "--json")
        process.stdout.close()
        process.stdout = None
        self.assertIn(process.wait(harness.TIMEOUT), (0, 1))
        process.stderr.close()


class Naming(Case):
    def test_every_spelling(self):
        for topology in TOPOLOGIES:
            for address, name in NAMES[topology].items():
                spellings = [address, f"0000:{address}", address.upper()] + ([name] if name else [])
                if topology == "gtx690" and name:
                    spellings += [address[:-1] + "1", f"0000:{address[:-1]}1"]
                for spelling in spellings:
                    result = self.code(0, run("--root", template(topology), "show", spelling, "--json"))
                    self.assertEqual(result.json["address"], f"0000:{address}", spelling)

    def test_what_is_no_gpu(self):
        for name in ("83:00.2", "80:02.0", "0000:00:00.0", "1c", "9a", "0001:83:00.0"):
            result = self.code(3, run("--root", template("gtx690"), "show", name))
            self.says(result, f"'{name}'", "vfioctl list")

    def test_malformed(self):
        for name in ("", "1", "a", "a1", "1A", "1a ", " 1a", "83:00", "83:00.8", "83:20.0", "183:00.0", "83:00.0x", "-", "*",
                     "0000:83:00.0.0", "00000000f:83:00.0", "0x83:00.0", "83.00.0", "/sys/bus/pci/devices/0000:83:00.0", "..",
                     "1a\n", "1a,1b", "\x1b[31m", "é", "1" * 400, "%s%n%d"):
            with self.subTest(name=name):
                result = self.code(2, run("--root", template("gtx690"), "show", "--", name))
                self.assertEqual(result.out, "")
                self.assertEqual(len(result.lines), 1, result)
                self.assertLess(len(result.err), 300)
                self.assertNotIn("\x1b", result.err)


class Show(Case):
    def each(self, topology):
        for gpu in run("--root", template(topology), "list", "--json").json["gpus"]:
            shown = self.code(0, run("--root", template(topology), "show", gpu["name"], "--json")).json
            for key in ("name", "address", "card", "mode", "iommu_group", "numa_node", "ready", "vms", "identity", "slot"):
                self.assertEqual(shown[key], gpu[key], key)
            self.assertEqual([f["address"] for f in shown["functions"]], gpu["functions"])
            self.path(topology, shown)
            text = self.code(0, run("--root", template(topology), "show", gpu["name"])).out
            for word in [gpu["address"], gpu["identity"], gpu["card"], *gpu["functions"]] + [
                    f["address"] for f in shown["path"]]:
                self.assertIn(word, text)

    def path(self, topology, shown):
        found, above, at = functions(topology), [], shown["address"]
        while found[at]["parent"]:
            at = found[at]["parent"]
            above.insert(0, at)
        self.assertEqual([f["address"] for f in shown["path"]], above)
        bars = {bar["index"]: bar["size"] for bar in shown["functions"][0]["bars"] if bar["index"] < 6}
        self.assertEqual(bars, {bar["index"]: int(bar["size"]) for bar in found[shown["address"]]["bars"] if bar["size"]})


expand(Show, [(topology, topology) for topology in TOPOLOGIES])


# Cards of which nobody knows whether they need vendor-reset; lists that the kernel made too early; GPUs that are reset
# with their companions only.
RESETS = {
    "desktop-2xrtx3050": {("0a:00.0", "reset-stale"), ("0b:00.0", "reset-stale")},
    "gtx690": {(gpu, code) for gpu in ("83:00.0", "84:00.0") for code in ("reset-stale", "reset-none")},
    "m2000": {("04:00.0", "reset-stale"), ("04:00.0", "reset-none")},
    "r9-295x2": {("83:00.0", "reset-stale"), ("83:00.0", "reset-none")},
    "x10drh-3xv340": {(gpu, "vendor-reset-missing") for gpu in ("06:00.0",)},
    "x10drh-v340-noacs": {(gpu, "vendor-reset-missing") for gpu in ("06:00.0",)},
}


class Check(Case):
    def each(self, topology):
        result = run("--root", template(topology), "check", "--json")
        self.assertEqual(list(result.json), ["findings"])
        named = set()
        for finding in result.json["findings"]:
            self.assertLessEqual({"severity", "code", "gpu", "text", "fix"}, set(finding))
            self.assertIn(finding["severity"], ("refusal", "warning", "note"))
            self.assertRegex(finding["code"], r"^[a-z]+(-[a-z]+)*$")
            if finding["code"] == "untried":
                continue
            self.assertRegex(finding["gpu"], r"^[0-9a-f]{4,8}:..:..\..$")
            self.assertTrue(finding["text"])
            named.add((finding["gpu"][5:], finding["code"]))
        want = {(NEVER[topology], "boot-display")} | RESETS[topology]
        if topology == "x10drh-v340-noacs":
            want |= {(address, "group-shared") for address, name in NAMES[topology].items() if name}
        self.assertEqual(named, want)
        mind = topology == "x10drh-v340-noacs"
        self.assertEqual(result.code, 3 if mind else 0, "that the host keeps its display is no news")
        self.assertEqual(run("--root", template(topology), "check").code, result.code)

    def test_one(self):
        self.assertEqual(self.code(0, run("--root", template("r9-295x2"), "check", "1b", "--json")).json, {"findings": []})
        self.assertIn("nothing stands against", self.code(0, run("--root", template("r9-295x2"), "check", "1b")).out)
        result = self.code(3, run("--root", template("r9-295x2"), "check", "03:00.0", "1b", "--json"))
        self.assertEqual([finding["gpu"] for finding in result.json["findings"]], ["0000:03:00.0"])

    def test_quiet(self):
        result = self.code(0, run("-q", "--root", template("r9-295x2"), "check", "1b"))
        self.assertEqual((result.out, result.err), ("", ""))


expand(Check, [(topology, topology) for topology in TOPOLOGIES])

if __name__ == "__main__":
    harness.main()
