"""Files that hiwater writes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hiwater.errors import OutputError, OutputExistsError
from hiwater.output import FIRST_FREE_FD, OutputFile, read_all, scratch, write_all, write_whole


def test_comes_to_its_name_when_it_is_whole(tmp_path: Path) -> None:
    """Until then it is FILE.part."""
    file = OutputFile(tmp_path / "a")
    write_all(file.fd, b"data")
    assert [path.name for path in tmp_path.iterdir()] == ["a.part"]
    file.finish()
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_bytes() == b"data"


def test_never_overwrites_unasked(tmp_path: Path) -> None:
    """Neither what exists, nor what a killed session left, nor what appears meanwhile."""
    path = tmp_path / "a"
    path.write_bytes(b"old")
    with pytest.raises(OutputExistsError, match="--force"):
        OutputFile(path)
    path.rename(tmp_path / "a.part")
    with pytest.raises(OutputExistsError, match=r"a\.part"):
        OutputFile(path)
    (tmp_path / "a.part").unlink()
    file = OutputFile(path)
    path.write_bytes(b"meanwhile")
    with pytest.raises(OutputExistsError, match="meanwhile"):
        file.finish()
    assert path.read_bytes() == b"meanwhile"


def test_force(tmp_path: Path) -> None:
    """--force overwrites, but only when the new one is whole."""
    path = tmp_path / "a"
    path.write_bytes(b"old")
    (tmp_path / "a.part").write_bytes(b"left")
    file = OutputFile(path, force=True)
    assert path.read_bytes() == b"old"
    file.finish()
    assert path.read_bytes() == b""


def test_discard(tmp_path: Path) -> None:
    """A measurement that did not come about leaves nothing."""
    OutputFile(tmp_path / "a").discard()
    assert list(tmp_path.iterdir()) == []


def test_devices_are_written_directly() -> None:
    """/dev/null and the like are no files to be replaced."""
    file = OutputFile("/dev/null")
    assert file.direct
    write_all(file.fd, b"x")
    file.finish()
    assert Path("/dev/null").is_char_device()


@pytest.mark.parametrize("name", ["missing/a", "."])
def test_errors_name_the_file(tmp_path: Path, name: str) -> None:
    """What cannot be written is told before anything is measured."""
    with pytest.raises(OutputError, match="cannot write"):
        OutputFile(tmp_path / name)


def test_descriptors_stay_clear_of_the_standard_ones() -> None:
    """Ours are never 0, 1 or 2, even where those are closed, and no other program inherits them."""
    fd = scratch()
    try:
        assert fd >= FIRST_FREE_FD
        assert not os.get_inheritable(fd)
        write_all(fd, b"12345")
        assert read_all(fd) == b"12345"
    finally:
        os.close(fd)


def test_write_whole(tmp_path: Path) -> None:
    """Whole or not at all."""
    write_whole(tmp_path / "a", b"data")
    assert (tmp_path / "a").read_bytes() == b"data"
    with pytest.raises(OutputExistsError):
        write_whole(tmp_path / "a", b"other")
