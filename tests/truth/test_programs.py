"""The truth programs themselves, without hiwater: what they state agrees with witnesses of another kind."""

import os
import platform
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.truth import pages, truths
from tests.truth.workshop import Programs

PAGE = 4096

COUNTER_ERROR = 3 * (os.cpu_count() or 1) * (max(32, 2 * (os.cpu_count() or 1)) - 1) * PAGE
"""What the kernel's batched counters can hide: three counters, each with a batch on every CPU."""

END_AT_PEAK = (
    "bare", "bare 64", "bare32 64", "tiny", "grow 64 leave", "grow_musl 64 leave", "killed 32 kill", "killed 32 segv",
    "killed 32 abort", "execs 4 32", "leader_exits 32", "thread_execs 4 32", "file_map 32", "shared anon 32",
    "shared memfd 32", "huge_pages 32", "page_cache 16",
)  # fmt: skip

FREE_BEFORE_THE_END = (
    "grow 32", "sawtooth 32", "spike 32 5", "threads 16 2", "thread_execs 32 4", "parallel 3 16 1", "cow 16 3 4 1",
    "generations 3 8 1", "sequence 3 16 1", "daemon 32 1", "unreaped 32 1", "swarm 30 32 1", "shared_family 2 16 1",
    "prec 31", "file_faults 4", "busy_maps 16 3 1",
)  # fmt: skip

SINGLES = (
    "bare 16", "bare32 16", "grow 16", "grow_musl 16", "killed 16 kill", "threads 16 1", "leader_exits 16",
    "file_map 16", "shared anon 16", "shared memfd 16", "huge_pages 16", "page_cache 16",
)  # fmt: skip

FAMILIES = (
    "parallel 4 10 1", "parallel_musl 4 10 1", "cow 32 4 8 1", "shared_family 3 16 1", "generations 4 8 1",
    "sequence 3 8 1", "swarm 30 16 1", "unreaped 16 1", "busy_maps 16 3 1",
)  # fmt: skip


def _command(programs: Programs, line: str) -> list[str]:
    name, *arguments = line.split()
    if name in programs.missing:
        pytest.skip(programs.missing[name])
    return [programs.path(name), *arguments]


def _kernel() -> tuple[int, int]:
    major, minor = platform.release().split(".")[:2]
    return int(major), int("".join(character for character in minor if character.isdigit()))


def _witness(programs: Programs, line: str, tmp_path: Path) -> tuple[dict[str, list[int]], dict[str, int]]:
    """What the images of each process say and what VmHWM at its exit stops says, by pid."""
    if _kernel() < (6, 16):
        pytest.skip("VmHWM at the exit stop is exact from Linux 6.16 on only")
    truth = tmp_path / "truth"
    result = subprocess.run(
        [programs.path("exitstop"), *_command(programs, line)],
        env={**os.environ, "HW_TRUTH": str(truth), "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        timeout=60,
    )
    if result.returncode == 125:
        pytest.skip("ptrace is forbidden here")
    said: dict[str, list[int]] = {}
    for report in map(truths.parse_line, truth.read_text().splitlines()):
        if report.kind == "image":
            said.setdefault(report.values["pid"], []).append(report.bytes("peak_rss_bytes"))
    stops = [truths.parse_line(f"stop {row}") for row in result.stdout.splitlines()]
    seen = {stop.values["pid"]: stop.bytes("hwm_bytes") for stop in stops}
    return said, {pid: seen[pid] for pid in said}


@pytest.mark.parametrize("line", END_AT_PEAK)
def test_what_a_program_states_is_its_mark_at_the_exit_stop(programs: Programs, line: str, tmp_path: Path) -> None:
    """A program that ends at its peak has exactly the VmHWM that it walked, to the page."""
    said, seen = _witness(programs, line, tmp_path)
    assert seen == {pid: images[-1] for pid, images in said.items()}


@pytest.mark.parametrize("line", FREE_BEFORE_THE_END)
def test_a_mark_that_the_kernel_stored_is_within_its_counters_error(
    programs: Programs, line: str, tmp_path: Path
) -> None:
    """Where memory was given back, VmHWM is what the batched counters had: as far off as they can be, not more."""
    said, seen = _witness(programs, line, tmp_path)
    # The largest image, also where a thread execs: the leader's stop comes while its image is still there.
    assert {pid: mark for pid, mark in seen.items() if abs(mark - max(said[pid])) > COUNTER_ERROR} == {}


@contextmanager
def _held(programs: Programs, line: str, last_kind: str, tmp_path: Path) -> Iterator[tuple[int, list[truths.Line]]]:
    """Holds a program at its peak, when it has stated its truth; yields its pid and what it said."""
    report_read, report_write = os.pipe()
    hold_read, hold_write = os.pipe()
    process = subprocess.Popen(
        _command(programs, line),
        env={
            **os.environ,
            "HW_TRUTH": f"/proc/thread-self/fd/{report_write}",
            "HW_TRUTH_HOLD": f"/proc/thread-self/fd/{hold_read}",
            "TMPDIR": str(tmp_path),
        },
        pass_fds=(report_write, hold_read),
    )
    os.close(report_write)
    os.close(hold_read)
    try:
        with os.fdopen(report_read) as reports:
            lines = []
            for text in reports:
                lines.append(truths.parse_line(text))
                if lines[-1].kind == "image" and (last_kind == "image" or (lines[-2:-1] and lines[-2].kind == "tree")):
                    break
            yield process.pid, lines
            os.close(hold_write)
            reports.read()
    finally:
        process.wait(60)


@pytest.mark.parametrize("line", SINGLES)
def test_a_second_process_counts_the_same_pages(programs: Programs, line: str, tmp_path: Path) -> None:
    """While the program is held at its peak, the sum over its mappings in smaps is what it stated."""
    with _held(programs, line, "image", tmp_path) as (pid, lines):
        thread = max(int(task.name) for task in Path(f"/proc/{pid}/task").iterdir())
        seen = pages.rss_of_mappings(Path(f"/proc/{pid}/task/{thread}/smaps").read_text())
        assert seen == lines[-1].bytes("peak_rss_bytes")


def _huge_pages(pid: int) -> list[str]:
    """`THP_enabled` of status: whether the process may get huge pages, from khugepaged too (since Linux 5.0)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return [line.split()[1] for line in lines if line.startswith("THP_enabled:")]


@pytest.mark.parametrize("line", ["threads 16 1", "execs 4 4", "spike 16 5", "cow 32 4 8 1"])
def test_nobody_adds_to_a_peak_that_was_stated(programs: Programs, line: str, tmp_path: Path) -> None:
    """khugepaged would make a process larger after the statement, where huge pages are always allowed."""
    with _held(programs, line, "image", tmp_path) as (_, lines):
        told = int(lines[-1].values["pid"])
        if not _huge_pages(told):
            pytest.skip("the kernel does not tell who gets huge pages (Linux 5.0)")
        assert _huge_pages(told) == ["0"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root sees the numbers of page frames")
@pytest.mark.parametrize("line", FAMILIES)
def test_the_page_frames_of_a_family_are_what_it_counted(programs: Programs, line: str, tmp_path: Path) -> None:
    """The distinct page frames of all its processes, seen from outside at the peak, are the tree's stated truth."""
    with _held(programs, line, "tree", tmp_path) as (pid, lines):
        family = pages.descendants(pid)
        stated = next(said for said in lines if said.kind == "tree")
        assert len(family) == stated.bytes("processes")
        frames: set[int] = set()
        for member in family:
            frames |= pages.frames(member)
        # The sums of shares are rounded down to 1 KiB each: a page may get lost with more than four processes.
        lost = len(frames) * PAGE - stated.bytes("tree_peak_bytes")
        assert 0 <= lost <= truths.missed(len(family))
