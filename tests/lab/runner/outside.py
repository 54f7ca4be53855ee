# SPDX-License-Identifier: GPL-2.0-or-later
"""What a script asks of the world outside its lab host: see guest/lab_outside.

A request is a generator that yields what it waits for, a test of QEMU's messages: the runner goes on passing output
meanwhile, and nothing is polled.
"""

import json
import shlex
import time

from . import topology

LIMIT = 60  # seconds that a request may take


class RequestError(Exception):
    pass


class Reboot:
    """What the next boot is to be."""

    def __init__(self, host, hard, append, count, failed):
        self.host, self.hard, self.append, self.count, self.failed = host, hard, append, count, failed


class Outside:
    def __init__(self, host, make_initramfs, can_reboot):
        self.host, self.make_initramfs, self.can_reboot = host, make_initramfs, can_reboot
        self.devices = {d["id"]: d for d in host["devices"]}
        self.reboot = None
        self.going = set()  # devices that the lab host has been asked to let go
        self.shutdown = None  # why QEMU ends, as it says
        self.monitor = self.port = None
        self.lines = {"qmp": b"", "request": b""}
        self.request = self.wanted = self.deadline = None
        self.number = 0

    def connect(self, monitor, port):
        self.monitor, self.port = monitor, port
        self.send("qmp_capabilities")

    def received(self, channel, data):
        *lines, self.lines[channel] = (self.lines[channel] + data).split(b"\n")
        for line in lines:
            if channel == "request":
                self.start(line.decode(errors="replace"))
            else:
                self.heard(json.loads(line))

    def heard(self, message):
        if message.get("event") == "DEVICE_DELETED":
            self.going.discard(message["data"].get("device"))
        elif message.get("event") == "SHUTDOWN":
            self.shutdown = message["data"].get("reason")
        if self.request and self.wanted(message):
            self.go_on(message)

    def start(self, line):
        words = shlex.split(line)
        verb = getattr(self, "do_" + words[0], None) if words else None
        self.deadline = time.monotonic() + LIMIT
        try:
            self.request = verb(*words[1:]) if verb else self.unknown(line)
        except TypeError:
            self.request = self.unknown(line)
        self.go_on(None)

    def go_on(self, message):
        try:
            self.wanted = self.request.send(message)
        except StopIteration as end:
            self.answer("ok" + (f" {end.value}" if end.value else ""))
        except RequestError as e:
            self.answer(f"error: {e}")

    def late(self):
        self.answer(f"error: not done after {LIMIT} s")

    def answer(self, text):
        self.request = self.deadline = None
        self.port.sendall(" ".join(text.split()).encode() + b"\n")

    def send(self, command, **arguments):
        self.number += 1
        self.monitor.sendall(json.dumps({"execute": command, "arguments": arguments, "id": self.number}).encode() + b"\n")
        return self.number

    def call(self, command, **arguments):
        number = self.send(command, **arguments)
        reply = yield lambda message: message.get("id") == number
        if "error" in reply:
            raise RequestError(reply["error"]["desc"])
        return reply["return"]

    def device(self, ident):
        if ident not in self.devices:
            raise RequestError(f"no device '{ident}'")
        return self.devices[ident]

    def unknown(self, line):
        raise RequestError(f"unknown request '{line}'")
        yield

    def do_unplug(self, *words):
        ident = self.device(words[-1])["id"]
        yield from self.call("device_del", id=ident)
        self.going.add(ident)
        if "--no-wait" not in words:
            yield lambda message: ident not in self.going

    def do_plug(self, ident):
        device = self.device(ident)
        if ident in self.going:
            yield lambda message: ident not in self.going
        words = ",".join([device["driver"], *(f"{k}={v}" for k, v in topology.properties(device).items())])
        said = yield from self.call("human-monitor-command", **{"command-line": "device_add " + words})
        if said:
            raise RequestError(said)

    def do_initramfs(self):
        self.make_initramfs()
        return
        yield

    def do_reboot(self, *words):
        """reboot COUNT FAILED HOST soft|hard [ARGUMENT...]"""
        count, failed, name, how, *append = words
        if not self.can_reboot:
            raise RequestError("a shell is not gone on with after a reboot")
        self.reboot = Reboot(name, how == "hard", append, int(count), int(failed))
        try:
            topology.load(name)
        except topology.HostError as e:
            self.reboot = None
            raise RequestError(e)
        return
        yield
