"""``read_profile`` tells the format from the contents, and no file makes it fail in any other way than it says."""

from __future__ import annotations

import gzip
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests import heapfiles

from hiwater.errors import HiwaterError, MissingExtraError
from hiwater.heap.model import Engine, Frame
from hiwater.heap.readers import formats, packed, read_profile, recognise
from hiwater.heap.readers.errors import ProfileError, UnknownFormatError

FILES = {
    "gperftools": heapfiles.GPERFTOOLS,
    "sampled": heapfiles.GPERFTOOLS_SAMPLED,
    "jemalloc": heapfiles.JEMALLOC,
    "go": heapfiles.GO,
    "heaptrack": heapfiles.HEAPTRACK,
    "raw": heapfiles.HEAPTRACK_RAW,
    "massif": heapfiles.MASSIF,
    "dhat": heapfiles.DHAT,
    "collapsed": heapfiles.COLLAPSED,
}
ENGINES = {
    "gperftools": Engine.GPERFTOOLS,
    "sampled": Engine.GPERFTOOLS,
    "jemalloc": Engine.JEMALLOC,
    "go": Engine.OTHER,
    "heaptrack": Engine.HEAPTRACK,
    "raw": Engine.HEAPTRACK,
    "massif": Engine.MASSIF,
    "dhat": Engine.DHAT,
    "collapsed": Engine.OTHER,
}


@pytest.mark.parametrize("name", FILES)
def test_formats_are_told_apart(name: str, tmp_path: Path) -> None:
    """Each format is recognised, plain and packed, whatever the file is called."""
    path = tmp_path / "file"
    path.write_text(FILES[name])
    plain = read_profile(path)
    assert plain.engine is ENGINES[name]
    path.write_bytes(gzip.compress(FILES[name].encode()))
    assert read_profile(path).stacks == plain.stacks
    assert sum(form.recognises(FILES[name].encode()) for form in formats()) == 1


def test_collapsed_stacks(tmp_path: Path) -> None:
    """Collapsed stacks have their outermost call first; what they count is taken for bytes, and that is said."""
    path = tmp_path / "file"
    path.write_text(heapfiles.COLLAPSED)
    profile = read_profile(path)
    assert profile.peak is not None
    assert [(profile.stacks[each.stack], each.in_use_bytes) for each in profile.peak.holdings] == [
        ((Frame("string"), Frame("load"), Frame("main")), 4096),
        ((Frame("load"), Frame("main")), 100),
        ((Frame("main"),), 4),
    ]
    assert profile.notes


@pytest.mark.parametrize("content", [b"", b"hello\n", b"\x7fELF" + bytes(100), b"v 1\n", b"{}", b"1 2\n3 4\n"])
def test_other_files_are_refused(content: bytes, tmp_path: Path) -> None:
    """What is no profile is refused with the file's name."""
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(UnknownFormatError, match=str(path)):
        read_profile(path)


def test_what_is_not_there(tmp_path: Path) -> None:
    """A missing file, a folder without profiles: errors with the path."""
    with pytest.raises(ProfileError, match="no such file"):
        read_profile(tmp_path / "missing")
    with pytest.raises(UnknownFormatError, match="a folder without"):
        read_profile(tmp_path)


@pytest.mark.parametrize("how", ["package", "command"])
def test_zstandard(how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Zstandard is unpacked by the package or the command, in several frames too, and a missing end is noticed."""
    command = shutil.which("zstd")
    if command is None:
        pytest.skip("no command zstd")
    if how == "package":
        pytest.importorskip("zstandard")
    real = packed._optional
    wanted = {"package": ("zstandard",), "command": ()}[how]
    monkeypatch.setattr(packed, "_optional", lambda name: real(name) if name in wanted else None)
    half = len(heapfiles.HEAPTRACK) // 2
    frames = [
        subprocess.run([command, "-c"], input=part.encode(), stdout=subprocess.PIPE, check=True).stdout
        for part in (heapfiles.HEAPTRACK[:half], heapfiles.HEAPTRACK[half:])
    ]
    path = tmp_path / "file.zst"
    path.write_bytes(b"".join(frames))
    whole = packed.Packed(str(path))
    assert b"".join(whole.pieces()).decode() == heapfiles.HEAPTRACK
    assert not whole.cut_off
    assert whole.head(4).startswith(b"v 10")
    path.write_bytes(b"".join(frames)[:-5])
    cut = packed.Packed(str(path))
    assert heapfiles.HEAPTRACK.encode().startswith(b"".join(cut.pieces()))
    assert cut.cut_off


def test_without_an_unpacker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing can unpack Zstandard, the extra that brings it is named."""
    monkeypatch.setattr(packed, "_optional", lambda name: None)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    path = tmp_path / "file.zst"
    path.write_bytes(packed.ZSTD + bytes(50))
    with pytest.raises(MissingExtraError, match=r"hiwater\[zstd\]"):
        read_profile(path)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A real file with bytes changed, left out, or repeated, or cut off."""
    data = bytearray(draw(st.sampled_from(list(FILES.values()))).encode())
    for _ in range(draw(st.integers(0, 6))):
        if not data:
            break
        at = draw(st.integers(0, len(data) - 1))
        how = draw(st.integers(0, 4))
        if how == 0:
            data[at] = draw(st.integers(0, 255))
        elif how == 1:
            del data[at : at + draw(st.integers(1, 60))]
        elif how == 2:
            data[at:at] = data[at : at + draw(st.integers(1, 60))]
        elif how == 3:
            data[at:at] = draw(
                st.sampled_from([b"\n", b" ", b"-1", b"0", b"9" * 25, b"f" * 25, b"\xff", b"\0", b"n9: "])
            )
        else:
            del data[at:]
    return bytes(data)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=damaged())
@example(data=b"heap profile: 1: 1 [1: 1] @ heap_v2/1\n")
@example(data=b"v 0 1\n" + b"t 0 0\n")
def test_damaged_files(data: bytes, tmp_path: Path) -> None:
    """Whatever is wrong with a file, it is read or refused with a HiwaterError; all sizes that are read fit 63 bits."""
    path = tmp_path / "file"
    path.write_bytes(data)
    try:
        profile = read_profile(path)
    except HiwaterError as error:
        assert str(path) in str(error)
        return
    for snapshot in (profile.peak, profile.exit, *profile.growth):
        for held in snapshot.holdings if snapshot else ():
            assert 0 <= held.in_use_bytes < 1 << 63
            assert 0 <= held.stack < len(profile.stacks)


def test_every_format_has_its_words() -> None:
    """The list of formats names each once."""
    names = [form.name for form in formats()]
    assert len(set(names)) == len(names)
    assert recognise(b"") is None
