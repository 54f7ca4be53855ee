# SPDX-License-Identifier: GPL-2.0-or-later
"""A thin, fast writer of directories, attribute files and relative links."""

import os

RO = 0o444
RW = 0o644


class Tree:
    """All paths are relative to the root of the fake host, without a leading slash."""

    def __init__(self, root):
        self.skip = ()                      # attributes to leave out for now, by name
        self.root = os.path.abspath(root)
        self.made = {""}
        os.makedirs(self.root, exist_ok=True)

    def abs(self, path):
        return self.root + "/" + path

    def dir(self, path):
        if path in self.made:
            return
        self.dir(path.rpartition("/")[0])
        try:
            os.mkdir(self.abs(path), 0o755)
        except FileExistsError:
            pass
        self.made.add(path)

    def put(self, path, data="", mode=RO):
        parent, _, name = path.rpartition("/")
        if name in self.skip:
            return
        self.dir(parent)
        if isinstance(data, str):
            data = data.encode()
        fd = os.open(self.abs(path), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            if data:
                os.write(fd, data)
        finally:
            os.close(fd)

    def attrs(self, path, values, mode=RO):
        """One file an entry; a newline is added, as the kernel does."""
        for name, value in values.items():
            self.put(f"{path}/{name}", f"{value}\n", mode)

    def raw_link(self, path, text):
        self.dir(path.rpartition("/")[0])
        os.symlink(text, self.abs(path))

    def link(self, path, target):
        """A link at path to target, both tree paths, made relative as the kernel's are."""
        here, there = path.split("/")[:-1], target.split("/")
        same = 0
        while same < min(len(here), len(there) - 1) and here[same] == there[same]:
            same += 1
        self.raw_link(path, "../" * (len(here) - same) + "/".join(there[same:]))

    def exists(self, path):
        return os.path.lexists(self.abs(path))
