"""Colours and marks."""

from hiwater.views.paint import Paint, can_mark


def test_paint() -> None:
    """Text is only decorated where colour is on, and an empty text never."""
    assert Paint()("red", "x") == "x"
    assert Paint(color=True)("red", "x") == "\x1b[31mx\x1b[0m"
    assert Paint(color=True)("red", "") == ""
    assert Paint(color=True)("", "x") == "x", "no style"


def test_marks() -> None:
    """Right, wrong and neither differ without colour, and in ASCII too."""
    assert [Paint().mark(good) for good in (True, False, None)] == ["✓", "✗", "–"]  # noqa: RUF001
    assert [Paint(unicode=False).mark(good) for good in (True, False, None)] == ["+", "x", "-"]


def test_can_mark() -> None:
    """What an encoding cannot hold is not written; an encoding nobody knows holds nothing."""
    assert [can_mark(name) for name in ("utf-8", "ascii", "latin-1", "no-such", None)] == [True] + [False] * 4
