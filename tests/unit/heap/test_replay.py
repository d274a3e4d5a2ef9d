"""Which blocks lived at a moment, and what they stand for."""

from __future__ import annotations

import math
import random

import pytest
from tests.heaplogs import MS, START_NS, Log

from hiwater.heap.log import parse
from hiwater.heap.model import Holding, Kind
from hiwater.heap.replay import Replay, weight
from hiwater.heap.wire import AllocKind

MIB = 1 << 20
SHARED, PRIVATE = 0x21, 0x22
"""MAP_ANONYMOUS and either."""


def replay(log: Log) -> Replay:
    return Replay(parse(log.data))


def held(log: Log, t_ns: int) -> dict[tuple[int, Kind], int]:
    return {(one.stack, one.kind): one.in_use_bytes for one in replay(log).at(START_NS + t_ns).holdings}


def test_a_block_lives_from_its_allocation_to_its_free() -> None:
    """Threads write in turns, so that records are not in the order of time."""
    log = Log().alloc(10, 0xA00, MIB, stack=1).alloc(30, 0xC00, 4 * MIB, stack=2).free(40, 0xA00)
    log.alloc(20, 0xB00, 2 * MIB, stack=1).free(35, 0xB00)
    assert held(log, 9) == {}
    assert held(log, 10) == {(1, Kind.MALLOC): MIB}
    assert held(log, 34) == {(1, Kind.MALLOC): 3 * MIB, (2, Kind.MALLOC): 4 * MIB}
    assert held(log, 35) == {(1, Kind.MALLOC): MIB, (2, Kind.MALLOC): 4 * MIB}
    assert held(log, 40) == {(2, Kind.MALLOC): 4 * MIB}


def test_an_address_is_given_out_again() -> None:
    """A free that another thread tells at the instant of the next allocation is of the block before; where a free is
    missing, the next allocation at the address ends the block; a free of what was never sampled is nothing."""
    log = Log().alloc(10, 0xA00, MIB, stack=1).alloc(20, 0xA00, 2 * MIB, stack=2).free(20, 0xA00).free(5, 0xF00)
    assert held(log, 20) == {(2, Kind.MALLOC): 2 * MIB}
    log = Log().alloc(10, 0xA00, MIB, stack=1).alloc(20, 0xA00, 2 * MIB, stack=2).free(30, 0xA00)
    assert held(log, 25) == {(2, Kind.MALLOC): 2 * MIB}
    assert held(log, 30) == {}
    log = Log().alloc(10, 0xA00, MIB).free(10, 0xA00)
    assert held(log, 10) == {}


def test_kinds_are_told_apart() -> None:
    """malloc's family and Python's allocators."""
    log = Log()
    for at, kind in enumerate(AllocKind):
        log.alloc(at, 0x1000 * at, 1000 << at, kind=kind)
    assert held(log, 99) == {(1, Kind.MALLOC): 3000, (1, Kind.PYTHON): 12000}


def test_the_estimate_is_unbiased_and_its_error_is_what_it_says() -> None:
    """Blocks of several sizes, sampled as the sampler does: over many trials the mean of the estimates is the truth
    within its error, and their scatter is the standard error that each of them states."""
    rnd = random.Random(4)
    sizes, mean, trials = [16] * 3000 + [200] * 1000 + [5000] * 60 + [200_000] * 3, 4096, 60
    truth = sum(sizes)
    estimates, variances = [], []
    for _ in range(trials):
        log = Log()
        for at, size in enumerate(sizes):
            if rnd.random() < 1 - math.exp(-size / mean):
                log.alloc(at, 0x1000 * at, size, mean=mean)
        (one,) = replay(log).at(START_NS + MS).holdings
        estimates.append(one.in_use_bytes)
        variances.append(one.variance)
    scatter = math.sqrt(sum((one - truth) ** 2 for one in estimates) / trials)
    stated = math.sqrt(sum(variances) / trials)
    assert abs(sum(estimates) / trials - truth) < 4 * stated / math.sqrt(trials)
    assert 0.7 < scatter / stated < 1.4


@pytest.mark.parametrize(("size", "mean"), [(0, 512), (1, 1 << 40), (1 << 40, 512), (100, 0)])
def test_extreme_samples(size: int, mean: int) -> None:
    """Blocks of no bytes, tiny ones that hardly ever are sampled, huge ones that always are, and no sampling at all."""
    one = weight(size, mean)
    assert one.bytes >= size
    assert one.blocks >= 1
    assert one.variance >= 0
    if size > 1 or not mean:
        assert (one.bytes, one.blocks) == (size, 1)
        assert one.variance == pytest.approx(0)


def test_between_two_moments() -> None:
    """What grew and what shrank; what lived at both adds no variance; backwards the signs are turned."""
    log = Log().alloc(10, 0xA00, 400, mean=4096, stack=1).alloc(10, 0xB00, MIB, stack=2).map(10, 0x10000, 8192, stack=4)
    log.alloc(20, 0xC00, MIB, stack=3).free(25, 0xB00).map(26, 0x40000, 4096, stack=4)
    grown = replay(log).between(START_NS + 15, START_NS + 30)
    assert grown == (
        Holding(3, Kind.MALLOC, MIB, 1, 0.0),
        Holding(4, Kind.MMAP, 4096, 1),
        Holding(2, Kind.MALLOC, -MIB, -1, 0.0),
    )
    back = replay(log).between(START_NS + 30, START_NS + 15)
    assert [(one.stack, one.in_use_bytes) for one in back] == [(2, MIB), (4, -4096), (3, -MIB)]


def test_what_the_program_mapped() -> None:
    """mmap, partial munmap, MAP_FIXED over it, mremap; reservations and files are no memory of the heap."""
    log = Log().map(10, 0x10000, 0x8000, stack=1)
    log.map(11, 0x100000, 1 << 40, protection=0).map(12, 0x90000, 0x4000, flags=2, fd=5)
    log.unmap(20, 0x12000, 0x2000)
    log.map(30, 0x16000, 0x1000, stack=2)
    log.map(40, 0x80000, 0x10000, moved=(0x10000, 0x2000))
    log.unmap(50, 0, 1 << 47)
    assert held(log, 10) == {(1, Kind.MMAP): 0x8000}
    assert held(log, 20) == {(1, Kind.MMAP): 0x6000}
    assert held(log, 30) == {(1, Kind.MMAP): 0x5000, (2, Kind.MMAP): 0x1000}
    assert held(log, 40) == {(1, Kind.MMAP): 0x13000, (2, Kind.MMAP): 0x1000}
    assert held(log, 50) == {}
    assert replay(log).at(START_NS + 45).in_use_bytes == 0


@pytest.mark.parametrize(
    ("path", "size", "flags", "arena"),
    [
        ("/usr/lib/libpython3.11.so.1.0", 1 << 20, PRIVATE, True),
        ("/usr/bin/python3.9", 256 << 10, PRIVATE, True),
        ("/usr/bin/python3.9", 512 << 10, PRIVATE, False),
        ("/usr/bin/python3.11", 1 << 20, SHARED, False),
        ("/usr/lib/libother.so", 1 << 20, PRIVATE, False),
    ],
)
def test_arenas_of_python_are_kept_out(path: str, size: int, flags: int, arena: bool) -> None:
    """Their objects are told one by one: private mappings of the size of an arena that the interpreter asked for."""
    log = Log().module(path, 0x1000, 0x9000).stack(1, 0x1010).map(10, 0x100000, size, flags=flags)
    live = replay(log).at(START_NS + 10)
    assert live.arena_bytes == (size if arena else 0)
    assert [one.in_use_bytes for one in live.holdings] == ([] if arena else [size])


def test_many_moments_in_one_pass_are_each_what_one_alone_is() -> None:
    """Snapshots, and the course, agree with a count by hand."""
    rnd = random.Random(7)
    log, at = Log(), 0
    alive: list[tuple[int, int]] = []
    truth: list[int] = []
    for step in range(2000):
        if alive and rnd.random() < 0.45:
            where, _ = alive.pop(rnd.randrange(len(alive)))
            log.free(step, where)
        else:
            at += 1
            alive.append((at << 20, 1000 + rnd.randrange(5000)))
            log.alloc(step, *alive[-1], stack=rnd.randrange(5))
        truth.append(sum(size for _, size in alive))
    found = replay(log)
    lives = list(found.at_many([START_NS + step for step in range(0, 2000, 50)]))
    assert [live.in_use_bytes for live in lives] == truth[::50]
    assert list(found.in_use) == truth
    assert lives[10] == found.at(START_NS + 500)
    assert lives[10].in_use_bytes == sum(one.in_use_bytes for one in lives[10].holdings)


def test_the_mean_of_what_lives() -> None:
    """It changes as the heap grows, and each thread has its own: what most of the memory was sampled with counts."""
    log = Log(mean=100).alloc(10, 0xA00, 16, mean=512).alloc(20, 0xB00, 16, mean=1024).alloc(22, 0xC00, 1, mean=1)
    log.free(25, 0xB00)
    assert [replay(log).mean_at(START_NS + at) for at in (5, 15, 23, 99)] == [100, 512, 1024, 512]
