"""The part of the report that holds several recordings against each other."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from hiwater.analysis.differences import Difference, figures, programs
from hiwater.recording.model import Recording
from hiwater.units import format_seconds, format_size, mib
from hiwater.views.names import visible


def section(recordings: Sequence[Recording], labels: Sequence[str]) -> str:
    """The overlay and the differences from the first."""
    names = [escape(visible(label)) for label in labels]
    heads = "".join(f'<th scope="col" class="num plain">{name}</th>' for name in names)
    return f"""<section class="compare" aria-label="Comparison">
<h1>{len(names)} recordings compared</h1>
<p class="sub">Changes are from the first, {names[0]}.</p>
<section class="panel" data-overlay aria-label="Timelines overlaid">
<div class="bar"><h2>Timelines</h2><span class="range sub" role="status"></span>
<div class="group" role="group" aria-label="Zoom">
<button type="button" data-zoom="in" aria-label="Zoom in">+</button>
<button type="button" data-zoom="out" aria-label="Zoom out">−</button>
<button type="button" data-zoom="all">All</button></div></div>
<div class="chart" tabindex="0" role="group" aria-roledescription="interactive chart"
 aria-label="Sum of the memory of all processes over time, one line a recording" aria-describedby="keys-all"></div>
<p class="sr live" aria-live="polite"></p>
<ul class="legend" aria-label="Recordings"></ul>
<p class="note" id="keys-all">Sum of the resident sets of all processes, each recording from its own start. Drag to
zoom; with the keyboard: arrows move the cursor, + and − zoom, 0 shows all.</p>
</section>
<section class="panel" aria-label="Differences"><h2>Differences</h2>
<div class="scroll" tabindex="0" role="region" aria-label="Table of differences">
<table class="differences">
<thead><tr><th scope="col" class="plain">Figure</th>{heads}</tr></thead>
<tbody>{_rows([row for row in figures(recordings) if any(value != 0 for value in row.values)])}</tbody>
<thead><tr><th scope="col" class="plain">Peak RSS by program</th>{heads}</tr></thead>
<tbody>{_rows(programs(recordings))}</tbody></table></div></section>
</section>
"""  # noqa: RUF001 - a minus sign is what is on the button


def _rows(differences: Sequence[Difference]) -> str:
    rows = []
    for difference in differences:
        cells = "".join(f'<td class="num">{_cell(difference, at)}</td>' for at in range(len(difference.values)))
        rows.append(f'<tr><th scope="row">{escape(visible(difference.label))}</th>{cells}</tr>\n')
    return "".join(rows)


def _cell(difference: Difference, at: int) -> str:
    value, first = difference.values[at], difference.values[0]
    if value is None:
        return "–"  # noqa: RUF001
    text = _amount(difference.unit, value)
    change = difference.change(at)
    if at == 0 or change is None:
        return text
    share = f", {change / first:+.1%}" if first else ""
    sure = {True: "", False: ", within the bounds", None: ""}[difference.sure[at]]
    told = _change(difference.unit, change)
    # What shows as +0.0 is no news, and more processes are neither good nor bad.
    plain = sure or difference.unit == "count" or not any(digit in told for digit in "123456789")
    kind = "" if plain else "up" if change > 0 else "down"
    return f'{text} <span class="{kind}">({told}{share}{sure})</span>'


def _amount(unit: str, value: float) -> str:
    if unit == "bytes":
        return format_size(int(value))
    return format_seconds(value) if unit == "seconds" else f"{value:.0f}"


def _change(unit: str, change: float) -> str:
    if unit == "bytes":
        return ("+" if change >= 0 else "") + mib(int(change))
    return f"{change:+.3f} s" if unit == "seconds" else f"{change:+.0f}"
