# SPDX-License-Identifier: GPL-2.0-or-later
"""Definitions against libvirt's own schema."""

import os
import shutil
import subprocess
import unittest

SCHEMA = "/usr/share/libvirt/schemas/domain.rng"


def mistakes(text):
    """What the schema has against a definition, or ""; skips the test where there is no schema."""
    if not os.path.exists(SCHEMA) or not shutil.which("xmllint"):
        raise unittest.SkipTest(f"no xmllint, or no {SCHEMA}")
    result = subprocess.run(["xmllint", "--noout", "--nonet", "--relaxng", SCHEMA, "-"], input=text.encode(),
                            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False, timeout=60)
    return "" if result.returncode == 0 else result.stderr.decode(errors="replace")
