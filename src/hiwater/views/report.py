"""The report: one page that needs nothing from elsewhere. Text and tables are in the page itself; the script draws the
timelines and makes the tables sort and filter."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from html import escape
from importlib import resources

from hiwater._version import __version__
from hiwater.analysis.ledger import explain
from hiwater.analysis.process_tree import nodes
from hiwater.analysis.stack import peak_ns, stack
from hiwater.analysis.timeline import course
from hiwater.heap.model import HeapProfile
from hiwater.recording.model import Recording
from hiwater.views import heap_tried, report_compare, report_heap, report_heap_data, report_ledger, report_parts
from hiwater.views.names import command_line, shorten, visible
from hiwater.views.process_names import process_names
from hiwater.views.report_data import payload

CELLS = 66
"""Steps of the small outline of each process."""

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"
"""Whatever a name in the recording may hold: the page loads nothing and talks to nobody."""


def render(
    recordings: Sequence[Recording], labels: Sequence[str], heaps: Sequence[Sequence[HeapProfile]] | None = None
) -> str:
    """The page. ``labels`` tell the recordings apart, such as the names of their files; ``heaps`` are the profiles of
    each (those that it holds, if they are not given)."""
    sections, columns = [], []
    profiles: list[HeapProfile] = []
    for number, (recording, label) in enumerate(zip(recordings, labels, strict=True)):
        rows = course(recording)
        at = peak_ns(recording, rows)
        shown = stack(rows, focus_ns=at)
        tree, names = nodes(recording, rows, at, CELLS), process_names(recording)
        columns.append({"label": visible(label), **payload(recording, rows, shown, names, at)})
        owners = report_ledger.section(recording, explain(recording, rows), names, number)
        for profile in _heaps(recording) if heaps is None else heaps[number]:
            owners += report_heap.section(profile, len(profiles))
            profiles.append(profile)
            owners += heap_tried.section(recording.heap_tried, profile.trim)
        own = label if len(recordings) > 1 else None
        sections.append(report_parts.section(recording, tree, names, shown, number, own, owners))
    title = " · ".join(shorten(command_line(one.arguments) or "(unknown command)", 60) for one in recordings[:3])
    compared = report_compare.section(recordings, labels) if len(recordings) > 1 else ""
    links = "".join(
        f'<a href="#r{number}">{escape(visible(label))}</a>' for number, label in enumerate(labels) if len(labels) > 1
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="hiwater {__version__}">
<link rel="icon" href="data:,">
<title>{escape(title)} · hiwater</title>
<style>{_asset("uplot.min.css")}{_asset("report.css")}{_asset("ledger.css")}{_asset("heap.css")}</style>
</head>
<body>
<a class="skip" href="#main">Skip to the figures</a>
<header class="top">
<div class="brand">hiwater <span>report</span></div>
<nav aria-label="Recordings">{links}</nav>
<button type="button" id="theme" aria-label="Switch to dark colours">Dark</button>
</header>
<main id="main">
<noscript><p class="note">Without JavaScript the timelines are not drawn; all figures are here.</p></noscript>
{compared}{"".join(sections)}</main>
<footer>Written by hiwater {__version__}. Sizes in MiB are 2<sup>20</sup> bytes. This page loads nothing from anywhere.
The charts are drawn with uPlot, under the MIT licence:
<details><summary>its text</summary><pre>{escape(_asset("uplot.LICENSE.txt"))}</pre></details></footer>
<script type="application/json" id="data">{_json(columns)}</script>
<script>{_asset("uplot.min.js")}</script>
<script>{_asset("report.js")}{_asset("ledger.js")}</script>
{_heap(profiles)}</body>
</html>
"""


def _heaps(recording: Recording) -> tuple[HeapProfile, ...]:
    found = recording.heap
    return () if found is None else (found,)


def _heap(profiles: Sequence[HeapProfile]) -> str:
    """What draws them."""
    if not profiles:
        return ""
    data = _json([report_heap_data.payload(profile) for profile in profiles])
    return (
        f'<script type="application/json" id="heap-data">{data}</script>\n'
        f"<script>{_asset('heap.js')}{_asset('heap_graph.js')}</script>\n"
    )


def _json(value: object) -> str:
    """JSON that cannot end the element that it stands in."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")


@cache
def _asset(name: str) -> str:
    return (resources.files("hiwater.views") / "report_assets" / name).read_text("utf-8")
