# SPDX-License-Identifier: GPL-2.0-or-later
"""Builds the project and the lab's own helpers under build-lab/."""

import contextlib
import fcntl
import hashlib
import os
import pathlib
import shutil
import subprocess
import tempfile

LAB = pathlib.Path(__file__).resolve().parent.parent
REPO = LAB.parent.parent
TOOLS = ("labinit", "hold")


class BuildError(Exception):
    pass


def command(what, argv, **kwargs):
    try:
        done = subprocess.run([str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, **kwargs)
    except FileNotFoundError:
        raise BuildError(f"{what}: {argv[0]} is not installed: run tests/setup")
    if done.returncode:
        raise BuildError(f"{what} failed:\n{done.stdout.rstrip()}")


@contextlib.contextmanager
def locked(folder):
    """Two labs at once build one after the other."""
    folder.mkdir(parents=True, exist_ok=True)
    ignore = folder.parent / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n")
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def changed(target, key):
    stamp = target.with_name(target.name + ".key")
    if target.is_file() and stamp.is_file() and stamp.read_text() == key:
        return None
    return stamp


def helpers(kernel, folder):
    """labids.ko for this kernel and the static tools: built when their source changed."""
    out = folder / kernel.release
    out.mkdir(parents=True, exist_ok=True)
    source = LAB / "module"
    config = (kernel.modules / "build" / "Module.symvers")
    key = hashlib.sha256((source / "labids.c").read_bytes() + str(os.stat(config).st_mtime_ns).encode()).hexdigest()
    stamp = changed(out / "labids.ko", key)
    if stamp:
        with tempfile.TemporaryDirectory(prefix="vfioctl-lab.") as temp:  # the kernel's makefiles allow no blanks in a path
            work = pathlib.Path(temp) / "module"
            shutil.copytree(source, work)
            command("building the lab's kernel module",
                    ["make", "-C", kernel.modules / "build", f"M={work}", "modules"])
            shutil.copyfile(work / "labids.ko", out / "labids.ko")
        stamp.write_text(key)
    for tool in TOOLS:
        text = (LAB / "tools" / (tool + ".c")).read_bytes()
        key = hashlib.sha256(text).hexdigest()
        stamp = changed(out / tool, key)
        if stamp:
            command(f"building {tool}", ["gcc", "-std=c11", "-Wall", "-Wextra", "-O2", "-static",
                                         "-o", out / tool, LAB / "tools" / (tool + ".c")])
            stamp.write_text(key)
    return out


def merge_usr(stage):
    """A Debian root has /lib and /bin as links into /usr: files go there."""
    for name in ("bin", "sbin", "lib", "lib64"):
        if (stage / name).is_dir():
            shutil.copytree(stage / name, stage / "usr" / name, dirs_exist_ok=True, symlinks=True)
            shutil.rmtree(stage / name)


def project(build, stage):
    """Builds vfioctl as a package would, and installs it into stage."""
    if not (build / "build.ninja").is_file():
        command("meson setup", ["meson", "setup", "--prefix=/usr", "--buildtype=debugoptimized", build, REPO])
    command("the build", ["ninja", "-C", build])
    command("meson install", ["meson", "install", "-C", build, "--no-rebuild", "--quiet", "--destdir", stage])
    merge_usr(stage)
