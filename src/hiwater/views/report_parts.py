"""The parts of the report that tell of one recording."""

from __future__ import annotations

from datetime import datetime, timezone
from html import escape

from hiwater.analysis.process_tree import Node
from hiwater.analysis.reading import Method, Reading
from hiwater.analysis.stack import Stack
from hiwater.analysis.summary import Summary
from hiwater.recording.model import Recording
from hiwater.units import format_seconds, format_size, mib
from hiwater.views.names import command_line, shorten, title, visible
from hiwater.views.process_names import ProcessName
from hiwater.views.report_table import table
from hiwater.views.terminal import beside, ending

METHODS = {
    Method.RSS_EVENTS: "every change of it told by the kernel as an event",
    Method.RSS_SAMPLED: "read from the kernel while it ran, exact on this kernel",
    Method.VMHWM_AT_EXIT: "the kernel's high-water mark, read at the exit",
    Method.VMHWM_SAMPLED: "the kernel's high-water mark, read while it ran",
    Method.WAIT4: "told by wait4 to hiwater's own small monitor",
    Method.EXEC_FOLDED: "told by the kernel when the program was replaced",
    Method.TREE_SNAPSHOT: "all processes at one instant, shared pages counted by the kernel",
    Method.TREE_SAMPLED: "all processes at one instant, shared pages estimated",
    Method.PEAK_RSS: "that of its largest process",
}


def section(
    recording: Recording,
    nodes: list[Node],
    names: dict[int, ProcessName],
    shown: Stack,
    number: int,
    label: str | None,
    owners: str,
) -> str:
    """Everything about one recording; ``label`` names it where there are several, ``owners`` is the part that says
    where the peak went."""
    s = recording.summary
    command = escape(shorten(command_line(s.command), 300)) if s.command else "(unknown command)"
    attached = "" if s.attached is None else f"attached to pid {s.attached.pid} · "
    times = f"{format_seconds(s.wall_seconds)} {'wall' if s.attached is None else 'followed'}"
    if s.user_seconds is not None and s.system_seconds is not None:
        times += f" · {format_seconds(s.user_seconds)} user · {format_seconds(s.system_seconds)} system"
    named = f'<span class="badge">{escape(visible(label))}</span>' if label is not None else ""
    return f"""<section class="recording" id="r{number}">
<h1><code>{command}</code>{named}</h1>
<p class="sub">{attached}{escape(ending(s))} · {times}</p>
<div class="cards">
{_cards(s)}</div>
{_warnings(s)}{_timeline(recording, s, shown, number)}{owners}{table(nodes, names, s, number)}
{_host(recording)}</section>
"""


def _bounds(reading: Reading) -> str:
    if reading.low is None and reading.high is None:
        return "its bounds are not known"
    if reading.high is None:
        return f"at least <b>{mib(reading.low)}</b>; nothing bounds it from above"
    return f"between <b>{mib(reading.low)}</b> and <b>{mib(reading.high)} MiB</b>"


def _reading(title: str, reading: Reading, key: str, *notes: str) -> str:
    if reading.bytes is None:
        return (
            f'<div class="card wide" data-figure="{key}"><h2>{title}</h2><div class="big">unknown</div>'
            "<p>too little could be read; --trace sees every process</p></div>\n"
        )
    method = METHODS.get(reading.method, "") if reading.method is not None else ""
    lines = [_bounds(reading), *notes, method]
    told = "".join(f"<p>{line}</p>" for line in lines if line)
    return (
        f'<div class="card wide" data-figure="{key}" data-bytes="{reading.bytes}"><h2>{title}</h2>'
        f'<div class="big">{mib(reading.bytes)} <small>MiB</small></div>{told}</div>\n'
    )


def _cards(s: Summary) -> str:
    who = "process not seen"
    if s.peak_process is not None:
        name = title(s.peak_process.command) or s.peak_process.name
        who = f"<b>{escape(visible(name))}</b>, pid {s.peak_process.pid}"
    cards = _reading("Peak RSS of one program", s.peak_rss, "peak_rss", who)
    count = s.tree.processes
    at_once = f"{count} process{'' if count == 1 else 'es'} at once, {len(s.processes)} in all" if count else ""
    cards += _reading("Peak of the whole tree", s.tree.reading, "tree_peak", at_once)
    split = s.peak_split
    kinds = (("anonymous", split.anon_bytes), ("files", split.file_bytes), ("shared memory", split.shmem_bytes))
    known = "".join(f"<p>{name} <b>{mib(size)}</b></p>" for name, size in kinds if size is not None)
    if known:
        cards += f'<div class="card"><h2>What the largest consisted of, MiB</h2>{known}</div>\n'
    if s.demand.matters(s.tree.reading.bytes):
        told = "".join(f"<p>{name} <b>{mib(size)}</b></p>" for name, size in beside(s))
        if s.demand.total_bytes is not None:
            told += f"<p>with them the tree needed <b>{mib(s.demand.total_bytes)}</b> at most</p>"
        cards += f'<div class="card"><h2>Beside what is resident, MiB</h2>{told}</div>\n'
    if s.inherited.misleads:
        name = escape(visible(s.inherited.launcher_name or "the launcher"))
        cards += (
            '<div class="card"><h2>What wait4 would have said</h2>'
            f'<div class="big">{mib(s.inherited.wait4_would_say_bytes)} <small>MiB</small></div>'
            f"<p>inherited from <b>{name}</b>, which started it</p></div>\n"
        )
    return cards


def _warnings(s: Summary) -> str:
    if not s.warnings:
        return ""
    told = "".join(f"<li>{escape(visible(w.message))} <code>{escape(visible(w.code))}</code></li>" for w in s.warnings)
    return f'<section class="panel warnings" aria-label="Warnings"><h2>What to know</h2><ul>{told}</ul></section>\n'


def _timeline(recording: Recording, s: Summary, shown: Stack, number: int) -> str:
    tree = s.tree.reading
    peak = f"The tree peaked at {format_size(tree.bytes)}." if tree.bytes is not None else "The tree's peak is unknown."
    reduced = (
        ""
        if shown.exact
        else " There were more samples than are drawn: of each stretch the extremes are here, every one "
        "of the sum and of the largest processes."
    )
    most = max(shown.total, default=0)
    shared = ""
    if tree.bytes is not None and most > tree.bytes * 1.1:
        shared = (
            f"The stack reaches {format_size(most)}, and not the {format_size(tree.bytes)} of the tree's peak, because "
            "it counts a page that several processes share in each of them. "
        )
    once = "The dark line is the tree with every shared page counted once." if len(recording.tree_timeline) else ""
    if not shown.time_ns:
        shared = "Nothing was read while it ran, so there is nothing to draw. "
    return f"""<section class="panel" data-recording="{number}" aria-label="Timeline">
<div class="bar"><h2>Timeline</h2><span class="range sub" role="status"></span>
<div class="group" role="group" aria-label="Stack by">
<button type="button" data-by="process" aria-pressed="true">By process</button>
<button type="button" data-by="kind" aria-pressed="false">By kind</button></div>
<div class="group" role="group" aria-label="Zoom">
<button type="button" data-zoom="peak">Peak</button>
<button type="button" data-zoom="in" aria-label="Zoom in">+</button>
<button type="button" data-zoom="out" aria-label="Zoom out">−</button>
<button type="button" data-zoom="all">All</button></div></div>
<div class="chart" tabindex="0" role="group" aria-roledescription="interactive chart"
 aria-label="Memory of the process tree over time. {escape(peak)}" aria-describedby="keys{number}"></div>
<p class="sr live" aria-live="polite"></p>
<ul class="legend" aria-label="Series; press one to hide or show it"></ul>
<p class="note">{shared}The red point is the tree's peak, shared pages counted once, the line through it
reaches over its bounds. The stack is the sum of what each process had resident: it counts a shared page in each.
{once}{reduced}</p>
<p class="note keys" id="keys{number}">Drag to zoom, double-click for all; with the keyboard: arrows move the cursor, +
and − zoom, p shows the peak, 0 shows all.</p>
</section>
"""  # noqa: RUF001 - a minus sign is what is on the button


def _host(recording: Recording) -> str:
    facts, s = recording.facts, recording.summary
    sampling = s.sampling
    looked = f"{sampling.count} looks" if sampling.count is not None else "unknown"
    if sampling.period_seconds is not None:
        looked += f", one every {sampling.period_seconds * 1000:.2f} ms on average"
    if sampling.cpu_seconds is not None:
        looked += f", {format_seconds(sampling.cpu_seconds)} of CPU time"
    exact = {True: "exact on this kernel", False: "approximate on this kernel", None: None}[facts.statm_exact]
    host = [
        ("Kernel", facts.kernel),
        ("Machine", None if facts.machine is None else f"{facts.machine}, {facts.cpus or '?'} CPUs"),
        ("Memory", _large(facts.mem_total_bytes)),
        ("Swap", "none" if facts.swap_total_bytes == 0 else _large(facts.swap_total_bytes)),
        ("Transparent huge pages", facts.thp),
        ("Page size", f"{recording.page_size} bytes"),
        ("Memory cgroup", facts.cgroup),
        ("Container", facts.container or None),
    ]
    method = [
        ("Started", _moment(recording.started_realtime_ns)),
        ("Directory", facts.cwd),
        ("Mode", {"trace": "trace: every process was held at its start and exit", "quiet": "quiet: by looking only"}
         .get(facts.mode or "", facts.mode)),
        ("Looking", looked),
        ("The kernel's RSS", exact),
        ("Peak RSS by", METHODS.get(s.peak_rss.method) if s.peak_rss.method is not None else None),
        ("Tree peak by", METHODS.get(s.tree.reading.method) if s.tree.reading.method is not None else None),
        ("Started by", None if facts.launcher.name is None
         else f"{facts.launcher.name}, pid {facts.launcher.pid}, its peak {format_size(facts.launcher.hwm_bytes)}"),
    ]  # fmt: skip
    return f"""<div class="two">
<section class="panel" aria-label="Method"><h2>How it was measured</h2>{_list(method)}</section>
<section class="panel" aria-label="Host"><h2>Host</h2>{_list(host)}</section>
</div>
"""


def _large(size: int | None) -> str | None:
    """The size of a machine's memory."""
    if size is None:
        return None
    return f"{size / (1 << 30):.1f} GiB" if size >= 10 << 30 else format_size(size)


def _list(rows: list[tuple[str, str | None]]) -> str:
    told = "".join(f"<dt>{name}</dt><dd>{escape(visible(value))}</dd>" for name, value in rows if value)
    return f"<dl>{told}</dl>"


def _moment(ns: int) -> str | None:
    try:
        return f"{datetime.fromtimestamp(ns // 1_000_000_000, timezone.utc):%Y-%m-%d %H:%M:%S} UTC"
    except (OverflowError, ValueError, OSError):
        return None
