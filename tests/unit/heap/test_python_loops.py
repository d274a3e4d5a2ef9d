"""The interpreter's loop where it has no name."""

from __future__ import annotations

from tests.unit.heap.test_python_frames import Call, native, python, shown

from hiwater.heap.model import Frame
from hiwater.heap.python_frames import LOOP, merge
from hiwater.heap.python_loops import name_loops

PYTHON = "@/usr/bin/python3.13"
EXT = "qsort@/lib/libc.so.6 call@/x/_ext.so"


def unnamed(text: str) -> list[list[Frame]]:
    """As ``native``; ``0x..`` is a function of the interpreter that has no name."""
    return native(" ".join(f"python3.13~{word}{PYTHON}" if word.startswith("0x") else word for word in text.split()))


def told(*stacks: tuple[str, str]) -> list[str]:
    """The merged stacks."""
    pairs: list[tuple[list[list[Frame]], list[Call]]] = [(unnamed(one), python(other)) for one, other in stacks]
    return [shown(merge(named, ours)) for named, (_, ours) in zip(name_loops(pairs), pairs, strict=True)]


def test_a_part_without_a_name() -> None:
    """The part of the loop that lost its name is found by how often it is on stacks, and takes Python's frames."""
    assert told(
        (f"0x1 0x44 0x9 {EXT} 0x44 0x5 0x7", "key^ outer <module>^"),
        (f"0x44 0x9 {EXT} {LOOP}{PYTHON} 0x5 0x7", "key^ outer <module>^"),
        ("0x1 0x44 0x8 0x44 0x5 0x7", "f^ <module>^"),
        (f"0x2 {LOOP}{PYTHON} 0x5 0x7", "<module>^"),
    ) == ["key qsort call outer <module>", "key qsort call outer <module>", "f <module>", "<module>"]


def test_several_parts() -> None:
    """Where no part has a name each is found."""
    assert told(
        (f"0x44 0x9 {EXT} 0x66 0x5 0x7", "key^ outer^"),
        (f"0x66 0x9 {EXT} 0x44 0x5 0x7", "key^ outer^"),
        (f"0x66 0x9 {EXT} 0x66 0x8 0x44 0x7", "key^ outer^ <module>^"),
        ("0x66 0x7", "<module>^"),
        ("0x44 0x7", "<module>^"),
    ) == ["key qsort call outer"] * 2 + ["key qsort call outer <module>", "<module>", "<module>"]


def test_compiled() -> None:
    """What the interpreter compiled itself, which has no file, is a part of it; code that others compiled stays."""
    code = [Frame(None, address=0x7000)]
    loop, other, builtin = native(f"{LOOP}{PYTHON}"), native("call@/x/_dispatcher.so"), native(f"list_sort{PYTHON}")
    for stack, ours, wanted in (
        ([*builtin, code, code, *loop], "f <module>^", "f <module>"),
        ([*builtin, code], "f <module>^", "f <module>"),
        ([code, *other, *loop], "f^", "? call f"),
    ):
        ((merged, called),) = zip(name_loops([(stack, python(ours))]), [python(ours)], strict=True)
        assert shown(merge(merged, called)) == wanted
    assert name_loops([([code], [])]) == [[code]]


def test_nothing_is_missing() -> None:
    """With their names, stacks stay what they are; so do those that are not Python's, and those that were cut."""
    whole = unnamed(f"0x44 {LOOP}{PYTHON} 0x7"), python("<module>^")
    other = unnamed("alloc@/x/_ext.so 0x44"), python("")
    cut = unnamed("0x44 0x44"), python("f^ g")
    assert name_loops([whole, other, cut]) == [whole[0], other[0], cut[0]]
