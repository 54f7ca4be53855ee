#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""guest-notes with libvirt's test driver, which places no controllers: their addresses are written here."""

import re
import sys

sys.dont_write_bytecode = True
import harness  # noqa: E402
from harness import TOPOLOGIES, expand  # noqa: E402
from vms import Vms, domain, hostdev, test_domain  # noqa: E402

LIBOSINFO = "http://libosinfo.org/xmlns/libvirt/domain/1.0"
LINUX, WINDOWS = "http://debian.org/debian/12", "http://microsoft.com/win/11"
NOTES_LINES = 40    # a screen, for a VM with one GPU
NOTES_COLUMNS = 110


def osinfo(os):
    return f"<libosinfo:libosinfo xmlns:libosinfo='{LIBOSINFO}'><libosinfo:os id='{os}'/></libosinfo:libosinfo>"


def place(text, *functions):
    """Puts the root ports on 00:02.N, in the order of the definition, as libvirt's QEMU driver does."""
    left = iter(functions or range(8))
    return re.sub(r"(model=.pcie-root-port.)/>", lambda m: f"{m.group(1)}><address type='pci' domain='0' bus='0' slot='2' "
                  f"function='{next(left)}'/></controller>", text)


def of(os, text):
    return text.replace("<metadata>", f"<metadata>{osinfo(os)}", 1) if os else text


class Notes(Vms):
    def on(self, topology, *gpus, os=LINUX, functions=(), change=None, options=()):
        """A host whose vm1 has these GPUs as assign writes them."""
        text = self.assigned(topology, ["vm1", *gpus], options=options)["vm1"]
        text = of(os, place(text, *functions))
        self.now = self.host(topology, *options)
        self.libvirt(test_domain(change(text) if change else text))
        return self.now

    def cli(self, *args, **more):
        return self.now.cli("--connect", self.uri, *args, **more)

    def notes(self, *args):
        return self.code(0, self.cli("guest-notes", "vm1", *args))

    def json(self, *args):
        return self.notes("--json", *args).json

    def texts(self, *args):
        return {(note["topic"], note["proof"]): f"{note['text']} | {note['command']}" for note in self.json(*args)["notes"]}

    def commands(self, *args):
        return [note["command"] for note in self.json(*args)["notes"] if note["command"]]


class Places(Notes):
    def test_as_assign_writes_them(self):
        self.on("x10drh-3xv340", "1a", "2b")
        first, second = self.json()["gpus"]
        self.assertEqual((first["name"], first["address"], first["guest_address"], first["guest_path"]),
                         ("1a", "0000:06:00.0", "0000:01:00.0", ["0000:00:02.0"]))
        self.assertEqual((second["name"], second["address"], second["guest_address"], second["guest_path"]),
                         ("2b", "0000:14:00.0", "0000:02:00.0", ["0000:00:02.1"]))
        out = self.notes().out
        self.assertIn("0000:01:00.0  (00:02.0 -> 01:00.0)", out)
        self.assertIn("0000:02:00.0  (00:02.1 -> 02:00.0)", out)

    def test_numbers_are_those_of_the_guest(self):
        """The port of the second GPU comes first, and with it its bus."""
        self.on("x10drh-3xv340", "1a", "2b", functions=(1, 0))
        self.assertEqual([gpu["guest_address"] for gpu in self.json()["gpus"]], ["0000:02:00.0", "0000:01:00.0"])
        self.assertIn("amdgpu.virtual_display=0000:02:00.0,1", self.commands())

    def test_a_bridge_in_front(self):
        more = ("<controller type='pci' index='8' model='pcie-root-port'><address type='pci' bus='0' slot='1'/></controller>"
                "<controller type='pci' index='9' model='pcie-to-pci-bridge'><address type='pci' bus='8' slot='0'/></controller>")
        self.on("x10drh-3xv340", "1a", change=lambda text: text.replace("<devices>", f"<devices>{more}"))
        self.assertEqual(self.json()["gpus"][0]["guest_address"], "0000:03:00.0")

    def test_companions(self):
        self.on("gtx690", "1a")
        gpu = self.json()["gpus"][0]
        self.assertEqual((gpu["guest_address"], gpu["guest_companions"]), ("0000:01:00.0", ["0000:01:00.1"]))
        self.assertIn("(00:02.0 -> 01:00.0)  and 01:00.1", self.notes().out)

    def test_not_placed(self):
        self.on("x10drh-3xv340", "1a", change=lambda text: re.sub(r"<address type='pci' domain='0' bus='0'.*?/>", "", text))
        gpu = self.json()["gpus"][0]
        self.assertEqual((gpu["guest_address"], gpu["guest_path"]), (None, []))
        self.assertIn("libvirt has not placed it", self.notes().out)
        self.assertNotIn("by-path/pci-0000", "".join(self.commands()))

    def test_i440fx(self):
        text = domain("vm1", "<controller type='pci' index='0' model='pci-root'/>" +
                      hostdev("06:00.0", guest="<address type='pci' domain='0' bus='0' slot='6' function='0'/>"))
        self.now = self.host("x10drh-3xv340")
        self.libvirt(text.replace("q35", "pc"))
        gpu = self.json()["gpus"][0]
        self.assertEqual((gpu["name"], gpu["guest_address"], gpu["guest_path"]), ("1a", "0000:00:06.0", []))

    def test_by_hand_and_by_uuid(self):
        """Not ours, and called by its UUID."""
        devices = ("<controller type='pci' index='0' model='pcie-root'/><controller type='pci' index='7' model='pcie-root-port'>"
                   "<address type='pci' bus='0' slot='3'/></controller>" +
                   hostdev("83:00.1", managed="no", guest="<address type='pci' bus='7' slot='0' function='1'/>") +
                   hostdev("83:00.0", managed="no", guest="<address type='pci' bus='7' slot='0' function='0'/>"))
        self.now = self.host("gtx690")
        text = domain("a game's", devices)
        self.libvirt(text)
        uuid = re.search("<uuid>(.*?)<", text).group(1)
        data = self.code(0, self.cli("guest-notes", uuid, "--json")).json
        self.assertEqual((data["vm"], data["system"]), ("a game's", "other"))
        self.assertEqual([gpu["guest_address"] for gpu in data["gpus"]], ["0000:01:00.0"])
        self.assertIn(f"vfioctl tune {uuid} --display rescue", [note["command"] for note in data["notes"]])

    def test_the_card_is_gone(self):
        """What the metadata names counts; a USB controller that is handed in does not."""
        self.on("x10drh-3xv340", "1a", change=lambda text: text.replace("</devices>", hostdev("00:14.0") + "</devices>"))
        other = self.host("m2000")
        data = self.code(0, other.cli("--connect", self.uri, "guest-notes", "vm1", "--json")).json
        self.assertEqual([(gpu["name"], gpu["address"], gpu["guest_address"], gpu["encoder"]) for gpu in data["gpus"]],
                         [(None, "0000:06:00.0", "0000:01:00.0", None)])
        self.assertIn("where no GPU is now", other.cli("--connect", self.uri, "guest-notes", "vm1").out)


class Linux(Notes):
    def test_v340(self):
        self.on("x10drh-3xv340", "1a")
        data = self.json()
        self.assertEqual((data["system"], data["os"]), ("linux", LINUX))
        gpu = data["gpus"][0]
        self.assertEqual((gpu["class"], gpu["headless"], gpu["encoder"], gpu["encoder_unit"]),
                         ("0380", True, ["h264", "hevc"], "VCE 4.0 and UVD 7.0"))
        texts = self.texts()
        self.assertIn("firmware-amd-graphics", texts["driver", "known"])
        self.assertIn("lspci -d ::0380", texts["tools", "known"])
        self.assertIn("pci-0000:01:00.0-render", texts["node", "known"])
        self.assertIn("amdgpu.virtual_display=0000:01:00.0,1", texts["kernel", "unproven"])
        self.assertIn("#1713", texts["kernel", "unproven"])
        self.assertTrue(any("WOLF_RENDER_NODE=/dev/dri/by-path/pci-0000:01:00.0-render" in c for c in self.commands()))
        self.assertIn("[unproven]", self.notes().out)

    def test_several_alike_are_told_once(self):
        self.on("x10drh-3xv340", "1a", "1b", "2a", "2b")
        topics = [note["topic"] for note in self.json()["notes"]]
        self.assertEqual(topics.count("tools"), 1)
        self.assertEqual(topics.count("node"), 4)
        self.assertLess(len(self.notes().out.splitlines()), NOTES_LINES + 10)

    def test_kepler(self):
        self.on("gtx690", "1b")
        texts = self.texts()
        self.assertIn("branch 470", texts["driver", "known"])
        self.assertEqual(self.json()["gpus"][0]["encoder"], ["h264"])
        self.assertIn("nvenc", texts["encoder", "unproven"])
        self.assertNotIn("virtual_display", str(texts))

    def test_hawaii(self):
        self.on("r9-295x2", "1a")
        self.assertIn("radeon.cik_support=0 amdgpu.cik_support=1", self.commands())

    def test_hypervisor_off(self):
        off = "<cpu mode='custom'><model>qemu64</model><feature policy='disable' name='hypervisor'/></cpu></domain>"
        self.on("x10drh-3xv340", "1a", change=lambda text: text.replace("</domain>", off))
        self.assertIn("does not reset", self.texts()["hypervisor", "known"])
        self.on("m2000", "1a", change=lambda text: text.replace("</domain>", off))
        self.assertNotIn(("hypervisor", "known"), self.texts())

    def test_kvm_hidden(self):
        hidden = "<features><kvm><hidden state='on'/></kvm></features></domain>"
        self.on("gtx690", "1a", change=lambda text: text.replace("</domain>", hidden))
        self.assertIn("R465", self.texts()["hidden", "known"])


class Windows(Notes):
    def test_v340(self):
        self.on("x10drh-3xv340", "1a", os=WINDOWS)
        texts = self.texts()
        self.assertEqual(self.json()["system"], "windows")
        self.assertIn("testsigning", texts["driver", "reported"])
        self.assertIn("REV_05", texts["driver", "reported"])
        self.assertIn("#373", texts["desktop", "unproven"])
        self.assertIn("PCI bus 1, device 0, function 0", texts["device", "known"])
        self.assertNotIn("amdgpu", str(texts))

    def test_secure_boot(self):
        self.on("x10drh-3xv340", "1a", os=WINDOWS, change=lambda text: re.sub(
            "<os>.*?</os>", "<os><type arch='x86_64' machine='q35'>hvm</type><loader readonly='yes' type='pflash' secure='yes'>"
            "/usr/share/OVMF/OVMF_CODE.fd</loader><nvram>/x</nvram></os><features><smm state='on'/></features>", text,
            flags=re.DOTALL))
        self.assertIn("switch it off", self.texts()["secure boot", "known"])
        self.assertEqual((self.json()["secure_boot"], self.json()["uefi"]), (True, True))

    def test_a_card_with_connectors(self):
        self.on("m2000", "1a", os=WINDOWS)
        texts = self.texts()
        self.assertIn("branch 580", texts["driver", "known"])
        self.assertNotIn(("desktop", "unproven"), texts)
        self.assertNotIn("testsigning", str(texts))


class System(Notes):
    def test_not_said(self):
        self.on("x10drh-3xv340", "1a", os=None)
        data = self.json()
        self.assertEqual((data["system"], data["os"]), ("other", None))
        self.assertIn("vfioctl guest-notes vm1 --os linux", self.commands())
        self.assertEqual(self.json("--os", "linux")["system"], "linux")
        self.assertEqual(self.json("--os", "windows")["system"], "windows")
        self.assertIn("testsigning", str(self.texts("--os", "windows")))

    def test_another_than_it_says(self):
        self.on("x10drh-3xv340", "1a", os=WINDOWS)
        self.assertIn("amdgpu", str(self.texts("--os", "linux")))

    def test_hyperv_is_windows(self):
        self.on("m2000", "1a", os=None, change=lambda text: text.replace(
            "</domain>", "<features><hyperv><relaxed state='on'/></hyperv></features></domain>"))
        self.assertEqual(self.json()["system"], "windows")

    def test_display(self):
        self.on("x10drh-3xv340", "1a")
        self.assertIn("vfioctl tune vm1 --display rescue", self.commands())
        self.assertIs(self.json()["display"], False)
        self.on("x10drh-3xv340", "1a", change=lambda text: text.replace(
            "</devices>", "<video><model type='virtio'/></video></devices>"))
        self.assertIn("vfioctl tune vm1 --display none", self.commands())
        self.assertIs(self.json()["display"], True)
        self.assertIn("renderD128 may be", self.texts()["node", "known"])


class Every(Notes):
    def each(self, topology):
        self.now = self.host(topology)
        ready = [gpu["name"] for gpu in self.now.gpus() if gpu["ready"]]
        if not ready:
            return self.skipTest("no GPU is ready")
        for os in (LINUX, WINDOWS):
            host = self.on(topology, ready[0], os=os)
            before = host.whole()
            result = self.notes()
            self.assertEqual(result.err, "")
            self.assertLess(len(result.out.splitlines()), NOTES_LINES)
            self.assertTrue(all(len(line) < NOTES_COLUMNS for line in result.out.splitlines()), result)
            self.assertIn("0000:01:00.0", result.out)
            self.untouched(before, host)
        return None


expand(Every, [(topology, topology) for topology in TOPOLOGIES])


class Refusals(Notes):
    def refused(self, code, *words, args=("guest-notes", "vm1")):
        result = self.code(code, self.cli(*args))
        self.assertEqual(result.out, "")
        return self.says(result, *words)

    def test_unknown(self):
        self.on("m2000", "1a")
        self.refused(3, "vm-unknown", "none", args=("guest-notes", "none"))
        self.refused(3, "vm-unknown", args=("guest-notes", "--", "--json"))

    def test_without_a_gpu(self):
        self.now = self.host("m2000")
        self.libvirt(domain("vm1", hostdev("00:14.0")), domain("a 'b", ""))
        self.refused(3, "has no GPU", "vfioctl assign vm1")
        self.refused(3, "has no GPU", args=("guest-notes", "a 'b"))

    def test_managed_save_or_running(self):
        """A report takes any VM."""
        self.on("m2000", "1a", change=lambda text: text.replace("<test:runstate>5</test:runstate>", ""))
        self.notes()

    def test_no_libvirt(self):
        self.now = self.host("m2000")
        self.says(self.code(2, self.now.cli("guest-notes", "vm1")), "--connect")
        self.says(self.code(1, self.now.cli("--connect", "test:///nowhere", "guest-notes", "vm1")), "libvirt-unreachable")

    def test_bad_arguments(self):
        self.on("m2000", "1a")
        for args in (("guest-notes",), ("guest-notes", "a", "b"), ("guest-notes", "vm1", "--os", "dos"),
                     ("guest-notes", "vm1", "--format", "shell")):
            self.says(self.code(2, self.cli(*args)))

    def test_no_pci_bus(self):
        self.on("m2000", "1a")
        self.code(1, harness.run("--root", harness.SCRATCH, "--connect", self.uri, "guest-notes", "vm1"))


if __name__ == "__main__":
    harness.main()
