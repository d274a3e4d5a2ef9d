"""What other settings of malloc give: which are tried, in which order, and when a change is one."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from pathlib import Path

import jsonschema
import pytest
from tests.heaplogs import START_NS, Log

import hiwater.views
from hiwater.heap import malloc_settings
from hiwater.heap.log import HeapLog, parse
from hiwater.heap.malloc_settings import Setting, worthwhile
from hiwater.heap.model import Engine, HeapProfile, Trim
from hiwater.heap.tried import Peak, Trials, Tried, dumps, execute, loads
from hiwater.heap.wire import THREAD, HeadFlags, RecordType
from hiwater.views import heap_json, heap_tried
from hiwater.views.paint import Paint

MIB = 1 << 20
SCHEMA = json.loads((Path(hiwater.views.__file__).parent / "hiwater.run-1.schema.json").read_text())
PROBE = HeadFlags.ENDED | HeadFlags.PROBE
ONE, TWO = Setting("A=1", (("A", "1"),), "one"), Setting("B=2", (("B", "2"),), "two")


def log(threads: int = 1, flags: HeadFlags = PROBE) -> HeapLog:
    made = Log(flags=flags)
    for tid in range(threads):
        made.record(RecordType.THREAD, THREAD, START_NS, 100 + tid, 0, 0, 0, flags=1)
        made.record(RecordType.THREAD, THREAD, START_NS, 100 + tid, 0, 0, 0, flags=0)
    return parse(made.data)


def names(*logs: HeapLog, env: Mapping[str, str] | None = None) -> list[str]:
    return [one.name for one in worthwhile(logs, env or {}, cache="/nonexistent")]


def tried(name: str | None, *sizes: int, width: int = 0, cpu: float = 1.0) -> Tried:
    peaks = tuple(Peak(size, size - width, size + width, cpu) for size in sizes)
    return Tried(name, ((name, "1"),) if name else (), "what", peaks)


MMAP, TCACHE = "MALLOC_MMAP_THRESHOLD_=131072", "GLIBC_TUNABLES=glibc.malloc.tcache_count=0"


def test_what_can_change_nothing_is_not_tried() -> None:
    """Arenas matter to threads, PYTHONMALLOC to Python, and none of it where the allocator is another."""
    assert names(log()) == [MMAP, TCACHE]
    assert names(log(2)) == ["MALLOC_ARENA_MAX=1", MMAP, TCACHE]
    assert names(log(1), log(3)) == ["MALLOC_ARENA_MAX=1", "MALLOC_ARENA_MAX=2", MMAP, TCACHE]
    assert names(log(flags=PROBE | HeadFlags.PYTHON)) == [MMAP, TCACHE, "PYTHONMALLOC=malloc"]
    assert names(log(9, flags=HeadFlags.ENDED)) == []
    assert names() == []


def test_what_the_environment_has_is_kept() -> None:
    """A setting that is there already is no other one; tunables and libraries come beside those that are there."""
    assert names(log(2), env={"MALLOC_ARENA_MAX": "1"}) == [MMAP, TCACHE]
    assert names(log(2), env={"MALLOC_ARENA_MAX": "4"})[0] == "MALLOC_ARENA_MAX=1"
    found = worthwhile([log()], {"GLIBC_TUNABLES": "glibc.malloc.check=1"}, cache="/nonexistent")
    assert found[-1].environment == (("GLIBC_TUNABLES", "glibc.malloc.check=1:glibc.malloc.tcache_count=0"),)


def test_other_allocators_are_those_that_the_dynamic_linker_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of this machine's kind, one of each name; a library that is preloaded already stays."""
    library = "/proc/self/exe"  # of this machine
    text = tmp_path / "text"
    text.write_text("no library")
    known = {"libjemalloc.so.2": [str(text), library], "libmimalloc.so.2": ["/lib/with space"], "libtcmalloc.so.4": []}
    monkeypatch.setattr(malloc_settings, "read_cache", lambda _: known)
    found = worthwhile([log()], {"LD_PRELOAD": "/own.so"})
    assert [one.environment for one in found[2:]] == [(("LD_PRELOAD", f"{library}:/own.so"),)]


def test_in_turn() -> None:
    """What changes on the machine meanwhile changes all of them; each execution has its own variables."""
    seen: list[dict[str, str]] = []

    def once(besides: Mapping[str, str]) -> Peak | str:
        seen.append(dict(besides))
        return Peak(len(seen), 0, 9, None)

    made = execute([ONE, TWO], once, 2)
    assert seen == [{}, {"A": "1"}, {"B": "2"}] * 2
    assert [peak.bytes for peak in made.settings[1].peaks] == [3, 6]
    assert made.settings[0].cpu_seconds is None


def test_a_setting_that_fails_is_given_up() -> None:
    """The others go on; without the command as it is there is nothing to compare."""
    asked: list[str] = []

    def once(besides: Mapping[str, str]) -> Peak | str:
        asked.append("".join(besides))
        return "exited with 3" if "A" in besides else Peak(1, 1, 1, 1.0)

    made = execute([ONE, TWO], once, 3)
    assert asked == ["", "A", "B", "", "B", "", "B"]
    assert (made.settings[0].failure, made.settings[0].peaks, made.note) == ("exited with 3", (), None)
    assert made.change(made.settings[0]) is None
    made = execute([ONE], lambda _: "could not be measured", 3)
    assert made.note is not None
    assert made.plain.peaks == ()


def test_whoever_interrupts_keeps_what_was_measured() -> None:
    """Ctrl-C ends the trials, not the command's result."""
    left = [Peak(5, 5, 5, 1.0), Peak(4, 4, 4, 1.0)]

    def once(besides: Mapping[str, str]) -> Peak | str:
        if not left:
            raise KeyboardInterrupt
        return left.pop(0)

    made = execute([ONE, TWO], once, 3)
    assert (made.plain.bytes, made.settings[0].bytes, made.settings[1].bytes) == (5, 4, None)
    assert made.note == "interrupted: these are the executions until then"
    assert "Each was executed once" in heap_tried.render(made, None, 100, Paint())


@pytest.mark.parametrize(
    ("plain", "other", "sure"),
    [
        (tried(None, 100, 100, 100), tried("A", 99, 99, 99), True),
        (tried(None, 100, 100, 100), tried("A", 100, 100, 100), False),
        (tried(None, 100, 101, 102), tried("A", 96, 95, 94), True),
        (tried(None, 100, 101, 102), tried("A", 97, 97, 97), False),  # not twice the range
        (tried(None, 100, 110, 102), tried("A", 70, 71, 110), False),  # they touch
        (tried(None, 100, 100, 100, width=5), tried("A", 81, 81, 81, width=5), False),  # by their bounds
        (tried(None, 100, 100, 100, width=5), tried("A", 79, 79, 79, width=5), True),
        (tried(None, 100), tried("A", 10), False),  # no range is known
    ],
)
def test_when_a_change_is_one(plain: Tried, other: Tried, sure: bool) -> None:
    """The ranges, bounds included, do not touch, and twice the wider one lies between the medians."""
    change = Trials(plain, (other,), 3).change(other)
    assert change is not None
    assert change.sure is sure


def test_chance_alone_makes_hardly_a_change() -> None:
    """As documented: three executions of one and the same are told apart from three others once in 180."""
    chance = random.Random(7)

    def same() -> Tried:
        return tried("A", *(round(chance.gauss(1e9, 1e6)) for _ in range(3)))

    changes = [Trials(same(), (other,), 3).change(other) for other in (same() for _ in range(20_000))]
    found = sum(change is not None and change.sure for change in changes)
    assert 60 < found < 170


def test_what_is_stored_is_read_again() -> None:
    """All of it; what is damaged, or of a later version, is none."""
    made = execute([ONE, TWO], lambda besides: "failed" if "B" in besides else Peak(7, 6, 8, 0.5), 2)
    data = dumps(made)
    assert loads(data) == made
    assert loads(data.replace(b'"version":1', b'"version":2')) is None
    for junk in (b"", b"[]", b'{"version":1}', data[:-1], data.replace(b"[7,6,8", b'["7",6,8'), b"[" * 100_000):
        assert loads(junk) is None


TEXT = """\
What other settings of malloc give

MiB, peak RSS   peak       executions        change    CPU
as it is       100.0  100.0 ... 100.0                x1.00
A               60.0    60.0 ... 60.0         -40.0  x1.50
B               99.0   80.0 ... 120.0  in the range  x1.00
C=1                -           failed

· A makes the peak 40.0 MiB smaller (40%), for 1.50 times the CPU time: what.
· Each was executed 2 times, in turn, without the sampler; the peak is the median, executions range
  from the lowest bound to the highest. A change is told where it is more than twice the wider
  range.
· Under C=1 the command exited with 3.
· malloc_trim(0) at exit gave back 30.0 MiB (RSS 50.0 -> 20.0 MiB, 1.5 ms).
"""
TRIM = Trim(50 * MIB, 20 * MIB, 0.0015)


def trials() -> Trials:
    failed = Tried("C=1", (("C", "1"),), "what", (), "exited with 3")
    wide = Tried("B", (("B", "1"),), "what", (Peak(99 * MIB, 80 * MIB, 120 * MIB, 1.0),) * 2)
    return Trials(tried(None, *[100 * MIB] * 2), (tried("A", *[60 * MIB] * 2, cpu=1.5), wide, failed), 2)


def test_the_table() -> None:
    """As people see it."""
    assert heap_tried.render(trials(), TRIM, 100, Paint()) == TEXT
    assert heap_tried.render(None, None, 100, Paint()) == ""
    page = heap_tried.section(trials(), TRIM)
    assert '<th scope="row" title="what">A</th><td class="num">60.0</td>' in page
    assert "gave back 30.0 MiB" in page
    assert heap_tried.section(None, None) == ""


def test_where_nothing_was_tried() -> None:
    """It is said why."""
    nothing = Trials(Tried(None, (), "as it is", ()), (), 3, "no other settings of malloc were tried: why")
    assert heap_tried.render(nothing, None, 100, Paint()) == "· No other settings of malloc were tried: why.\n"


def test_the_document() -> None:
    """Valid by the schema: the command as it is first."""
    profile = HeapProfile(Engine.HIWATER, (), None, None, trim=TRIM)
    found = heap_json.document(profile, trials())
    jsonschema.Draft202012Validator(SCHEMA["properties"]["heap"]).validate(found)
    assert found["trim"] == {
        "rss_before_bytes": 50 * MIB, "rss_after_bytes": 20 * MIB, "given_back_bytes": 30 * MIB, "seconds": 0.0015,
    }  # fmt: skip
    rows = json.loads(json.dumps(found["tried"]))
    assert [row["setting"] for row in rows] == [None, "A", "B", "C=1"]
    assert [row["change_bytes"] for row in rows] == [None, -40 * MIB, -MIB, None]
    assert [row["change_is_sure"] for row in rows] == [None, True, False, None]
    assert (rows[3]["failure"], rows[3]["executions"], rows[1]["cpu_ratio"]) == ("exited with 3", [], 1.5)
