"""``hiwater check`` as Markdown: a comment on a pull request, or the summary of a job; never larger than they take."""

from __future__ import annotations

from hiwater.analysis.budget import Figure
from hiwater.checks.model import CheckResult, Report, Status
from hiwater.checks.verdict import percent
from hiwater.units import format_size
from hiwater.views.names import visible

COMMENT_CHARACTERS = 65_536
"""What GitHub takes as a comment; GitLab takes a million."""
SUMMARY_BYTES = 512 << 10
"""Half of what GitHub takes as the summary of a step: near the limit it drops it without a word."""
MARKER = "<!-- hiwater check -->"
"""Lets a script find its earlier comment and replace it."""

_MARKS = {
    Status.OK: "✅",
    Status.IMPROVED: "✅",
    Status.UNSURE: "❔",
    Status.GROWN: "❌",
    Status.VIOLATED: "❌",
    Status.UNDECIDABLE: "❌",
    Status.FAILED: "❌",
}
_HEADER = "| | check | peak RSS | budget | tree peak | tree budget | against the baseline | verdict |"
_RULE = "|---|---|--:|--:|--:|--:|--:|---|"
_LONGEST_TEXT = 400


def render(report: Report, most: int = COMMENT_CHARACTERS) -> str:
    """At most ``most`` bytes: rows that find no room are counted; what did not pass comes first."""
    results = sorted(report.results, key=lambda result: result.status.passes)
    failed = sum(not result.status.passes for result in results)
    title = f"{failed} of {len(results)} checks did not pass" if failed else f"all {len(results)} checks pass"
    head = [MARKER, f"### hiwater: {title}", "", _HEADER, _RULE]
    foot = ["", *(f"- ⚠️ {_cell(warning)}" for warning in report.warnings), *_origin(report)]
    room = most - _size(head) - _size(foot) - 100  # the line that counts the others
    rows: list[str] = []
    for result in results:
        row = _row(result)
        if _size([row]) > room:
            break
        room -= _size([row])
        rows.append(row)
    left = len(results) - len(rows)
    more = ["", f"…and {left} more checks for which there is no room here."] if left else []
    return "".join(line + "\n" for line in [*head, *rows, *more, *foot])


def _size(lines: list[str]) -> int:
    return sum(len(line.encode()) + 1 for line in lines)


def _row(result: CheckResult) -> str:
    cells = [_MARKS[result.status], f"**{_cell(result.check.name)}**"]
    for figure in Figure:
        reading, limit = result.shown(figure), result.limit(figure)
        cells += [
            format_size(reading.bytes) if reading is not None and reading.bytes is not None else "",
            format_size(limit) if limit is not None else "",
        ]
    growth = result.growth
    cells.append("" if growth is None else f"{percent(growth.ratio)} %")
    cells.append(_cell(f"{result.status}: {'; '.join([result.reason, *result.notes])}"))
    return f"| {' | '.join(cells)} |"


def _origin(report: Report) -> list[str]:
    commit = (
        f", commit {report.commit.id[:12]}{' with changes' if report.commit.dirty else ''}" if report.commit else ""
    )
    against = f", against {_cell(report.against)}" if report.against is not None else ""
    host = f"{report.host.machine}, Linux {report.host.kernel}"
    return ["", f"<sub>{_cell(report.plan.path)}{against}{commit}; {_cell(host)}</sub>"]


def _cell(text: str) -> str:
    """Text that can neither leave its cell nor become markup, a link or a mention."""
    text = visible(text)
    if len(text) > _LONGEST_TEXT:
        text = text[: _LONGEST_TEXT - 1] + "…"
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("@", "&#64;")
    return "".join(f"\\{character}" if character in "\\`*_[]|~#!" else character for character in text)
