"""The ways in which people measure: a table, and nothing that runs."""

from __future__ import annotations

from dataclasses import dataclass

from hiwater.methods.model import Interface, Launcher, Method, Start


@dataclass(frozen=True, slots=True)
class Tools:
    """What is installed besides hiwater."""

    gnu_time: str | None
    """Path of GNU time."""
    env: str | None
    """Path of env, the wrapper."""


def catalogue(tools: Tools) -> tuple[Method, ...]:
    """Every method that can be carried out with these tools, in the order of the table."""
    methods = []
    for launcher in (Launcher.HOLDS, Launcher.FREED):
        methods += [
            Method("wait4 after fork", launcher, Start.FORK, Interface.WAIT4),
            Method("wait4 after vfork", launcher, Start.VFORK, Interface.WAIT4),
            Method("wait4 after posix_spawn", launcher, Start.SPAWN, Interface.WAIT4),
            Method("wait4, through env", launcher, Start.SPAWN, Interface.WAIT4_WRAPPED),
            Method("getrusage on the first line", launcher, Start.SPAWN, Interface.FIRST_LINE),
        ]
    methods += [
        Method("wait4 after fork", Launcher.SMALL, Start.FORK, Interface.WAIT4),
        Method("RUSAGE_CHILDREN", Launcher.AFTER_BIGGER, Start.FORK, Interface.CHILDREN),
        Method("GNU time", Launcher.HOLDS, Start.SPAWN, Interface.GNU_TIME),
        Method("RSS, 10 times a second", Launcher.HOLDS, Start.FORK, Interface.POLLED),
        Method("VmHWM at exit", Launcher.HOLDS, Start.FORK, Interface.EXIT_STOP),
        Method("hiwater run", Launcher.HOLDS, Start.SPAWN, Interface.HIWATER_QUIET),
        Method("hiwater run --trace", Launcher.HOLDS, Start.SPAWN, Interface.HIWATER_TRACE),
    ]
    missing = {Interface.GNU_TIME: tools.gnu_time, Interface.WAIT4_WRAPPED: tools.env}
    return tuple(method for method in methods if missing.get(method.interface, "there") is not None)
