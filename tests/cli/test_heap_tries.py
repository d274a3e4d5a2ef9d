"""``hiwater heap --try-malloc`` from outside, with programs whose memory one setting gives back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.cli.eaters import HIWATER
from tests.cli.test_heap import heap

from hiwater.heap.libraries import read_cache

MIB = 1 << 20
ARENAS = r"""
/* Sixteen threads that live all at once, so that each has an arena of its own, work in turn: 8 MiB of small blocks, all
 * freed but the last, which keeps the arena as large as it is. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
enum { THREADS = 16, BLOCKS = 8192, SIZE = 1000 };
static pthread_barrier_t all;
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
static char *volatile blocks[BLOCKS];

static void *work(void *unused)
{
	char *volatile first = malloc(100), *volatile last;

	pthread_barrier_wait(&all);
	pthread_mutex_lock(&turn);
	for (int i = 0; i < BLOCKS; i++) {
		blocks[i] = malloc(SIZE);
		memset(blocks[i], 1, SIZE);
	}
	last = malloc(2000);
	for (int i = 0; i < BLOCKS; i++)
		free(blocks[i]);
	pthread_mutex_unlock(&turn);
	pthread_barrier_wait(&all);
	return first == last ? unused : NULL;
}

int main(void)
{
	pthread_t threads[THREADS];

	pthread_barrier_init(&all, NULL, THREADS);
	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, work, NULL);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	return getenv("MALLOC_ARENA_MAX") != NULL && strcmp(getenv("MALLOC_ARENA_MAX"), "2") == 0 ? 3 : 0;
}
"""
TRAP = r"""
/* A block of 4 MiB, mapped and freed, raises the threshold for mapping: 32 MiB in blocks of 2 MiB are of the heap then,
 * and with something that lives behind each of them no hole is given back, and none is large enough for 24 MiB. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
static char *volatile big[16], *volatile small[16], *volatile one;

static char *touched(size_t bytes)
{
	return memset(malloc(bytes), 1, bytes);
}

int main(void)
{
	for (int c; (c = getchar()) != EOF;)
		putchar(c);
	free(one = touched(4 << 20));
	for (int i = 0; i < 16; i++) {
		big[i] = touched(2 << 20);
		small[i] = touched(2000);
	}
	for (int i = 0; i < 16; i++)
		free(big[i]);
	one = touched(24 << 20);
	return 0;
}
"""


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both, built once."""
    place = tmp_path_factory.mktemp("tries")
    for name, source in (("arenas", ARENAS), ("trap", TRAP)):
        (place / f"{name}.c").write_text(source)
        subprocess.run(["gcc", "-O1", "-g", "-pthread", "-o", place / name, place / f"{name}.c"], check=True)
    return place


def rows(path: Path) -> dict[str | None, dict[str, Any]]:
    return {row["setting"]: row for row in json.loads(path.read_text())["heap"]["tried"]}


def test_arenas_that_hold_freed_memory(programs: Path, tmp_path: Path) -> None:
    """MALLOC_ARENA_MAX=1 gives back what fifteen arenas held, surely; malloc_trim says the same of the end. A setting
    under which the command fails has no figure."""
    done = heap("--try-malloc", "--json", "a.json", "-o", "a.hiw", "--", programs / "arenas", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = rows(tmp_path / "a.json")
    plain, one, two = found[None], found["MALLOC_ARENA_MAX=1"], found["MALLOC_ARENA_MAX=2"]
    assert [len(row["executions"]) for row in (plain, one, two)] == [3, 3, 0]
    assert plain["peak_rss_bytes"] > 16 * 8_000_000
    assert one["change_is_sure"]
    assert one["change_bytes"] < -14 * 8_000_000
    assert two["failure"] == "exited with 3"
    trim = json.loads((tmp_path / "a.json").read_text())["heap"]["trim"]
    assert trim["given_back_bytes"] == trim["rss_before_bytes"] - trim["rss_after_bytes"] > 14 * 8_000_000
    assert "MALLOC_ARENA_MAX=1 makes the peak 1" in done.stderr
    # The recording says it once more, on another day.
    again = heap("--read", "a.hiw", "--json", "b.json", "--html", "b.html", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert rows(tmp_path / "b.json") == found
    assert "MALLOC_ARENA_MAX=1 makes the peak 1" in again.stdout
    assert "What other settings of malloc give" in (tmp_path / "b.html").read_text()


def test_the_trap_of_the_threshold_that_moves(programs: Path, tmp_path: Path) -> None:
    """Set to its own default it stays: there are no 32 MiB of holes. A file as input is read anew each time."""
    (tmp_path / "in").write_text("input\n")
    with (tmp_path / "in").open() as file:
        done = subprocess.run(
            [*HIWATER, "heap", "--try-malloc", "--try-runs", "2", "--json", "a.json", "--", str(programs / "trap")],
            cwd=tmp_path, stdin=file, capture_output=True, text=True, timeout=250, env=dict(os.environ),
        )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "input\n"), done.stderr
    found = rows(tmp_path / "a.json")
    fixed = found["MALLOC_MMAP_THRESHOLD_=131072"]
    assert "MALLOC_ARENA_MAX=1" not in found
    assert fixed["change_is_sure"]
    assert -34 * MIB < fixed["change_bytes"] < -20 * MIB
    assert len(fixed["executions"]) == 2


def test_other_allocators_are_executed(programs: Path, tmp_path: Path) -> None:
    """jemalloc takes the place of glibc's, where it is installed."""
    if not read_cache().get("libjemalloc.so.2"):
        pytest.skip("jemalloc is not installed")
    done = heap("--try-malloc", "--try-runs", "1", "--json", "a.json", "--", programs / "trap", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    row = rows(tmp_path / "a.json")["LD_PRELOAD=libjemalloc.so.2"]
    assert row["environment"]["LD_PRELOAD"].endswith("/libjemalloc.so.2")
    assert (row["failure"], row["change_is_sure"]) == (None, False)  # one execution tells no range
    assert row["peak_rss_bytes"] > 24 * MIB
    assert "Each was executed once" in done.stderr


def test_what_can_be_read_once_only(programs: Path, tmp_path: Path) -> None:
    """A pipe is refused before anything is executed: the trials would read nothing."""
    done = heap("--try-malloc", "--", "touch", "executed", cwd=tmp_path, stdin="x")
    assert done.returncode == 125
    assert "the input is a pipe" in done.stderr
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--once"], "no --once"),
        (["--engine", "massif"], "no --once, --engine"),
        (["--try-runs", "0"], "number"),
    ],
)
def test_misuse(tmp_path: Path, options: list[str], why: str) -> None:
    """Told before anything is executed."""
    done = heap("--try-malloc", *options, "--", "touch", "executed", cwd=tmp_path)
    assert (done.returncode, why in done.stderr) == (125, True), done.stderr
    assert not (tmp_path / "executed").exists()
    assert heap("--try-runs", "2", "--", "true", cwd=tmp_path).returncode == 125
    assert heap("--try-malloc", "--read", "a.hiw", cwd=tmp_path).returncode == 125


def test_a_command_that_is_killed_is_tried_no_more(tmp_path: Path) -> None:
    """It would hardly come to the same end each time."""
    script = "x = bytes(30 << 20); import os; os.kill(os.getpid(), 9)"
    done = heap("--try-malloc", "--json", "a.json", "--", sys.executable, "-c", script, cwd=tmp_path)
    assert done.returncode == 137, done.stderr
    found = json.loads((tmp_path / "a.json").read_text())["heap"]
    assert [row["executions"] for row in found["tried"]] == [[]]
    assert found["trim"] is None
    assert "did not come to its end by itself" in done.stderr


def test_without_the_option_nothing_is_trimmed(programs: Path, tmp_path: Path) -> None:
    """Both keys are null."""
    assert heap("-q", "--json", "a.json", "--", programs / "trap", cwd=tmp_path).returncode == 0
    found = json.loads((tmp_path / "a.json").read_text())["heap"]
    assert (found["tried"], found["trim"]) == (None, None)
