# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tests of the command line share: hosts, runs of vfioctl, comparisons, and output as TAP.

A test file ends with harness.main(); it can be run by hand too, with the names of tests to run:
    BUILD=build tests/cli/test_list.py [-k PATTERN]
"""

import atexit
import contextlib
import fnmatch
import functools
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import unittest

HERE = os.path.dirname(os.path.realpath(__file__))
BUILD = os.path.abspath(os.environ.get("BUILD", f"{HERE}/../../build"))
VFIOCTL = os.environ.get("VFIOCTL", f"{BUILD}/vfioctl/vfioctl")
FAKEKERNEL = os.environ.get("FAKEKERNEL", f"{BUILD}/tests/hosts/fakekernel.so")
VIRT = os.environ.get("LIBVFIOCTL_VIRT", f"{BUILD}/libvfioctl/virt/libvfioctl-virt.so.0")
HOSTS = os.environ.get("HOSTS", f"{HERE}/../hosts")
TOPOLOGIES = ("desktop-2xrtx3050", "gtx690", "m2000", "r9-295x2", "x10drh-3xv340", "x10drh-v340-noacs")

SCRATCH = tempfile.mkdtemp(prefix="vfioctl-cli-",
                           dir=os.environ.get("TMPDIR") or ("/dev/shm" if os.access("/dev/shm", os.W_OK) else None))
atexit.register(shutil.rmtree, SCRATCH, ignore_errors=True)
os.chmod(SCRATCH, 0o755)

# Nothing here should take long; a run that takes this long hangs.
TIMEOUT = 60

# What a report for other GPUs may take while one is stuck; a program that checks its own memory is slower.
with open(VFIOCTL, "rb") as _file:
    SANITIZED = b"__asan_init" in _file.read()
# A second, on a machine that has nothing else to do; on one that has, as much longer as it has to share.
SECOND = (4.0 if SANITIZED else 1.0) * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


class Result:
    """One run: exit code, output, error lines, seconds."""

    def __init__(self, code, out, err, seconds):
        self.code, self.out, self.err, self.seconds = code, out, err, seconds

    @property
    def lines(self):
        return self.err.splitlines()

    @functools.cached_property
    def json(self):
        return json.loads(self.out)

    def __repr__(self):
        return f"exit {self.code} after {self.seconds:.2f} s\n{self.out[-3000:]}{self.err[-3000:]}"


def environment(root, faults):
    env = {key: value for key, value in os.environ.items() if not key.startswith(("FAKEKERNEL_", "LD_"))}
    env.update(LC_ALL="C", LD_LIBRARY_PATH=os.path.dirname(VIRT), LIBVIRT_DEBUG="4", XDG_RUNTIME_DIR=SCRATCH,
               XDG_CONFIG_HOME=SCRATCH, XDG_CACHE_HOME=SCRATCH,
               # The worker has no stderr, so reports go to files.
               ASAN_OPTIONS=f"verify_asan_link_order=0:exitcode=99:log_path={SCRATCH}/sanitizer",
               UBSAN_OPTIONS=f"halt_on_error=1:print_stacktrace=1:exitcode=99:log_path={SCRATCH}/sanitizer",
               LSAN_OPTIONS=f"exitcode=99:log_path={SCRATCH}/sanitizer")
    if root:
        env.update(LD_PRELOAD=FAKEKERNEL, FAKEKERNEL_ROOT=root, FAKEKERNEL_HANG_SECONDS=str(TIMEOUT))
    env.update({f"FAKEKERNEL_{key}": str(value) for key, value in faults.items()})
    return env


def sanitizer_reports():
    found = ""
    for name in sorted(os.listdir(SCRATCH)):
        if name.startswith("sanitizer."):
            with open(f"{SCRATCH}/{name}", encoding="utf-8", errors="replace") as file:
                found += file.read()
            os.unlink(f"{SCRATCH}/{name}")
    return found


def start(*args, root=None, faults=None, program=None, through=(), env=None, stdin=None, **more):
    """`program`: another name for vfioctl; `through`: a command that runs it; `env`: more of that."""
    # A session of its own: a fault that ends a whole group must not end the tests.
    return subprocess.Popen([*through, program or VFIOCTL, *args],
                            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            env={**environment(root, faults or {}), **(env or {})}, start_new_session=True, **more)


def finish(process, began, killed=False, timeout=TIMEOUT, stdin=None):
    """Waits for it. A crash or a report of a sanitizer is a failure of whatever test this is."""
    try:
        out, err = process.communicate(stdin, timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise AssertionError(f"{process.args[1:]} does not end") from None
    result = Result(process.returncode, out.decode(errors="replace"), err.decode(errors="replace"),
                    time.monotonic() - began)
    reports = sanitizer_reports()
    if reports:
        raise AssertionError(f"{process.args[1:]}: {result}{reports[:6000]}")
    if process.returncode < 0 and not (killed and process.returncode == -signal.SIGKILL):
        raise AssertionError(f"{process.args[1:]} ended by signal {-process.returncode}: {result}")
    return result


def run(*args, killed=False, timeout=TIMEOUT, stdin=None, **more):
    """`killed`: the fault kills the program itself, which is no crash then. `stdin`: bytes for it."""
    began = time.monotonic()
    return finish(start(*args, stdin=stdin, **more), began, killed, timeout, stdin)


def read_tree(root, leave_out=(".fake", "run")):
    """Every file's bytes and every link's text below root."""
    found, folders = {}, [root]
    while folders:
        folder = folders.pop()
        with os.scandir(folder) as entries:
            for entry in entries:
                name = entry.path[len(root) + 1:]
                # The kernel's count of events goes up, whatever else is as before.
                if name in leave_out or name == "sys/kernel/uevent_seqnum":
                    continue
                if entry.is_symlink():
                    found[name] = os.readlink(entry.path)
                elif entry.is_dir():
                    found[name] = None
                    folders.append(entry.path)
                elif entry.is_file():
                    with open(entry.path, "rb", buffering=0) as file:
                        found[name] = file.read()
                else:
                    found[name] = oct(entry.stat().st_mode)
    return found


def tree_changes(before, after):
    return {name: (before.get(name), after.get(name)) for name in before.keys() | after.keys()
            if name not in before or name not in after or before[name] != after[name]}


@functools.lru_cache(maxsize=None)
def template(topology, *options):
    root = tempfile.mkdtemp(prefix=f"{topology}-", dir=SCRATCH)
    subprocess.run([f"{HOSTS}/mkhost", f"{HOSTS}/{topology}.json", root, *options], check=True)
    os.chmod(root, 0o755)
    return root


class Host:
    """A simulated host of its own, to be changed at will."""

    def __init__(self, source):
        self.root = tempfile.mkdtemp(prefix="host-", dir=SCRATCH)
        subprocess.run(["cp", "-a", f"{source}/.", self.root], check=True)
        self.hung = False

    def close(self):
        if self.hung:
            self.release()
        shutil.rmtree(self.root, ignore_errors=True)

    def cli(self, *args, faults=None, fake=True, **more):
        self.hung |= any("HANG" in key for key in faults or {})
        return run("--root", self.root, *args, root=self.root if fake else None, faults=faults, **more)

    def start(self, *args, faults=None):
        self.hung |= any("HANG" in key for key in faults or {})
        return start("--root", self.root, *args, root=self.root, faults=faults)

    def gpus(self, **more):
        return self.cli("list", "--json", **more).json["gpus"]

    def gpu(self, name):
        return next(gpu for gpu in self.gpus() if name in (gpu["name"], gpu["address"]))

    def findings(self, *gpus):
        return self.cli("check", "--json", *gpus).json["findings"]

    def codes(self, *gpus):
        return {finding["code"] for finding in self.findings(*gpus)}

    def path(self, name):
        return f"{self.root}/{name}"

    def device(self, address, attribute):
        return self.path(f"sys/bus/pci/devices/{address}/{attribute}")

    def read(self, name):
        with open(self.path(name), encoding="utf-8") as file:
            return file.read()

    def write(self, name, text):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "wb") as file:
            file.write(text if isinstance(text, bytes) else text.encode())

    def configure(self, *lines):
        self.write("etc/vfioctl/vfioctl.conf", "".join(f"{line}\n" for line in lines))

    def driver(self, address):
        link = self.device(address, "driver")
        return os.path.basename(os.readlink(link)) if os.path.islink(link) else None

    def override(self, address):
        with open(self.device(address, "driver_override"), encoding="utf-8") as file:
            text = file.read().strip()
        return None if text == "(null)" else text

    def tree(self, leave_out=(".fake", "run")):
        return read_tree(self.root, leave_out)

    def whole(self):
        return self.tree((".fake",))

    def log(self):
        """Lists of number, path, value, result: what the fake kernel was asked to do."""
        return [line.split(" ") for line in self.read(".fake/log").splitlines()] if os.path.exists(
            self.path(".fake/log")) else []

    def forget(self):
        """The count of writes, and with it the log, begin anew."""
        for name in ("counter", "log", "waits", "changes", "release"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path(f".fake/{name}"))

    def release(self):
        with open(self.path(".fake/release"), "w", encoding="utf-8"):
            pass


def changed_topology(name, change, *options):
    """A host of that topology after `change`, which gets its functions by address."""
    with open(f"{HOSTS}/{name}.json", encoding="utf-8") as file:
        topology = json.load(file)
    change({function["address"]: function for function in topology["functions"]}, topology["functions"])
    with tempfile.NamedTemporaryFile("w", dir=SCRATCH, suffix=".json", encoding="utf-8") as file:
        json.dump(topology, file)
        file.flush()
        root = tempfile.mkdtemp(dir=SCRATCH)
        subprocess.run([f"{HOSTS}/mkhost", file.name, root, *options], check=True)
    os.chmod(root, 0o755)
    return Host(root)


class Case(unittest.TestCase):
    def host(self, topology, *options):
        host = Host(template(topology, *options))
        self.addCleanup(host.close)
        return host

    def code(self, expected, result):
        self.assertEqual(result.code, expected, result)
        return result

    def says(self, result, *words):
        """Each of the words is on stderr, and what is there is fit for a person's terminal."""
        for word in words:
            self.assertIn(word, result.err, result)
        self.fit(result)
        return result

    def fit(self, result):
        self.assertTrue(result.err, f"not a word: {result}")
        self.assertTrue(result.err.isprintable() or all(c.isprintable() or c == "\n" for c in result.err), result)
        self.assertTrue(result.lines[0].startswith("vfioctl: "), result)
        for line in result.lines:
            self.assertLess(len(line), 1500, result)

    def untouched(self, before, host):
        """Against host.whole(): not so much as a lock file was made."""
        self.unchanged(before, host, (".fake",))

    def unchanged(self, before, host, leave_out=(".fake", "run")):
        self.no_changes(tree_changes(before, host.tree(leave_out)))

    def restored(self, before, host, leave_out=(".fake", "run")):
        """As it was, but for lists of reset methods that were made anew, and now are true."""
        self.no_changes(self.unless_true(host, tree_changes(before, host.tree(leave_out))))

    def unless_true(self, host, changes):
        true = dict((line + " ").split(" ", 1) for line in host.read(".fake/reset").splitlines())
        return {path: (old, new) for path, (old, new) in changes.items()
                if not path.endswith("/reset_method") or new.decode().split() != true[path.split("/")[-2]].split()}

    def no_changes(self, changes):
        self.assertFalse(bool(changes), "changed: " + "; ".join(f"{k}: {repr(a)[:80]} -> {repr(b)[:80]}"
                                                           for k, (a, b) in sorted(changes.items())[:8]))

    def until(self, condition, what, seconds=20):
        end = time.monotonic() + seconds
        while not condition():
            self.assertLess(time.monotonic(), end, what)
            select.select([], [], [], 0.01)


def expand(cls, cases, method="each"):
    """Adds a test for each (name, arguments...): the class's `each` called with these arguments."""
    for name, *arguments in cases:
        def test(self, arguments=tuple(arguments)):
            getattr(self, method)(*arguments)
        name = "test_" + "".join(c if c.isalnum() else "_" for c in name)
        assert not hasattr(cls, name), name
        setattr(cls, name, test)


class Tap(unittest.TestResult):
    """One line a test, in the Test Anything Protocol."""

    count = 0

    def say(self, test, ok, note="", trouble=""):
        self.count += 1
        name = test.id().removeprefix("__main__.").replace("#", "")
        print(f"{'ok' if ok else 'not ok'} {self.count} - {name}{note}", flush=True)
        for line in trouble.splitlines():
            print(f"# {line}", flush=True)

    def startTest(self, test):
        super().startTest(test)
        self.trouble = ""

    def note(self, error):
        self.trouble += "".join(traceback.format_exception(*error))[-8000:]

    def addError(self, test, err):
        super().addError(test, err)
        self.note(err)
        if isinstance(test, unittest.suite._ErrorHolder):  # setUpClass
            self.say(test, False, "", self.trouble)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.note(err)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err:
            self.trouble += f"{subtest.id()}\n"
            self.note(err)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.skip = reason

    def stopTest(self, test):
        reason, self.skip = getattr(self, "skip", None), None
        self.say(test, not self.trouble, f" # SKIP {reason}" if reason and not self.trouble else "", self.trouble)
        super().stopTest(test)


def flatten(suite):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from flatten(test)
        else:
            yield test


def main():
    sys.dont_write_bytecode = True
    arguments = sys.argv[1:]
    patterns = [arguments[i + 1] for i, argument in enumerate(arguments[:-1]) if argument == "-k"]
    tests = list(flatten(unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"])))
    if patterns:
        tests = [t for t in tests if any(fnmatch.fnmatch(t.id(), f"*{p}*") for p in patterns)]
    print(f"1..{len(tests)}", flush=True)
    result = Tap()
    began = time.monotonic()
    unittest.TestSuite(tests).run(result)
    print(f"# {time.monotonic() - began:.1f} s", flush=True)
    sys.exit(0 if result.wasSuccessful() else 1)
