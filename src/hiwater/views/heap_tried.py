"""What other settings of malloc would give: for the terminal, the report and JSON."""

from __future__ import annotations

from html import escape
from textwrap import wrap

from hiwater.heap.model import Trim
from hiwater.heap.tried import Change, Trials, Tried
from hiwater.units import format_size, mib
from hiwater.views.names import shorten, valid, visible
from hiwater.views.paint import Paint

_FIRST = "MiB, peak RSS"
_HEADS = ("peak", "executions", "change", "CPU")


def trim(done: Trim) -> str:
    """A sentence."""
    took = f"{done.seconds * 1000:.1f} ms"
    sizes = f"RSS {mib(done.rss_before_bytes)} -> {mib(done.rss_after_bytes)} MiB, {took}"
    return f"malloc_trim(0) at exit gave back {format_size(done.given_back_bytes)} ({sizes})."


def render(trials: Trials | None, done: Trim | None, width: int, paint: Paint) -> str:
    """A table, and what follows from it; empty where nothing was tried."""
    lines: list[str] = []
    if trials is not None and trials.plain.peaks:
        lines.append(paint("bold", "What other settings of malloc give"))
        lines += ["", *_table(trials, width, paint), ""]
    if trials is not None:
        lines += _items(_sentences(trials), width, paint)
    if done is not None:
        lines += _items([trim(done)], width, paint)
    text = "".join(line.rstrip() + "\n" for line in lines)
    return text if paint.unicode else text.replace("…", "~")


def _items(sentences: list[str], width: int, paint: Paint) -> list[str]:
    dot = "·" if paint.unicode else "-"
    found = []
    for sentence in sentences:
        first, *rest = wrap(sentence, max(30, min(width, 110) - 2), break_on_hyphens=False, break_long_words=False)
        found += [f"{dot} {first}", *(f"  {line}" for line in rest)]
    return found


def _table(trials: Trials, width: int, paint: Paint) -> list[str]:
    rows = [(_name(one), _cells(trials, one), one) for one in (trials.plain, *trials.settings)]
    widths = [max(len(head), *(len(cells[at]) for _, cells, _ in rows)) for at, head in enumerate(_HEADS)]
    room = max(16, width - sum(widths) - 2 * len(widths))
    first = min(room, max(len(name) for name in (_FIRST, *(name for name, _, _ in rows))))

    def line(name: str, cells: tuple[str, ...]) -> str:
        figures = "  ".join(f"{cell:>{size}}" for cell, size in zip(cells, widths, strict=True))
        return f"{shorten(name, first):<{first}}  {figures}"

    found = [paint("dim", line(_FIRST, _HEADS))]
    for name, cells, one in rows:
        change = trials.change(one)
        style = "green" if one.name is not None and change and change.sure and change.bytes < 0 else ""
        found.append(paint(style, line(name, cells)))
    return found


def _name(tried: Tried) -> str:
    return "as it is" if tried.name is None else visible(tried.name)


def _cells(trials: Trials, tried: Tried) -> tuple[str, str, str, str]:
    """Peak, range, change, CPU time."""
    if not tried.peaks:
        return "-", "failed" if tried.failure else "", "", ""
    span = f"{mib(tried.low)} ... {mib(tried.high)}"
    if tried.name is None:
        return mib(tried.bytes), span, "", "x1.00" if tried.cpu_seconds else ""
    change = trials.change(tried)
    if change is None:
        return mib(tried.bytes), span, "", ""
    return mib(tried.bytes), span, _change(change), "" if change.cpu_ratio is None else f"x{change.cpu_ratio:.2f}"


def _change(change: Change) -> str:
    return f"{change.bytes / (1 << 20):+.1f}" if change.sure else "in the range"


def _sentences(trials: Trials) -> list[str]:
    """What a reader has to know."""
    found = []
    runs = len(trials.plain.peaks)
    if runs and trials.settings:
        found.append(_best(trials))
        found.append(
            f"Each was executed {runs} times, in turn, without the sampler; the peak is the median, executions "
            "range from the lowest bound to the highest. A change is told where it is more than twice the wider range."
            if runs > 1
            else "Each was executed once: by how much two executions differ is not known, so no change is told."
        )
        found += [
            f"Under {_name(one)} the command {visible(one.failure)}."
            for one in trials.settings
            if one.failure is not None
        ]
    if trials.note is not None:
        found.append(visible(trials.note[0].upper() + trials.note[1:]) + ".")
    return found


def _best(trials: Trials) -> str:
    best = trials.best
    change = None if best is None else trials.change(best)
    if best is None or change is None or trials.plain.bytes is None:
        return "No setting surely makes the peak smaller."
    share = -change.bytes / trials.plain.bytes
    cost = "" if change.cpu_ratio is None else f", for {change.cpu_ratio:.2f} times the CPU time"
    return (
        f"{_name(best)} makes the peak {format_size(-change.bytes)} smaller ({share:.0%}){cost}: {visible(best.what)}."
    )


def section(trials: Trials | None, done: Trim | None) -> str:
    """For the report; empty where nothing was tried."""
    if trials is None and done is None:
        return ""
    table = ""
    sentences = [] if trials is None else _sentences(trials)
    if trials is not None and trials.plain.peaks:
        heads = ("Setting", "Peak RSS, MiB", "Executions", "Change", "CPU time")
        named = "".join(
            f'<th scope="col" class="plain{" num" if at else ""}">{one}</th>' for at, one in enumerate(heads)
        )
        body = "".join(
            f'<tr><th scope="row" title="{escape(visible(one.what))}">{escape(_name(one))}</th>'
            + "".join(f'<td class="num">{escape(cell)}</td>' for cell in _cells(trials, one))
            + "</tr>\n"
            for one in (trials.plain, *trials.settings)
        )
        table = (
            '<div class="scroll" tabindex="0" role="region" aria-label="Settings of malloc"><table>'
            f'<caption class="sr">Settings of malloc</caption><thead><tr>{named}</tr></thead>'
            f"<tbody>{body}</tbody></table></div>"
        )
    if done is not None:
        sentences.append(trim(done))
    said = "".join(f"<li>{escape(text)}</li>" for text in sentences)
    return (
        '<section class="panel tried" aria-label="Other settings of malloc"><h2>What other settings of malloc give</h2>'
        f'{table}<ul class="told">{said}</ul></section>\n'
    )


def document(trials: Trials | None) -> list[dict[str, object]] | None:
    """The key ``heap.tried``: the command as it is first."""
    if trials is None:
        return None
    return [_plain(trials, one) for one in (trials.plain, *trials.settings)]


def _plain(trials: Trials, tried: Tried) -> dict[str, object]:
    change = None if tried.name is None else trials.change(tried)
    return {
        "setting": None if tried.name is None else valid(tried.name),
        "environment": {valid(name): valid(value) for name, value in tried.environment},
        "peak_rss_bytes": tried.bytes,
        "peak_rss_lower_bytes": tried.low,
        "peak_rss_upper_bytes": tried.high,
        "cpu_seconds": tried.cpu_seconds,
        "change_bytes": None if change is None else change.bytes,
        "change_is_sure": None if change is None else change.sure,
        "cpu_ratio": None if change is None else change.cpu_ratio,
        "executions": [
            {
                "peak_rss_bytes": one.bytes,
                "peak_rss_lower_bytes": one.low,
                "peak_rss_upper_bytes": one.high,
                "cpu_seconds": one.cpu_seconds,
            }
            for one in tried.peaks
        ],
        "failure": None if tried.failure is None else valid(tried.failure),
    }
