"""The live view of ``hiwater run --live``: whether the terminal is free for it, and the process that shows it.

The command owns its standard streams and the terminal behind them. The view draws on that terminal only if none of the
three is it; otherwise both would draw over each other, and what is typed would reach now the one, now the other.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import sys
import time
from collections.abc import Mapping
from typing import Any

from hiwater.cli.foreground import Companion
from hiwater.errors import HiwaterError, MissingExtraError, MisuseError
from hiwater.output import FIRST_FREE_FD

QUIT = 3
"""The view's exit status when it was closed before the end; see live/app.py."""
_STREAMS = ("input", "output", "error stream")
_RECORDING_FD, _READY_FD = 3, 4
_PATIENCE_SECONDS = 2.0
_START_SECONDS = 10.0
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_LEAVE = b"\x1b[?7h\x1b[?25h\x1b[0m\x1b[?1049l"
_LFLAG = 3


def open_terminal(command: list[str], words: list[str]) -> int:
    """The terminal, or the reason why the view cannot be shown there; before anything was started. ``command``: empty
    where none will be executed, that could want the terminal. ``words``: what was typed in front of it."""
    try:
        fd = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        raise MisuseError(
            "--live takes a terminal, and there is none (a job of CI or cron, a session without one); "
            "leave it out, or keep the recording: -o FILE"
        ) from None
    taken = [number for number in (0, 1, 2) if _is_our_terminal(number)]
    try:
        _need_textual()
        if os.environ.get("TERM", "dumb") == "dumb":
            raise MisuseError("--live cannot draw on this terminal (TERM is dumb or not set); leave it out")
        if taken and command:
            raise MisuseError(_both_want_it(taken, command, words))
        return _moved_up(fd)
    except HiwaterError as error:
        if 2 not in taken:  # where the error stream goes it might not be seen
            with contextlib.suppress(OSError):
                os.write(fd, f"hiwater: {error}\n".encode("utf-8", "backslashreplace"))
        os.close(fd)
        raise


def _need_textual() -> None:
    from importlib.util import find_spec

    if find_spec("textual") is None:
        raise MissingExtraError("live views", "Textual", "live")


def _is_our_terminal(fd: int) -> bool:
    try:
        os.tcgetpgrp(fd)  # ENOTTY for every other terminal than the controlling one (tty_ioctl(2))
    except OSError:
        return False
    return True


def _both_want_it(taken: list[int], command: list[str], words: list[str]) -> str:
    names = [_STREAMS[number] for number in taken]
    listed = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    log = shlex.quote((os.path.basename(command[0]) or "command") + ".log")
    redirections = ("</dev/null", f">{log}", "2>&1" if 1 in taken else f"2>{log}")
    needed = " ".join(redirections[number] for number in taken)
    if len(taken) == len(_STREAMS):
        needed = f"for example:\n  {shlex.join([*words, *command])} {needed}\n"
    else:
        needed = f"add {needed} "
    return (
        f"--live would draw on the terminal that is the command's {listed} as well. Redirect what is not needed there; "
        f"{needed}or watch from another terminal: hiwater attach --live PID"
    )


def _moved_up(fd: int) -> int:
    import fcntl

    moved = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, FIRST_FREE_FD)
    os.close(fd)
    return moved


def _attributes(fd: int) -> list[Any] | None:
    import termios

    try:
        return termios.tcgetattr(fd)
    except termios.error:
        return None


class View(Companion):
    """The view's process. Whatever becomes of it, the terminal is as it was when it is gone."""

    def __init__(
        self, terminal: int, recording: int, *, color: bool, goes_on: str, quit_does: str = "close view"
    ) -> None:
        """``goes_on``: what is said on the terminal when the user closed the view."""
        self._terminal = terminal
        self._goes_on = goes_on
        self._before = _attributes(terminal)
        self._ending = False
        self.beside_stderr = not _is_our_terminal(2)
        """Who watches does not see what is written to stderr: that leads elsewhere."""
        self.closed = False
        """The user closed it."""
        # It is to find the modules that we found, and none that happens to lie in the working directory.
        code = f"import sys; sys.path[:] = {sys.path!r}; from hiwater.live.view import main; "
        code += f"sys.exit(main({_RECORDING_FD}, {_READY_FD}, {os.getpid()}, {quit_does!r}, {color!r}))"
        arguments = [sys.executable, "-c", code]
        descriptors = [(os.POSIX_SPAWN_DUP2, terminal, number) for number in (0, 1, 2)]
        self._ready, ready = map(_moved_up, os.pipe())
        descriptors += [(os.POSIX_SPAWN_DUP2, recording, _RECORDING_FD), (os.POSIX_SPAWN_DUP2, ready, _READY_FD)]
        self._pid: int | None = None
        try:
            self._pid = os.posix_spawn(
                sys.executable, arguments, _environment(os.environ, color=color), file_actions=descriptors
            )
        except OSError as error:
            self.say(f"hiwater: the view cannot be started ({error.strerror}); {goes_on}\n")
        os.close(ready)

    def wait_until_shown(self) -> None:
        """So that the command shares no processor with the start of Textual, and its first second is seen. Exits if a
        signal asks for that meanwhile."""
        import select

        until = time.monotonic() + _START_SECONDS
        while (left := until - time.monotonic()) > 0 and not select.select([self._ready], [], [], min(left, 0.05))[0]:
            pending = signal.sigpending()
            for number in _ENDING:
                if number in pending:
                    self.finish()
                    raise SystemExit(128 + number)
            if signal.SIGTSTP in pending:  # there is no command yet that it could be for
                signal.sigtimedwait({signal.SIGTSTP}, 0)
                self.step_aside()
                os.kill(os.getpid(), signal.SIGSTOP)
                self.come_back()
        os.close(self._ready)

    def changed(self) -> None:
        """It may have ended: closed by the user, or by a fault."""
        if self._pid is None:
            return
        pid, status = os.waitpid(self._pid, os.WNOHANG)
        if pid == 0:
            return
        self._pid = None
        self._restore()
        code = os.waitstatus_to_exitcode(status)
        if self._ending or code == 0:
            return
        if code == QUIT:
            self.closed = True
            self.say(f"hiwater: the view is closed; {self._goes_on}\n")
        else:
            how = f"was ended by signal {-code}" if code < 0 else f"failed (exit status {code})"
            self.say(f"hiwater: the view {how}; {self._goes_on}\n")

    def step_aside(self) -> None:
        """The shell is to find the terminal as it was."""
        if self._pid is None:
            return
        self._kill(signal.SIGUSR1)
        until = time.monotonic() + _PATIENCE_SECONDS
        while os.waitid(os.P_PID, self._pid, os.WSTOPPED | os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            if time.monotonic() > until:
                self._kill(signal.SIGSTOP)
                break
            signal.sigtimedwait({signal.SIGCHLD}, 0.05)
        self._restore()

    def come_back(self) -> None:
        """It draws again when we are in the foreground."""
        if self._pid is not None:
            self._kill(signal.SIGCONT)

    def finish(self) -> None:
        """Ends it, by force if it does not hear."""
        self._ending = True
        for number, seconds in ((signal.SIGTERM, _PATIENCE_SECONDS), (signal.SIGKILL, _PATIENCE_SECONDS)):
            if self._pid is not None:
                self._kill(number)
                self._kill(signal.SIGCONT)
            until = time.monotonic() + seconds
            while self._pid is not None and time.monotonic() < until:
                self.changed()
                if self._pid is not None:
                    signal.sigtimedwait({signal.SIGCHLD}, 0.05)

    @property
    def columns(self) -> int:
        """The width of the terminal."""
        with contextlib.suppress(OSError):
            return os.get_terminal_size(self._terminal).columns or 80
        return 80

    def say(self, text: str) -> None:
        """On the terminal, as far as it still takes anything."""
        with contextlib.suppress(OSError):
            os.write(self._terminal, text.encode("utf-8", "backslashreplace"))

    def _kill(self, number: int) -> None:
        if self._pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, number)

    def _restore(self) -> None:
        """If it could not do that itself. It changes the attributes first and gives them back last, so they tell; in
        the background they are somebody else's."""
        import termios

        now = _attributes(self._terminal)
        if now is None or self._before is None or now[_LFLAG] == self._before[_LFLAG]:
            return
        if os.tcgetpgrp(self._terminal) != os.getpgrp():
            return
        with contextlib.suppress(OSError):
            os.write(self._terminal, _LEAVE)
        with contextlib.suppress(termios.error):
            termios.tcsetattr(self._terminal, termios.TCSAFLUSH, self._before)


def _environment(environment: Mapping[str, str], *, color: bool) -> dict[str, str]:
    """Textual takes NO_COLOR for set even if it is empty."""
    found = {name: value for name, value in environment.items() if name != "NO_COLOR"}
    if not color:
        found["NO_COLOR"] = "1"
    return found
