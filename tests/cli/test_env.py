#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""env: what a service needs to see the GPUs of the host and no others; its output read by those who will read it."""

import os
import re
import shutil
import subprocess
import sys

sys.dont_write_bytecode = True
import harness  # noqa: E402
from harness import TOPOLOGIES, Case, changed_topology, expand  # noqa: E402

UUID = re.compile(r"GPU-(?:[0-9a-f]{16}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")
# What a drop-in may have, and what each says: systemd.exec(5), systemd.resource-control(5).
DIRECTIVES = {
    "Environment": re.compile(r'"[A-Z_]+=[A-Za-z0-9_:,./ -]+"'),
    "DevicePolicy": re.compile(r"closed"),
    "DeviceAllow": re.compile(r"/dev/[A-Za-z0-9:./-]+ rw"),
}


class Env(Case):
    def json(self, host, *gpus):
        return self.code(0, host.cli("env", *gpus, "--json")).json

    def variables(self, host, *gpus):
        return self.json(host, *gpus)["environment"]

    def by_sh(self, text):
        """The variables that a shell has after it."""
        script = f"set -eu\neval \"$1\"\nexec env -0"
        out = subprocess.run(["sh", "-c", script, "sh", text], env={"PATH": os.environ["PATH"]}, check=True,
                             capture_output=True).stdout.decode()
        found = dict(line.split("=", 1) for line in out.split("\0") if "=" in line)
        return {name: value for name, value in found.items() if name not in ("PATH", "PWD", "_", "SHLVL", "OLDPWD")}

    def by_systemd(self, text):
        """(variables, devices) of a drop-in."""
        lines = [line for line in text.splitlines() if not line.startswith("#")]
        self.assertEqual(lines[0], "[Service]")
        variables, devices = {}, []
        for line in lines[1:]:
            key, value = line.split("=", 1)
            self.assertIn(key, DIRECTIVES)
            self.assertRegex(value, DIRECTIVES[key])
            if key == "Environment":
                name, _, what = value.strip('"').partition("=")
                variables[name] = what
            elif key == "DeviceAllow":
                devices.append(value.removesuffix(" rw"))
        self.assertEqual(lines.count("DevicePolicy=closed"), 1)
        self.verify(text)
        return variables, devices

    def verify(self, text):
        if not shutil.which("systemd-analyze"):
            return
        path = f"{harness.SCRATCH}/env-test.service"
        with open(path, "w", encoding="utf-8") as file:
            file.write(text + "ExecStart=/bin/true\n")
        done = subprocess.run(["systemd-analyze", "verify", path], capture_output=True, text=True, check=False)
        os.unlink(path)
        self.assertNotRegex(done.stderr, r"env-test.service:\d+:", text)

    def by_docker(self, text):
        """(variables, devices) of arguments that a shell substitutes as they stand."""
        self.assertEqual(len(text.splitlines()), 1)
        self.assertNotRegex(text, "[\"'$`\\\\*?]")
        words, variables, devices = text.split(), {}, []
        for option, value in zip(words[::2], words[1::2], strict=True):
            self.assertIn(option, ("--device", "--env"))
            if option == "--env":
                name, _, what = value.partition("=")
                variables[name] = what
            else:
                # A colon would part it.
                self.assertNotIn(":", value)
                devices.append(value)
        return variables, devices


class Every(Env):
    def each(self, topology):
        host = self.host(topology)
        before = host.whole()
        names = {gpu["name"]: gpu for gpu in host.gpus() if gpu["mode"] == "host" and gpu["name"] not in ("-", gpu["address"])}
        data = self.json(host)
        self.assertEqual([gpu["name"] for gpu in data["gpus"]], list(names))
        for gpu in data["gpus"]:
            self.assertEqual(gpu["address"], names[gpu["name"]]["address"])
            self.assertEqual(gpu["by_path"], f"/dev/dri/by-path/pci-{gpu['address']}-render")
            self.assertRegex(gpu["render_node"], r"^/dev/dri/renderD\d+$")
            self.assertEqual(host.read(f"sys/bus/pci/devices/{gpu['address']}/drm/{os.path.basename(gpu['render_node'])}/dev"),
                             f"226:{gpu['render_node'].removeprefix('/dev/dri/renderD')}\n")
        variables = data["environment"]
        shell = self.code(0, host.cli("env"))
        self.assertEqual(shell.err, "")
        self.assertEqual(self.by_sh(shell.out), variables)
        self.assertEqual(host.cli("env", "--format", "shell").out, shell.out)
        told, devices = self.by_systemd(self.code(0, host.cli("env", "--format", "systemd")).out)
        self.assertEqual(told, variables)
        self.assertEqual(sorted(devices), sorted(data["devices"] + [gpu["by_path"] for gpu in data["gpus"]] +
                                                 [gpu["nvidia_node"] for gpu in data["gpus"] if gpu["nvidia_node"]]))
        told, devices = self.by_docker(self.code(0, host.cli("env", "--format", "docker")).out)
        self.assertEqual(told, {name: value for name, value in variables.items() if name == "ROCR_VISIBLE_DEVICES"})
        self.assertEqual(len(devices), len(names) + ("/dev/kfd" in devices))
        for gpu in names.values():
            for text in (shell.out, host.cli("env", "--format", "systemd").out):
                self.assertRegex(text, rf"(?m)^# {gpu['name']}  {gpu['address']}  ")
        self.untouched(before, host)


expand(Every, [(topology, topology) for topology in TOPOLOGIES])


class Amd(Env):
    def test_all_and_some(self):
        host = self.host("x10drh-3xv340")
        uuids = {gpu["name"]: gpu["uuid"] for gpu in self.json(host)["gpus"]}
        self.assertEqual(len(set(uuids.values())), 6)
        for uuid in uuids.values():
            self.assertRegex(uuid, UUID)
        self.assertEqual(uuids["2b"], "GPU-" + host.read("sys/bus/pci/devices/0000:14:00.0/unique_id").strip())
        self.assertEqual(self.variables(host), {
            "ROCR_VISIBLE_DEVICES": ",".join(uuids.values()),
            "VFIOCTL_RENDER_NODES": " ".join(gpu["by_path"] for gpu in self.json(host)["gpus"])})
        self.assertEqual(self.variables(host, "3a", "2b")["ROCR_VISIBLE_DEVICES"], f"{uuids['2b']},{uuids['3a']}")
        _, devices = self.by_docker(host.cli("env", "14:00.0", "--format", "docker").out)
        self.assertEqual(devices, ["/dev/kfd", "/dev/dri/renderD131"])

    def test_what_vms_have_is_not_there(self):
        host = self.host("x10drh-3xv340", *[word for address in ("06:00.0", "0a:00.0", "10:00.0") for word in ("--mode", f"{address}=vm")],
                         "--mode", "85:00.0=none")
        data = self.json(host)
        self.assertEqual([gpu["name"] for gpu in data["gpus"]], ["2b", "3b"])
        self.assertEqual(data["environment"]["ROCR_VISIBLE_DEVICES"].count("GPU-"), 2)
        for format in ("shell", "docker", "systemd"):
            out = host.cli("env", "--format", format).out
            for address in ("06:00.0", "0a:00.0", "10:00.0", "85:00.0"):
                self.assertNotIn(address, out)

    def test_it_follows_a_change_of_mode(self):
        host = self.host("x10drh-3xv340")
        before = self.variables(host)
        self.code(0, host.cli("to-vm", "2b"))
        self.assertEqual([gpu["name"] for gpu in self.json(host)["gpus"]], ["1a", "1b", "2a", "3a", "3b"])
        self.code(0, host.cli("to-host", "2b"))
        self.assertEqual(self.variables(host), before)

    def test_without_unique_id(self):
        host = self.host("x10drh-3xv340")
        os.unlink(host.device("0000:14:00.0", "unique_id"))
        # All of them: nothing has to be kept away.
        self.assertEqual(list(self.variables(host)), ["VFIOCTL_RENDER_NODES"])
        data = self.json(host, "2b")
        self.assertNotIn("ROCR_VISIBLE_DEVICES", data["environment"])
        self.assertIn("unique_id", data["notes"][0])
        self.assertIn("# ROCR_VISIBLE_DEVICES is not set", host.cli("env", "2b").out)
        result = self.code(0, host.cli("env", "2b", "--format", "docker"))
        self.says(result, "unique_id")
        self.assertEqual(result.out, "--device /dev/kfd --device /dev/dri/renderD131\n")
        self.assertEqual(host.cli("-q", "env", "2b", "--format", "docker").err, "")
        self.assertIn("ROCR_VISIBLE_DEVICES", self.variables(host, "2a"))

    def test_without_kfd(self):
        """A kernel without amdgpu's part for ROCm: Vulkan is left, and docker would miss the node."""
        host = self.host("x10drh-3xv340")
        os.unlink(host.path("dev/kfd"))
        self.assertEqual(list(self.variables(host)), ["VFIOCTL_RENDER_NODES"])
        self.assertEqual({gpu["kind"] for gpu in self.json(host)["gpus"]}, {"render"})
        for format in ("docker", "systemd"):
            self.assertNotIn("kfd", host.cli("env", "--format", format).out)

    def test_nonsense_in_unique_id(self):
        host = self.host("x10drh-3xv340")
        for text in ("", "0\n", "nonsense'; rm -rf /\n", "1" * 40 + "\n", "0000000000000000\n"):
            path = host.device("0000:14:00.0", "unique_id")
            os.unlink(path)
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
            self.assertIsNone(next(gpu for gpu in self.json(host)["gpus"] if gpu["name"] == "2b")["uuid"], text)


class Nvidia(Env):
    INFORMATION = "proc/driver/nvidia/gpus/0000:0a:00.0/information"

    def test_uuids(self):
        host = self.host("desktop-2xrtx3050")
        first, second = self.json(host)["gpus"]
        self.assertRegex(first["uuid"], UUID)
        self.assertEqual(self.variables(host)["CUDA_VISIBLE_DEVICES"], f"{first['uuid']},{second['uuid']}")
        self.assertEqual(self.variables(host, second["name"])["CUDA_VISIBLE_DEVICES"], second["uuid"])
        _, devices = self.by_docker(host.cli("env", second["name"], "--format", "docker").out)
        self.assertEqual(devices, [f"nvidia.com/gpu={second['uuid']}"])

    def test_not_initialised(self):
        """Then the driver shows question marks, and the order of the bus has to do."""
        host = self.host("desktop-2xrtx3050")
        host.write(self.INFORMATION, re.sub(r"GPU-\S+", lambda m: re.sub("[0-9a-f]", "?", m.group(0)), host.read(self.INFORMATION)))
        first, second = self.json(host)["gpus"]
        variables = self.variables(host)
        self.assertEqual((variables["CUDA_DEVICE_ORDER"], variables["CUDA_VISIBLE_DEVICES"]), ("PCI_BUS_ID", "0,1"))
        self.assertEqual(self.variables(host, first["name"])["CUDA_VISIBLE_DEVICES"], "0")
        self.assertEqual(self.variables(host, second["name"])["CUDA_VISIBLE_DEVICES"], second["uuid"])
        self.assertEqual(self.by_docker(host.cli("-q", "env", first["name"], "--format", "docker").out)[1], ["nvidia.com/gpu=0"])

    def test_nonsense_in_information(self):
        host = self.host("desktop-2xrtx3050")
        for text in ("", "GPU UUID: \n", "GPU UUID: GPU-';x\nDevice Minor: 999\n", "GPU UUID: " + "x" * 3000 + "\n"):
            host.write(self.INFORMATION, text)
            gpu = self.json(host)["gpus"][0]
            self.assertEqual((gpu["uuid"], gpu["nvidia_node"]), (None, None), text)


class Mixed(Env):
    def mixed(self):
        def change(functions, _):
            functions["0000:0b:00.0"].update(vendor="0x1002", device="0x687f", driver="amdgpu")
        host = changed_topology("desktop-2xrtx3050", change)
        self.addCleanup(host.close)
        return host, {gpu["address"][5:7]: gpu["name"] for gpu in host.gpus()}

    def test_both(self):
        host, names = self.mixed()
        variables = self.variables(host)
        self.assertRegex(variables["CUDA_VISIBLE_DEVICES"], UUID)
        self.assertRegex(variables["ROCR_VISIBLE_DEVICES"], UUID)
        # HIP would go by CUDA's.
        self.assertEqual(variables["HIP_VISIBLE_DEVICES"], "0")
        told, devices = self.by_docker(host.cli("env", "--format", "docker").out)
        self.assertEqual(list(told), ["ROCR_VISIBLE_DEVICES"])
        self.assertEqual(len(devices), 3)

    def test_one_of_them(self):
        host, names = self.mixed()
        variables = self.variables(host, names["0a"])
        self.assertEqual(variables["ROCR_VISIBLE_DEVICES"], "-1")
        self.assertRegex(variables["CUDA_VISIBLE_DEVICES"], UUID)
        self.assertEqual(self.by_docker(host.cli("env", names["0a"], "--format", "docker").out)[0], {})
        variables = self.variables(host, names["0b"])
        self.assertEqual((variables["CUDA_VISIBLE_DEVICES"], variables["HIP_VISIBLE_DEVICES"]), ("-1", "0"))
        self.assertRegex(variables["ROCR_VISIBLE_DEVICES"], UUID)


class Refusals(Env):
    def refused(self, code, host, *args, words=()):
        result = self.code(code, host.cli("env", *args))
        self.assertEqual(result.out, "")
        self.assertEqual(len(result.lines), 1)
        return self.says(result, *words)

    def test_none(self):
        host = self.host("gtx690", "--mode", "83:00.0=vm", "--mode", "84:00.0=none")
        for format in ("shell", "docker", "systemd"):
            self.refused(3, host, "--format", format, words=["no GPU is in mode host"])
        self.refused(3, host, "--json", words=["no GPU is in mode host"])

    def test_named_ones(self):
        host = self.host("x10drh-3xv340", "--mode", "06:00.0=vm", "--mode", "0a:00.0=none")
        self.refused(3, host, "1a", words=["mode vm", "vfioctl to-host 1a"])
        self.refused(3, host, "2a", "1a", words=["mode vm"])
        self.refused(3, host, "1b", words=["no driver", "vfioctl to-host 1b"])
        self.refused(3, host, "17:00.0", words=["no render node", "ast"])
        self.refused(3, host, "9z", words=["no GPU '9z'"])

    def test_no_render_node(self):
        """It is left out, and told of, unless it is named."""
        host = self.host("x10drh-3xv340")
        shutil.rmtree(host.device("0000:14:00.0", "drm"))
        data = self.json(host)
        self.assertNotIn("2b", [gpu["name"] for gpu in data["gpus"]])
        self.assertIn("2b (0000:14:00.0) has no render node", data["notes"][0])
        self.refused(3, host, "2b", words=["makes no"])

    def test_stuck(self):
        host = self.host("x10drh-3xv340")
        host.write("run/vfioctl/stuck/0000:14:00.0", "captured\n")
        self.assertIn("2b (0000:14:00.0) is stuck", self.json(host)["notes"][0])
        self.refused(3, host, "2b", words=["is stuck", "vfioctl check 2b"])

    def test_usage(self):
        host = self.host("gtx690")
        for args in (("--format", "xml"), ("--format", ""), ("--format",), ("--json", "--format", "shell"), ("1a", "83:00.0"),
                     ("../x",), ("--os", "linux")):
            self.says(self.code(2, host.cli("env", *args)))

    def test_no_host(self):
        self.code(1, harness.run("--root", harness.SCRATCH, "env"))


if __name__ == "__main__":
    harness.main()
