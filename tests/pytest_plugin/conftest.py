"""Each test starts a pytest of its own, which finds the plugin through the installed entry point, as users' do."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Run = Callable[..., pytest.RunResult]

MEMORY = """
import mmap
MIB = 1 << 20

def take(mib):
    block = mmap.mmap(-1, mib * MIB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for at in range(0, len(block), MIB):
        block[at : at + MIB] = b"1" * MIB
    return block

def spike(mib):
    take(mib).close()
"""


@pytest.fixture
def run(pytester: pytest.Pytester) -> Run:
    """``run(TEST FILE, ARGUMENT...)``: pytest on one file, which may use take() and spike().

    In this process, which is quicker, unless ``process=True``: the sizes are the same, apart from the baseline.
    """
    pytester.makepyfile(memory=MEMORY)

    def start(text: str, *arguments: str, process: bool = False) -> pytest.RunResult:
        head = "import os, pytest\nfrom memory import spike, take\n"
        (pytester.path / "test_it.py").write_text(head + text)
        options = ("-Wignore::pytest.PytestDeprecationWarning", "-pno:hypothesispytest", *arguments)
        if process:
            return pytester.runpytest_subprocess(*options, timeout=300)
        return pytester.runpytest_inprocess("-pno:asyncio", *options)

    return start
