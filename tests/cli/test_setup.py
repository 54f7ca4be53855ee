#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""setup and undo: every file told, whole or not at all, and back to the last byte."""

import os
import shutil
import subprocess
import sys
import unittest

sys.dont_write_bytecode = True
import harness  # noqa: E402
from harness import TOPOLOGIES, Case, expand  # noqa: E402

CONFIG = "etc/vfioctl/vfioctl.conf.d/10-setup.conf"
QEMU = "etc/libvirt/hooks/qemu.d/50-vfioctl"
DAEMON = "etc/libvirt/hooks/daemon.d/50-vfioctl"
BOOT = "etc/systemd/system/sysinit.target.wants/vfioctl-boot.service"
TIMER = "etc/systemd/system/timers.target.wants/vfioctl-reconcile.timer"
CRON = "etc/cron.d/vfioctl"
RECORD = "var/lib/vfioctl/setup"
UNITS = "usr/lib/systemd/system"
TARGETS = {QEMU: "/usr/bin/vfioctl", DAEMON: "/usr/bin/vfioctl", BOOT: f"/{UNITS}/vfioctl-boot.service",
           TIMER: f"/{UNITS}/vfioctl-reconcile.timer"}
ALWAYS = (CONFIG, QEMU, DAEMON, BOOT, RECORD)


class Setup(Case):
    def host(self, topology="gtx690", *options):
        host = super().host(topology, *options)
        for name in ("usr/bin/vfioctl", f"{UNITS}/vfioctl-boot.service", f"{UNITS}/vfioctl-reconcile.timer"):
            host.write(name, "")
        return host

    def there(self, host, *names):
        for name in names:
            path = host.path(name)
            self.assertTrue(os.path.lexists(path), name)
            if name in TARGETS:
                self.assertEqual(os.readlink(path), TARGETS[name])
            else:
                self.assertEqual(os.stat(path).st_mode & 0o7777, 0o644, name)

    def absent(self, host, *names):
        for name in names:
            self.assertFalse(os.path.lexists(host.path(name)), name)

    def gpus(self, host):
        return [line for line in host.read(CONFIG).splitlines() if not line.startswith("#")]

    def refused(self, host, args, *words):
        before = host.tree()
        result = self.says(self.code(3, host.cli(*args)), "nothing was changed", *words)
        self.assertEqual(result.out, "")
        self.unchanged(before, host)
        codes = [f["code"] for f in self.code(3, host.cli(*args, "--json")).json["findings"]
                 if f["severity"] == "refusal"]
        self.assertTrue(all(code in result.err for code in codes) and codes, result)
        self.unchanged(before, host)


class There(Setup):
    def test_dry_run(self):
        host = self.host()
        before = host.whole()
        result = self.code(0, host.cli("setup", "--dry-run", "--timer"))
        self.untouched(before, host)
        for name in (*ALWAYS, TIMER):
            self.assertRegex(result.out, rf"(?m)^(write|link) +/{name}\b")
        planned = self.code(0, host.cli("setup", "--dry-run", "--timer", "--json")).json
        self.untouched(before, host)
        self.assertEqual(self.code(0, host.cli("setup", "--timer")).out, result.out)
        self.assertEqual({c["path"][1:] for c in planned["changes"] if c["action"] != "make"}, {*ALWAYS, TIMER})
        for change in planned["changes"]:
            path = host.path(change["path"])
            if change["action"] == "link":
                self.assertEqual(os.readlink(path), change["target"])
            elif change["action"] == "write":
                self.assertEqual(host.read(change["path"]), change["text"])
        self.assertEqual(planned["findings"], [])

    def test_every_file_is_told(self):
        host = self.host()
        before = host.tree()
        changes = self.code(0, host.cli("setup", "--cron", "--json")).json["changes"]
        self.assertEqual({c["path"][1:] for c in changes}, set(harness.tree_changes(before, host.tree())))
        self.there(host, *ALWAYS, CRON)
        self.absent(host, TIMER)
        self.assertEqual(self.gpus(host), ["gpus = 1a, 1b"])
        for folder in ("var/lib/vfioctl", "etc/libvirt/hooks/qemu.d"):
            self.assertEqual(os.stat(host.path(folder)).st_mode & 0o7777, 0o755)
        self.assertEqual([gpu["ours"] for gpu in host.gpus()], [False, True, True])
        self.code(0, host.cli("config", "--check"))

    def test_whatever_the_umask(self):
        host = self.host()
        old = os.umask(0o077)
        self.addCleanup(os.umask, old)
        self.code(0, host.cli("setup"))
        self.there(host, *ALWAYS)
        self.assertEqual(os.stat(host.path("etc/libvirt")).st_mode & 0o7777, 0o755)

    def test_quiet(self):
        host = self.host()
        result = self.code(0, host.cli("-q", "setup"))
        self.assertEqual((result.out, result.err), ("", ""))
        result = self.code(0, host.cli("-q", "undo"))
        self.assertEqual((result.out, result.err), ("", ""))

    def test_twice(self):
        host = self.host()
        self.code(0, host.cli("setup", "--timer"))
        before = host.tree()
        result = self.code(0, host.cli("setup", "--timer"))
        self.assertEqual(result.out, "nothing to do\n")
        self.assertEqual(self.code(0, host.cli("setup")).out, "nothing to do\n")
        self.assertEqual(self.code(0, host.cli("setup", "1a", "1b")).out, "nothing to do\n")
        self.unchanged(before, host)

    def test_what_is_missing_is_made_again(self):
        for name in ALWAYS:
            host = self.host()
            self.code(0, host.cli("setup"))
            before = host.tree()
            os.unlink(host.path(name))
            self.code(0, host.cli("setup"))
            after = host.tree()
            if name == RECORD:  # the folders were there already
                before.pop(name), after.pop(name)
            self.assertEqual(harness.tree_changes(before, after), {}, name)

    def test_other_gpus(self):
        host = self.host()
        self.code(0, host.cli("setup", "1b"))
        self.assertEqual(self.gpus(host), ["gpus = 1b"])
        self.code(0, host.cli("setup"))
        self.assertEqual(self.gpus(host), ["gpus = 1b"])
        self.code(0, host.cli("setup", "83:00.1"))
        self.assertEqual(self.gpus(host), ["gpus = 1a"])

    def test_without_units(self):
        host = self.host()
        shutil.rmtree(host.path(UNITS))
        self.code(0, host.cli("setup"))
        self.absent(host, BOOT)
        self.refused(host, ["setup", "--timer"], "not-installed", "vfioctl-reconcile.timer")

    def test_the_setting_of_the_admin_is_kept(self):
        host = self.host()
        host.configure("# mine", "gpus = 1b")
        self.refused(host, ["setup", "1a"], "gpus-set", "vfioctl.conf:2")
        result = self.says(self.code(0, host.cli("setup")), "gpus = 1b is kept", "vfioctl.conf:2")
        self.absent(host, CONFIG)
        self.there(host, QEMU, DAEMON, BOOT, RECORD)
        self.assertNotIn("10-setup", result.out)
        self.says(self.code(0, host.cli("undo")), "gpus is still set in", "vfioctl.conf:2")
        self.assertEqual(host.read("etc/vfioctl/vfioctl.conf"), "# mine\ngpus = 1b\n")

    def test_both_ways_of_every_minute(self):
        host = self.host()
        before = host.whole()
        self.says(self.code(2, host.cli("setup", "--timer", "--cron")), "--timer", "--cron")
        self.says(self.code(3, host.cli("setup", "7z")), "'7z'")
        self.says(self.code(2, host.cli("setup", "1a", "1a")), "named twice")
        changes = [name for name in harness.tree_changes(before, host.whole()) if not name.startswith("run/")]
        self.assertEqual(changes, [])

    def test_the_example_is_what_is_written(self):
        host = self.host()
        self.code(0, host.cli("setup", "--cron"))
        line = "* * * * * root /usr/bin/vfioctl reconcile"
        self.assertEqual(host.read(CRON).splitlines()[-1], line)
        with open(f"{harness.HERE}/../../data/cron/vfioctl.in", encoding="utf-8") as file:
            self.assertEqual(file.read().splitlines()[-1].replace("@BINDIR@", "/usr/bin"), line)


class Which(Setup):
    def each(self, topology):
        host = self.host(topology)
        gpus = host.gpus()
        result = host.cli("setup")
        ready = [gpu["name"] for gpu in gpus if gpu["ready"]]
        self.assertEqual(result.code, 0 if ready else 3, result)
        chosen = self.gpus(host)[0].removeprefix("gpus = ").split(", ") if ready else []
        self.assertEqual(chosen, ready)
        displays = [gpu["name"] for gpu in gpus if "console" in gpu["used_by"].split(", ")]
        self.assertFalse(set(chosen) & set(displays))

    def test_the_only_display(self):
        host = self.host("desktop-2xrtx3050")
        # One card alone, and no firmware that says where its screen is.
        display = next(gpu for gpu in host.gpus() if "console" in gpu["used_by"])
        other = next(gpu for gpu in host.gpus() if gpu["name"] != display["name"])
        for address in other["functions"]:
            os.unlink(host.path(f"sys/bus/pci/devices/{address}"))
        for address in display["functions"]:
            for name in ("boot_vga", "graphics"):
                path = host.device(address, name)
                if os.path.isdir(path):
                    shutil.rmtree(path)
                elif os.path.exists(path):
                    os.unlink(path)
        shutil.rmtree(host.path("sys/class/vtconsole"), ignore_errors=True)
        shutil.rmtree(host.path("sys/class/graphics"), ignore_errors=True)
        self.assertEqual(len(host.gpus()), 1)
        self.refused(host, ["setup"], "none-ready", "vfioctl check")
        self.absent(host, CONFIG)

    def test_the_display_is_refused(self):
        host = self.host("desktop-2xrtx3050")
        display = next(gpu for gpu in host.gpus() if "console" in gpu["used_by"])
        self.refused(host, ["setup", display["name"]], "boot-display")
        self.refused(self.host(), ["setup", "1a", "03:00.0"], "boot-display", "03:00.0")

    def test_not_installed(self):
        host = self.host()
        os.unlink(host.path("usr/bin/vfioctl"))
        self.refused(host, ["setup"], "not-installed", "/usr/bin/vfioctl")


expand(Which, [(name, name) for name in TOPOLOGIES])


class Foreign(Setup):
    def each(self, name):
        for kind in ("file", "link", "folder", "fifo"):
            host = self.host()
            path = host.path(name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            if kind == "file":
                host.write(name, "#!/bin/sh\n")
            elif kind == "link":
                os.symlink("/usr/local/bin/mine", path)
            elif kind == "folder":
                os.mkdir(path)
            else:
                os.mkfifo(path)
            if name == CONFIG and kind != "file":
                # It is read before the verb begins, or is none.
                self.assertIn(host.cli("setup").code, (0, 2, 3))
                continue
            before = host.tree()
            self.refused(host, ["setup", "--cron"], f"/{name}")
            result = self.code(3 if name in (CONFIG, CRON) else 0, host.cli("undo"))
            self.assertIn(f"/{name}", result.err)
            self.unchanged(before, host)
            host.close()

    def test_a_drop_in_that_was_edited(self):
        host = self.host()
        self.code(0, host.cli("setup"))
        host.write(CONFIG, host.read(CONFIG).replace("1a, 1b", "1a"))
        self.says(self.code(0, host.cli("setup")), "gpus = 1a is kept")
        before = host.tree()
        self.says(self.code(3, host.cli("setup", "1b")), "file-edited", f"/{CONFIG}")
        self.unchanged(before, host)
        self.says(self.code(3, host.cli("undo")), "file-edited", f"/{CONFIG}")
        self.there(host, CONFIG)
        self.absent(host, QEMU, DAEMON, BOOT, RECORD)

    def test_the_folders_of_others_stay(self):
        host = self.host()
        self.code(0, host.cli("setup"))
        host.write("etc/libvirt/hooks/qemu.d/10-mine", "#!/bin/sh\n")
        self.code(0, host.cli("undo"))
        self.assertEqual(os.listdir(host.path("etc/libvirt/hooks")), ["qemu.d"])
        self.assertEqual(os.listdir(host.path("etc/libvirt/hooks/qemu.d")), ["10-mine"])

    def test_a_record_that_lies(self):
        host = self.host()
        host.write("etc/keep/me", "x")
        os.makedirs(host.path("srv/empty"))
        os.symlink("/etc/keep", host.path("etc/link"))
        before = host.tree()
        host.write(RECORD, "folder /srv/empty\nfile /etc/keep/me\nlink /etc/link /etc/keep\nfolder /\nfolder /etc/keep\n"
                           "folder \nfolder\n\n\xff\nlink /etc/libvirt/hooks/qemu.d/50-vfioctl\nfolder /etc/../srv/empty\n")
        self.code(0, host.cli("undo"))
        after = host.tree()
        for name in ("var", "var/lib", "var/lib/vfioctl"):
            after.pop(name, None)
        self.assertEqual(harness.tree_changes(before, after), {})


expand(Foreign, [(os.path.basename(os.path.dirname(name)), name) for name in (CONFIG, QEMU, DAEMON, BOOT, CRON)])


class Undo(Setup):
    def test_back_to_the_last_byte(self):
        for args in ([], ["--timer"], ["--cron"], ["1b"]):
            host = self.host()
            before = host.tree()
            self.code(0, host.cli("setup", *args))
            dry = self.code(0, host.cli("undo", "--dry-run"))
            self.there(host, *ALWAYS)
            result = self.code(0, host.cli("undo"))
            self.assertEqual(dry.out, result.out)
            self.assertIn("managed='yes'", result.out)
            self.assertIn("vfioctl to-host", result.out)
            self.unchanged(before, host)
            self.assertEqual(self.code(0, host.cli("undo")).out, "nothing to do\n")

    def test_after_several(self):
        host = self.host()
        before = host.tree()
        for args in (["1a"], ["--cron"], ["1b"], ["--timer", "1a", "1b"]):
            self.code(0, host.cli("setup", *args))
        self.code(0, host.cli("undo"))
        self.unchanged(before, host)

    def test_half_of_it_is_gone(self):
        everything = (*ALWAYS, TIMER, CRON)
        for missing in [(name,) for name in everything] + [(QEMU, RECORD), everything[1:], everything[:4]]:
            host = self.host()
            before = host.tree()
            self.code(0, host.cli("setup", "--timer"))
            self.code(0, host.cli("setup", "--cron"))
            for name in missing:
                os.unlink(host.path(name))
            self.code(0, host.cli("undo"))
            self.absent(host, *everything)
            left = harness.tree_changes(before, host.tree())
            # Without the record nobody knows who made the folders.
            self.assertTrue(all(value == (None, None) for value in left.values()), (missing, left))
            if RECORD not in missing:
                self.assertEqual(left, {}, missing)
            self.assertEqual(self.code(0, host.cli("undo")).out, "nothing to do\n")
            host.close()

    def test_a_folder_is_gone(self):
        for folder in ("etc/libvirt", "etc/vfioctl", "etc/systemd", "var"):
            host = self.host()
            before = host.tree()
            self.code(0, host.cli("setup"))
            shutil.rmtree(host.path(folder))
            self.code(0, host.cli("undo"))
            if folder != "var":
                self.unchanged(before, host)

    def test_the_configuration_is_broken(self):
        host = self.host()
        self.code(0, host.cli("setup"))
        host.configure("idle = broken")
        self.code(2, host.cli("setup"))
        self.says(self.code(0, host.cli("undo")), "idle = 'broken'")
        self.absent(host, *ALWAYS)

    def test_by_another_prefix(self):
        host = self.host()
        self.code(0, host.cli("setup"))
        for name in (QEMU, DAEMON):
            os.unlink(host.path(name))
            os.symlink("/opt/bin/vfioctl", host.path(name))
        host.write(RECORD, host.read(RECORD).replace("/usr/bin/vfioctl", "/opt/bin/vfioctl"))
        self.code(0, host.cli("undo"))
        self.absent(host, *ALWAYS)

    def test_needs_no_gpus(self):
        host = self.host()
        self.code(0, host.cli("setup"))
        os.rename(host.path("sys/bus/pci"), host.path("sys/bus/gone"))
        self.code(0, host.cli("undo"))
        self.absent(host, *ALWAYS)


class Failure(Setup):
    """Whatever cannot be written: one line that names it, and everything as it was."""

    def each(self, name):
        host = self.host()
        folder = os.path.dirname(name)
        host.write(folder, "no folder")
        before = host.tree()
        result = self.code(1, host.cli("setup", "--timer"))
        self.says(result, f"/{name}", "all that had been done is undone")
        self.unchanged(before, host)
        self.assertEqual(result.out, "")

    @unittest.skipUnless(os.geteuid() == 0, "not root")
    def test_not_ours_to_write(self):
        for folder in ("etc/systemd", "etc/libvirt/hooks", "var"):
            host = self.host()
            os.makedirs(host.path(folder), exist_ok=True)
            for name in ("etc", "run", "etc/libvirt", ""):
                if os.path.isdir(host.path(name)):
                    os.chmod(host.path(name), 0o777)
            before = host.tree()
            result = self.code(1, host.cli("setup", "1a", fake=False, user=65534, group=65534, extra_groups=[]))
            self.says(result, f"/{folder}", "Permission denied", "run it as root", "is undone")
            self.unchanged(before, host)
            host.close()

    def test_undo_too(self):
        host = self.host()
        self.code(0, host.cli("setup"))
        os.unlink(host.path(QEMU))
        before = host.tree()
        # The folder's way leads through a file now.
        os.rename(host.path("etc/systemd"), host.path("etc/kept"))
        os.symlink("kept", host.path("etc/systemd"))
        self.code(0, host.cli("undo"))
        self.absent(host, CONFIG, DAEMON, RECORD)
        self.assertNotEqual(before, host.tree())

    def test_links_are_not_followed_out_of_the_root(self):
        outside = f"{harness.SCRATCH}/outside"
        os.makedirs(outside, exist_ok=True)
        for name in ("etc/libvirt/hooks", "etc/vfioctl", "var/lib", "etc/systemd/system"):
            for target in (outside, "../" * 20 + outside[1:]):
                host = self.host()
                os.makedirs(os.path.dirname(host.path(name)), exist_ok=True)
                os.symlink(target, host.path(name))
                host.cli("setup")
                host.cli("undo")
                self.assertEqual(os.listdir(outside), [], name)
                host.close()


expand(Failure, [(name.split("/")[-2], name) for name in (CONFIG, QEMU, BOOT, RECORD)])


LIVE = r"""
mount -t tmpfs none "$1" && mkdir "$1/up" "$1/work" || exit 77
mount -t overlay -o "lowerdir=/usr,upperdir=$1/up,workdir=$1/work" none /usr || exit 77
mount -t tmpfs none /var && mount -t tmpfs none /run || exit 77
mount -t tmpfs none /etc || exit 77
mkdir -p /usr/lib/systemd/system /usr/share/initramfs-tools/hooks /run/systemd/system /etc/vfioctl
: >/usr/bin/vfioctl; : >/usr/lib/systemd/system/vfioctl-boot.service; : >/usr/lib/systemd/system/vfioctl-reconcile.timer
: >/usr/share/initramfs-tools/hooks/vfioctl
for name in update-initramfs systemctl; do
    rm -f /usr/sbin/$name /usr/bin/$name
    printf '#!/bin/sh\necho "%s $*" >>/run/asked\necho "so it is: $LC_ALL"\nexit $(cat /run/fails-%s 2>/dev/null)\n' $name $name >/usr/sbin/$name
    chmod 755 /usr/sbin/$name
    [ $name = update-initramfs ] || mv /usr/sbin/$name /usr/bin/$name
done
echo 'gpus = 2a' >/etc/vfioctl/vfioctl.conf
cp /bin/sleep /usr/sbin/virtqemud
/usr/sbin/virtqemud 60 &
daemon=$!
until [ "$(cat /proc/$daemon/comm)" = virtqemud ]; do :; done
echo $daemon >/run/virtqemud.pid
sleep 60 &
other=$!
echo $other >/run/libvirtd.pid
run() { echo "== $*"; "$VFIOCTL" "$@" 2>&1; echo "exit $?"; }
asked() { cat /run/asked 2>/dev/null; rm -f /run/asked; }
run setup --timer; asked
wait $daemon; echo "daemon $?"
kill -0 $other && echo "other lives"; kill $other
run setup --timer; asked
run undo; asked
echo 3 >/run/fails-update-initramfs
run setup; asked
find /etc /var -mindepth 1 | sort
run setup --no-initramfs; asked
run undo; asked
echo 1 >/run/fails-systemctl; echo 0 >/run/fails-update-initramfs
run setup; asked
"""


class Live(Setup):
    """This machine, in a namespace with file systems of its own."""

    def test_what_is_run(self):
        if not os.path.isdir("/sys/bus/pci/devices") or not shutil.which("unshare"):
            self.skipTest("no PCI bus, or no unshare")
        folder = f"{harness.SCRATCH}/live"
        os.mkdir(folder)
        result = subprocess.run(["unshare", "-rm", "--propagation", "private", "bash", "-c", LIVE, "live", folder],
                                env={**harness.environment(None, {}), "VFIOCTL": harness.VFIOCTL}, check=False,
                                capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=harness.TIMEOUT)
        if result.returncode == 77 or "unshare" in result.stderr:
            self.skipTest(f"no namespaces here: {result.stderr}")
        first, again, undone, failing, without, undone_too, unheard = result.stdout.split("== ")[1:]
        self.assertIn("exit 0", first, result)
        self.assertTrue(first.endswith("update-initramfs -u\nsystemctl daemon-reload\nsystemctl start vfioctl-reconcile.timer\n"
                                       "daemon 129\nother lives\n"), first)
        self.assertIn("reload  virtqemud", first)
        self.assertNotIn("reload  libvirtd", first)
        self.assertTrue(again.endswith("nothing to do\nexit 0\n"), again)
        self.assertTrue(undone.endswith("exit 0\nsystemctl stop vfioctl-reconcile.timer\nsystemctl daemon-reload\n"
                                        "update-initramfs -u\n"), undone)
        for words in ("exit status 3", "so it is: C", "all that had been done is undone", "exit 1"):
            self.assertIn(words, failing)
        self.assertTrue(failing.endswith("exit 1\nupdate-initramfs -u\n/etc/vfioctl\n/etc/vfioctl/vfioctl.conf\n"), failing)
        self.assertTrue(without.endswith("exit 0\nsystemctl daemon-reload\n"), without)
        self.assertIn("when that is mended, run update-initramfs -u", undone_too)
        self.assertIn("exit 1", undone_too)
        self.assertIn("when that is mended, run systemctl daemon-reload", unheard)
        self.assertIn("exit 1", unheard)


if __name__ == "__main__":
    harness.main()
