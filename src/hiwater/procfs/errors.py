"""What the parsers raise."""

from __future__ import annotations


class MalformedFileError(ValueError):
    """A kernel file that does not look as documented; the message names the file and quotes what was found."""

    def __init__(self, file: str, found: bytes) -> None:
        super().__init__(f"{file} is not in the kernel's format: {found[:80]!r}")
        self.file = file
        self.found = found
