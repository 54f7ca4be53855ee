# SPDX-License-Identifier: GPL-2.0-or-later
"""Definitions against libvirt's own schema, and through its driver for QEMU."""

import os
import re
import shutil
import subprocess
import tempfile
import unittest

SCHEMA = "/usr/share/libvirt/schemas/domain.rng"


def mistakes(text):
    """What the schema has against a definition, or ""; skips the test where there is no schema."""
    if not os.path.exists(SCHEMA) or not shutil.which("xmllint"):
        raise unittest.SkipTest(f"no xmllint, or no {SCHEMA}")
    result = subprocess.run(["xmllint", "--noout", "--nonet", "--relaxng", SCHEMA, "-"], input=text.encode(),
                            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False, timeout=60)
    return "" if result.returncode == 0 else result.stderr.decode(errors="replace")


def through_qemu(definitions):
    """Definitions, by name, as libvirt's driver for QEMU has them back: in virsh itself, with no daemon, below a folder of its
    own. All at once, for QEMU is asked anew each time what it can. Skips the test where virsh or QEMU is missing; a definition
    that is refused is an error."""
    if not shutil.which("virsh") or not shutil.which("qemu-system-x86_64"):
        raise unittest.SkipTest("no virsh, or no qemu-system-x86_64")
    with tempfile.TemporaryDirectory(prefix="embed") as folder:
        commands = []
        for n, (name, text) in enumerate(definitions):
            path = os.path.join(folder, f"{n}.xml")
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
            commands += [f"define {path} --validate", f"dumpxml {name} --inactive", f"undefine {name} --nvram"]
        env = {**os.environ, "HOME": folder, "XDG_RUNTIME_DIR": folder, "LC_ALL": "C"}
        done = subprocess.run(["virsh", "-q", "-c", f"qemu:///embed?root={folder}", "; ".join(commands)],
                              env=env, capture_output=True, text=True, check=False, timeout=120)
    found = re.findall("(?s)<domain .*?</domain>", done.stdout)
    if done.returncode or done.stderr or len(found) != len(definitions):
        if "could not find capabilities" in done.stderr:
            raise unittest.SkipTest(done.stderr)
        raise AssertionError(done.stdout + done.stderr)
    return found
