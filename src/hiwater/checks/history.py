"""Results over time: one SQLite file, which many processes may write to at once.

SQLite is imported when a file is opened; nothing else of hiwater needs it.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from hiwater._version import __version__
from hiwater.analysis.budget import Figure
from hiwater.checks.model import Report
from hiwater.errors import HiwaterError, MisuseError

DEFAULT_PATH = "hiwater-history.sqlite"
PATIENCE_SECONDS = 60.0
"""How long a writer waits for the others."""
VERSION = 1
_APPLICATION = 0x68697761  # "hiwa": file(1) and we know it by this

_TABLE = """
CREATE TABLE results (
    id INTEGER PRIMARY KEY,
    recorded_at REAL NOT NULL,          -- seconds since 1970
    commit_id TEXT,                     -- null outside of git
    commit_time INTEGER,
    dirty INTEGER NOT NULL,             -- 1: files differed from the commit
    machine TEXT NOT NULL,
    kernel TEXT NOT NULL,
    check_name TEXT NOT NULL,
    command TEXT NOT NULL,              -- JSON array
    status TEXT NOT NULL,
    reason TEXT NOT NULL,
    peak_rss_bytes TEXT NOT NULL,       -- JSON array: each execution
    tree_peak_bytes TEXT NOT NULL,      -- JSON array
    hiwater_version TEXT NOT NULL
)"""
_INDEX = "CREATE INDEX by_check ON results (check_name, commit_time)"


@dataclass(frozen=True, slots=True)
class Point:
    """What is known of one check at one state of the sources."""

    check: str
    commit: str | None
    dirty: bool
    time: float
    """Of the commit; outside of git, of the measurement."""
    sizes: tuple[int, ...]
    """Each execution, in bytes."""
    status: str
    """The latest verdict."""

    @property
    def size(self) -> int | None:
        """The middle of the executions."""
        return round(median(self.sizes)) if self.sizes else None


@contextmanager
def _open(path: str | Path, *, writing: bool) -> Iterator[sqlite3.Connection]:
    try:
        if not writing and not Path(path).exists():
            raise MisuseError(f"{path} does not exist; hiwater check --history {path} writes it")
        connection = sqlite3.connect(path, timeout=PATIENCE_SECONDS, isolation_level=None)
        try:
            if writing:
                _prepare(connection, path)
            else:
                _examine(connection, path)
            yield connection
        finally:
            connection.close()
    except sqlite3.DatabaseError as error:
        if "not a database" in str(error):
            raise MisuseError(f"{path} is no SQLite file, so no history") from None
        raise HiwaterError(f"history {path}: {error}") from error


def _version(connection: sqlite3.Connection) -> tuple[int, int]:
    application: int = connection.execute("PRAGMA application_id").fetchone()[0]
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return application, version


def _examine(connection: sqlite3.Connection, path: str | Path) -> None:
    application, version = _version(connection)
    if application != _APPLICATION:
        raise MisuseError(f"{path} is a database, but no history of hiwater")
    if version > VERSION:
        raise MisuseError(f"{path} was written by a newer hiwater (version {version}, this one knows {VERSION})")


def _prepare(connection: sqlite3.Connection, path: str | Path) -> None:
    """Makes the table in a new file. Of several that find it new, one does: the others wait and find it made."""
    if _is_empty(connection):
        _wal(connection)
    connection.execute("BEGIN IMMEDIATE")
    try:
        if _is_empty(connection):
            connection.execute(_TABLE)
            connection.execute(_INDEX)
            connection.execute(f"PRAGMA application_id = {_APPLICATION}")
            connection.execute(f"PRAGMA user_version = {VERSION}")
        else:
            _examine(connection, path)
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _is_empty(connection: sqlite3.Connection) -> bool:
    tables: int = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    return tables == 0 and _version(connection) == (0, 0)


def _wal(connection: sqlite3.Connection) -> None:
    """With a write-ahead log, which the file remembers, readers and writers do not block each other.

    File systems that cannot do it (over a network) stay with the slower journal. Changing it is the one thing that does
    not wait: if the file is locked, another writer is at it.
    """
    try:
        connection.execute("PRAGMA journal_mode = WAL")
    except sqlite3.OperationalError as error:
        if "locked" not in str(error):
            raise


def prepare(path: str | Path) -> None:
    """Makes the file, or sees that it is one: nobody waits for a measurement that cannot be kept."""
    with _open(path, writing=True):
        pass


def record(path: str | Path, report: Report) -> None:
    """Adds all results of a report, or none."""
    commit = report.commit
    rows = [
        (
            report.started_at,
            commit.id if commit is not None else None,
            commit.time if commit is not None else None,
            int(commit.dirty) if commit is not None else 0,
            report.host.machine,
            report.host.kernel,
            result.check.name,
            json.dumps(result.check.command),
            str(result.status),
            result.reason,
            json.dumps(result.samples(Figure.PEAK_RSS)),
            json.dumps(result.samples(Figure.TREE_PEAK)),
            __version__,
        )
        for result in report.results
    ]
    with _open(path, writing=True) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(
            "INSERT INTO results (recorded_at, commit_id, commit_time, dirty, machine, kernel, check_name, command,"
            f" status, reason, peak_rss_bytes, tree_peak_bytes, hiwater_version) VALUES ({', '.join('?' * 13)})",
            rows,
        )
        connection.execute("COMMIT")


def read(path: str | Path, figure: Figure = Figure.PEAK_RSS, names: Iterable[str] = ()) -> dict[str, tuple[Point, ...]]:
    """The points of each check, oldest commit first; executions of the same commit are one point."""
    with _open(path, writing=False) as connection:
        rows = connection.execute(
            f"SELECT check_name, commit_id, dirty, coalesce(commit_time, recorded_at), {figure}_bytes, status,"
            " recorded_at FROM results ORDER BY coalesce(commit_time, recorded_at), recorded_at, id"
        ).fetchall()
    found: dict[str, dict[object, Point]] = {}
    for name, commit, dirty, time, sizes, status, recorded_at in rows:
        # What was not committed is a state of its own each time.
        state = (commit,) if commit is not None and not dirty else (commit, recorded_at)
        points = found.setdefault(name, {})
        before = points[state].sizes if state in points else ()
        points[state] = Point(name, commit, bool(dirty), time, before + tuple(json.loads(sizes)), status)
    wanted = tuple(names)
    for name in wanted:
        if name not in found:
            known = ", ".join(sorted(found)) or "none"
            raise MisuseError(f"{path} knows no check {name!r}; it knows: {known}")
    return {name: tuple(points.values()) for name, points in found.items() if not wanted or name in wanted}
