"""The process that shows the live view: a sibling of the monitor, so nothing of it is inherited by the command.

Descriptors 0, 1 and 2 are the terminal. It is started with signals blocked and in hiwater's process group; what the
terminal sends (Ctrl-C, Ctrl-Z) is not for it. hiwater tells it by SIGUSR1 to give the screen back and to stop, by
SIGCONT to go on, and by SIGTERM to end.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hiwater.live.app import LiveApp
    from hiwater.live.driver import TerminalDriver

_LOOK_SECONDS = 0.25


def main(fd: int, ready: int, parent: int, quit_does: str, color: bool) -> int:
    """``fd``: the recording. ``ready`` is closed when the command may start: the view is there, or waits for its turn.
    The exit status: 0 the recording ended, 3 the view was closed, else it failed."""
    _settle_signals()
    from hiwater.live.app import QUIT, LiveApp
    from hiwater.live.driver import TerminalDriver, in_foreground
    from hiwater.live.screen import Looks
    from hiwater.recording.follow import Follower

    begin: Callable[[], None] | None = partial(os.close, ready)
    if not in_foreground():
        os.close(ready)
        begin = None
    while not in_foreground():  # started with &: until fg
        if os.getppid() != parent or not os.isatty(0):
            return 0
        time.sleep(_LOOK_SECONDS)
    looks = Looks(sys.__stdout__.encoding if sys.__stdout__ is not None else "ascii", quit_does)
    app = LiveApp(Follower(fd), looks, color=color, driver_class=TerminalDriver, shown=begin)

    async def show() -> int | None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, app.exit, QUIT)
        loop.add_signal_handler(signal.SIGUSR1, _step_aside, app)
        watch = loop.create_task(_watch(app, parent))
        try:
            return await app.run_async(mouse=False)
        finally:
            watch.cancel()

    status = asyncio.run(show())
    return app.return_code or status or 0


def _settle_signals() -> None:
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU):
        signal.signal(number, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGUSR1, lambda *_: os.kill(os.getpid(), signal.SIGSTOP))
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _driver(app: LiveApp) -> TerminalDriver | None:
    from hiwater.live.driver import TerminalDriver

    return app._driver if isinstance(app._driver, TerminalDriver) else None


def _step_aside(app: LiveApp) -> None:
    """The command was stopped: the shell is to find its terminal as it was."""
    driver = _driver(app)
    if driver is not None:
        driver.leave()
    os.kill(os.getpid(), signal.SIGSTOP)
    if driver is not None and driver.enter():
        app.refresh(layout=True)


async def _watch(app: LiveApp, parent: int) -> None:
    """Comes back to the screen when it is our turn again, and ends when hiwater is gone."""
    while os.getppid() == parent:
        driver = _driver(app)
        if driver is not None and app.is_running and not driver.shown and driver.enter():
            app.refresh(layout=True)
        await asyncio.sleep(_LOOK_SECONDS)
    app.exit()
