"""What the heap sampler wrote, as it is read."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest
from tests.heaplogs import MS, START_NS, Log

from hiwater.heap import wire
from hiwater.heap.log import HeapLog, HeapLogError, PythonCall, Trimmed, continued, parse, read_logs
from hiwater.heap.wire import AllocKind, HeadFlags, RecordType, StackFlags

STREAM = Path(__file__).parents[3] / "src/hiwater/heap/sampler/stream.h"


def test_layouts_are_those_of_the_sampler() -> None:
    """The sizes of the structs in stream.h, its types, flags and kinds, and the layouts of the reader agree."""
    text = re.sub(r"/\*.*?\*/", "", STREAM.read_text(), flags=re.DOTALL)
    structs = dict(re.findall(r"struct (hw_heap_\w+) \{\s*\n(.*?)\n\};", text, flags=re.DOTALL))
    widths = {"char": 1, "uint16_t": 2, "uint32_t": 4, "int32_t": 4, "int64_t": 8, "uint64_t": 8}
    letters = {"char": "s", "uint16_t": "H", "uint32_t": "I", "int32_t": "i", "int64_t": "q", "uint64_t": "Q"}

    def fields(name: str) -> list[str]:
        found = []
        for kind, names in re.findall(r"^\s*(struct hw_heap_totals|\w+)\s+([^;{}]+);", structs[name], re.MULTILINE):
            for field in names.split(","):
                count = re.search(r"\[(\d+)\]", field)
                if kind == "struct hw_heap_totals":
                    found += fields("hw_heap_totals")
                else:
                    assert kind in widths
                    found.append(f"{count.group(1) if count else ''}{letters[kind]}")
        return found

    def spelled(layout: str) -> list[str]:
        found: list[str] = []
        for count, letter in re.findall(r"(\d*)([a-zA-Z])", layout):
            found += [f"{count}s"] if letter == "s" else [letter] * int(count or 1)
        return found

    for name, layout in {
        "hw_heap_totals": wire.TOTALS,
        "hw_heap_head": wire.HEAD,
        "hw_heap_record": wire.RECORD,
        "hw_heap_module": wire.MODULE,
        "hw_heap_module_gone": wire.MODULE_GONE,
        "hw_heap_stack": wire.STACK,
        "hw_heap_frame": wire.FRAME,
        "hw_heap_code": wire.CODE,
        "hw_heap_alloc": wire.ALLOC,
        "hw_heap_free": wire.FREE,
        "hw_heap_map": wire.MAP,
        "hw_heap_unmap": wire.UNMAP,
        "hw_heap_brk": wire.BRK,
        "hw_heap_moment": wire.MOMENT,
        "hw_heap_mallinfo": wire.MALLINFO,
        "hw_heap_thread": wire.THREAD,
        "hw_heap_not_followed": wire.NOT_FOLLOWED,
        "hw_heap_trim": wire.TRIM,
    }.items():
        assert (name, fields(name)) == (name, spelled(layout))
    for name, members in (
        ("type", RecordType),
        ("flags", HeadFlags),
        ("kind", AllocKind),
        ("stack_flags", StackFlags),
        ("why", wire.Why),
    ):
        body = re.search(rf"enum hw_heap_{name} \{{(.*?)\}};", text, re.DOTALL)
        assert body is not None
        prefix = "STACK_" if name == "stack_flags" else ""
        assert re.findall(rf"HW_HEAP_{prefix}(\w+)", body.group(1)) == [member.name for member in members]
    assert struct.calcsize("<" + wire.HEAD) <= wire.HEAD_SIZE


def small(order: str = "<") -> Log:
    """One of each record."""
    return (
        Log(order=order, flags=HeadFlags.ENDED | HeadFlags.PYTHON, end_ns=9 * MS)
        .module("/bin/prog", 0x1000, 0x9000, build_id=b"\xab\xcd")
        .module_gone(0x1000, 8 * MS)
        .code(7, "Class.method", "/app/é.py", 12)
        .stack(1, 0x1010, 0x2020, python=[(7, 13, 1)], flags=1)
        .alloc(1 * MS, 0xA000, 100, mean=512, kind=AllocKind.PY_OBJ)
        .free(2 * MS, 0xA000)
        .map(3 * MS, 0x10000, 4096)
        .unmap(4 * MS, 0x10000, 4096)
        .totals(5 * MS, 1 << 20, [1, 100, 1, 0, 0])
        .mallinfo(6 * MS, 1, 2, 3, 4, 5, 6)
        .record(RecordType.BRK, wire.BRK, START_NS + 5 * MS, 0x1000, 0x2000, 1, 1)
        .record(RecordType.BRK, wire.BRK, START_NS + 5 * MS, 0x2000, 0x1800, 1, 1)
        .record(RecordType.THREAD, wire.THREAD, START_NS, 1, 0, 0, 0)
        .record(RecordType.THREAD, wire.THREAD, START_NS, 2, 0, 0, 0, flags=1)
        .record(RecordType.TRIM, wire.TRIM, START_NS + 20 * MS, 5 * MS, 30 << 20, 10 << 20)
        .record(99, "Q", 1)
    )


@pytest.mark.parametrize("order", ["<", ">"])
def test_everything_that_is_told_is_read(order: str) -> None:
    """In either byte order; types that are not known are skipped."""
    log = parse(small(order).data)
    assert log.cut is None
    assert log.key == (4242, 0)
    assert (log.threads, log.trimmed) == (2, Trimmed(0.005, 30 << 20, 10 << 20))
    assert log.last_ns < START_NS + 20 * MS  # the trim is no part of the program's life
    assert (log.head.parent_number, log.head.end_ns, log.head.mean_bytes) == (None, START_NS + 9 * MS, None)
    (module,) = log.modules
    assert (module.path, module.build_id, module.bias) == ("/bin/prog", "abcd", 0x1000)
    assert (module.t_ns, module.gone_ns) == (START_NS, START_NS + 8 * MS)
    assert log.codes[7].name == "Class.method"
    assert log.codes[7].file == "/app/é.py"
    stack = log.stacks[1]
    assert (stack.addresses, stack.python) == ((0x1010, 0x2020), (PythonCall(7, 13, True),))
    assert stack.flags is StackFlags.CUT
    assert list(log.samples.alloc_ns) == [START_NS + MS]
    assert log.samples.kinds == ((1, AllocKind.PY_OBJ, 100, 512),)
    assert (list(log.samples.free_ns), list(log.samples.freed)) == ([START_NS + 2 * MS], [0xA000])
    assert [(one.bytes, one.removed_bytes) for one in log.mapped] == [
        (4096, 0),
        (0, 4096),
        (4096, 0),
        (0, 2048),
    ]
    assert log.moments[0].totals.allocated_bytes == 100
    assert log.mallinfo[0].top_bytes == 5
    assert log.last_ns == START_NS + 5 * MS


def test_a_file_may_stop_anywhere() -> None:
    """Every prefix loads; what is whole in it is there, and the log says that something is missing."""
    data = small().data
    whole = parse(data)
    for end in range(wire.HEAD_SIZE, len(data)):
        log = parse(data[:end])
        assert len(log.stacks) <= len(whole.stacks)
        assert log.cut is not None
    for end in range(0, wire.HEAD_SIZE, 97):
        if end < struct.calcsize("<" + wire.HEAD):
            with pytest.raises(HeapLogError):
                parse(data[:end])


def test_bytes_that_nobody_wrote_do_no_harm() -> None:
    """Whatever a byte is changed to: a log, or an error of ours."""
    data = small().data
    for at in [*range(0, 260), *range(wire.HEAD_SIZE, len(data))]:
        for value in (0, 1, 127, 255):
            changed = data[:at] + bytes([value]) + data[at + 1 :]
            try:
                log = parse(changed)
            except HeapLogError:
                assert at < 260
            else:
                assert isinstance(log, HeapLog)


def test_room_that_was_never_filled_is_passed_over() -> None:
    """Threads take room for many records at once: what the last ones left empty is no end."""
    log = Log().alloc(1, 0x100, 16)
    log.records += bytes(4096)
    log.alloc(2, 0x200, 16)
    log.records += bytes(64)
    found = parse(log.data)
    assert (list(found.samples.address), found.cut) == ([0x100, 0x200], None)


def test_what_is_behind_the_end_is_not_believed() -> None:
    """A file is larger than what is valid of it."""
    data = Log().alloc(1, 0x100, 16).data
    assert len(parse(data + Log().alloc(2, 0x200, 16).records).samples) == 1


@pytest.mark.parametrize("data", [b"", b"junk" * 100, Log(version=2).data])
def test_what_is_no_file_of_the_sampler_is_refused(data: bytes) -> None:
    """Nothing of it is guessed."""
    with pytest.raises(HeapLogError):
        parse(data)


def test_a_fork_holds_what_its_parent_held() -> None:
    """Its log begins with what the parent had written by then: not with what other threads of the parent wrote later
    into room that they had."""
    parent = Log(100).module("/bin/p", 0x1000, 0x2000).stack(1, 0x1010).alloc(1 * MS, 0xA0, 16).alloc(2 * MS, 0xB0, 32)
    parent.alloc(9 * MS, 0xC0, 64)  # of another thread, later than the fork, into room from before it
    copied = parent.end
    parent.stack(2, 0x1111).alloc(10 * MS, 0xD0, 128)
    child = Log(101, parent=(100, 0), copied=copied, start_ns=5 * MS, flags=HeadFlags.FORKED | HeadFlags.ENDED)
    child.stack(1, 0x1222).free(6 * MS, 0xA0).alloc(7 * MS, 0xE0, 256, stack=1)
    grandchild = Log(102, parent=(101, 0), copied=child.end, start_ns=8 * MS, flags=HeadFlags.FORKED)
    grandchild.free(11 * MS, 0xB0)
    logs = {log.head.pid: log for log in continued([parse(log.data) for log in (grandchild, child, parent)])}
    assert list(logs) == [100, 101, 102]
    assert list(logs[100].samples.address) == [0xA0, 0xB0, 0xC0, 0xD0]
    assert list(logs[101].samples.address) == [0xA0, 0xB0, 0xE0]
    assert list(logs[102].samples.address) == [0xA0, 0xB0, 0xE0]
    assert list(logs[102].samples.freed) == [0xA0, 0xB0]
    both = [logs[101], logs[102]]
    calls = [[log.stacks[log.samples.kinds[what][0]].addresses for what in log.samples.what] for log in both]
    assert calls == [[(0x1010,), (0x1010,), (0x1222,)]] * 2, "each file numbers its stacks anew"
    assert [kind[2] for kind in (logs[102].samples.kinds[what] for what in logs[102].samples.what)] == [16, 32, 256]
    assert [module.path for module in logs[102].modules] == ["/bin/p"]
    assert not logs[102].orphan


def test_a_fork_whose_parent_is_not_there() -> None:
    """It is known that something is missing, also by its own forks."""
    child = Log(101, parent=(100, 0), flags=HeadFlags.FORKED, start_ns=5)
    grandchild = Log(102, parent=(101, 0), flags=HeadFlags.FORKED, start_ns=8, copied=child.end)
    assert [log.orphan for log in continued([parse(child.data), parse(grandchild.data)])] == [True, True]


def test_a_folder(tmp_path: Path) -> None:
    """All files of the sampler; others, and those that are empty, are left out. Much room behind the end costs
    nothing."""
    (tmp_path / "7.0.heap").write_bytes(Log(7).alloc(1, 0x10, 16).data)
    (tmp_path / "5.1.heap").write_bytes(Log(5, 1).data)
    (tmp_path / "6.0.heap").write_bytes(b"")
    (tmp_path / "other").write_bytes(b"x")
    with (tmp_path / "5.1.heap").open("ab") as file:
        file.truncate(1 << 40)
    logs = read_logs(tmp_path)
    assert [log.key for log in logs] == [(5, 1), (7, 0)]
    assert len(logs[0].data) == wire.HEAD_SIZE
