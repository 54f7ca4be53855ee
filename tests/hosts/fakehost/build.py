# SPDX-License-Identifier: GPL-2.0-or-later
"""Puts a whole host together; the command lines of mkhost and mkbig end here."""

import os
from types import SimpleNamespace

from . import classes, pci, smbios, system
from .topology import TopologyError
from .tree import Tree

DEFAULTS = {"slots": False, "no_vfio": False, "no_smbios": False, "lvm": False, "holders": [], "skip": ()}


def set_mode(host, f, mode):
    """vm and none take the whole GPU, as its companions go with it; vm-only and none-only one function. What holds it
    awake, and the list of reset methods, is with vm as vfioctl leaves it."""
    kinds = {"vm": ("vfio-pci", "vfio-pci"), "none": (None, None)}
    name = mode.removesuffix("-only").removesuffix("-bare")
    if name not in kinds:
        raise TopologyError(f"--mode: no such mode: {mode}")
    for g in [f] if mode.endswith("-only") else host.slot_siblings(f):
        g.driver, g.override = kinds[name]
    if mode == "vm":
        gpu = next((g for g in host.slot_siblings(f) if g.is_gpu), f)
        for g in [*host.slot_siblings(f), *f.above()]:
            g.held_by.append(gpu)


def write(host, directory, **given):
    options = SimpleNamespace(**{**DEFAULTS, **given})
    if os.path.lexists(directory) and os.listdir(directory):
        raise TopologyError(f"{directory} is not empty")
    os.umask(0o022)
    host.settle()
    smbios.number_slots(host)
    tree = Tree(directory)
    pci.build(tree, host, options)
    pci.holds(tree, host)
    every = classes.Classes(tree, host, options)
    every.build()
    system.build(tree, host, every, options)
