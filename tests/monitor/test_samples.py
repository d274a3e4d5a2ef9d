"""The timeline as the monitor packs it: nothing is lost, and a recording of hours stays small."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest
from tests.monitor.build import SOURCES, compile_c
from tests.streams import Stream

from hiwater.recording import wire
from hiwater.recording.reader import parse

PARTS = [Path(__file__).parent / "programs" / "samples_test.c", SOURCES / "samples.c"]


@pytest.fixture(scope="module")
def samples_test(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("samples") / "samples_test"
    compile_c(PARTS, target, f"-I{SOURCES}", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    return target


@pytest.mark.parametrize("spread", [1, 250, 70_000, 1 << 31])
def test_rows_come_back_as_they_were(samples_test: Path, spread: int) -> None:
    """Every row that is written is read again, whatever the widths of its columns; times to the microsecond."""
    chance = random.Random(spread)
    rows, t_ns = [], 0
    for at in range(2000):
        t_ns += chance.choice((0, 1000, 14_000_000, 5 * 10**12 if at % 500 == 499 else 0))
        pages = [chance.choice((wire.NONE, 1)) if at % 100 == 0 else 7 + chance.randrange(spread) for _ in range(7)]
        rows.append((t_ns, chance.randrange(3), *pages))
    text = "\n".join(" ".join(map(str, row)) for row in rows)
    body = subprocess.run([samples_test, "rows"], input=text.encode(), capture_output=True, check=True).stdout
    recording = parse(Stream().data + body)
    line = recording.timeline
    columns = (line.time_ns, line.image, line.rss_pages, line.anon_pages, line.shmem_pages, line.swap_pages,
               line.hwm_pages, line.pte_pages, line.hugetlb_pages)  # fmt: skip
    assert list(zip(*columns, strict=True)) == rows


def test_an_hour_of_fifty_restless_processes(samples_test: Path) -> None:
    """It takes less than 50 MiB, and what is left out of it is as large as the monitor says, not larger."""
    result = subprocess.run([samples_test, "hour"], capture_output=True, check=True)
    off, told = map(int, result.stderr.split())
    assert len(result.stdout) < 50 << 20
    assert 0 < off <= told < 2000 * 4096
    assert len(parse(Stream().data + result.stdout).timeline) > 1_000_000
