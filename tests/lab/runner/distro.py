# SPDX-License-Identifier: GPL-2.0-or-later
"""An initramfs as a distribution's tool makes it, of the staged installation and a lab host's configuration.

The tool runs on the build host, in a mount namespace of its own: its root is the build host's with the staged
installation over it, and in the place of what a host configures or installs for itself is a copy of the lab host's.
The lab host takes back from there what hooks note in /var/lib/vfioctl.
"""

import gzip
import os
import shutil
import subprocess

# As in guest/stage/usr/share/lab/make-initramfs
COPIED = ("/etc/vfioctl", "/etc/initramfs-tools", "/etc/modprobe.d", "/etc/udev/rules.d",
          "/usr/share/initramfs-tools", "/var/lib/vfioctl")
TOOLS = {
    "debian": ("mkinitramfs", "mkinitramfs -o /run/initrd {release}"),
    "dracut": ("dracut", "dracut --force --kver {release} /run/initrd"),
}
ENTER = """
set -e
root=$1 top=$2 copy=$3 stage=$4 out=$5 command=$6
shift 6
# The layers of an overlay must not be inside of one another.
mount -t tmpfs top "$top"
mkdir "$top/up" "$top/work"
cp -a "$stage" "$top/stage"
# Those ask the runner.
rm -f "$top/stage/usr/sbin/update-initramfs" "$top/stage/usr/bin/dracut"
mount -t overlay -o "lowerdir=$top/stage:/,upperdir=$top/up,workdir=$top/work" lab "$root"
for dir in proc sys dev; do mount --rbind /$dir "$root/$dir"; done
mount -t tmpfs run "$root/run"
mount -t tmpfs tmp "$root/tmp"
mount -t tmpfs tmp "$root/var/tmp"
for path; do
    [ -d "$root$path" ] || [ -d "$copy$path" ] || continue
    mkdir -p "$root$path" "$copy$path"
    mount --bind "$copy$path" "$root$path"
done
chroot "$root" sh -c "$command"
cp "$root/run/initrd" "$out"
"""


class MakeError(Exception):
    pass


def make(tool, release, stage, copy, folder):
    """The image's bytes. copy: what the lab host has at COPIED; None: it has what is staged, and nothing configured."""
    program, command = TOOLS[tool]
    if not shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin"):
        raise MakeError(f"{program} is not installed: run tests/setup")
    work = folder / "initramfs"
    shutil.rmtree(work, ignore_errors=True)
    for name in ("root", "top", "copy"):
        (work / name).mkdir(parents=True)
    shown = COPIED
    if copy is None:
        copy, shown = work / "copy", ("/etc/vfioctl", "/var/lib/vfioctl")
        if (stage / "etc/vfioctl").is_dir():
            shutil.copytree(stage / "etc/vfioctl", copy / "etc/vfioctl")
    enter = ["unshare", "--mount"] + ([] if os.geteuid() == 0 else ["--user", "--map-root-user"])
    done = subprocess.run([*enter, "sh", "-c", ENTER, "sh", work / "root", work / "top", copy, stage, work / "initrd",
                           command.format(release=release), *shown], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                          env={**os.environ, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"})
    if done.returncode:
        raise MakeError(f"{program} failed: {done.stdout.strip()}")
    image = (work / "initrd").read_bytes()
    return gzip.decompress(image) if image[:2] == b"\x1f\x8b" else image  # unpacking is slow in the lab
