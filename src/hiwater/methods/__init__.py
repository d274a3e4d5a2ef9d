"""Showing why the numbers disagree: one command, measured in every way in which people measure.

``catalogue`` lists the ways, ``executor`` carries them out by the small probe, ``compare`` judges and explains.
"""

from hiwater.methods.catalogue import Tools, catalogue
from hiwater.methods.compare import compare
from hiwater.methods.executor import Executor
from hiwater.methods.model import Comparison, Interface, Launcher, Method, Outcome, Row, Start, Truth, Verdict
from hiwater.methods.tools import installed_tools

__all__ = [
    "Comparison",
    "Executor",
    "Interface",
    "Launcher",
    "Method",
    "Outcome",
    "Row",
    "Start",
    "Tools",
    "Truth",
    "Verdict",
    "catalogue",
    "compare",
    "installed_tools",
]
