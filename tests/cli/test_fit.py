#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""fit: where VMs would go, on fake hosts and beside the VMs of libvirt's test driver."""

import json
import os
import re
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
import harness  # noqa: E402
from harness import HOSTS, SCRATCH, Host, expand  # noqa: E402
from test_broken_tree import WAYS, outside, put  # noqa: E402
from vms import Vms, domain, hostdev  # noqa: E402

GIB = 1 << 30
BIG = "x10drh-3xv340"
DIES = ("1a", "1b", "2a", "2b", "3a", "3b")


def cpus(text):
    found = set()
    for part in filter(None, (text or "").split(",")):
        low, _, high = part.partition("-")
        found.update(range(int(low), int(high or low) + 1))
    return found


def host_with(topology, **changes):
    """A host of that topology with these values of "host"."""
    with open(f"{HOSTS}/{topology}.json", encoding="utf-8") as file:
        data = json.load(file)
    data["host"].update(changes)
    with tempfile.NamedTemporaryFile("w", dir=SCRATCH, suffix=".json", encoding="utf-8") as file:
        json.dump(data, file)
        file.flush()
        root = tempfile.mkdtemp(dir=SCRATCH)
        subprocess.run([f"{HOSTS}/mkhost", file.name, root], check=True)
    os.chmod(root, 0o755)
    return Host(root)


def vm(name, devices="", running=False, memory=1, vcpus=1, pins=(), node=None, pages=None, cpuset=None):
    """A definition with this much of the host; memory in GiB, pages in KiB, pins as lists of processors."""
    text = domain(name, devices, running)
    tune = "".join(f"<vcpupin vcpu='{i}' cpuset='{pin}'/>" for i, pin in enumerate(pins))
    more = (f"<memoryBacking><hugepages><page size='{pages}' unit='KiB'/></hugepages></memoryBacking>" if pages else "") + (
        f"<cputune>{tune}</cputune>" if tune else "") + (
        f"<numatune><memory mode='strict' nodeset='{node}'/></numatune>" if node is not None else "")
    where = f" cpuset='{cpuset}'" if cpuset else ""
    return text.replace("<memory>100000</memory><vcpu>1</vcpu>",
                        f"<memory unit='GiB'>{memory}</memory><vcpu{where}>{vcpus}</vcpu>{more}")


class Fit(Vms):
    def on(self, host):
        self.now = self.host(host) if isinstance(host, str) else host
        if not isinstance(host, str):
            self.addCleanup(host.close)
        return self.now

    def ask(self, *args, code=0):
        connect = ("--connect", self.uri) if self.uri else ()
        before = self.now.whole()
        result = self.code(code, self.now.cli(*connect, "fit", *args))
        self.untouched(before, self.now)
        return result

    def places(self, vms, vcpus, memory, *args, code=0):
        """The answer as JSON, when what holds of every answer holds of it."""
        wanted = ("--vms", vms) if vms else ()
        found = self.ask(*[str(word) for word in (*wanted, "--vcpus", vcpus, "--memory", memory, "--json", *args)], code=code).json
        taken, gpus, host = set(), set(), set().union(*(cpus(node["host_cpus"]) for node in found["nodes"]))
        self.assertEqual(found["count"], len(found["vms"]))
        for each in found["vms"]:
            mine = cpus(each["cpus"])
            self.assertEqual(len(each["vcpus"]), int(vcpus))
            self.assertEqual(mine, set().union(*map(cpus, each["vcpus"])))
            self.assertTrue(all(len(cpus(one)) == 1 for one in each["vcpus"]), each)
            self.assertEqual(len(mine), int(vcpus), "each vCPU has a processor of its own")
            self.assertFalse(mine & (taken | host), "nothing is used twice")
            taken |= mine
            for gpu in each["gpus"]:
                self.assertNotIn(gpu["name"], gpus)
                gpus.add(gpu["name"])
        left = set().union(*(cpus(node["free_cpus"]) for node in found["nodes"]))
        self.assertFalse(left & (taken | host))
        return found

    def codes_of(self, found):
        return [(finding["severity"], finding["code"], finding["culprit"]) for finding in found["findings"]]

    def lines(self, *args, code=3):
        """What is on stderr, for people."""
        result = self.ask(*[str(word) for word in args], "--quiet", code=code)
        if code:
            self.fit(result)
        return result.lines


class SixVms(Fit):
    """Condition 3 of what was to be built: three V340 in a board with two sockets of 14 cores."""

    def setUp(self):
        super().setUp()
        self.on(BIG)

    def test_all_fit(self):
        found = self.places(6, 6, "16G")
        self.assertTrue(found["fits"])
        self.assertEqual(sorted(each["gpus"][0]["name"] for each in found["vms"]), list(DIES))
        for each in found["vms"]:
            self.assertEqual(each["node"], each["gpus"][0]["numa_node"], "none crosses a socket")
            own = cpus("0-13,28-41" if each["node"] == 0 else "14-27,42-55")
            self.assertLessEqual(cpus(each["cpus"]), own)
            self.assertLessEqual(cpus(each["services"]), own)
            self.assertEqual(each["memory_nodes"], str(each["node"]))
            self.assertEqual((each["threads"], each["memory"], each["page"]), (2, 16 * GIB, None))
            numbers = [int(text) for text in each["vcpus"]]
            for first, second in zip(numbers[::2], numbers[1::2]):
                self.assertEqual(second, first + 28, "siblings are paired")
        self.assertEqual([node["host_cpus"] for node in found["nodes"]], ["0-1,28-29", "14-15,42-43"])
        self.assertEqual([node["free_cores"] for node in found["nodes"]], [0, 6])
        self.assertEqual([node["free_memory"] for node in found["nodes"]], [56 * GIB, 88 * GIB])

    def test_table(self):
        result = self.ask("--vms", "6", "--vcpus", "6", "--memory", "16G")
        lines = result.out.splitlines()
        self.assertEqual(lines[0].split(), ["VM", "GPU", "NODE", "CPUS", "MEMORY", "PAGES"])
        self.assertEqual(lines[1].split(), ["1", "1a", "0", "2-4,30-32", "16.0G", "-"])
        self.assertEqual(lines[6].split(), ["6", "3b", "1", "19-21,47-49", "16.0G", "-"])
        self.assertIn("6 VMs of 6 vCPUs, 16.0G and 1 GPU each fit.", result.out)
        bare = self.ask("--vms", "6", "--vcpus", "6", "--memory", "16G", "--noheadings", "--quiet")
        self.assertEqual(bare.out.splitlines(), lines[1:7])
        self.assertEqual(bare.err, "")

    def test_the_same_each_time(self):
        self.assertEqual(self.places(6, 6, "16G"), self.places(6, 6, "16G"))

    def test_a_seventh(self):
        found = self.places(7, 6, "16G", code=3)
        self.assertEqual((found["fits"], found["count"]), (False, 6))
        self.assertEqual([code for code in self.codes_of(found) if code[0] == "refusal"], [("refusal", "no-gpu", "VM 7")])
        self.assertEqual(self.lines("--vms", 7, "--vcpus", 6, "--memory", "16G"),
                         ["vfioctl: no-gpu: VM 7: 1 GPU wanted, 0 of 6 left"])

    def test_what_runs_out(self):
        found = self.places(6, 8, "32G", code=3)
        self.assertEqual(found["count"], 5, "three on node 0 for want of cores, both on node 1")
        self.assertEqual(self.lines("--vms", 6, "--vcpus", 8, "--memory", "32G"), [
            "vfioctl: no-cores: VM 6: node 0: 4 cores wanted for 8 vCPUs, 0 of 14 left (2 the host's)",
            "vfioctl: no-memory: VM 6: node 0: 32.0 GiB wanted, 24.0 GiB of 128.0 GiB left (8.0 GiB the host's)"])
        self.assertEqual(self.lines("--vms", 6, "--vcpus", 2, "--memory", "32G"), [
            "vfioctl: no-memory: VM 6: node 0: 32.0 GiB wanted, 24.0 GiB of 128.0 GiB left (8.0 GiB the host's)"])
        self.assertEqual(self.lines("--vms", 6, "--vcpus", 8, "--memory", "1G"), [
            "vfioctl: no-cores: VM 6: node 0: 4 cores wanted for 8 vCPUs, 0 of 14 left (2 the host's)"])

    def test_at_most(self):
        self.assertEqual(self.places(None, 8, "32G")["count"], 5)
        self.assertEqual(self.places(None, 6, "16G")["count"], 6)
        self.assertEqual(self.places(None, 26, "1G", code=3)["count"], 0)
        self.assertEqual(self.lines("--vcpus", 26, "--memory", "1G"), [
            f"vfioctl: no-cores: VM 1: node {node}: 13 cores wanted for 26 vCPUs, 12 of 14 left (2 the host's)" for node in (0, 1)])

    def test_odd_numbers(self):
        found = self.places(6, 5, "1G")
        self.assertEqual({each["threads"] for each in found["vms"]}, {1})
        self.assertEqual(found["vms"][0]["vcpus"], ["2", "30", "3", "31", "4"])
        self.assertEqual(found["nodes"][0]["free_cores"], 0, "a core is a VM's as a whole")
        self.assertEqual(self.places(1, 1, "1G")["vms"][0]["vcpus"], ["2"])

    def test_spread(self):
        self.now.configure("placement = spread")
        names = [each["gpus"][0]["name"] for each in self.places(3, 6, "16G")["vms"]]
        self.assertEqual(names, ["1a", "2a", "3a"])

    def test_several_gpus(self):
        found = self.places(3, 6, "16G", "--count", "2")
        self.assertEqual([[gpu["name"] for gpu in each["gpus"]] for each in found["vms"]], [["1a", "1b"], ["2a", "2b"], ["3a", "3b"]])
        self.assertEqual([each["node"] for each in found["vms"]], [0, 0, 1])
        both = self.places(1, 12, "64G", "--count", "6")
        self.assertIn(("warning", "several-nodes", "nodes 0-1"), self.codes_of(both))
        self.assertEqual((both["vms"][0]["node"], both["vms"][0]["memory_nodes"]), (None, "0-1"))
        self.assertEqual(len(cpus(both["vms"][0]["cpus"]) & cpus("0-13,28-41")), 6, "an even part of each")
        self.assertEqual([node["free_memory"] for node in both["nodes"]], [88 * GIB, 88 * GIB])
        self.places(1, 2, "1G", "--count", "7", code=3)

    def test_what_is_left_to_the_host(self):
        self.now.configure("host-cores = 4\nhost-memory = 60G")
        found = self.places(None, 6, "32G")
        self.assertEqual([node["host_cpus"] for node in found["nodes"]], ["0-3,28-31", "14-17,42-45"])
        self.assertEqual([node["host_memory"] for node in found["nodes"]], [60 * GIB, 60 * GIB])
        self.assertEqual(found["count"], 4)
        self.now.configure("host-cores = 14")
        self.assertEqual(self.places(None, 1, "1G", code=3)["count"], 0)

    def test_gpus_in_use(self):
        self.on(self.host(BIG, "--holder", "06:00.0=4711,a,ollama.service"))
        self.assertEqual(self.places(None, 6, "16G")["count"], 5)
        lines = self.lines("--vms", 6, "--vcpus", 6, "--memory", "16G")
        self.assertEqual(lines[0], "vfioctl: no-gpu: VM 6: 1 GPU wanted, 0 of 6 left")
        self.assertIn("1a (0000:06:00.0): in-use: ", lines[1])
        self.assertIn("ollama.service", lines[1])
        self.assertEqual(len(lines), 2, lines)

    def test_groups_go_as_a_whole(self):
        self.on(self.host("x10drh-v340-noacs", "--mode", "02:00.1=none-only"))
        self.assertEqual(self.places(None, 2, "1G", "--count", "2")["count"], 1)
        lines = self.lines("--vms", 2, "--vcpus", 2, "--memory", "1G", "--count", "2")
        self.assertEqual(lines[0], "vfioctl: no-gpu: VM 2: 2 GPUs wanted, 0 of 4 left")
        self.assertEqual([line.split()[1] for line in lines[1:]], ["2a", "2b"], "and not those that VM 1 gets")
        lines = self.lines("--vms", 1, "--vcpus", 2, "--memory", "1G")
        self.assertEqual(lines[0], "vfioctl: no-gpu: VM 1: 1 GPU wanted, 2 of 4 left, and an IOMMU group goes as a whole")
        self.assertTrue(any("group-shared" in line for line in lines), lines)


class Beside(Fit):
    """VMs that are there already."""

    def with_vms(self, *domains):
        self.on(BIG)
        self.libvirt(*domains)

    def free(self):
        """What is free when nothing is asked for that could be had."""
        return self.places(1, 4000, "1G", code=3)["nodes"]

    def test_pins(self):
        self.with_vms(vm("off", vcpus=4, pins=("2", "30", "3", "31")), vm("runs", vcpus=2, pins=("16", "44"), running=True))
        nodes = self.free()
        self.assertEqual([node["free_cpus"] for node in nodes], ["4-13,32-41", "17-27,45-55"])
        self.assertEqual(self.places(1, 6, "1G")["vms"][0]["cpus"], "4-6,32-34")

    def test_one_sibling_takes_the_core(self):
        self.with_vms(vm("half", vcpus=1, pins=("30",)))
        self.assertEqual(self.free()[0]["free_cpus"], "3-13,31-41")

    def test_floating_takes_no_core(self):
        self.with_vms(vm("wide", vcpus=2, pins=("0-55", "0-55")), vm("set", vcpus=2, cpuset="0-27"))
        self.assertEqual([node["free_cores"] for node in self.free()], [12, 12])

    def test_cpuset_of_as_many(self):
        self.with_vms(vm("set", vcpus=2, cpuset="2,30"))
        self.assertEqual([node["free_cores"] for node in self.free()], [11, 12])

    def test_a_core_for_each_vcpu(self):
        self.with_vms(vm("pairs", vcpus=2, pins=("2,30", "3,31")))
        self.assertEqual(self.free()[0]["free_cpus"], "4-13,32-41")

    def test_pins_on_the_first_core(self):
        self.with_vms(vm("bold", vcpus=2, pins=("0", "28")))
        self.assertEqual(self.free()[0]["host_cpus"], "0-1,28-29", "processor 0 is the host's all the same")

    def test_memory(self):
        free = [120, 120]

        def left(*domains):
            self.with_vms(*domains)
            return [round(node["free_memory"] / GIB - was, 3) for node, was in zip(self.free(), free)]

        self.assertEqual(left(vm("off", memory=40)), [0, 0], "one that does not run has none")
        self.assertEqual(left(vm("runs", memory=40, running=True)), [-20, -20], "anywhere: evenly")
        self.assertEqual(left(vm("bound", memory=40, running=True, node=1)), [0, -40])
        self.assertEqual(left(vm("bound", memory=40, node=1)), [0, 0])
        self.assertEqual(left(vm("gpu", hostdev("85:00.0"), memory=40)), [0, -40], "next to its GPU")
        self.assertEqual(left(vm("gpu", hostdev("85:00.0"), memory=40, node=0)), [-40, 0], "where it is bound to")
        self.assertEqual(left(vm("pins", memory=40, running=True, vcpus=1, pins=("20",))), [0, -40], "where it is pinned")
        self.assertEqual(left(vm("huge", memory=4000, running=True)), [-120, -120])

    def test_their_gpus(self):
        self.with_vms(vm("one", hostdev("06:00.0")), vm("two", hostdev("89:00.0"), running=True))
        found = self.places(None, 2, "1G")
        self.assertEqual([each["gpus"][0]["name"] for each in found["vms"]], ["1b", "3a", "2a", "2b"], "half-used cards first")
        self.assertTrue(any("assigned" in line for line in self.lines("--vms", 5, "--vcpus", 2, "--memory", "1G")))

    def test_names(self):
        for name in ("", "&<>'\"", "a b", "-"):
            with self.subTest(name=name):
                self.with_vms(vm(name or "x", vcpus=2, pins=("2", "30")))
                self.assertEqual(self.free()[0]["free_cores"], 11)

    def test_no_libvirt(self):
        self.on(BIG)
        self.code(1, self.now.cli("--connect", "test:///nowhere", "fit", "--vcpus", "1", "--memory", "1G"))


class Pages(Fit):
    """Pools of huge pages on one node only."""

    def setUp(self):
        super().setUp()
        self.on(host_with(BIG, numa=[
            {"node": 0, "cpulist": "0-13,28-41", "threads": 2, "memory": 131072, "pages": {"1048576": [40, 36], "2048": [4096, 4096]}},
            {"node": 1, "cpulist": "14-27,42-55", "threads": 2, "memory": 131072}]))

    def pages(self, found):
        return [each["page"] for each in found["vms"]]

    def test_auto(self):
        found = self.places(6, 6, "16G")
        self.assertEqual(self.pages(found), [GIB, GIB, None, None, None, None])
        self.assertEqual([node["free_pages_1g"] for node in found["nodes"]], [4, 0])
        # Node 0 has 128 GiB: 48 in pools, 8 the host's, 32 for VMs 3 and 4.
        self.assertEqual(found["nodes"][0]["free_memory"], 40 * GIB)
        notes = {finding["culprit"]: finding["fix"] for finding in found["findings"] if finding["code"] == "no-pages"}
        self.assertEqual(notes, {
            "node 0": "echo 68 > /sys/devices/system/node/node0/hugepages/hugepages-1048576kB/nr_hugepages",
            "node 1": "echo 32 > /sys/devices/system/node/node1/hugepages/hugepages-1048576kB/nr_hugepages"})
        self.assertEqual(self.pages(self.places(1, 2, "2.5G")), [2 << 20], "no whole number of large ones")
        found = self.places(1, 2, "2561M")
        self.assertEqual(self.pages(found), [None], "nor of small ones")
        self.assertEqual(found["findings"], [], "and nothing that it could use is to be made")
        notes = [finding["fix"] for finding in self.places(4, 2, "6.5G", "--count", "1")["findings"]]
        self.assertEqual([note for note in notes if "1048576kB" in note], [], "two times 6.5 GiB are 13 pages that neither can use")

    def test_asked_for(self):
        found = self.places(None, 6, "16G", "--hugepages", "1G")
        self.assertEqual((found["count"], self.pages(found)), (2, [GIB, GIB]))
        self.assertEqual(self.lines("--vms", 6, "--vcpus", 6, "--memory", "16G", "--hugepages", "1G"), [
            "vfioctl: no-pages: VM 3: node 0: 16 huge pages of 1 GiB wanted, 4 of 40 left; to mend it: "
            "echo 52 > /sys/devices/system/node/node0/hugepages/hugepages-1048576kB/nr_hugepages",
            "vfioctl: no-pages: VM 3: node 1: 16 huge pages of 1 GiB wanted, 0 of 0 left; to mend it: "
            "echo 16 > /sys/devices/system/node/node1/hugepages/hugepages-1048576kB/nr_hugepages"])
        self.assertEqual(self.pages(self.places(1, 2, "8G", "--hugepages", "2M")), [2 << 20])
        self.assertEqual(self.pages(self.places(6, 2, "8G", "--hugepages", "no")), [None] * 6)
        self.assertEqual(self.lines("--vms", 1, "--vcpus", 6, "--memory", "100G", "--hugepages", "1G"), [
            "vfioctl: no-pages: VM 1: node 0: 100 huge pages of 1 GiB wanted, 36 of 40 left; to mend it: "
            "echo 104 > /sys/devices/system/node/node0/hugepages/hugepages-1048576kB/nr_hugepages",
            "vfioctl: no-pages: VM 1: node 1: 100 huge pages of 1 GiB wanted, 0 of 0 left; to mend it: "
            "echo 100 > /sys/devices/system/node/node1/hugepages/hugepages-1048576kB/nr_hugepages"])
        self.assertEqual(self.lines("--vms", 1, "--vcpus", 6, "--memory", "125G", "--hugepages", "1G"), [
            "vfioctl: no-pages: VM 1: node 0: 125 huge pages of 1 GiB wanted, 36 of 40 left, and 72.0 GiB of memory to make more of",
            "vfioctl: no-pages: VM 1: node 1: 125 huge pages of 1 GiB wanted, 0 of 0 left, and 120.0 GiB of memory to make more of"])
        lines = self.lines("--vms", 1, "--vcpus", 2, "--memory", "2.5G", "--hugepages", "1G")
        self.assertEqual(set(lines), {"vfioctl: no-pages: VM 1: 2.5 GiB is no whole number of huge pages of 1 GiB"})

    def test_others(self):
        self.libvirt(vm("off", hostdev("06:00.0"), memory=20, pages=1048576), vm("runs", memory=4, pages=1048576, running=True))
        found = self.places(None, 2, "16G")
        self.assertEqual(self.pages(found)[:2], [GIB, None], "those of the one that runs are in use already")

    def test_a_kernel_without(self):
        found = self.on(host_with(BIG))
        for node in (0, 1):
            harness.shutil.rmtree(found.path(f"sys/devices/system/node/node{node}/hugepages"))
        self.assertEqual(self.codes_of(self.places(6, 6, "16G")), [])
        self.assertIn("this kernel has none of that size", self.lines("--vcpus", 2, "--memory", "1G", "--hugepages", "1G")[0])


class OtherHosts(Fit):
    def numa(self, *nodes, topology=BIG):
        return self.on(host_with(topology, numa=[dict(node) for node in nodes]))

    def test_twins_without_a_node(self):
        self.on("desktop-2xrtx3050")
        found = self.places(None, 6, "8G")
        self.assertEqual((found["count"], found["vms"][0]["gpus"][0]["numa_node"], found["vms"][0]["node"]), (1, None, 0))
        self.assertEqual((found["vms"][0]["cpus"], found["nodes"][0]["host_cpus"]), ("2-4,10-12", "0-1,8-9"))
        self.assertIn("boot-display", self.lines("--vms", 2, "--vcpus", 6, "--memory", "8G")[1])

    def test_no_smt(self):
        self.numa({"node": 0, "cpulist": "0-13", "memory": 65536}, {"node": 1, "cpulist": "14-27", "memory": 65536})
        found = self.places(4, 6, "8G")
        self.assertEqual({each["threads"] for each in found["vms"]}, {1})
        self.assertEqual(found["vms"][0]["cpus"], "2-7")
        self.assertEqual(self.lines("--vms", 5, "--vcpus", 6, "--memory", "8G"), [
            "vfioctl: no-cores: VM 5: node 0: 6 cores wanted for 6 vCPUs, 0 of 14 left (2 the host's)"])

    def test_hybrid(self):
        host = self.numa({"node": 0, "cpulist": "0-23", "memory": 65536,
                          "cores": [f"{2 * i}-{2 * i + 1}" for i in range(8)] + [str(i) for i in range(16, 24)]}, topology="desktop-2xrtx3050")
        host.write("sys/devices/cpu_atom/cpus", "16-23\n")
        one = self.places(1, 8, "8G")
        self.assertEqual((one["vms"][0]["cpus"], one["vms"][0]["threads"]), ("2-9", 2), "large cores first")
        self.assertEqual(one["nodes"][0]["host_cpus"], "0-1,16-17", "small ones for the host, beside processor 0")
        self.assertEqual(self.places(1, 14, "8G")["vms"][0]["cpus"], "2-15")
        mixed = self.places(1, 16, "8G")["vms"][0]
        self.assertEqual((mixed["cpus"], mixed["threads"]), ("2-15,18-19", 1))
        self.lines("--vcpus", 21, "--memory", "8G")

    def test_isolated(self):
        host = self.on(self.host(BIG))
        os.unlink(host.path("sys/devices/system/cpu/isolated"))
        host.write("sys/devices/system/cpu/isolated", "8-13,36-41\n")
        self.assertEqual(self.places(1, 6, "1G")["vms"][0]["cpus"], "8-10,36-38", "they were set apart for this")

    def test_no_nodes_at_all(self):
        host = self.on(self.host("desktop-2xrtx3050"))
        harness.shutil.rmtree(host.path("sys/devices/system/node"))
        found = self.places(1, 6, "8G")["vms"][0]
        self.assertEqual((found["node"], found["cpus"], found["memory_nodes"]), (0, "2-4,10-12", None))
        self.assertIn("node 0: 15 cores wanted for 30 vCPUs, 6 of 8 left", self.lines("--vcpus", 30, "--memory", "1G")[0])

    def test_memory_alone(self):
        self.numa({"node": 0, "cpulist": "0-13,28-41", "threads": 2, "memory": 16384}, {"node": 1, "cpulist": "14-27,42-55", "threads": 2, "memory": 16384},
                  {"node": 2, "cpulist": "", "memory": 262144})
        found = self.places(None, 2, "8G")
        self.assertEqual([node["cores"] for node in found["nodes"]], [14, 14, 0])
        self.assertEqual(found["count"], 2, "what is far does not count")

    def test_a_node_without_processors(self):
        """The GPUs' own node has none: any other will do."""
        self.numa({"node": 0, "cpulist": "", "memory": 65536}, {"node": 1, "cpulist": "14-27,42-55", "threads": 2, "memory": 65536},
                  {"node": 2, "cpulist": "0-13,28-41", "threads": 2, "memory": 65536})
        found = self.places(None, 6, "8G")
        self.assertEqual([(each["gpus"][0]["name"], each["node"]) for each in found["vms"]],
                         [("3a", 1), ("3b", 1), ("1a", 2), ("1b", 2), ("2a", 1), ("2b", 2)])

    def test_offline(self):
        host = self.on(self.host(BIG))
        for path in ("sys/devices/system/cpu/online", "sys/devices/system/node/node0/cpulist"):
            os.unlink(host.path(path))
        host.write("sys/devices/system/cpu/online", "0-29,31-55\n")
        host.write("sys/devices/system/node/node0/cpulist", "0-13,28-29,31-41\n")
        found = self.places(1, 6, "1G")["vms"][0]
        self.assertEqual((found["cpus"], found["threads"]), ("1,3-4,29,31-32", 2), "the core without its sibling is the host's")

    def test_small_nodes(self):
        self.numa({"node": 0, "cpulist": "0-3", "memory": 1024}, {"node": 1, "cpulist": "4-7", "memory": 1024})
        found = self.places(None, 2, "512M", "--hugepages", "no")
        self.assertEqual(found["count"], 2)
        self.assertEqual([node["host_memory"] for node in found["nodes"]], [GIB // 4, GIB // 4])

    def test_large(self):
        lists = [f"{first}-{first + 511}" for first in range(0, 4096, 512)]
        self.numa(*[{"node": i, "cpulist": text, "threads": 2, "memory": 1 << 20} for i, text in enumerate(lists)])
        result = self.now.cli("fit", "--vcpus", "64", "--memory", "64G", "--quiet")
        self.code(0, result)
        self.assertLess(result.seconds, 3 * harness.SECOND)


class SameAsCreate(Fit):
    """What fit shows is what create writes."""

    def each(self, topology, vcpus, memory, config=(), more=(), pages=None):
        self.on(host_with(topology, numa=[
            {"node": 0, "cpulist": "0-13,28-41", "threads": 2, "memory": 131072, "pages": pages or {}},
            {"node": 1, "cpulist": "14-27,42-55", "threads": 2, "memory": 131072}]) if pages else topology)
        self.now.configure(*config)
        self.libvirt(vm("there", hostdev("06:00.0"), vcpus=2, pins=("2", "30"), memory=8))
        place = self.places(1, vcpus, memory, *more)["vms"][0]
        made = self.code(0, self.now.cli("--connect", self.uri, "create", "new", "--template", "minimal", "--disk", "/disk,size=1G", "--vcpus",
                                         str(vcpus), "--memory", memory, "--print", *more))
        self.assertEqual(re.findall(r"<vcpupin vcpu=.\d+. cpuset=['\"](.*?)['\"]", made.out), place["vcpus"])
        self.assertEqual(set(re.findall(r"<emulatorpin cpuset=['\"](.*?)['\"]", made.out)), {place["services"]})
        self.assertEqual(re.findall(r"<vfioctl:gpu name=['\"](.*?)['\"]", made.out), [gpu["name"] for gpu in place["gpus"]])
        self.assertEqual(re.findall(r"<numatune>\s*<memory mode=['\"]\w+['\"] nodeset=['\"](.*?)['\"]", made.out), [place["memory_nodes"]])
        self.assertEqual(bool(re.search("<hugepages>", made.out)), place["page"] is not None)
        self.assertNotIn("VM 1", made.err, "it is called by its name")


expand(SameAsCreate, [("usual", BIG, 6, "16G"), ("odd", BIG, 5, "16G"), ("less for the host", BIG, 6, "16G", ["host-cores = 5", "host-memory = 9G"]),
                      ("spread", BIG, 6, "16G", ["placement = spread"]), ("two GPUs", BIG, 8, "16G", (), ("--count", "2")),
                      ("two nodes", BIG, 8, "16G", (), ("--count", "5")), ("pages", BIG, 4, "4G", (), (), {"1048576": [8, 8]}),
                      ("one node too full for the host", BIG, 4, "100G", ["host-memory = 20G"])])


class Broken(Fit):
    """Files that say nothing, or nonsense."""

    def each(self, path):
        host = self.on(self.host(BIG))
        full, old = host.path(path), host.read(path).encode()
        outside()
        for how, make in {**WAYS, **BAD}.items():
            with self.subTest(how):
                if os.path.isdir(full) and not os.path.islink(full):
                    os.rmdir(full)
                elif os.path.lexists(full):
                    os.unlink(full)
                if make:
                    make(full, old)
                result = self.now.cli("fit", "--vms", "6", "--vcpus", "6", "--memory", "16G", "--json")
                self.assertIn(result.code, (0, 3), result)
                self.assertEqual(result.err, "")
                self.assertEqual(result.json["fits"], result.code == 0)
                self.assertTrue(result.json["fits"] or any(code[0] == "refusal" for code in self.codes_of(result.json)))

    def test_no_processors(self):
        host = self.on(self.host(BIG))
        for node in (0, 1):
            os.unlink(host.path(f"sys/devices/system/node/node{node}/cpulist"))
        self.assertEqual(self.lines("--vcpus", 1, "--memory", "1G"), [
            "vfioctl: no-cores: VM 1: no processor can be seen in /sys/devices/system/cpu and /sys/devices/system/node"])


BAD = {"words": put(b"all of them\n"), "backwards": put(b"5-2\n"), "far": put(b"0-99999999999999999999\n"), "zeros": put(b"\0\0\0"),
       "many": put(b"1," * 50000)}
FILES = {"cpulist": "sys/devices/system/node/node0/cpulist", "siblings": "sys/devices/system/cpu/cpu2/topology/core_cpus_list",
         "online": "sys/devices/system/cpu/online", "memory": "sys/devices/system/node/node0/meminfo",
         "pages": "sys/devices/system/node/node0/hugepages/hugepages-2048kB/nr_hugepages", "cpuinfo": "proc/cpuinfo", "meminfo": "proc/meminfo"}
expand(Broken, [(file, path) for file, path in FILES.items()])


class Arguments(Fit):
    def each(self, *args):
        self.on("gtx690")
        before = self.now.whole()
        result = self.now.cli("fit", *args)
        self.code(2, result)
        self.fit(result)
        self.assertEqual(result.out, "")
        self.untouched(before, self.now)


SIZE = ("--vcpus", "2", "--memory", "1G")
expand(Arguments, [("nothing",), ("no memory", "--vcpus", "2"), ("no vcpus", "--memory", "1G"), ("an argument", *SIZE, "vm1"),
                   ("no VM", *SIZE, "--vms", "0"), ("negative", *SIZE, "--vms", "-1"), ("many", *SIZE, "--vms", "65"),
                   ("0 vcpus", "--vcpus", "0", "--memory", "1G"), ("1 PiB", "--vcpus", "1", "--memory", "1P"),
                   ("words", "--vcpus", "two", "--memory", "1G"), ("bare", "--vcpus", "2", "--memory", "16"),
                   ("pages", *SIZE, "--hugepages", "4K"), ("GPU", *SIZE, "--gpu", "1a"), ("column", *SIZE, "-o", "GPU")])


if __name__ == "__main__":
    harness.main()
