"""Profilers of others: ``hiwater heap --engine NAME`` executes the command under one, and reads what it wrote.

engine = engines.engine("heaptrack")
problem = engine.missing() or engine.unfit(command, env)
prepared = engine.prepare(command, folder, env=env)
...execute prepared.command with prepared.env set...
profile = engine.collect(folder)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from hiwater.errors import MisuseError
from hiwater.heap.engines.allocators import Jemalloc, Tcmalloc
from hiwater.heap.engines.heaptrack import Heaptrack
from hiwater.heap.engines.memray import Memray
from hiwater.heap.engines.model import Engine, EngineError, Prepared, Wanted
from hiwater.heap.engines.valgrind import Dhat, Massif

__all__ = ["ENGINES", "Engine", "EngineError", "Prepared", "Wanted", "engine"]

ENGINES: Mapping[str, Callable[[], Engine]] = {
    "heaptrack": Heaptrack,
    "memray": Memray,
    "jemalloc": Jemalloc,
    "tcmalloc": Tcmalloc,
    "massif": Massif,
    "dhat": Dhat,
}
"""By the word of ``--engine``."""


def engine(name: str) -> Engine:
    """A new one, for one execution. Raises MisuseError where there is none of that name."""
    made = ENGINES.get(name)
    if made is None:
        raise MisuseError(f"{name!r} is no engine: there are {', '.join(ENGINES)}")
    return made()
