"""The table kernel x case: what is green, what is red, and by how much."""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.kernels.plan import Result
from tests.truth.rows import Row, faults


@dataclass(frozen=True)
class Cell:
    """One case on one kernel: all modes, users and executions."""

    faults: tuple[str, ...]
    """What is wrong; nothing: green."""
    peak_error: int | None
    """KiB; the worst median over modes and users."""
    tree_error: int | None

    @property
    def text(self) -> str:
        """`✓ 4 / 12`: the errors of the peak and of the tree, in KiB."""
        figures = " / ".join("-" if error is None else f"{error:,}" for error in (self.peak_error, self.tree_error))
        return f"{'✗' if self.faults else '✓'} {figures}"


@dataclass(frozen=True)
class Width:
    """How far the bounds are from the truth, in KiB: the median over all cases of one mode."""

    mode: str
    below: int
    above: int


@dataclass(frozen=True)
class Column:
    """One boot."""

    label: str
    machine: str
    kernel: str
    package: str
    version: str
    cpus: int
    cells: dict[str, Cell]
    widths: tuple[Width, ...]
    settings: dict[str, str]
    executions: int

    @property
    def title(self) -> str:
        return f"{self.kernel} {self.machine}, {self.cpus} CPU{'s' if self.cpus > 1 else ''}"


def column(result: Result) -> Column:
    groups: dict[str, dict[tuple[str, str], list[Row]]] = defaultdict(lambda: defaultdict(list))
    wrong: dict[str, list[str]] = defaultdict(list)
    usual = result.outcomes[0].trial.setting if result.outcomes else None
    for outcome in result.outcomes:
        trial = outcome.trial
        setting = "" if trial.setting == usual else str(trial.setting)
        name = "; ".join(part for part in (trial.case.name, trial.launcher.name.replace("slim", ""), setting) if part)
        key = f"{trial.mode}, {trial.user}"
        if outcome.complaint is not None:
            wrong[name].append(f"{key}: {outcome.complaint}")
        groups[name][(trial.mode, trial.user)].extend(outcome.rows)
    cells = {}
    for name, by_mode in groups.items():
        for (mode, user), rows in by_mode.items():
            wrong[name] += [f"{mode}, {user}: {fault}" for fault in faults(rows)]
        cells[name] = Cell(tuple(wrong[name]), _worst(by_mode, "peak"), _worst(by_mode, "tree"))
    rows = [row for outcome in result.outcomes for row in outcome.rows if row.figure == "peak"]
    trials = [o.trial for o in result.outcomes]
    executions = max((trials.count(trial) for trial in set(trials)), default=0)
    plan, kernel = result.plan, result.kernel
    return Column(
        plan.label, plan.machine, kernel.name, kernel.package, kernel.version, plan.cpus, cells,
        tuple(_widths(rows)), result.settings, executions,
    )  # fmt: skip


def _worst(by_mode: dict[tuple[str, str], list[Row]], figure: str) -> int | None:
    medians = [
        statistics.median(row.error for row in rows if row.figure == figure)
        for rows in by_mode.values()
        if any(row.figure == figure for row in rows)
    ]
    worst = max(medians, default=None)
    return None if worst is None or worst == float("inf") else round(worst / 1024)


def _widths(rows: list[Row]) -> Iterable[Width]:
    for mode in sorted({row.mode for row in rows}):
        same = [row for row in rows if row.mode == mode and row.lower is not None and row.upper is not None]
        if same:
            below = statistics.median(row.truth - (row.lower or 0) for row in same)
            above = statistics.median((row.upper or 0) - row.truth for row in same)
            yield Width(mode, round(below / 1024), round(above / 1024))


def save(column: Column, place: Path) -> None:
    place.mkdir(parents=True, exist_ok=True)
    text = json.dumps(asdict(column), indent=1, ensure_ascii=False)
    (place / f"{column.label.replace('/', '_')}.json").write_text(text + "\n")


def load(path: Path) -> Column:
    data = json.loads(path.read_text())
    data["cells"] = {
        name: Cell(tuple(cell["faults"]), cell["peak_error"], cell["tree_error"])
        for name, cell in data["cells"].items()
    }
    data["widths"] = tuple(Width(**width) for width in data["widths"])
    return Column(**data)


def red(column: Column) -> list[str]:
    return [f"{column.title}: {name}: {fault}" for name, cell in column.cells.items() for fault in cell.faults]


def markdown(columns: list[Column]) -> str:
    """The whole table."""
    names = list(dict.fromkeys(name for column in columns for name in column.cells if ";" not in name))
    varied = list(dict.fromkeys(name for column in columns for name in column.cells if ";" in name))
    lettered = [(_letter(at), column) for at, column in enumerate(columns)]
    parts = [_kernels(columns), "", _cells(lettered, names, "case")]
    if varied:
        some = [(letter, column) for letter, column in lettered if any(name in column.cells for name in varied)]
        parts += ["", "Other launchers and other settings:", "", _cells(some, varied, "case; launcher; setting")]
    reds = [fault for column in columns for fault in red(column)]
    parts += ["", "Red cells:" if reds else "No cell is red.", *(f"- {fault}" for fault in reds)]
    return "\n".join(parts)


def _kernels(columns: list[Column]) -> str:
    lines = [
        "| | kernel | Debian package | machine | CPUs | quiet: below / above | trace: below / above |",
        "|---|---|---|---|---|---|---|",
    ]
    for at, column in enumerate(columns):
        widths = {width.mode: f"{width.below:,} / {width.above:,}" for width in column.widths}
        lines.append(
            f"| {_letter(at)} | {column.kernel} | `{column.package}` {column.version} | {column.machine} "
            f"| {column.cpus} | {widths.get('quiet', '-')} | {widths.get('trace', '-')} |"
        )
    return "\n".join(lines)


def _letter(at: int) -> str:
    return "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[at]


def _cells(columns: list[tuple[str, Column]], names: list[str], title: str) -> str:
    letters = [letter for letter, _ in columns]
    lines = [f"| {title} | {' | '.join(letters)} |", "|---|" + "---|" * len(letters)]
    for name in names:
        cells = [column.cells[name].text if name in column.cells else "" for _, column in columns]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)
