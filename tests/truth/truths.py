"""What the programs said about themselves (the lines that programs/truth.h describes)."""

from dataclasses import dataclass

PAGE = 4096


@dataclass(frozen=True)
class Line:
    """One report of one program."""

    kind: str
    """`image` or `tree`."""
    values: dict[str, str]

    def bytes(self, key: str) -> int:
        return int(self.values[key])


@dataclass(frozen=True)
class Truth:
    """The exact peaks of one execution, in bytes."""

    peak_rss_bytes: int
    """The largest peak among the images that reported."""
    tree_peak_bytes: int | None
    """The largest number of distinct resident pages of the tree; None: nobody counted."""
    tree_missed_bytes: int = 0
    """So much more it may have been: programs/family.h adds up shares that the kernel rounds down to 1 KiB."""


def parse_line(text: str) -> Line:
    kind, *fields = text.split()
    return Line(kind, dict(field.split("=", 1) for field in fields))


def parse(text: str) -> Truth:
    lines = [parse_line(line) for line in text.splitlines()]
    images = [line.bytes("peak_rss_bytes") for line in lines if line.kind == "image"]
    trees = [(line.bytes("tree_peak_bytes"), missed(line.bytes("processes"))) for line in lines if line.kind == "tree"]
    if not images:
        raise AssertionError(f"the program did not state its truth: {text!r}")
    return Truth(max(images), *max(trees, default=(None, 0)))


def missed(processes: int) -> int:
    """The most that rounding takes from the count of a family: whole pages, none with up to four processes."""
    return (processes - 1) // 4 * PAGE
