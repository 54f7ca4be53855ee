# SPDX-License-Identifier: GPL-2.0-or-later
"""VMs for the tests of hook and reconcile: definitions, what libvirt's test driver was told, and the hook's input."""

import html
import os
import re
import uuid

import harness
from harness import Case

NODE = ("<node><cpu><mhz>2000</mhz><model>x86_64</model><active>4</active><nodes>2</nodes><sockets>1</sockets>"
        "<cores>2</cores><threads>1</threads></cpu><memory>8000000</memory>{}</node>")
# A shell that stays, and is the daemon for whom the hook runs: gone when the hook is.
DAEMON = ("sh", "-c", '"$@"; exit $?', "sh")


def uuid_of(name):
    return str(uuid.uuid5(uuid.NAMESPACE_OID, name))


def hostdev(address, managed="yes", kind="pci", guest=""):
    bus, slot, function = int(address[:2], 16), int(address[3:5], 16), int(address[6])
    return (f"<hostdev mode='subsystem' type='{kind}' managed='{managed}'><source><address domain='0' "
            f"bus='{bus}' slot='{slot}' function='{function}'/></source>{guest}</hostdev>")


def domain(name, devices="", running=False, extra="", metadata=""):
    text = html.escape(name)
    return ("<domain type='test' xmlns:test='http://libvirt.org/schemas/domain/test/1.0'>"
            f"<name>{text}</name><uuid>{uuid_of(name)}</uuid>{metadata}<memory>100000</memory><vcpu>1</vcpu>"
            "<os><type arch='x86_64' machine='q35'>hvm</type></os>"
            f"<devices>{devices}</devices>{'' if running else '<test:runstate>5</test:runstate>'}{extra}</domain>")


def defined(log):
    """The definitions that were given to libvirt, by the name of the VM, from libvirt's own log."""
    found = re.findall(r"virDomainDefineXML\w*:\d+ : conn=\w+, xml=(<domain.*?</domain>)", log, re.DOTALL)
    return {html.unescape(re.search("<name>(.*?)</name>", text).group(1)): text for text in found}


def test_domain(text, running=False):
    """A definition that libvirt had printed, for the file of another test driver."""
    text = re.sub(r"<domain type=\S+?>", "<domain type='test' xmlns:test='http://libvirt.org/schemas/domain/test/1.0'>", text)
    return text if running else text.replace("</domain>", "<test:runstate>5</test:runstate></domain>")


def moves(text):
    """Guest addresses, and all else but the host's addresses."""
    return re.sub(r"(?s)<source>.*?</source>|<vfioctl:gpu .*?/>", "", text)


class Vms(Case):
    def setUp(self):
        self.uri = None

    def libvirt(self, *domains):
        path = f"{harness.SCRATCH}/node-{abs(hash(self.id()))}.xml"
        with open(path, "w", encoding="utf-8") as file:
            file.write(NODE.format("".join(domains)))
        if not self.uri:
            self.addCleanup(os.unlink, path)
        self.uri = f"test://{path}"

    def asks(self, *args, **more):
        """A run that talks to the test driver: the result, and libvirt's log of what it was asked."""
        log = f"{harness.SCRATCH}/libvirt-{abs(hash(self.id()))}.log"
        env = {"LIBVIRT_DEBUG": "1", "LIBVIRT_LOG_OUTPUTS": f"1:file:{log}"}
        try:
            result = self.now.cli("--connect", self.uri, *args, env=env, **more)
            result.err = re.sub(r"(?m)^\d{4}-\d\d-\d\d .*?: \d+: (info|debug) : .*\n", "", result.err)
            if not os.path.exists(log):
                return result, ""
            with open(log, encoding="utf-8", errors="replace") as file:
                return result, file.read()
        finally:
            if os.path.exists(log):
                os.unlink(log)

    def assigned(self, topology, *assigns, options=()):
        """Definitions as `assign` writes them on another host of this kind: lists of VM and GPUs."""
        now, uri = getattr(self, "now", None), self.uri
        self.now = self.host(topology, *options)
        self.libvirt(*[domain(vm) for vm, *_ in assigns])
        found = {}
        for vm, *gpus in assigns:
            result, log = self.asks("assign", vm, *[word for gpu in gpus for word in ("--gpu", gpu)])
            self.code(0, result)
            found[vm] = defined(log)[vm]
        self.now, self.uri = now, uri or self.uri
        return found

    def hook(self, text, vm="vm1", operation="prepare", stage="begin", dead=False, **more):
        """libvirt's call. `dead`: the daemon that calls is gone afterwards."""
        return self.now.cli("hook", "--", vm, operation, stage, "-", stdin=text.encode() if isinstance(text, str) else text,
                            through=DAEMON if dead else (), **more)

    def claim(self, address):
        """UUID and name of the VM that claims it."""
        path = f"run/vfioctl/claims/{address}"
        if not os.path.exists(self.now.path(path)):
            return None
        first, name = self.now.read(path).splitlines()
        return first.split()[0], name

    def names(self, folder):
        """Files there, but for those that a killed process had not yet renamed."""
        path = self.now.path(f"run/vfioctl/{folder}")
        return sorted(name for name in os.listdir(path) if name[0] != ".") if os.path.isdir(path) else []
