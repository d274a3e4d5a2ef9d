"""``hiwater heap`` for the terminal: who holds the memory at the peak, what became of it, and how it grew."""

from __future__ import annotations

from textwrap import wrap

from hiwater.heap.choose import moment as chosen
from hiwater.heap.choose import moments
from hiwater.heap.model import HeapProfile, Snapshot
from hiwater.heap.rows import HeapRow, rows
from hiwater.heap.sites import By
from hiwater.units import format_seconds, mib
from hiwater.views import heap_words as words
from hiwater.views.names import shorten, visible
from hiwater.views.paint import Paint

LIMIT = 20
_MOST_GROWTH = 12
_LEAST_SHARE = 0.001
"""Of the whole: smaller rows are summed up, unless all are asked for."""
_FIGURES = "{:>9} {:>7} {:>7}  "
_HEADS = {
    By.LINE: ("call site", "where", "library"),
    By.FUNCTION: ("function", "file", "library"),
    By.LIBRARY: ("library", "", ""),
}


def render(
    profile: HeapProfile,
    *,
    plain_peak_bytes: int | None = None,
    sampled_peak_bytes: int | None = None,
    width: int = 100,
    color: bool = False,
    unicode: bool = True,
    by: By = By.LINE,
    limit: int | None = LIMIT,
    at: str = "peak",
) -> str:
    """``limit`` rows of each table, ``None`` for all; ``at`` as :func:`hiwater.heap.choose.moment` takes it. The two
    peaks are RSS, of an execution without and of one with the sampler."""
    page = _Page(profile, width, Paint(color, unicode))
    page.add(page.paint("bold", shorten(words.who(profile), width)))
    if not moments(profile):
        page.say("There is no memory to show: the profile is empty.")
    else:
        page.table(chosen(profile, at), by, limit)
        page.ends()
        page.growth(by)
    page.add()
    for sentence in (
        words.apart(plain_peak_bytes, sampled_peak_bytes), words.method(profile), words.lost(profile),
        *(visible(note) for note in profile.notes),
    ):  # fmt: skip
        if sentence is not None:
            page.item(sentence)
    return page.text()


class _Page:
    """Lines of at most a width."""

    def __init__(self, profile: HeapProfile, width: int, paint: Paint) -> None:
        self.profile, self.width, self.paint = profile, width, paint
        self.lines: list[str] = []

    def text(self) -> str:
        """All of it."""
        whole = "".join(line.rstrip() + "\n" for line in self.lines)
        return whole if self.paint.unicode else whole.replace("±", "+-").replace("…", "~")

    def add(self, *lines: str) -> None:
        """Lines as they are; none is an empty one."""
        self.lines += lines or ("",)

    def say(self, text: str, style: str = "") -> None:
        """A sentence on as many lines as it takes."""
        found = wrap(text, max(30, min(self.width, 110)), break_on_hyphens=False)
        self.lines += [self.paint(style, line) for line in found]

    def item(self, text: str) -> None:
        """One of several sentences."""
        first, *rest = wrap(text, max(30, min(self.width, 110) - 2), break_on_hyphens=False) or [""]
        dot = "·" if self.paint.unicode else "-"
        self.add(f"{dot} {first}", *(f"  {line}" for line in rest))

    def table(self, snapshot: Snapshot, by: By, limit: int | None) -> None:
        """Who held what."""
        found = rows(self.profile, snapshot, by)
        own = [row for row in found if not row.key.mapped]
        mapped = [row for row in found if row.key.mapped]
        sure = [row for row in own if row.told]
        shown = sure
        if limit is not None:
            least = _LEAST_SHARE * snapshot.in_use_bytes
            shown = [row for at, row in enumerate(sure[:limit]) if at < 3 or row.in_use_bytes >= least]
        small = [row for row in own if not row.told]
        self.say(f"The heap {words.moment(self.profile, snapshot)}: {words.sizes(self.profile, snapshot)}")
        columns = self._columns([*shown, *mapped], by)
        self.add("", self.paint("dim", _FIGURES.format("MiB", "±", "share") + self._cells(_HEADS[by], columns)))
        for row in shown:
            self.add(self._row(row, snapshot.in_use_bytes, by, columns))
        if len(sure) > len(shown):
            self.add(self._rest(sure[len(shown) :], snapshot.in_use_bytes, "{} more"))
        if small:
            self.add(
                self._rest(small, snapshot.in_use_bytes, "{} others, too small to tell", "1 other, too small to tell")
            )
        line = "─" if self.paint.unicode else "-"
        total = self._figures(snapshot.in_use_bytes, snapshot.standard_error_bytes, None)
        self.add(f" {line * 8}", self.paint("bold", total + words.held(self.profile)))
        if mapped:
            self.add()
            self.say("mapped by the program itself (mmap), as large as the mapping, no part of the heap", "dim")
            for row in mapped if limit is None else mapped[: max(3, limit // 4)]:
                self.add(self._row(row, None, by, columns))

    def _row(self, row: HeapRow, whole: int | None, by: By, columns: tuple[int, ...]) -> str:
        key = row.key
        if by is By.LIBRARY:
            cells: tuple[str, ...] = (words.name(key, by_library=True), "", "")
        else:
            cells = (words.function(key), words.place(key), words.library(key))
        return self._figures(row.in_use_bytes, row.standard_error_bytes, whole) + self._cells(cells, columns)

    def _rest(self, found: list[HeapRow], whole: int, text: str, one: str | None = None) -> str:
        size = sum(row.in_use_bytes for row in found)
        error = round(sum(row.variance for row in found) ** 0.5)
        said = one if len(found) == 1 and one is not None else text.format(f"{len(found):,}")
        return self.paint("dim", self._figures(size, error, whole) + said)

    def _figures(self, size: int, error: int, whole: int | None) -> str:
        share = "" if not whole else f"{size / whole:.1%}"
        digits = 1 if size >= 10 << 20 or size == 0 else 2
        return _FIGURES.format(mib(size, digits), mib(error, digits) if error else "", share)

    def _columns(self, shown: list[HeapRow], by: By) -> tuple[int, ...]:
        """Widths of the three columns of names: what they take, cut where the line is too short for all."""
        room = max(24, self.width - len(_FIGURES.format("", "", "")))
        if by is By.LIBRARY:
            return (room, 0, 0)
        keys = [row.key for row in shown]
        need = [
            max((len(made(key)) for key in keys), default=8) for made in (words.function, words.place, words.library)
        ]
        need = [max(have, len(head)) for have, head in zip(need, _HEADS[by], strict=True)]
        third = min(need[2], max(8, room // 5))
        second = min(need[1], max(10, room // 3))
        return (max(12, min(need[0], room - second - third - 4)), second, third)

    def _cells(self, cells: tuple[str, ...], columns: tuple[int, ...]) -> str:
        made = [f"{shorten(cell, size):<{size}}" for cell, size in zip(cells, columns, strict=True) if size]
        return "  ".join(made)

    def ends(self) -> None:
        """Peak against exit in one look."""
        peak, end = self.profile.peak, self.profile.exit
        if peak is None or end is None or peak is end:
            return
        self.add()
        most = max(peak.in_use_bytes, end.in_use_bytes, 1)
        room = max(10, min(44, self.width - 44))
        block = "█" if self.paint.unicode else "#"
        for label, one in (("peak", peak), ("exit", end)):
            when = "" if one.at_seconds is None else f" at {format_seconds(one.at_seconds)}"
            bar = block * round(room * one.in_use_bytes / most)
            size = words.amount(one.in_use_bytes, one.standard_error_bytes)
            self.add(f"{label}  {self.paint('green', f'{bar:<{room}}')}  {size}{when}")
        told = words.shape(self.profile)
        if told is not None:
            self.say(told)

    def growth(self, by: By) -> None:
        """The snapshots, and what grew between each two."""
        found = self.profile.growth
        if len(found) < 2:
            return
        step = -(-len(found) // _MOST_GROWTH)
        kept = list(enumerate(found, 1))[::-1][::step][::-1]
        self.add("", self.paint("dim", f"{'growth':<10}{'MiB':>9} {'RSS':>9} {'change':>9}  what changed the most"))
        before: dict[object, int] = {}
        last = 0
        for number, one in kept:
            now = {row.key: row for row in rows(self.profile, one, by)}
            changes = {key: row.in_use_bytes - before.get(key, 0) for key, row in now.items()}
            changes.update({key: -size for key, size in before.items() if key not in now})  # type: ignore[misc]
            told = ""
            if changes:
                key = max(changes, key=lambda each: abs(changes[each]))
                told = f"{words.name(key, by_library=by is By.LIBRARY)} {changes[key] / (1 << 20):+.1f}"
            change = one.in_use_bytes - last
            figures = f"{mib(one.in_use_bytes):>9} {mib(one.rss_bytes):>9} {change / (1 << 20):>+9.1f}  "
            when = f"#{number}" if one.at_seconds is None else format_seconds(one.at_seconds)
            self.add(f"{when:<10}{figures}{shorten(told, max(12, self.width - 41))}")
            before, last = {key: row.in_use_bytes for key, row in now.items()}, one.in_use_bytes
        if step > 1:
            self.add(self.paint("dim", f"one in {step} of {len(found)} snapshots"))
