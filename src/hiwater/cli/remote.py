"""``hiwater run --ssh``: the command runs on another machine, its terminal, its output and its end are here."""

from __future__ import annotations

import argparse
import os
import signal
from collections.abc import Callable

from hiwater.cli.foreground import Foreground
from hiwater.launch import Mode
from hiwater.remote.errand import Errand


class _Foreground(Foreground):
    """Like ``Foreground``, but the command is behind ssh: signals go another way."""

    def __init__(self, errand: Errand) -> None:
        super().__init__()
        self._errand = errand

    def _prepare_child(self) -> None:
        # What the terminal sends to all of us would end ssh, not the command; we pass it on.
        for number in (signal.SIGINT, signal.SIGQUIT):
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_SETMASK, self.mask)

    def _told(self, told: signal.struct_siginfo) -> None:
        if told.si_signo in (signal.SIGTSTP, signal.SIGCONT, signal.SIGWINCH):
            return  # ssh, in our process group, has had them too
        self._errand.pass_on(told.si_signo)


def measure(args: argparse.Namespace, command: list[str], fd: int, let_go: Callable[[], None]) -> int:
    """Executes the command there and writes the recording to a descriptor; the monitor's exit status.

    ``let_go`` is called as soon as the command has its standard streams.
    """
    with Errand(args.ssh, args.ssh_monitor) as errand:
        foreground = _Foreground(errand)
        arguments = errand.command_line(
            command,
            mode=Mode.TRACE if args.trace else Mode.QUIET,
            period_ns=args.period,
            timeout_ns=args.timeout,
            linger_ns=args.linger,
            terminal=all(os.isatty(stream) for stream in (0, 1, 2)),
        )
        foreground.start(arguments, fd)
        let_go()
        status = foreground.wait()
        errand.fetch(fd, status)
    return status
