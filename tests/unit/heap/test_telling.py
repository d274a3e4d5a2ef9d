"""What a reader of a profile hears of names that are missing."""

from __future__ import annotations

from dataclasses import replace

from tests.unit.heap.profiles import profile

from hiwater.heap.symbols.telling import sentences
from hiwater.heap.symbols.trouble import SymbolWarning, Trouble


def test_missing_names_are_told_of_what_holds_memory() -> None:
    """A stripped library that holds next to nothing is no news; a file of another build always is."""
    told, _ = profile(
        "main > app+0x10!/bin/app: 96", "main > libx+0x10!/lib/libx.so: 4", "main > y!/lib/y.so: 900 mmap"
    )
    warnings = [
        SymbolWarning(kind, path, f"{kind} {path}")
        for kind in (Trouble.NO_NAMES, Trouble.FILE_CHANGED, Trouble.NO_LINES_TOOL)
        for path in ("/bin/app", "/lib/libx.so", "/lib/y.so")
    ]
    assert sentences([*warnings, *warnings], told) == (
        "no_names /bin/app",
        "file_changed /bin/app",
        "file_changed /lib/libx.so",
        "file_changed /lib/y.so",
        "no_lines_tool /bin/app",
    )
    assert sentences(warnings[:3], replace(told, peak=None)) == ()
