"""Two heap profiles for the terminal: what grew, what shrank, and how sure that is."""

from __future__ import annotations

from textwrap import wrap

from hiwater.heap.compare import Change, HeapComparison, Verdict
from hiwater.heap.sites import By
from hiwater.units import mib
from hiwater.views import heap_words as words
from hiwater.views.names import shorten, visible
from hiwater.views.paint import Paint

LIMIT = 20
_FIGURES = "{:>9} {:>7} {:>9} {:>9}  "
_SAID = {
    Verdict.GREW: "It grew, by more than sampling explains.",
    Verdict.SHRANK: "It shrank, by more than sampling explains.",
    Verdict.UNSURE: "Whether it grew or shrank cannot be told: the difference is no larger than sampling makes it.",
    Verdict.SAME: "It is the same.",
}


def render(
    found: HeapComparison,
    *,
    labels: tuple[str, str] = ("old", "new"),
    width: int = 100,
    color: bool = False,
    unicode: bool = True,
    limit: int | None = LIMIT,
) -> str:
    """``labels`` are what the two profiles are called, such as the names of their files."""
    paint = Paint(color, unicode)
    lines = [
        paint("bold", shorten(f"heap in use by {found.by}, from {visible(labels[0])} to {visible(labels[1])}", width))
    ]
    for label, profile, snapshot in ((labels[0], found.old, found.before), (labels[1], found.new, found.after)):
        when = words.moment(profile, snapshot)
        said = f"{visible(label)}: {words.who(profile)}, {when}: {words.sizes(profile, snapshot)}"
        lines += wrap(said, max(30, min(width, 110)), break_on_hyphens=False)
    lines += ["", paint("dim", _FIGURES.format("change", "±", "before", "after") + f"{found.by}")]
    for verdict in (Verdict.GREW, Verdict.SHRANK):
        some = found.of(verdict)
        shown = some if limit is None else some[:limit]
        lines += [_row(change, found.by, width, paint) for change in shown]
        if len(some) > len(shown):
            lines.append(_rest(some[len(shown) :], f"{len(some) - len(shown)} more that {verdict}", paint))
    unsure = found.of(Verdict.UNSURE)
    if unsure:
        lines.append(_rest(unsure, f"{len(unsure)} whose difference is no larger than sampling makes it", paint))
    same = found.of(Verdict.SAME)
    if same:
        lines.append(_rest(same, f"{len(same)} unchanged", paint))
    whole = found.whole
    lines += [f" {('─' if unicode else '-') * 8}", paint("bold", _figures(whole) + "in all"), ""]
    lines += wrap(_SAID[whole.verdict], max(30, min(width, 110)))
    note = "The errors are those of sampling. Two executions differ beyond that: repeat them to know by how much."
    lines += [paint("dim", line) for line in wrap(note, max(30, min(width, 110)))]
    text = "".join(line.rstrip() + "\n" for line in lines)
    return text if unicode else text.replace("±", "+-").replace("…", "~")


def _figures(change: Change) -> str:
    error = mib(change.standard_error_bytes, 2) if change.variance else ""
    more = change.change_bytes / (1 << 20)
    return _FIGURES.format(f"{more:+.2f}", error, mib(change.before_bytes, 2), mib(change.after_bytes, 2))


def _row(change: Change, by: By, width: int, paint: Paint) -> str:
    figures = _figures(change)
    name = words.name(change.key, by_library=by is By.LIBRARY)
    if by is not By.LIBRARY:
        where = words.library(change.key)
        name += f" ({where})" if where else ""
    news = ", new" if not change.before_bytes else ", gone" if not change.after_bytes else ""
    text = shorten(name, max(16, width - len(figures) - len(news))) + news
    return paint("yellow" if change.verdict is Verdict.GREW else "green", figures) + text


def _rest(some: tuple[Change, ...], text: str, paint: Paint) -> str:
    before, after = sum(one.before_bytes for one in some), sum(one.after_bytes for one in some)
    whole = Change(some[0].key, before, after, sum(one.variance for one in some), some[0].verdict)
    return paint("dim", _figures(whole) + text)
