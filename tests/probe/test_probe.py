"""hiwater-probe on this machine: it does to the kernel what it says, whatever that does to the figures."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hiwater.binaries import find_probe
from hiwater.probing import Output, ProbeError, Report, run_launch, run_probe

MIB = 1 << 20
BALLAST = 64 * MIB
SMALL = 8 * MIB
"""More than a small program needs, and far less than the ballast."""


def launch(*options: str, command: tuple[str, ...] = ("true",)) -> Report:
    return run_launch(find_probe(), options, command)


def size(report: Report, key: str) -> int:
    value = report.get(key)
    assert value is not None, f"{key} is missing: {report}"
    return value


@pytest.mark.parametrize("how", ["fork", "vfork", "spawn"])
def test_what_a_launcher_that_holds_a_ballast_leaves_to_its_child(how: str) -> None:
    """However it starts a command, wait4 says that the command needed the launcher's size."""
    report = launch("--how", how, "--ballast", str(BALLAST))
    assert size(report, "launcher_rss_bytes") >= BALLAST
    assert size(report, "wait4_maxrss_bytes") >= BALLAST - MIB


@pytest.mark.parametrize(("how", "inherited"), [("fork", False), ("vfork", True), ("spawn", True)])
def test_what_a_launcher_that_has_freed_its_ballast_leaves_to_its_child(how: str, inherited: bool) -> None:
    """fork copies what is there; vfork and posix_spawn lend the mark of the launcher's whole life."""
    report = launch("--how", how, "--ballast", str(BALLAST), "--freed")
    assert size(report, "launcher_rss_bytes") < SMALL
    assert size(report, "launcher_hwm_bytes") >= BALLAST - MIB
    assert (size(report, "wait4_maxrss_bytes") >= BALLAST - MIB) is inherited


def test_a_wrapper_that_execs_passes_it_on() -> None:
    """env becomes the command: the process, and what was folded into it, stay."""
    report = launch("--how", "spawn", "--ballast", str(BALLAST), "--freed", command=("env", "true"))
    assert size(report, "wait4_maxrss_bytes") >= BALLAST - MIB


def test_the_first_line_already_has_it() -> None:
    """Before it has done anything a program is told the launcher's peak; its own mark is small."""
    command = (find_probe(), "first-line", "--report-fd", "{fd}", "--", "true")
    report = launch("--how", "spawn", "--ballast", str(BALLAST), "--keep-report", command=command)
    assert size(report, "first_line_maxrss_bytes") >= BALLAST - MIB
    assert size(report, "first_line_hwm_bytes") < SMALL
    assert report.get("status") == 0


def test_children_remember_a_bigger_one() -> None:
    """RUSAGE_CHILDREN is the largest child ever; wait4 is this one."""
    report = launch("--before", str(BALLAST))
    assert size(report, "children_maxrss_bytes") >= BALLAST - MIB
    assert size(report, "wait4_maxrss_bytes") < SMALL


def test_the_mark_at_the_exit_stop_is_the_commands_own() -> None:
    """From a launcher that holds a ballast, too."""
    report = launch("--watch", "exit-stop", "--ballast", str(BALLAST))
    if report.get("ptrace_errno"):
        pytest.skip("ptrace is refused here")
    assert size(report, "exit_stop_hwm_bytes") < SMALL
    assert (report.get("exit_stop_threads"), report.get("status")) == (1, 0)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_exit_stop_comes_when_a_signal_ends_the_command(number: int) -> None:
    """Also for SIGKILL, which nothing can catch."""
    report = launch("--watch", "exit-stop", command=("sh", "-c", f"kill -{int(number)} $$"))
    if report.get("ptrace_errno"):
        pytest.skip("ptrace is refused here")
    status = size(report, "status")
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == number
    assert size(report, "exit_stop_hwm_bytes") > 0


def test_a_traced_command_can_be_stopped_and_continued() -> None:
    """A stop is a stop: tracing does not wake it up, SIGCONT does."""
    script = "(while ! grep -q 'State:.[Tt]' /proc/$$/status; do :; done; kill -CONT $$) & kill -STOP $$; exit 7"
    report = launch("--watch", "exit-stop", command=("sh", "-c", script))
    if report.get("ptrace_errno"):
        pytest.skip("ptrace is refused here")
    assert os.WEXITSTATUS(size(report, "status")) == 7


def test_polling_sees_what_lasts() -> None:
    """A program that waits for long at its size is seen at it, in more than one look."""
    grow = "x = b'x' * (64 << 20); import time; time.sleep(0.5)"
    report = launch("--watch", "rss", "--period-ns", "10000000", command=(sys.executable, "-c", grow))
    assert size(report, "looks") > 5
    assert size(report, "polled_rss_bytes") >= BALLAST


@pytest.mark.parametrize("how", ["fork", "vfork", "spawn"])
@pytest.mark.parametrize(("command", "number", "status"), [("/no/such/program", 2, 127), ("/etc/passwd", 13, 126)])
def test_commands_that_cannot_be_started(how: str, command: str, number: int, status: int) -> None:
    """The kernel's reason, and an exit status that tells the two cases apart; no figure of a process that never was."""
    report = launch("--how", how, command=(command,))
    assert (report.get("exec_errno"), report.exit_code, report.get("wait4_maxrss_bytes")) == (number, status, None)


def test_the_exit_status_is_the_probes_own() -> None:
    """A command that fails is no failure of the probe."""
    report = launch(command=("sh", "-c", "exit 125"))
    assert (report.exit_code, os.WEXITSTATUS(size(report, "status"))) == (0, 125)


@pytest.mark.parametrize("how", ["fork", "vfork", "spawn"])
def test_the_command_does_not_see_the_report(how: str) -> None:
    """It has the descriptors 0, 1 and 2, and the one that ls itself needs."""
    report = run_launch(find_probe(), ["--how", how], ["sh", "-c", "test $(ls /proc/self/fd | wc -l) -le 4"])
    assert report.get("status") == 0, report


def test_output_can_be_kept(capfd: pytest.CaptureFixture[str]) -> None:
    """Then it comes where ours goes, and nothing is held back."""
    report = run_launch(find_probe(), [], ["sh", "-c", "echo out; echo err >&2"], Output.KEEP)
    assert (tuple(capfd.readouterr()), report.errors) == (("out\n", "err\n"), "")
    report = run_launch(find_probe(), [], ["sh", "-c", "echo out; echo err >&2"])
    assert (tuple(capfd.readouterr()), report.errors) == (("", ""), "err")


@pytest.mark.parametrize("kind", ["anon", "shmem", "file"])
def test_programs_of_known_size(kind: str) -> None:
    """The walk finds what was touched, whatever kind of memory it is."""
    empty = size(run_probe(find_probe(), ["known"]), "walked_rss_bytes")
    full = size(run_probe(find_probe(), ["known", f"--{kind}", str(16 * MIB)]), "walked_rss_bytes")
    assert abs(full - empty - 16 * MIB) <= MIB  # a dynamic C library brings some pages of its own


def test_known_programs_end_as_told() -> None:
    """By exit or by SIGKILL; they report first."""
    report = run_probe(find_probe(), ["known", "--anon", str(MIB), "--kill"])
    assert (report.exit_code, "walked_rss_bytes" in report.values) == (-signal.SIGKILL, True)
    assert run_probe(find_probe(), ["known", "--anon", str(MIB), "--free"]).exit_code == 0


def test_precision_hides_within_the_bound() -> None:
    """The walk sees all that was touched; no counter is off by more than the bound of kernels since 6.2."""
    report = run_probe(find_probe(), ["precision"])
    cpus, page = size(report, "cpus"), size(report, "page_bytes")
    touched = size(report, "after_walk_bytes") - size(report, "before_walk_bytes")
    assert abs(touched - size(report, "touched_bytes")) <= MIB // 4
    bound = 3 * cpus * (max(32, 2 * cpus) - 1) * page
    for key in ("after_statm_bytes", "after_stat_bytes", "after_hwm_bytes"):
        assert abs(size(report, key) - size(report, "after_walk_bytes")) <= bound
    assert abs(size(report, "freed_walk_bytes") - size(report, "before_walk_bytes")) <= MIB // 4


def test_what_is_tried_is_answered() -> None:
    """Each attempt reports the kernel's answer, whichever it is."""
    assert "ptrace_errno" in run_probe(find_probe(), ["try-ptrace"]).values
    clear_refs = run_probe(find_probe(), ["try-clear-refs"])
    if clear_refs.get("clear_refs_errno") == 0:
        assert size(clear_refs, "after_hwm_bytes") < size(clear_refs, "before_hwm_bytes")
    assert {"all_faults_errno", "user_faults_errno"} <= set(run_probe(find_probe(), ["try-perf"]).values)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nonsense"],
        ["launch"],
        ["launch", "--how", "magic", "true"],
        ["launch", "--ballast", "-5", "true"],
        ["launch", "--ballast", "5x", "true"],
        ["launch", "--period-ns", "0", "true"],
        ["launch", "--report-fd", "77", "true"],
        ["launch", "--no-such-option", "true"],
        ["first-line", "true"],
        ["known", "--anon"],
        ["known", "extra"],
        ["precision", "extra"],
        ["try-ptrace", "extra"],
        ["try-perf", "--tracepoint"],
    ],
)
def test_misuse(arguments: list[str]) -> None:
    """125 and a sentence; nothing is executed."""
    ended = subprocess.run([find_probe(), *arguments], capture_output=True, check=False, stdin=subprocess.DEVNULL)
    assert (ended.returncode, ended.stdout) == (125, b"")
    assert ended.stderr


def test_memory_that_is_not_to_be_had_is_an_error() -> None:
    """A ballast larger than the address space: the probe's own failure, in words."""
    with pytest.raises(ProbeError, match="not to be had"):
        launch("--ballast", str(1 << 60))


def test_known_files_need_a_writable_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TMPDIR is where the nameless file is made."""
    monkeypatch.setenv("TMPDIR", str(tmp_path / "missing"))
    with pytest.raises(ProbeError, match="missing"):
        run_probe(find_probe(), ["known", "--file", str(MIB)])


def test_a_killed_probe_leaves_the_command_alone() -> None:
    """Only the figures are lost."""
    reader, writer = os.pipe()
    command = [find_probe(), "launch", "--report-fd", str(writer), "--", "cat"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=(writer,)) as probe:
        os.close(writer)
        with os.fdopen(reader, "rb") as report:
            assert report.readline().startswith(b"launcher_rss_bytes=")
            assert probe.stdin is not None and probe.stdout is not None
            probe.stdin.write(b"x")
            probe.stdin.flush()
            assert probe.stdout.read(1) == b"x"  # the command runs
            probe.kill()
            assert b"status=" not in report.read()
        probe.stdin.write(b"y")
        probe.stdin.close()
        assert probe.stdout.read(1) == b"y"
