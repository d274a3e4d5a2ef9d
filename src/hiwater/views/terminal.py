"""The summary people see after a command: a few dense lines, each figure with its bounds."""

from __future__ import annotations

import signal

from hiwater.analysis.reading import Reading
from hiwater.analysis.summary import Attached, Summary
from hiwater.recording.model import Recording, Rss
from hiwater.units import format_seconds, format_size, mib
from hiwater.views import limit_view
from hiwater.views.names import command_line, shorten, visible
from hiwater.views.style import DASH, Style

LABEL = 9


def render(recording: Recording, *, width: int = 100, color: bool = False) -> str:
    """The lines, each with a newline at its end."""
    style = Style(color)
    summary = recording.summary
    lines = [_headline(summary, width, style)]
    if summary.peak_rss.bytes is not None:
        lines += [
            _peak(summary, style, width),
            *_before(summary, style),
            *_tree(summary, style),
            *_beside(summary, width),
            *_inherited(summary, style, width),
        ]
        lines += [*_phases(summary), *_events(summary)]
    elif summary.ended_by != "not_started":
        lines.append("  peak RSS  unknown: nothing could be read")
    lines += limit_view.lines(recording, style, width)
    lines += [style.alarm(f"  warning: {visible(w.message)}") for w in summary.warnings]
    return "".join(line + "\n" for line in lines)


def _flow(head: str, head_width: int, parts: list[str], width: int, indent: int) -> str:
    """``head`` and as many ``parts`` behind it as fit, dots between them; the others on a line of their own."""
    lines, used, first = [head], head_width, True
    for part in parts:
        joint = " " if first else " · "
        if used + len(joint) + len(part) > width and used > indent:
            lines.append(" " * indent + part)
            used = indent + len(part)
        else:
            lines[-1] += joint + part
            used += len(joint) + len(part)
        first = False
    return "\n".join(line.rstrip() for line in lines)


def _headline(s: Summary, width: int, style: Style) -> str:
    if s.attached is not None:
        return _attached_headline(s, s.attached, width, style)
    times = f"{format_seconds(s.wall_seconds)} wall"
    if s.user_seconds is not None and s.system_seconds is not None:
        times += f", {format_seconds(s.user_seconds)} user, {format_seconds(s.system_seconds)} system"
    end = ending(s)
    # The name gives way first, but not so far that it cannot be recognized.
    room = max(24, width - len(f"hiwater:  · {end} · {times}"))
    name = shorten(command_line(s.command), room) if s.command else "(unknown command)"
    head = f"hiwater: {style.figure(name)} ·"
    return _flow(head, len(f"hiwater: {name} ·"), [end, times], width, len("hiwater: "))


def _attached_headline(s: Summary, attached: Attached, width: int, style: Style) -> str:
    name = shorten(visible(attached.name), max(16, width // 3))
    length = "" if s.wall_seconds is None else f", for {format_seconds(s.wall_seconds)}"
    head, rest = f"hiwater: attached to {style.figure(name)}", f", pid {attached.pid}{length} ·"
    return _flow(head + rest, len(f"hiwater: attached to {name}{rest}"), [ending(s)], width, len("hiwater: "))


def ending(s: Summary) -> str:
    """How the command ended, in a few words."""
    if s.ended_by is None:
        return "recording cut before the end"
    if s.ended_by in ("detached", "gone"):
        return "it goes on" if s.ended_by == "detached" else "it ended"
    if s.ended_by == "not_started":
        return "not started"
    if s.ended_by == "timeout":
        return "ended by its time-out"
    if s.term_signal is None:
        return f"exit {s.exit_code}"
    try:
        name = signal.Signals(s.term_signal).name
    except ValueError:
        name = f"signal {s.term_signal}"
    return f"killed by the kernel: out of memory ({name})" if s.ended_by == "oom" else f"ended by {name}"


def _figure(label: str, reading: Reading, style: Style) -> str:
    size = f"{mib(reading.bytes):>7} MiB"
    high = mib(reading.high) if reading.high is not None else "?"
    bounds = f"({mib(reading.low)} {DASH} {high})"
    return f"  {label:<{LABEL}} {style.figure(size)}  {style.aside(f'{bounds:<17}')}"


def _peak(s: Summary, style: Style, width: int) -> str:
    who = "process not seen"
    if s.peak_process is not None:
        who = f"{shorten(visible(s.peak_process.name), max(16, width // 4))}, pid {s.peak_process.pid}"
    split = s.peak_split
    parts = [("anon", split.anon_bytes), ("file", split.file_bytes), ("shmem", split.shmem_bytes)]
    known = [f"{name} {mib(size)}" for name, size in parts if size is not None]
    if s.peak_swap_bytes:
        known.append(f"swapped out {mib(s.peak_swap_bytes)}")
    head = _figure("peak RSS", s.peak_rss, style)
    return _flow(head, len(_figure("peak RSS", s.peak_rss, Style(False))), [who, *known], width, LABEL + 3)


def _before(s: Summary, style: Style) -> list[str]:
    """Only where what was watched is not what peaked."""
    if s.attached is None or not s.attached.peaked_before or s.attached.seen_since_bytes is None:
        return []
    if s.attached.seen_since_bytes >= (s.peak_rss.low or 0):
        return []
    since = f"reached before attaching; the most seen since is {format_size(s.attached.seen_since_bytes)}"
    return [style.aside(f"  {'':<{LABEL}} {since}")]


def _tree(s: Summary, style: Style) -> list[str]:
    """Only where there was a tree."""
    found = len(s.processes)
    if found <= 1 and (s.processes_alive_max or 1) <= 1:
        return []
    reading = s.tree.reading
    if reading.bytes is None:
        return [f"  {'tree peak':<{LABEL}} unknown: the processes were too short-lived to be seen; try --trace"]
    at_once = s.tree.processes or 1
    counts = f"{at_once} process{'es' if at_once != 1 else ''} at once, {found} in all"
    return [f"{_figure('tree peak', reading, style)} {counts}"]


def _beside(s: Summary, width: int) -> list[str]:
    """Only where demand is clearly more than what was resident."""
    if not s.demand.matters(s.tree.reading.bytes):
        return []
    parts = [f"{name} {mib(size)}" for name, size in beside(s)]
    if s.demand.total_bytes is not None:
        parts.append(f"with it {format_size(s.demand.total_bytes)} at most")
    head = f"  {'not in it':<{LABEL}}"
    return _flow(head, len(head), parts, width, LABEL + 3).split("\n")


def beside(s: Summary) -> list[tuple[str, int]]:
    """What of swap, page tables and hugetlb pages there was, at most, in bytes."""
    demand = s.demand
    sizes = (
        ("swapped out", demand.swap_bytes),
        ("page tables", demand.page_tables_bytes),
        ("hugetlb pages", demand.hugetlb_bytes),
    )
    return [(name, size) for name, size in sizes if size]


def _inherited(s: Summary, style: Style, width: int) -> list[str]:
    """Only where the launcher's size would have been taken for the command's."""
    floor, peak = s.inherited.launcher_peak_bytes, s.peak_rss.bytes
    if not s.inherited.misleads or floor is None or peak is None:
        return []
    name = visible(s.inherited.launcher_name or "the launcher")
    claim = f"  wait4 in {name} (pid {s.inherited.launcher_pid}) would have said {format_size(floor)}:"
    truth = f"{format_size(floor - peak)} of it inherited from {name}"
    return [style.alarm(line) for line in _flow(claim, len(claim), [truth], width, 4).split("\n")]


def _phases(s: Summary) -> list[str]:
    """The command's own first and last instant, where both were seen."""
    image = s.command_image
    if image is None or image.start is None or image.exit is None:
        return []
    change = Rss(
        _difference(image.start.rss_bytes, image.exit.rss_bytes),
        _difference(image.start.anon_bytes, image.exit.anon_bytes),
        _difference(image.start.file_bytes, image.exit.file_bytes),
        _difference(image.start.shmem_bytes, image.exit.shmem_bytes),
    )
    shared = any((image.start.shmem_bytes, image.exit.shmem_bytes))
    rows = (("Startup:", image.start, ""), ("Exit:", image.exit, ""), ("Change:", change, "+"))
    return [f"  {label:<{LABEL}} {_split(rss, sign, shared)}" for label, rss, sign in rows]


def _events(s: Summary) -> list[str]:
    """That every change was followed, and whether all of them came."""
    if s.events is None:
        return []
    lost = f"{s.events.lost} lost" if s.events.lost else "none lost"
    return [f"  {'events':<{LABEL}} {s.events.count} changes of memory followed, {lost}"]


def _difference(start: int | None, end: int | None) -> int | None:
    return None if start is None or end is None else end - start


def _split(rss: Rss, sign: str, shared: bool) -> str:
    """``rss 1.61 MiB, anon 0.16, file 1.45``: two decimals, programs being small at their start."""

    def amount(size: int | None) -> str:
        return "?" if size is None else f"{size / (1 << 20):{sign}.2f}"

    text = f"rss {amount(rss.rss_bytes)} MiB, anon {amount(rss.anon_bytes)}, file {amount(rss.file_bytes)}"
    return f"{text}, shmem {amount(rss.shmem_bytes)}" if shared else text
