"""Where hiwater's own C programs are, and its library."""

from __future__ import annotations

import os

from hiwater.errors import BinaryNotFoundError


def find_monitor() -> str:
    """The path of ``hiwater-monitor``; the variable HIWATER_MONITOR overrides it."""
    return _find("monitor")


def find_probe() -> str:
    """The path of ``hiwater-probe``; the variable HIWATER_PROBE overrides it."""
    return _find("probe")


def find_heap_sampler() -> str:
    """The path of ``libhiwater-heap.so``, to be preloaded; the variable HIWATER_HEAP_LIBRARY overrides it."""
    chosen = os.environ.get("HIWATER_HEAP_LIBRARY")
    path = chosen or os.path.join(os.path.dirname(__file__), "bin", "libhiwater-heap.so")
    if os.path.isfile(path) and os.access(path, os.R_OK):
        return os.path.abspath(path)
    if chosen:
        raise BinaryNotFoundError(
            f"HIWATER_HEAP_LIBRARY={chosen} is no readable file: mend or unset HIWATER_HEAP_LIBRARY"
        )
    raise BinaryNotFoundError(
        f"libhiwater-heap.so is missing from this installation ({path}): it is built where the C library is glibc; "
        "install hiwater with `pip install .` on such a machine with a C compiler, or point "
        "HIWATER_HEAP_LIBRARY at a built one"
    )


def _find(name: str) -> str:
    variable = f"HIWATER_{name.upper()}"
    chosen = os.environ.get(variable)
    path = chosen or os.path.join(os.path.dirname(__file__), "bin", f"hiwater-{name}")
    if os.access(path, os.X_OK) and not os.path.isdir(path):
        return os.path.abspath(path)
    if chosen:
        raise BinaryNotFoundError(f"{variable}={chosen} is no executable file: mend or unset {variable}")
    raise BinaryNotFoundError(
        f"hiwater-{name} is missing from this installation ({path}): "
        "install hiwater with `pip install .` on a machine with a C compiler, or point "
        f"{variable} at a built one"
    )
