"""How a method is carried out. A shell script stands in for the probe and writes down its arguments."""

from __future__ import annotations

from pathlib import Path

import pytest

from hiwater.errors import CommandNotExecutableError, CommandNotFoundError
from hiwater.methods import Executor, Interface, Launcher, Method, Outcome, Start, Tools
from hiwater.probing import ProbeError

TOOLS = Tools(gnu_time="/opt/time", env="/opt/env")


class FakeProbe:
    """A probe that reports what it is told to."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "probe"
        self.arguments_file = directory / "arguments"

    def answers(self, report: str, status: int = 0, stderr: str = "") -> None:
        self.path.write_text(
            "#!/bin/sh\n"
            f'for word; do echo "$word" >> {self.arguments_file}; done\n'
            f"echo '{stderr}' >&2\n"
            f'printf "{report}" > /proc/self/fd/$3\n'
            f"exit {status}\n"
        )
        self.path.chmod(0o755)

    @property
    def arguments(self) -> list[str]:
        return self.arguments_file.read_text().splitlines()


@pytest.fixture()
def probe(tmp_path: Path) -> FakeProbe:
    return FakeProbe(tmp_path)


def execute(probe: FakeProbe, launcher: Launcher, start: Start, interface: Interface) -> Outcome:
    executor = Executor(("prog", "-x", "a b"), 1000, str(probe.path), "/opt/monitor", TOOLS)
    return executor(Method("title", launcher, start, interface))


@pytest.mark.parametrize(
    ("launcher", "start", "interface", "options", "before"),
    [
        (Launcher.HOLDS, Start.FORK, Interface.WAIT4, "--how fork --ballast 1000", ""),
        (Launcher.FREED, Start.VFORK, Interface.WAIT4, "--how vfork --ballast 1000 --freed", ""),
        (Launcher.SMALL, Start.FORK, Interface.WAIT4, "--how fork", ""),
        (Launcher.AFTER_BIGGER, Start.FORK, Interface.CHILDREN, "--how fork --before 1000", ""),
        (Launcher.HOLDS, Start.SPAWN, Interface.WAIT4_WRAPPED, "--how spawn --ballast 1000", "/opt/env"),
        (Launcher.HOLDS, Start.FORK, Interface.POLLED, "--how fork --ballast 1000 --watch rss", ""),
        (Launcher.HOLDS, Start.FORK, Interface.EXIT_STOP, "--how fork --ballast 1000 --watch exit-stop", ""),
    ],
)
def test_arguments(
    probe: FakeProbe, launcher: Launcher, start: Start, interface: Interface, options: str, before: str
) -> None:
    """Each method is one call of the probe, with the command behind ``--`` as it was given."""
    probe.answers("status=0\\n")
    execute(probe, launcher, start, interface)
    words = probe.arguments
    assert words[:2] == ["launch", "--report-fd"]
    assert words[3:] == [*options.split(), "--", *before.split(), "prog", "-x", "a b"]


def test_the_first_line_reports_to_the_same_pipe(probe: FakeProbe) -> None:
    """The small program in front of the command gets the number of the report's descriptor."""
    probe.answers("status=0\\nfirst_line_maxrss_bytes=4096\\nwait4_maxrss_bytes=1\\n")
    outcome = execute(probe, Launcher.HOLDS, Start.SPAWN, Interface.FIRST_LINE)
    words = probe.arguments
    assert words[words.index("first-line") :] == ["first-line", "--report-fd", words[2], "--", "prog", "-x", "a b"]
    assert (outcome.reported_bytes, outcome.exit_code) == (4096, 0)


@pytest.mark.parametrize(
    ("interface", "key"),
    [
        (Interface.WAIT4, "wait4_maxrss_bytes"),
        (Interface.CHILDREN, "children_maxrss_bytes"),
        (Interface.POLLED, "polled_rss_bytes"),
        (Interface.EXIT_STOP, "exit_stop_hwm_bytes"),
    ],
)
def test_each_interface_reads_its_own_figure(probe: FakeProbe, interface: Interface, key: str) -> None:
    """The figure of a method is that of its interface, and no other; without it there is none and a reason."""
    keys = ("wait4_maxrss_bytes", "children_maxrss_bytes", "polled_rss_bytes", "exit_stop_hwm_bytes")
    others = "".join(f"{other}=1\\n" for other in keys if other != key)
    probe.answers(f"status=0\\n{others}{key}=8192\\n")
    assert execute(probe, Launcher.HOLDS, Start.FORK, interface).reported_bytes == 8192
    probe.answers(f"status=0\\n{others}")
    missing = execute(probe, Launcher.HOLDS, Start.FORK, interface)
    assert missing.reported_bytes is None
    assert missing.problem


@pytest.mark.parametrize(("status", "expected"), [(0, (0, None)), (3 << 8, (3, None)), (9, (None, 9))])
def test_how_the_command_ended(probe: FakeProbe, status: int, expected: tuple[int | None, int | None]) -> None:
    """An exit status or a signal, as wait gives it; what the command said last is kept."""
    probe.answers(f"status={status}\\nwait4_maxrss_bytes=1\\nwall_ns=1500000000\\n", stderr="no such luck")
    outcome = execute(probe, Launcher.HOLDS, Start.FORK, Interface.WAIT4)
    assert (outcome.exit_code, outcome.term_signal) == expected
    assert (outcome.wall_seconds, outcome.errors) == (1.5, "no such luck")


@pytest.mark.parametrize(
    ("number", "status", "error"), [(2, 127, CommandNotFoundError), (13, 126, CommandNotExecutableError)]
)
def test_a_command_that_cannot_be_started(probe: FakeProbe, number: int, status: int, error: type[Exception]) -> None:
    """It is named, with the kernel's reason."""
    probe.answers(f"exec_errno={number}\\n", status=status)
    with pytest.raises(error) as caught:
        execute(probe, Launcher.HOLDS, Start.FORK, Interface.WAIT4)
    assert isinstance(caught.value, OSError)
    assert caught.value.filename == "prog"


def test_refused_ptrace_is_no_figure(probe: FakeProbe) -> None:
    """Where tracing is refused the method has no figure, and says where to read on."""
    probe.answers("ptrace_errno=1\\n", status=1)
    outcome = execute(probe, Launcher.HOLDS, Start.FORK, Interface.EXIT_STOP)
    assert outcome.reported_bytes is None
    assert outcome.problem is not None and "hiwater doctor" in outcome.problem


def test_a_launcher_that_was_killed_is_no_figure(probe: FakeProbe) -> None:
    """Out of memory with the ballast, for example: the report stops short."""
    probe.answers("launcher_rss_bytes=5\\nwait4_max", status=1)
    outcome = execute(probe, Launcher.HOLDS, Start.FORK, Interface.WAIT4)
    assert (outcome.reported_bytes, outcome.exit_code, outcome.succeeded) == (None, None, False)
    assert outcome.problem is not None and "ballast" in outcome.problem


def test_a_probe_that_fails_is_an_error(probe: FakeProbe) -> None:
    """What it said is passed on."""
    probe.answers("", status=125, stderr="hiwater-probe: no memory")
    with pytest.raises(ProbeError, match="no memory"):
        execute(probe, Launcher.HOLDS, Start.FORK, Interface.WAIT4)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1234\n", 1234 * 1024), ("Command exited with non-zero status 3\n1234\n", 1234 * 1024), ("oops\n", None)],
)
def test_gnu_times_figure(probe: FakeProbe, tmp_path: Path, text: str, expected: int | None) -> None:
    """KiB on the last line; a sentence about a failure may stand before it."""
    answer = tmp_path / "answer"
    answer.write_text(text)
    probe.answers("status=0\\n")
    # Word 13 is the file to write to: launch --report-fd N --how H --ballast B -- time -f %M -o FILE
    script = probe.path.read_text().replace("exit 0", f'cp {answer} "${{13}}"\nexit 0')
    probe.path.write_text(script)
    outcome = execute(probe, Launcher.HOLDS, Start.SPAWN, Interface.GNU_TIME)
    assert outcome.reported_bytes == expected
    assert (outcome.problem is None) == (expected is not None)
