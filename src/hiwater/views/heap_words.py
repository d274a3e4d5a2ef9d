"""What is said about a heap profile, wherever it is shown."""

from __future__ import annotations

from hiwater.heap.course import Form, Shape, form
from hiwater.heap.model import ASKED, Engine, HeapProfile, Snapshot
from hiwater.heap.rows import Key
from hiwater.heap.sites import UNKNOWN
from hiwater.heap.symbols.names import short_name
from hiwater.units import format_seconds, format_size, mib
from hiwater.views.names import command_line, visible

ENGINES = {
    Engine.HIWATER: "hiwater's own sampler",
    Engine.HEAPTRACK: "heaptrack, which counts every allocation",
    Engine.MASSIF: "Valgrind's massif, which counts every allocation",
    Engine.DHAT: "Valgrind's dhat, which counts every allocation",
    Engine.MEMRAY: "memray",
    Engine.GPERFTOOLS: "gperftools' tcmalloc",
    Engine.JEMALLOC: "jemalloc's own profiling",
    Engine.OTHER: "another tool, which does not name itself",
    Engine.FAULTS: "page faults: it is whoever touched memory first, not who holds it",
}


def held(profile: HeapProfile) -> str:
    """What its bytes are, behind a size."""
    return "touched for the first time" if profile.engine is Engine.FAULTS else "in use"


def is_estimated(snapshot: Snapshot) -> bool:
    """Whether any of its sizes is an estimate."""
    return any(one.variance > 0 for one in snapshot.holdings)


def amount(size: int, error: int, plus_minus: str = "±") -> str:
    """``42.0 ± 1.6 MiB``; of what was counted without the second figure."""
    return f"{mib(size)} {plus_minus} {mib(error)} MiB" if error else format_size(size)


def base(path: str | None) -> str:
    """The last part of a path."""
    return "" if path is None else visible(path.rstrip("/").rpartition("/")[2])


def function(key: Key) -> str:
    """Who, in a table by function or line."""
    if key.function:
        return visible(key.function if key.python else short_name(key.function))
    if key.library is not None:
        return base(key.library) + (f"+0x{key.address:x}" if key.address is not None else "")
    return UNKNOWN


def place(key: Key) -> str:
    """``file:line``, as much of it as is known."""
    if key.file is None:
        return ""
    return base(key.file) + (f":{key.line}" if key.line is not None else "")


def library(key: Key) -> str:
    """Whose code: a program or library, or Python."""
    if key.library is not None:
        return base(key.library)
    return "Python" if key.python else ""


def name(key: Key, *, by_library: bool = False) -> str:
    """One name for all that a key tells."""
    if not by_library:
        where = place(key) if key.line is not None else ""
        return f"{function(key)} {where}".rstrip()
    return (base(key.file) if key.python else base(key.library)) or UNKNOWN


def who(profile: HeapProfile) -> str:
    """The program, as a headline."""
    text = command_line(profile.command) or visible(profile.name or "") or "(unknown program)"
    return text if profile.pid is None else f"{text} (pid {profile.pid})"


def moment(profile: HeapProfile, snapshot: Snapshot) -> str:
    """``at the peak, 1.60 s``."""
    said = "at its peak" if snapshot is profile.peak else "at exit" if snapshot is profile.exit else ""
    if snapshot.label == ASKED and snapshot.at_seconds is not None:
        return f"at {format_seconds(snapshot.at_seconds)}"
    if not said:
        said = "at a moment of its growth" if snapshot.label in ("", "growth") else visible(snapshot.label)
    return said if snapshot.at_seconds is None else f"{said}, {format_seconds(snapshot.at_seconds)}"


def method(profile: HeapProfile) -> str:
    """Who measured, and how: one sentence."""
    said = f"Measured by {ENGINES.get(profile.engine, str(profile.engine))}"
    if profile.samples is not None and profile.sample_bytes is not None:
        said += f": {profile.samples:,} samples, one in {size_words(profile.sample_bytes)} on average at the peak"
    elif profile.sample_bytes is not None:
        said += f": one sample in {size_words(profile.sample_bytes)} on average"
    return f"{said}."


def size_words(size: int) -> str:
    """Small sizes in KiB."""
    return f"{size / 1024:,.4g} KiB" if size < 1 << 20 else format_size(size)


def lost(profile: HeapProfile) -> str | None:
    """A sentence, if samples were lost."""
    if not profile.lost_samples:
        return None
    count = "1 sample was" if profile.lost_samples == 1 else f"{profile.lost_samples:,} samples were"
    return f"{count} lost: the sizes are too small by what they stand for."


def sizes(profile: HeapProfile, snapshot: Snapshot) -> str:
    """``60.1 ± 0.9 MiB in use, estimated; RSS 81.0 MiB``."""
    parts = [f"{amount(snapshot.in_use_bytes, snapshot.standard_error_bytes)} {held(profile)}"]
    if is_estimated(snapshot):
        parts[0] += ", estimated"
    if snapshot.rss_bytes is not None:
        parts.append(f"RSS {format_size(snapshot.rss_bytes)}")
    return "; ".join(parts)


def shape(profile: HeapProfile) -> str | None:
    """Ramp or spike, in a sentence; ``None`` where there is nothing to say."""
    if profile.engine is Engine.FAULTS:
        return None
    return shape_words(form(profile))


def shape_words(told: Form) -> str | None:
    """The same from the figures."""
    if told.peak_bytes is None or told.exit_bytes is None or told.gone_bytes is None:
        return None
    at = "" if told.at_seconds is None else f" at {format_seconds(told.at_seconds)}"
    stays = f"{_percent(told.exit_bytes, told.peak_bytes)} of the peak is there at exit"
    by = ""
    if told.cause is not None and told.cause_bytes is not None:
        by = f"; {format_size(told.cause_bytes)} of that was {name(told.cause.key)}"
    if told.shape is Shape.SPIKE:
        return f"A spike of {format_size(told.gone_bytes)}{at}{by}; {stays}."
    if told.shape is Shape.HILL:
        return f"A hill: {format_size(told.gone_bytes)} of its peak{at} is given back before the exit{by}; {stays}."
    if told.shape is Shape.PLATEAU:
        return f"A plateau: it is reached early and kept; {stays}."
    if told.shape is Shape.RAMP:
        way = "straight ramp" if told.straight else "ramp, in steps"
        return f"A {way}: what is allocated stays; {stays}."
    return f"{stays[0].upper()}{stays[1:]}; what the course was in between is not known."


def _percent(part: int, whole: int) -> str:
    share = part / whole
    return "none" if part == 0 else f"{share:.0%}" if 0.005 <= share <= 0.995 or share >= 1 else f"{share:.1%}"


def apart(plain: int | None, sampled: int | None) -> str | None:
    """How far the number and its explanation lie apart."""
    if plain is None or sampled is None:
        known = plain if plain is not None else sampled
        which = "without" if plain is not None else "with"
        return None if known is None else f"Peak RSS {which} the sampler: {format_size(known)}."
    change = sampled - plain
    share = f", {change / plain:+.1%}" if plain else ""
    far = "" if abs(change) <= max(8 << 20, plain // 20) else " These are two different executions: compare with care."
    return (
        f"Peak RSS {format_size(plain)} in an execution without the sampler, {format_size(sampled)} in the one with it "
        f"({'+' if change >= 0 else '-'}{mib(abs(change))} MiB{share}).{far}"
    )
