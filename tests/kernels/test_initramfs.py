"""The file system of a guest: what is put in comes out."""

from __future__ import annotations

import gzip
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.kernels.initramfs import FileSystem, modules


def test_cpio_reads_it(tmp_path: Path) -> None:
    """The archive is one that cpio unpacks: directories, files with their modes, links."""
    if shutil.which("cpio") is None:
        pytest.skip("needs cpio (apt-get install cpio)")
    files = FileSystem()
    files.file("bin/hello", b"odd length", 0o755)
    files.file("/etc/empty", b"", 0o644)
    files.link("bin/alias", "hello")
    archive = gzip.decompress(files.archive())
    subprocess.run(["cpio", "-idm", "--quiet"], input=archive, cwd=tmp_path, check=True)
    assert (tmp_path / "bin/alias").read_bytes() == b"odd length"
    assert (tmp_path / "bin/hello").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "etc/empty").stat().st_size == 0
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["alias", "bin", "empty", "etc", "hello"]


def test_modules_come_after_what_they_depend_on(tmp_path: Path) -> None:
    """Each module is listed once, in an order in which insmod takes them; what the kernel has built in is left out."""
    for name, depends in (("zram", "zsmalloc,lz4-core"), ("zsmalloc", ""), ("lz4_core", "zsmalloc")):
        path = tmp_path / "kernel" / f"{name}.ko"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"ELF\0license=GPL\0depends=" + depends.encode() + b"\0name=x\0")
    assert [name for name, _ in modules(tmp_path, ("zram", "built-in", "zsmalloc"))] == ["zsmalloc", "lz4_core", "zram"]
