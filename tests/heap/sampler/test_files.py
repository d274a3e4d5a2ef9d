"""How much of a disk the sampler's files take: a build executes thousands of programs that allocate next to nothing."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest
from tests.monitor.build import compile_c

from hiwater.binaries import find_heap_sampler
from hiwater.errors import BinaryNotFoundError
from hiwater.heap.log import read_logs
from hiwater.heap.wire import HeadFlags

HEAD, FIRST, LARGEST = 4096, 16 << 10, 128 << 10
SOURCE = r"""
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static void *volatile last;

static void allocate(int count)
{
	for (int i = 0; i < count; i++)
		last = malloc(3333);
}

static void *forever(void *unused)
{
	for (;;) {
		void *volatile block = malloc(500);

		free(block);
	}
	return unused;
}

int main(int count, char **arguments)
{
	const char *how = count > 1 ? arguments[1] : "";
	pthread_t thread;

	if (strcmp(how, "killed") == 0)
		raise(SIGKILL);
	if (strcmp(how, "much") == 0) {
		allocate(5000);
		raise(SIGKILL);
	}
	if (strcmp(how, "goes on") == 0) {
		allocate(100);
		execl("/nonexistent", "nonexistent", (char *)NULL);
		allocate(1000);
		raise(SIGKILL);
	}
	if (strcmp(how, "ends") == 0 || strcmp(how, "exec") == 0)
		allocate(5000);
	if (strcmp(how, "exec") == 0)
		execl(arguments[0], arguments[0], (char *)NULL);
	for (int i = 0; i < 4 && strcmp(how, "threads") == 0; i++)
		pthread_create(&thread, NULL, forever, NULL);
	if (strcmp(how, "threads") == 0)
		allocate(2000);
	return 0;
}
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Does as its argument says."""
    place = tmp_path_factory.mktemp("files")
    (place / "files.c").write_text(SOURCE)
    compile_c([place / "files.c"], place / "files", "-O1", "-fno-builtin", "-pthread")
    return place / "files"


def execute(program: Path, how: str, folder: Path) -> int:
    try:
        sampler = find_heap_sampler()
    except BinaryNotFoundError as error:
        pytest.skip(str(error))
    environment = {"LD_PRELOAD": sampler, "HIWATER_HEAP_DIR": str(folder), "HIWATER_HEAP_SAMPLE": "1"}
    return subprocess.run([program, how], env=environment, timeout=60).returncode


def sizes(folder: Path) -> list[tuple[int, int]]:
    """Length and room of each file."""
    found = [path.stat() for path in folder.glob("*.heap")]
    return [(status.st_size, status.st_blocks * 512) for status in found]


def page_up(size: int) -> int:
    page = os.sysconf("SC_PAGESIZE")
    return -(-size // page) * page


@pytest.mark.parametrize("how", ["ends", "exec"])
def test_a_program_that_ends_gives_back_what_is_behind_the_end(program: Path, tmp_path: Path, how: str) -> None:
    """Its file is as long as what is valid of it, or by a first window longer; so is that of an image that execve
    replaced."""
    assert execute(program, how, tmp_path) == 0
    logs = read_logs(tmp_path)
    assert len(logs) == (2 if how == "exec" else 1)
    assert all(log.head.flags & HeadFlags.ENDED for log in logs)
    lengths = sorted(size for size, _ in sizes(tmp_path))
    for size, end in zip(lengths, sorted(log.head.end for log in logs), strict=True):
        assert end <= size <= end + page_up(FIRST)
    assert all(room <= page_up(size) + 4096 for size, room in sizes(tmp_path))
    assert max(log.head.end for log in logs) > 200_000  # several windows


@pytest.mark.parametrize("how", ["killed", "idle"])
def test_a_program_that_allocates_next_to_nothing(program: Path, tmp_path: Path, how: str) -> None:
    """Takes its head and a small window, 20 KiB where pages are small."""
    assert execute(program, how, tmp_path) == (-signal.SIGKILL if how == "killed" else 0)
    ((size, room),) = sizes(tmp_path)
    assert size == page_up(HEAD) + page_up(FIRST)
    assert room <= size + 4096


def test_windows_grow(program: Path, tmp_path: Path) -> None:
    """A killed process leaves all its records, and never more room than the largest window."""
    assert execute(program, "much", tmp_path) == -signal.SIGKILL
    (log,) = read_logs(tmp_path)
    assert len(log.samples) >= 5000
    assert log.cut is None
    ((size, _),) = sizes(tmp_path)
    assert log.head.end <= size <= log.head.end + page_up(LARGEST)


def test_an_execve_that_fails_is_not_the_end(program: Path, tmp_path: Path) -> None:
    """The room that was given back is taken again, and what comes then is written."""
    assert execute(program, "goes on", tmp_path) == -signal.SIGKILL
    (log,) = read_logs(tmp_path)
    assert sum(log.samples.kinds[what][2] == 3333 for what in log.samples.what) == 1100
    assert not log.head.flags & HeadFlags.ENDED
    assert log.cut is None


def test_threads_that_run_on_until_the_end_are_not_hurt(program: Path, tmp_path: Path) -> None:
    """They write no more behind the end of a file that was cut: a SIGBUS."""
    for at in range(20):
        (tmp_path / str(at)).mkdir()
        assert execute(program, "threads", tmp_path / str(at)) == 0
        (log,) = read_logs(tmp_path / str(at))
        assert log.cut is None
        assert sizes(tmp_path / str(at))[0][0] <= log.head.end + page_up(FIRST)
