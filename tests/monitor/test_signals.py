"""Signals, stopping and continuing, and the time-out."""

from __future__ import annotations

import os
import signal

import pytest
from tests.monitor.harness import FOREVER, PATIENCE, Monitor, launcher, state_of, until

from hiwater.recording.wire import EndedByCode

FORWARDED = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2]


@pytest.mark.parametrize("number", FORWARDED)
def test_passed_on(monitor: Monitor, number: signal.Signals) -> None:
    """A signal that a process sends to the monitor reaches the command, which may go on; it is not ended by it."""
    with monitor.start_act("report", int(number), "say", "ready", "read", "exit", 5) as session:
        assert session.line() == b"ready\n"
        os.kill(session.pid, number)
        assert session.line() == b"got SIG%02d\n" % number
        session.go()
        assert session.finish().status == 5


def test_passed_on_to_one_that_dies_of_it(monitor: Monitor) -> None:
    """A command that does not handle the signal dies of it, and the monitor's status says so."""
    with monitor.start_act("say", "ready", "read") as session:
        assert session.line() == b"ready\n"
        os.kill(session.pid, signal.SIGTERM)
        assert session.process.wait(PATIENCE) == 128 + signal.SIGTERM  # finish() would end its input first


def test_ignored_in_the_launcher(monitor: Monitor) -> None:
    """A signal that the launcher ignores (nohup) is ignored by the command and does not hurt the monitor."""
    with monitor.start_act("say", "ready", "read", "exit", 6, prefix=launcher("ignore=1")) as session:
        assert session.line() == b"ready\n"
        os.kill(session.pid, signal.SIGHUP)
        session.go()
        assert session.finish().status == 6


@pytest.mark.parametrize("number", [signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ])
def test_launcher_ignores_what_the_monitor_needs(monitor: Monitor, number: signal.Signals) -> None:
    """A launcher that ignores SIGCHLD, SIGPIPE or SIGXFSZ changes nothing: the command is waited for all the same."""
    outcome = monitor.act("grow", 5, "exit", 9, prefix=launcher(f"ignore={int(number)}"))
    assert outcome.status == 9
    assert outcome.recording.complete
    assert outcome.recording.observed_processes[0].end


def test_stopped_and_continued_by_somebody(monitor: Monitor) -> None:
    """SIGSTOP of the command alone stops it and not the monitor; SIGCONT lets it go on."""
    with monitor.start_act("pid", "read", "say", "on", "exit", 8) as session:
        command = session.number()
        os.kill(command, signal.SIGSTOP)
        until(lambda: state_of(command) in "Tt", "the command stops")
        session.looked_again()
        assert state_of(session.pid) not in "Tt"
        os.kill(command, signal.SIGCONT)
        session.go()
        assert session.line() == b"on\n"
        assert session.finish().status == 8


def test_told_to_stop(monitor: Monitor) -> None:
    """SIGTSTP to the monitor stops the command, and then the monitor, so that its launcher sees a stopped child;
    SIGCONT to the monitor continues both."""
    with monitor.start_act("pid", "read", "exit", 8, prefix=launcher("group")) as session:
        command = session.number()
        os.kill(session.pid, signal.SIGTSTP)
        _, status = os.waitpid(session.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        until(lambda: state_of(command) in "Tt", "the command stops")
        os.kill(session.pid, signal.SIGCONT)
        session.go()
        assert session.finish().status == 8


def test_stopped_more_than_once(monitor: Monitor) -> None:
    """A command can be stopped and continued again and again."""
    with monitor.start_act("pid", "read", "exit", 8, prefix=launcher("group")) as session:
        command = session.number()
        for _ in range(5):
            os.kill(session.pid, signal.SIGTSTP)
            assert os.WIFSTOPPED(os.waitpid(session.pid, os.WUNTRACED)[1])
            os.kill(session.pid, signal.SIGCONT)
            until(lambda: not {state_of(session.pid), state_of(command)} & {"T", "t"}, "both go on")
        session.go()
        assert session.finish().status == 8


def test_killed_while_stopped(monitor: Monitor) -> None:
    """SIGKILL ends a stopped command."""
    with monitor.start_act("pid", "read") as session:
        command = session.number()
        os.kill(command, signal.SIGSTOP)
        until(lambda: state_of(command) in "Tt", "the command stops")
        os.kill(command, signal.SIGKILL)
        assert session.finish().status == 128 + signal.SIGKILL


# ---- the time-out: `ready` first, so that it does not strike before there is a tree ----

ONE_SECOND = ["--timeout-ns", "1000000000", "--kill-after-ns", "200000000"]


def test_time_out_ends_the_whole_tree(monitor: Monitor) -> None:
    """The time-out ends every process of the tree: children, those that ignore SIGTERM, orphans in a session of
    their own. (They hold stdout, whose end is the proof.)"""
    verbs = ("crowd", 3, "ignore", 15, "sub", 3, "daemon", "pid", "pause", "pause")
    with monitor.start_act(*verbs, options=ONE_SECOND) as session:
        pids = [session.number() for _ in range(3)]
        outcome = session.finish()
        until(lambda: not any(map(state_of, pids)), "all are gone")
    recording = outcome.recording
    assert recording.end is not None
    assert (outcome.status, recording.end.ended_by, recording.end.left_alive) == (124, EndedByCode.TIMEOUT, 0)
    assert recording.complete


def test_time_out_of_a_stopped_command(monitor: Monitor) -> None:
    """A stopped command is ended by the time-out as well."""
    with monitor.start_act("pid", "read", options=ONE_SECOND) as session:
        os.kill(session.number(), signal.SIGSTOP)
        assert session.finish().status == 124


def test_time_out_does_not_wait_for_a_look(monitor: Monitor) -> None:
    """A time-out strikes in time, however seldom the monitor looks."""
    with monitor.start_act("say", "ready", "read", options=[*ONE_SECOND, "--period-ns", FOREVER]) as session:
        assert session.line() == b"ready\n"
        assert session.process.wait(PATIENCE) == 124


def test_the_linger_time_does_not_wait_for_a_look(monitor: Monitor) -> None:
    """Descendants that outlive the command are waited for as long as asked for, however seldom the monitor looks."""
    options = ["--linger-ns", "300000000", "--period-ns", FOREVER]
    with monitor.start_act("daemon", "say", "up", "read", options=options) as session:
        assert session.line() == b"up\n"
        assert session.process.wait(PATIENCE) == 0
        session.go()


def test_time_out_with_a_program_that_forks_without_end(monitor: Monitor) -> None:
    """A tree that forks faster than one can look is ended, too."""
    script = "echo ready; trap '' TERM; while :; do (:); done"
    with monitor.start("sh", "-c", script, options=ONE_SECOND) as session:
        assert session.line() == b"ready\n"
        assert session.finish().status == 124
