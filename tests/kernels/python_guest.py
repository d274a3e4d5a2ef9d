"""A guest that has Python and hiwater whole: for what needs more than the monitor."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.kernels.boot import Machine
from tests.kernels.debian import Archive
from tests.kernels.initramfs import FileSystem

import hiwater

PACKAGES = ("python3.11-minimal", "libpython3.11-minimal", "libpython3.11-stdlib", "zlib1g", "libexpat1")
"""Debian's, of the release whose C library the compilers here have (bookworm)."""
LEFT_OUT = {"lib2to3", "idlelib", "tkinter", "ensurepip", "distutils", "pydoc_data", "__pycache__", "doc", "man"}
PYTHON = "/usr/bin/python3.11"


def add_python(files: FileSystem, machine: Machine, archive: Archive) -> None:
    """Python, the installed hiwater in its path, and the libraries that they need beside the C library."""
    for name in PACKAGES:
        tree = archive.newest(name)
        for path in sorted(tree.rglob("*")):
            inside = path.relative_to(tree)
            if not LEFT_OUT.isdisjoint(inside.parts):
                continue
            if path.is_symlink():
                if not path.readlink().is_absolute():
                    files.link(str(inside), str(path.readlink()))
            elif path.is_file():
                files.copy(path, str(inside))
    package = Path(hiwater.__file__).parent
    for path in sorted(package.rglob("*")):
        if path.is_file() and path.suffix in (".py", ".json", "") and "__pycache__" not in path.parts:
            files.copy(path, f"usr/lib/python3.11/hiwater/{path.relative_to(package)}")
    assert machine.name == "x86_64", f"the monitor of this installation is for this machine: {sys.platform}"
