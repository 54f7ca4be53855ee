# SPDX-License-Identifier: GPL-2.0-or-later
"""What the lint tests share: the files of the tree, C without comments, and one way to complain."""

import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
SKIP = 77


def files():
    """Paths of all files of the tree, as git knows them, or as they lie here where there is no git."""
    try:
        # A checkout that belongs to somebody else is read as well.
        out = subprocess.run(["git", "-c", f"safe.directory={ROOT}", "-C", ROOT, "ls-files", "-z"], check=True,
                             capture_output=True, text=True).stdout
        found = [path for path in out.split("\0") if path]
        if found:
            return sorted(path for path in found if os.path.lexists(os.path.join(ROOT, path)))
    except (OSError, subprocess.CalledProcessError):
        pass
    found = []
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [f for f in folders if f not in (".git", ".lab", "__pycache__") and
                      not (folder == ROOT and f.startswith("build"))]
        found += [os.path.relpath(os.path.join(folder, name), ROOT) for name in names]
    return sorted(found)


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8", newline="") as file:
        return file.read()


def c_files(*folders):
    return [path for path in files() if path.endswith((".c", ".h")) and path.startswith(folders or "")]


TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def code(text, strings=True):
    """C without comments (and strings), every line in its place."""
    def blank(match):
        token = match.group(0)
        if token[0] == "/":
            return " " + "\n" * token.count("\n")
        return token if strings else token[0] * 2
    return TOKEN.sub(blank, text)


def includes(path):
    """(line, header) of what a C file includes, <...> with its brackets."""
    return [(n, m.group(1).strip('"')) for n, line in enumerate(code(read(path)).split("\n"), 1)
            if (m := re.match(r'\s*#\s*include\s*(<[^>]+>|"[^"]+")', line))]


class Report:
    def __init__(self):
        self.count = 0
        self.looked_at = 0

    def add(self, path, line, text):
        self.count += 1
        print(f"{path}:{line}: {text}" if line else f"{path}: {text}")

    def grep(self, paths, pattern, text, allowed=(), strings=False):
        """Complains of each match outside of `allowed`, which holds (path, matched text)."""
        used = set()
        for path in paths:
            self.looked_at += 1
            for n, line in enumerate(code(read(path), strings).split("\n"), 1):
                for match in re.finditer(pattern, line):
                    what = match.group(1) if match.groups() else match.group(0)
                    if (path, what) in allowed:
                        used.add((path, what))
                    else:
                        self.add(path, n, f"{what}: {text}")
        for path, what in sorted(set(allowed) - used):
            self.add(path, 0, f"{what} is listed as an exception and is not there any more")

    def end(self):
        if not self.looked_at:
            self.add("lint", 0, "nothing was looked at")
        sys.exit(1 if self.count else 0)


def skip(why):
    print(why)
    sys.exit(SKIP)


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout
