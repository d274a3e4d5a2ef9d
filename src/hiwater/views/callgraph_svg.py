"""The call graph as a picture: Graphviz draws it."""

from __future__ import annotations

import shutil
import subprocess

from hiwater.errors import HiwaterError, MisuseError

SECONDS = 120


def render(dot: str) -> str:
    """``dot`` as :mod:`hiwater.views.callgraph_dot` wrote it, as SVG."""
    require_dot()
    try:
        made = subprocess.run(["dot", "-Tsvg"], input=dot.encode(), capture_output=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise HiwaterError(f"Graphviz did not draw the graph within {SECONDS} s: fewer nodes take less") from None
    if made.returncode:
        told = made.stderr.decode("utf-8", "backslashreplace").strip().splitlines()
        raise HiwaterError(f"Graphviz could not draw the graph: {told[0] if told else f'status {made.returncode}'}")
    return made.stdout.decode("utf-8")


def require_dot() -> None:
    """Before anything is measured or read for it."""
    if shutil.which("dot") is None:
        raise MisuseError(
            "pictures of call graphs take Graphviz's dot, which is not installed: apt-get install graphviz (Debian), "
            "dnf install graphviz (Fedora); --format dot writes the text that it draws"
        )
