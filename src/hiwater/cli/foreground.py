"""Runs the monitor in the place that a shell gave to hiwater: the terminal, its signals and job control belong to the
command.

The command is in our process group, so what the terminal sends (Ctrl-C, Ctrl-Z) reaches it without us; what another
process sends to hiwater is passed on to the monitor, which passes it on to the command. So that no signal is lost
between two instructions they are blocked all the time, and taken by sigwaitinfo one after another.
"""

from __future__ import annotations

import os
import signal

from hiwater.errors import MonitorError

WATCHED = {
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGALRM,
    signal.SIGTSTP,
    signal.SIGCONT,
    signal.SIGWINCH,
    signal.SIGCHLD,
}

# si_code of signals that a process sent: SI_USER (kill), SI_QUEUE (sigqueue), SI_TKILL (tgkill). The terminal's come
# with SI_KERNEL.
_SENT_BY_A_PROCESS = (0, -1, -6)


class Foreground:
    """Blocks the signals when it is made; the mask of before is what the command is to start with."""

    def __init__(self) -> None:
        if signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN:
            # A launcher that ignores SIGCHLD would make the monitor vanish unwaited for.
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self.mask = frozenset(int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED))
        self._monitor = 0

    def start(self, arguments: list[bytes], output_fd: int) -> None:
        """Starts the monitor with our environment and descriptors."""
        os.set_inheritable(output_fd, True)  # there is one thread and one child: nobody else can inherit it
        try:
            self._monitor = os.posix_spawn(
                arguments[0],
                arguments,
                os.environ,
                # Python ignores them; the command is to find their defaults, as from a shell.
                setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],
            )
        except OSError as error:
            raise MonitorError(
                f"cannot start {os.fsdecode(arguments[0])}: {error.strerror}"
                + (" (too many or too long arguments)" if error.errno == 7 else "")
            ) from error
        finally:
            os.set_inheritable(output_fd, False)

    def wait(self) -> int:
        """Until the monitor has ended: its exit status, negative if a signal killed it."""
        while True:
            told = signal.sigwaitinfo(WATCHED)
            if told.si_signo == signal.SIGCHLD:
                pid, status = os.waitpid(self._monitor, os.WNOHANG | os.WUNTRACED)
                if pid == 0:
                    continue
                if not os.WIFSTOPPED(status):
                    self._forget_late_signals()
                    return os.waitstatus_to_exitcode(status)
                # The terminal stopped the command and the monitor followed: whoever waits for us is to see it too.
                os.kill(os.getpid(), signal.SIGSTOP)
            elif told.si_code in _SENT_BY_A_PROCESS:
                os.kill(self._monitor, told.si_signo)

    def _forget_late_signals(self) -> None:
        """A Ctrl-C that ended the command is not to end the summary as well."""
        while signal.sigtimedwait(WATCHED, 0) is not None:
            pass
