"""heaptrack's files: what lived at the largest RSS, at the heap's own peak, as it grew, at the end."""

from __future__ import annotations

import gzip
import random
from pathlib import Path

import pytest
from tests import heapfiles

from hiwater.heap.model import Engine, Frame, HeapProfile, Snapshot
from hiwater.heap.readers import read_profile
from hiwater.heap.readers.errors import ProfileError
from hiwater.heap.readers.heaptrack import MOST_GROWTH, parse

HEAD = "v 10400 3\nX ./app\nI 1000 100\ns 3 app\ns 1 f\ni 10 1 2\nt 1 0\n"


def read(text: str, every: int = 10 << 20) -> HeapProfile:
    return parse([text.encode()], every=every)


def held(profile: HeapProfile, snapshot: Snapshot | None) -> list[tuple[str | None, int, int]]:
    assert snapshot is not None
    return [(profile.stacks[each.stack][0].function, each.in_use_bytes, each.allocations) for each in snapshot.holdings]


def test_what_a_file_says() -> None:
    """Each kind of line is understood: command, page size, inlined calls, stacks, blocks, times, RSS."""
    profile = read(heapfiles.HEAPTRACK)
    assert profile.engine is Engine.HEAPTRACK
    assert (profile.command, profile.name) == (("./app", "--fast"), "app")
    assert profile.stacks[0] == (
        Frame("string", "app.h", 7, "/opt/app", inlined=True),
        Frame("load", "app.c", 20, "/opt/app"),
        Frame("main", "app.c", 30, "/opt/app"),
    )
    assert (profile.allocations, profile.allocated_bytes) == (4, 3 * 16 + 4096)
    assert [(point.at_seconds, point.in_use_bytes, point.rss_bytes) for point in profile.course] == [
        (0.005, 32, 0x100 * 4096),
        (0.015, 48, 0x300 * 4096),
        (0.025, 32, 0x200 * 4096),
    ]
    assert held(profile, profile.exit) == [("string", 32, 2)]


def test_a_spike_between_two_looks_counts() -> None:
    """What came and went between two looks at the RSS is taken to have been resident on top of what these saw."""
    profile = read(heapfiles.HEAPTRACK)
    assert profile.peak is not None
    assert held(profile, profile.peak) == [("main", 4096, 1), ("string", 32, 2)]
    assert profile.peak.rss_bytes == 0x300 * 4096
    assert profile.peak.at_seconds == 0.005


def test_the_peak_is_that_of_the_rss() -> None:
    """Memory that was asked for and not touched makes the heap's own peak, which is shown apart, not the peak."""
    text = HEAD + "a 10000000 1\na 100000 1\n+ 0\nc 10\nR 100\nc 20\nR 110\n- 0\n+ 1\n+ 1\nc 30\nR 300\nc 40\nR 200\n"
    profile = read(text, every=1 << 40)
    assert profile.peak is not None
    assert (profile.peak.in_use_bytes, profile.peak.rss_bytes) == (2 << 20, 0x300 * 4096)
    assert [(each.label, each.in_use_bytes) for each in profile.growth] == [("heap peak", 0x10000000)]
    assert any("another moment" in note for note in profile.notes)


def test_growth_is_a_snapshot_at_each_step() -> None:
    """Each time the heap has grown by so much, what lived then is kept."""
    text = HEAD + "a 64 1\n" + "+ 0\n" * 10 + "- 0\n" * 10 + "+ 0\n" * 25
    assert [each.in_use_bytes for each in read(text, every=1000).growth] == [1000, 2000]


def test_growth_stays_small() -> None:
    """A heap of thousands of steps has at most so many snapshots, spread over all of its growth."""
    profile = read(HEAD + "a 64 1\n" + "+ 0\n" * 1000, every=100)
    assert MOST_GROWTH // 2 < len(profile.growth) <= MOST_GROWTH
    sizes = [each.in_use_bytes for each in profile.growth]
    assert sizes == sorted(sizes)
    assert sizes[0] <= 3200
    assert sizes[-1] >= 100_000 - 3200


def test_without_rss_the_peak_is_that_of_the_heap() -> None:
    """A file that tells no RSS has its heap's own peak shown, and says so."""
    profile = read(HEAD + "a 10 1\n+ 0\n- 0\n")
    assert profile.peak is not None
    assert (profile.peak.in_use_bytes, profile.peak.rss_bytes) == (16, None)
    assert any("no RSS" in note for note in profile.notes)


def test_what_the_library_itself_writes() -> None:
    """``heaptrack --raw``: blocks by their address, places by module, a block freed that was never seen is nothing."""
    profile = read(heapfiles.HEAPTRACK_RAW)
    assert profile.stacks[0] == (
        Frame(None, library="/opt/app", address=0x1010),
        Frame(None, library="/opt/app", address=0x1100),
    )
    assert profile.exit is not None and profile.peak is not None
    assert (profile.exit.in_use_bytes, profile.peak.in_use_bytes) == (32, 4096 + 32)
    largest = profile.stacks[profile.peak.holdings[0].stack]
    assert largest[0] == Frame(None, library="/opt/with blanks 10", address=0x1007)


def test_older_formats_have_no_lengths() -> None:
    """In the file formats 1 and 2 a string stands without its length."""
    text = heapfiles.HEAPTRACK.replace("v 10400 3", "v 10300 2")
    for length in "84565":
        text = text.replace(f"\ns {length} ", "\ns ")
    assert read(text.replace("\ns 6 ", "\ns ")).stacks == read(heapfiles.HEAPTRACK).stacks


@pytest.mark.parametrize("text", [heapfiles.HEAPTRACK, heapfiles.HEAPTRACK_RAW], ids=["interpreted", "raw"])
def test_pieces_do_not_matter(text: str) -> None:
    """However a file comes in pieces, the profile is the same."""
    data = text.encode()
    whole = parse([data], every=16)
    shuffled = random.Random(1)
    for _ in range(100):
        cuts = sorted(shuffled.randrange(len(data)) for _ in range(shuffled.randrange(12)))
        pieces = [data[first:last] for first, last in zip([0, *cuts], [*cuts, len(data)], strict=True)]
        assert parse(pieces, every=16) == whole


def test_a_random_course_by_hand() -> None:
    """Thousands of random allocations and frees, counted one by one, give the same peak, growth and end."""
    chance = random.Random(7)
    sizes = [chance.randrange(1, 5000) for _ in range(40)]
    lines, live, seen = [], [0] * len(sizes), []
    for at in range(20000):
        block = chance.randrange(len(sizes))
        if live[block] and chance.random() < 0.45:
            live[block] -= 1
            lines.append(f"- {block:x}")
        else:
            live[block] += 1
            lines.append(f"+ {block:x}")
        if at % 700 == 699:
            lines.append(f"c {at:x}")
        seen.append((sum(count * size for count, size in zip(live, sizes, strict=True)), tuple(live)))
    text = HEAD + "".join(f"a {size:x} 1\n" for size in sizes) + "\n".join(lines) + "\n"
    pieces = [text[at : at + 10000].encode() for at in range(0, len(text), 10000)]
    profile = parse(pieces, every=1 << 20)
    most, at_most = max(seen, key=lambda each: each[0])
    assert profile.peak is not None and profile.exit is not None
    assert profile.peak.in_use_bytes == most
    assert sum(each.allocations for each in profile.peak.holdings) == sum(at_most)
    assert profile.exit.in_use_bytes == seen[-1][0]
    expected, step = [], 1 << 20
    for size, _ in seen:
        if size >= step:
            expected.append(size)
            step = (size // (1 << 20) + 1) << 20
    assert [each.in_use_bytes for each in profile.growth] == expected


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "begins with its version"),
        ("v 10400 9\n", "format 9 is not known"),
        (HEAD + "a 10 2\n", "'a 10 2': blocks of a stack that has not come"),
        (HEAD + "a 10 1\n+ 1\n", r"'\+ 1': it names block 1 of 1"),
        (HEAD + "+ -1\n", "beyond 64 bits"),
        (HEAD + "+ zz\n", "not hexadecimal"),
        (HEAD + "t 1 9\n", "continues in one that has not come"),
        (HEAD + "t 7 0\n", "number 7 of 1"),
        (HEAD + "i 10 9\n", "number 9 of 2"),
        (HEAD + "I 0 0\n", "pages of 0 bytes"),
        (HEAD + "R\nR 5 5\nR \n", "numbers that belong there"),
        ("v 10400 3\nx 1 a\nm 1 -\n+ 1\n", "without size, stack, address"),
        ("v 10400 3\nx 1 a\nm 3 abc\n", "'m 3 abc': a module has an address"),
        ("v 10400 3\nx 1 a\nm 3 abc 10 20\n", "of each piece address and size"),
        (HEAD + "s " + "x" * (2 << 20), "a line of more than 1 MiB"),
        (HEAD + "a ffffffffffffffff 1\n+ 0\n", "more than 2\\^63 bytes"),
    ],
)
def test_a_wrong_line_is_named(text: str, says: str) -> None:
    """What is wrong is said, with the line."""
    with pytest.raises(ProfileError, match=says):
        read(text)


def test_recursion_without_end_is_cut() -> None:
    """Stacks deeper than is kept lose their outermost calls, and cost no time beyond that."""
    text = HEAD + "".join(f"t 1 {at:x}\n" for at in range(1, 5000)) + "a 10 1388\n+ 0\n"
    profile = read(text)
    assert [len(stack) for stack in profile.stacks] == [512]


def test_a_file_that_is_cut_off_is_read_so_far(tmp_path: Path) -> None:
    """A packed file without its end gives what it holds, says so, and has no exit."""
    packed = gzip.compress(
        (HEAD + "a 10 1\n" + "".join(f"a {at:x} 1\n" for at in range(5000)) + "+ 0\n" * 9999).encode()
    )
    path = tmp_path / "cut.gz"
    path.write_bytes(packed[:-30])
    profile = read_profile(path)
    assert profile.exit is None
    assert profile.peak is not None and profile.peak.in_use_bytes > 0
    assert any("cut off" in note for note in profile.notes)
    path.write_bytes(packed)
    assert read_profile(path).exit is not None
