"""What went wrong on the way from addresses to names. Nothing of it keeps a profile from being shown."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Trouble(str, Enum):
    """What is missing, or cannot be trusted."""

    FILE_MISSING = "file_missing"
    """The program or library is not there any more."""
    FILE_CHANGED = "file_changed"
    """Another one has its name now: the build-id differs. It was not used."""
    FILE_DAMAGED = "file_damaged"
    NO_NAMES = "no_names"
    """It was stripped of its symbols, and no file with them was found."""
    NO_LINES_TOOL = "no_lines_tool"
    """It has line numbers, but neither llvm-symbolizer nor addr2line is installed."""
    TOOL_FAILED = "tool_failed"
    TOOL_TIMEOUT = "tool_timeout"
    DEBUG_FILE_CHANGED = "debug_file_changed"
    """A file with debug information is of another build. It was not used."""
    DEBUGINFOD_FAILED = "debuginfod_failed"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class SymbolWarning:
    """One thing that a reader of the names has to know."""

    kind: Trouble
    path: str
    """Of the program or library."""
    message: str
    """A sentence, which ends with what mends it where something does."""
