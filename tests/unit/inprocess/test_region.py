"""The peak of a block of code, against blocks that know what they took."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator

import pytest
from tests.unit.inprocess.memory import MIB, held, spike, take

import hiwater
from hiwater.analysis.reading import Method, Reading

NOISE = 2 * MIB
"""What the interpreter itself may take or give back beside the block."""


def assert_is(reading: Reading, mib: float) -> None:
    """The bounds hold, and the estimate is no further off than they allow."""
    truth = int(mib * MIB)
    assert reading.bytes is not None and reading.low is not None and reading.high is not None
    assert reading.low - NOISE <= truth <= reading.high + NOISE
    assert reading.low <= reading.bytes <= reading.high


def script(text: str, *arguments: str) -> list[str]:
    """Executes Python in a process of its own; the words that it prints."""
    code = "from tests.unit.inprocess.memory import *\nimport hiwater, os\n" + textwrap.dedent(text)
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_a_spike_inside_the_block_is_its_peak() -> None:
    """The peak is exact even of memory that was given back within the block, and nothing of it is left."""
    with hiwater.region() as r:
        spike(100)
    assert_is(r.growth, 100)
    assert_is(r.left, 0)
    assert r.peak.method is Method.VMHWM_SAMPLED and r.refused is None
    assert r.baseline.bytes is not None and r.growth.bytes is not None
    assert r.peak.bytes == r.baseline.bytes + r.growth.bytes


def test_what_came_before_is_not_in_it() -> None:
    """A larger peak before the block does not count for it."""
    spike(150)
    with hiwater.region() as r:
        spike(20)
    assert_is(r.growth, 20)


def test_what_comes_after_is_not_in_it() -> None:
    """The figures of a block that has ended stay."""
    with hiwater.region() as r:
        spike(10)
    before = r.figures
    spike(100)
    assert r.figures == before


def test_nothing_taken_is_no_growth() -> None:
    """The approximation that the kernel resets the mark to is not taken for growth."""
    with hiwater.region() as r:
        pass
    assert r.growth.bytes is not None and r.growth.bytes < 256 << 10


def test_left() -> None:
    """What the block keeps is left; what it gives back of what was there before counts below zero."""
    with hiwater.region() as taking:
        block = take(50)
    with hiwater.region() as giving:
        block.close()
    assert_is(taking.left, 50)
    assert_is(giving.left, -50)
    assert_is(giving.growth, 0)


def test_split() -> None:
    """Anonymous, file and shared memory are told apart at both ends."""
    with hiwater.region() as r:
        block = take(30)
    figures = r.figures
    block.close()
    assert figures.at_end.anon_bytes is not None and figures.at_entry.anon_bytes is not None
    assert abs(figures.at_end.anon_bytes - figures.at_entry.anon_bytes - 30 * MIB) < NOISE
    assert figures.at_max == figures.at_end


def test_figures_inside_the_block() -> None:
    """Inside the block the figures are those so far."""
    with hiwater.region() as r:
        spike(30)
        so_far = r.growth
        spike(60)
    assert_is(so_far, 30)
    assert_is(r.growth, 60)


def test_nested() -> None:
    """An inner region resets the mark; the outer one keeps what was before it, inside it and after it."""
    for before, inside, after in ((90, 20, 10), (10, 90, 20), (10, 20, 90)):
        with hiwater.region() as outer:
            spike(before)
            with hiwater.region() as inner:
                spike(inside)
            spike(after)
        assert_is(outer.growth, 90)
        assert_is(inner.growth, inside)


def test_siblings_within_one_region() -> None:
    """Each inner region has its own peak, however large the one before was."""
    with hiwater.region() as outer:
        with hiwater.region() as first:
            spike(80)
        with hiwater.region() as second:
            spike(15)
    assert_is(first.growth, 80)
    assert_is(second.growth, 15)
    assert_is(outer.growth, 80)


def test_overlapping_not_nested() -> None:
    """Regions may end in any order."""
    first, second = hiwater.region(), hiwater.region()
    first.__enter__()
    spike(60)
    second.__enter__()
    spike(20)
    first.__exit__(None, None, None)
    spike(40)
    second.__exit__(None, None, None)
    assert_is(first.growth, 60)
    assert_is(second.growth, 40)


def test_threads() -> None:
    """Memory belongs to the process: a region counts what other threads take while it is open."""
    opened, taken, closed = threading.Event(), threading.Event(), threading.Event()
    found: list[hiwater.Region] = []

    def other() -> None:
        with hiwater.region() as r:
            opened.set()
            taken.wait(60)
        found.append(r)
        closed.set()

    thread = threading.Thread(target=other)
    with hiwater.region() as mine:
        spike(80)
        thread.start()
        assert opened.wait(60)
        spike(40)
        taken.set()
        assert closed.wait(60)
        thread.join()
    assert_is(mine.growth, 80)
    assert_is(found[0].growth, 40)


def test_many_threads_lose_nothing() -> None:
    """However many regions reset the mark meanwhile, the open ones and the process keep the largest."""
    over = threading.Event()

    def resets() -> None:
        while not over.is_set():
            with hiwater.region():
                pass

    threads = [threading.Thread(target=resets) for _ in range(4)]
    with hiwater.region() as r:
        for thread in threads:
            thread.start()
        with held(70):
            assert r.growth.bytes is not None
            for _ in range(20):
                with hiwater.region():
                    pass
        over.set()
        for thread in threads:
            thread.join()
    size, low, high = r.growth.bytes, r.growth.low, r.growth.high
    assert size is not None and low is not None and high is not None
    assert size >= 70 * MIB - NOISE and low <= 72 * MIB and high >= 70 * MIB
    total = hiwater.peak_rss().bytes
    assert total is not None and r.peak.bytes is not None and total >= r.peak.bytes


def test_decorator() -> None:
    """Each call of a decorated function is a region of its own, handed to on_end."""
    ended: list[hiwater.Region] = []

    @hiwater.region(on_end=ended.append)
    def work(mib: int) -> int:
        """Takes memory."""
        spike(mib)
        return mib

    assert (work(30), work(60)) == (30, 60)
    assert work.__name__ == "work" and work.__doc__ == "Takes memory."
    assert_is(ended[0].growth, 30)
    assert_is(ended[1].growth, 60)


def test_async() -> None:
    """A decorated coroutine is measured while it runs, not while it is made; `async with` works as well."""
    ended: list[hiwater.Region] = []

    @hiwater.region(on_end=ended.append)
    async def work() -> None:
        await asyncio.sleep(0)
        spike(40)

    async def main() -> hiwater.Region:
        await work()
        async with hiwater.region() as r:
            await asyncio.sleep(0)
            spike(25)
        return r

    assert_is(asyncio.run(main()).growth, 25)
    assert_is(ended[0].growth, 40)


def test_generators_are_refused() -> None:
    """Decorating a generator would measure nothing: it is refused."""

    def numbers() -> Iterator[int]:
        yield 1

    with pytest.raises(hiwater.MisuseError, match="generator"):
        hiwater.region()(numbers)


def test_misuse() -> None:
    """A region is entered once, and has no figures before."""
    r = hiwater.region()
    with pytest.raises(hiwater.MisuseError, match="not entered"):
        print(r.peak)
    with r, pytest.raises(hiwater.MisuseError, match="entered once"):
        r.__enter__()


def test_an_exception_passes() -> None:
    """What the block raises is not touched, and the figures are there."""
    r = hiwater.region()
    with pytest.raises(ZeroDivisionError), r:
        spike(10)
        raise ZeroDivisionError
    assert_is(r.growth, 10)


def test_collect() -> None:
    """With collect, what only waits for the garbage collector is in the peak but not left."""

    def cycle() -> None:
        ring: list[object] = [take(40)]
        ring.append(ring)

    with hiwater.region(collect=True) as r:
        cycle()
    assert_is(r.growth, 40)
    assert_is(r.left, 0)


def test_text() -> None:
    """A region says its figures in one line."""
    with hiwater.region() as r:
        spike(10)
    assert str(r).startswith("peak ") and "between" in str(r) and "growth" in str(r)


def test_peak_rss_outlives_resets() -> None:
    """The peak of the process is kept, though the kernel has forgotten it."""
    spike(120)
    before = hiwater.peak_rss()
    with hiwater.region():
        pass
    after = hiwater.peak_rss()
    assert before.bytes is not None and after.bytes is not None and after.bytes >= before.bytes
    assert after.method is Method.VMHWM_SAMPLED


def test_peak_rss_is_not_inherited() -> None:
    """A small program started by a large one says its own peak, where ru_maxrss says the launcher's."""
    ours, rusage = script(
        """
        import subprocess, sys
        block = take(300)
        code = ("import hiwater, resource; "
                "print(hiwater.peak_rss().bytes, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)")
        print(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout)
        """
    )
    assert int(rusage) > 300 * MIB
    assert int(ours) < 100 * MIB


def test_who_waits_for_this_process_loses_nothing() -> None:
    """A peak before a reset stays in what wait4 says, and so within the bounds of `hiwater run` around it."""
    code = """
        from tests.unit.inprocess.memory import *
        import hiwater, resource
        hiwater.region
        spike(200)
        with hiwater.region():
            pass
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 150 << 10)
        print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss > 199 << 10)
        """
    for mode in ("quiet", "trace"):
        command = [sys.executable, "-c", textwrap.dedent(code)]
        recording = hiwater.run(command, mode=mode, capture_output=True, text=True, check=True)
        assert recording.stdout == "True\nTrue\n"
        reading = recording.peak_rss
        assert reading.bytes is not None and reading.low is not None and reading.high is not None
        assert reading.low < 230 * MIB and reading.high > 200 * MIB and reading.bytes > 199 * MIB


def test_forked_child_starts_anew() -> None:
    """In a forked child the process's peak and open regions count from the fork on; the parent's go on."""
    lines = script(
        """
        spike(200)
        with hiwater.region() as r:
            spike(100)
            pid = os.fork()
            if pid == 0:
                spike(30)
            else:
                os.waitpid(pid, 0)
        print(r.growth.bytes >> 20, hiwater.peak_rss().bytes >> 20, flush=True)
        """
    )
    child_growth, child_peak, parent_growth, parent_peak = (int(word) for word in lines)
    assert 28 <= child_growth <= 34 and child_peak < 100
    assert 98 <= parent_growth <= 104 and parent_peak >= 200


def test_fork_while_another_thread_measures() -> None:
    """A fork at any moment leaves the child able to measure."""
    words = script(
        """
        import threading
        hiwater.region  # not while forking: a lock of the import system would stay with the other thread
        over = threading.Event()
        def resets():
            while not over.is_set():
                with hiwater.region():
                    pass
        thread = threading.Thread(target=resets)
        thread.start()
        for _ in range(50):
            pid = os.fork()
            if pid == 0:
                with hiwater.region() as r:
                    spike(5)
                os._exit(0 if r.growth.bytes > 4 * MIB else 1)
            print(os.waitpid(pid, 0)[1])
        over.set()
        thread.join()
        """
    )
    assert words == ["0"] * 50


def test_refused_for_real() -> None:
    """Where the kernel refuses (clear_refs belongs to root), samples stand in, and the reading says so."""
    method, growth, high, refused = script(
        """
        import ctypes, time
        hiwater.region  # while Python's own files can still be read
        if os.geteuid() == 0:
            os.setuid(65534)  # that makes the process undumpable as well
        ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)  # PR_SET_DUMPABLE
        spike(200)
        with hiwater.region() as r:
            with held(50):
                deadline = time.monotonic() + 60
                while r.growth.bytes < 49 * MIB and time.monotonic() < deadline:
                    time.sleep(0.001)
        print(r.peak.method, r.growth.bytes >> 20, r.growth.high >> 20, r.refused.replace(" ", "_"))
        """
    )
    assert method == "rss_sampled"
    assert int(growth) in (49, 50, 51)
    assert int(high) >= 198
    assert refused.endswith("clear_refs:_Permission_denied")


def test_import_is_lazy() -> None:
    """Nothing of this is loaded before it is used."""
    assert script("import sys; print([m for m in sys.modules if 'hiwater.' in m])") == ["['hiwater._version']"]
