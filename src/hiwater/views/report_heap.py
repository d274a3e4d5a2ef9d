"""The part of the report that says who held the heap: what it looks like without a script, and where the script
draws."""

from __future__ import annotations

from html import escape

from hiwater.heap.choose import moments
from hiwater.heap.model import HeapProfile, Snapshot
from hiwater.heap.rows import HeapRow, rows
from hiwater.heap.sites import By
from hiwater.units import mib
from hiwater.views import flame_svg
from hiwater.views import heap_words as words
from hiwater.views.names import shorten, visible

MOST_ROWS = 30
_LEAST = 0.004
"""Of the flame graph without a script: narrower boxes are left out."""


def section(profile: HeapProfile, number: int) -> str:
    """Everything about one profile; ``number`` is its place in the data of the page."""
    shown = moments(profile)
    said = "".join(f"<li>{escape(text)}</li>" for text in _sentences(profile))
    name = escape(shorten(words.who(profile), 90))
    if not shown:
        return (
            f'<section class="panel" aria-label="Heap"><h2>Heap of {name}</h2><p class="sub">It is empty.</p>'
            f'<ul class="told">{said}</ul></section>\n'
        )
    first = profile.peak or shown[-1]
    options = "".join(
        f'<option value="{at}"{" selected" if one is first else ""}>{escape(_option(profile, one))}</option>'
        for at, one in enumerate(shown)
    )
    return f"""<section class="panel heap" data-heap="{number}" aria-label="Heap of {name}">
<div class="bar"><h2>Who held the heap</h2><span class="sub">{name}</span></div>
<div class="heap-live" hidden>
<div class="bar"><label class="choice">Moment <select>{options}</select></label>
<span class="group"><button type="button" data-step="-1" aria-label="The moment before">&lsaquo;</button>
<button type="button" data-step="1" aria-label="The moment after">&rsaquo;</button></span>
<span class="sub sizes" role="status"></span></div>
<div class="heap-course" aria-hidden="true"></div>
<div class="bar tools">
<div class="group" role="group" aria-label="Show as">
<button type="button" data-mode="flame" aria-pressed="true">Flame graph</button>
<button type="button" data-mode="table" aria-pressed="false">Table</button>
<button type="button" data-mode="graph" aria-pressed="false">Call graph</button></div>
<div class="group" role="group" aria-label="By">
<button type="button" data-by="function" aria-pressed="true">Function</button>
<button type="button" data-by="line" aria-pressed="false">Line</button>
<button type="button" data-by="library" aria-pressed="false">Library</button></div>
<button type="button" class="invert" aria-pressed="false">Call sites first</button>
<button type="button" class="whole" hidden>Whole graph</button>
<label class="search"><span class="sr">Find calls that contain</span>
<input type="search" placeholder="Find function, file, library" autocomplete="off"></label>
<span class="sub matches" role="status"></span></div>
<div class="heap-view"></div>
<p class="heap-detail" aria-live="polite"></p>
<ul class="legend heap-legend" aria-label="Libraries"></ul>
<p class="note keys">A box is as wide as what was held through it. Click or Enter looks into one, Escape goes back;
arrows move from call to call.</p>
</div>
<div class="heap-static">
<p class="sub">{escape(words.moment(profile, first)[:1].upper() + words.moment(profile, first)[1:])}:
{escape(words.sizes(profile, first))}.</p>
<div class="scroll" tabindex="0" role="region" aria-label="Call sites">{_table(profile, first)}</div>
<div class="flame-static">{flame_svg.render(profile, first, least=_LEAST)}</div></div>
<ul class="told">{said}</ul>
</section>
"""


def _option(profile: HeapProfile, snapshot: Snapshot) -> str:
    return f"{words.moment(profile, snapshot)}: {mib(snapshot.in_use_bytes)} MiB"


def _sentences(profile: HeapProfile) -> list[str]:
    found = [words.shape(profile), words.method(profile), words.lost(profile), *map(visible, profile.notes)]
    return [text for text in found if text is not None]


def _table(profile: HeapProfile, snapshot: Snapshot) -> str:
    found = [row for row in rows(profile, snapshot, By.LINE) if not row.key.mapped]
    sure = [row for row in found if row.told]
    body = "".join(_row(row, snapshot.in_use_bytes) for row in sure[:MOST_ROWS])
    rest = sure[MOST_ROWS:]
    small = [row for row in found if not row.told]
    for some, text in ((rest, "more"), (small, "too small to tell")):
        if some:
            size = sum(row.in_use_bytes for row in some)
            body += (
                f'<tr><td class="num">{mib(size, 2)}</td><td></td>'
                f'<td class="num">{_share(size, snapshot.in_use_bytes)}</td>'
                f'<td colspan="3">{len(some):,} {text}</td></tr>\n'
            )
    heads = ("MiB", "±", "Share", "Call site", "Where", "Library")
    named = "".join(
        f'<th scope="col" class="plain{" num" if at < 3 else ""}">{head}</th>' for at, head in enumerate(heads)
    )
    return (
        f'<table><caption class="sr">Call sites</caption><thead><tr>{named}</tr></thead><tbody>{body}</tbody></table>'
    )


def _row(row: HeapRow, whole: int) -> str:
    key = row.key
    error = mib(row.standard_error_bytes, 2) if row.variance else ""
    return (
        f'<tr><td class="num">{mib(row.in_use_bytes, 2)}</td><td class="num">{error}</td>'
        f'<td class="num">{_share(row.in_use_bytes, whole)}</td>'
        f'<th scope="row">{escape(shorten(words.function(key), 120))}</th>'
        f"<td>{escape(shorten(words.place(key), 60))}</td>"
        f"<td>{escape(shorten(words.library(key), 60))}</td></tr>\n"
    )


def _share(size: int, whole: int) -> str:
    return f"{size / whole:.1%}" if whole else ""
