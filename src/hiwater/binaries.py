"""Where hiwater's own C programs are."""

from __future__ import annotations

import os

from hiwater.errors import BinaryNotFoundError


def find_monitor() -> str:
    """The path of ``hiwater-monitor``; the variable HIWATER_MONITOR overrides it."""
    return _find("monitor")


def find_probe() -> str:
    """The path of ``hiwater-probe``; the variable HIWATER_PROBE overrides it."""
    return _find("probe")


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
