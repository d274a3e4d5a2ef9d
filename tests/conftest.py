"""What all tests expect of the process that they run in."""

from __future__ import annotations

import signal

# Background jobs of a script ignore SIGINT, nohup SIGHUP, and so would every command that the tests start and signal.
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.default_int_handler if number is signal.SIGINT else signal.SIG_DFL)
