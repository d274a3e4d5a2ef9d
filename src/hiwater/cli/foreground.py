"""Runs the monitor in the place that a shell gave to hiwater: the terminal, its signals and job control belong to the
command.

The command is in our process group, so what the terminal sends (Ctrl-C, Ctrl-Z) reaches it without us; what another
process sends to hiwater is passed on to the monitor, which passes it on to the command. So that no signal is lost
between two instructions they are blocked all the time, and taken by sigwaitinfo one after another.
"""

from __future__ import annotations

import errno
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


class Companion:
    """A further child of ours, beside the monitor; this one does nothing."""

    def changed(self) -> None:
        """Some child has changed: perhaps this one."""

    def step_aside(self) -> None:
        """We are about to be stopped: the terminal belongs to the shell again when this returns."""

    def come_back(self) -> None:
        """We go on."""


class Foreground:
    """Blocks the signals when it is made; the mask of before is what the command is to start with."""

    def __init__(self) -> None:
        if signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN:
            # A launcher that ignores SIGCHLD would make the monitor vanish unwaited for.
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self.mask = frozenset(int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED))
        self._monitor = 0

    def _become(self, arguments: list[bytes], output_fd: int, tell: int) -> None:
        """In the child: never returns."""
        try:
            os.set_inheritable(output_fd, True)
            for number in (signal.SIGPIPE, signal.SIGXFSZ):
                # Python ignores them; the command is to find their defaults, as from a shell.
                signal.signal(number, signal.SIG_DFL)
            self._prepare_child()
            os.execve(arguments[0], arguments, os.environ)
        except OSError as error:
            os.write(tell, str(error.errno or errno.EIO).encode())
        finally:
            os._exit(125)

    def _prepare_child(self) -> None:
        """In the child, before it becomes the monitor."""

    def _told(self, told: signal.struct_siginfo) -> None:
        """A signal for the command."""
        if told.si_code in _SENT_BY_A_PROCESS:
            os.kill(self._monitor, told.si_signo)

    def start(self, arguments: list[bytes], output_fd: int) -> None:
        """Starts the monitor with our environment and descriptors."""
        # Not posix_spawn: glibc's leaves the signals 32 and 33 ignored in what it starts (sysdeps/unix/sysv/linux/
        # spawni.c), and the command would inherit that.
        told, tell = os.pipe()  # closed by the execve, or told its errno
        self._monitor = os.fork()
        if self._monitor == 0:
            self._become(arguments, output_fd, tell)
        os.close(tell)
        error = os.read(told, 16)
        os.close(told)
        if error:
            os.waitpid(self._monitor, 0)
            number = int(error)
            hint = ": too many or too long arguments" if number == errno.E2BIG else ""
            raise MonitorError(f"cannot start {os.fsdecode(arguments[0])}: {os.strerror(number)}{hint}")

    def wait(self, companion: Companion | None = None) -> int:
        """Until the monitor has ended: its exit status, negative if a signal killed it."""
        companion = companion or Companion()
        while True:
            told = signal.sigwaitinfo(WATCHED)
            if told.si_signo == signal.SIGCHLD:
                companion.changed()
                pid, status = os.waitpid(self._monitor, os.WNOHANG | os.WUNTRACED)
                if pid == 0:
                    continue
                if not os.WIFSTOPPED(status):
                    self._forget_late_signals()
                    return os.waitstatus_to_exitcode(status)
                # The terminal stopped the command and the monitor followed: whoever waits for us is to see it too.
                companion.step_aside()
                os.kill(os.getpid(), signal.SIGSTOP)
                companion.come_back()
            else:
                self._told(told)

    def _forget_late_signals(self) -> None:
        """A Ctrl-C that ended the command is not to end the summary as well."""
        while signal.sigtimedwait(WATCHED, 0) is not None:
            pass
