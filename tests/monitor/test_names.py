"""Names and arguments of any bytes come into the recording as they are."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from tests.monitor.harness import Monitor, images_of

from hiwater.recording.model import Image, Recording
from hiwater.recording.wire import ImageFlags

NAMES = [
    b"new\nline",
    b"back\\slash",
    b"a) R 1 (b",
    b"( )",
    b"sp ace",
    b" blank first",
    b"blank last ",
    b"tab\there",
    b"\xff\xfe no utf8",
    "größer".encode(),
    b"fifteen-bytes-x-and-more",
    b"Name:\tx",
    b"VmHWM: 9 kB",
]


@pytest.fixture
def odd_programs(room: Path) -> list[bytes]:
    """A program for each odd name."""
    directory = os.fsencode(room / "odd names")
    os.makedirs(directory, exist_ok=True)
    paths = [os.path.join(directory, name) for name in NAMES]
    for path in paths:
        shutil.copy(os.fsencode(room / "act"), path)
    return paths


def test_names(monitor: Monitor, odd_programs: list[bytes]) -> None:
    """Newlines, blanks, parentheses and bytes that are no UTF-8 in the names of programs and in their arguments."""
    script = 'exec 3<&0; for p; do "$p" readfd 3 "say" "$p" & done; wait; exit 3'
    with monitor.start("sh", "-c", script, "sh", *odd_programs) as session:
        found = session.stream.until(lambda recording: len(_last_images(recording)) == len(NAMES))
        session.go()
        for _ in NAMES[1:]:
            session.go()
        assert session.finish().status == 3
    actual = {
        os.fsencode(image.exe): (os.fsencode(image.comm), tuple(map(os.fsencode, image.arguments)))
        for image in _last_images(found)
    }
    expected = {path: (os.path.basename(path)[:15], (path, b"readfd", b"3", b"say", path)) for path in odd_programs}
    assert actual == expected


def _last_images(recording: Recording) -> list[Image]:
    """What each child of the shell runs in the end: one of the odd programs."""
    images = [process.images[-1] for process in recording.observed_processes[1:] if process.images]
    return [image for image in images if "odd names" in image.exe and not image.flags & ImageFlags.FORKED]


@pytest.mark.parametrize("name", NAMES)
def test_name_of_the_command(monitor: Monitor, odd_programs: list[bytes], name: bytes) -> None:
    """The command itself may have any name."""
    path = next(path for path in odd_programs if path.endswith(b"/" + name))
    outcome = monitor.run(path, b"exit", b"3", b"\n", b"\xff", b"")
    assert outcome.status == 3
    recording = outcome.recording
    assert list(map(os.fsencode, recording.arguments))[:5] == [path, b"exit", b"3", b"\n", b"\xff"]


def test_a_process_that_renames_itself(monitor: Monitor) -> None:
    """A process that names itself as if it were lines of a status file, or nothing at all, is read as before."""
    verbs: list[str | int] = []
    for name in ("x) Z 0 (", "VmHWM: 1 kB", "\nVmRSS: 0 kB", ""):
        verbs += ["name", name, "grow", 8, "fork"]
    with monitor.start_act(*verbs, "say", "up", "read", "exit", 3) as session:
        assert session.line() == b"up\n"
        session.looked_again()
        session.go()
        outcome = session.finish()
    marks = [image.end.hwm_bytes or 0 for image in images_of(outcome.recording) if image.end]
    assert outcome.status == 3
    assert [mark // (8 << 20) for mark in marks] == [1, 2, 3, 4, 4]
