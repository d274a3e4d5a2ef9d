"""malloc_trim at the end of a program, where it is asked for."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from tests.monitor.build import compile_c

from hiwater.binaries import find_heap_sampler
from hiwater.errors import BinaryNotFoundError
from hiwater.heap.log import HeapLog, read_logs

MIB = 1 << 20
SOURCE = r"""
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
static char *volatile held[320];
static void leave(int number) { (void)number; _exit(0); }

int main(int count, char **arguments)
{
	const char *how = count > 1 ? arguments[1] : "";

	if (strcmp(how, "fork") == 0 && fork() != 0)
		return wait(NULL) < 0;
	for (int i = 0; i < 320; i++) {
		held[i] = malloc(100000);
		memset(held[i], 1, 100000);
	}
	for (int i = 0; i < 319; i++)
		free(held[i]);
	if (strcmp(how, "_exit") == 0)
		_exit(0);
	if (strcmp(how, "handler") == 0) {
		signal(SIGUSR1, leave);
		raise(SIGUSR1);
	}
	if (strcmp(how, "killed") == 0)
		raise(SIGKILL);
	return 0;
}
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frees 30 MiB below the last block, which keeps them from being given back."""
    place = tmp_path_factory.mktemp("trim")
    (place / "trim.c").write_text(SOURCE)
    compile_c([place / "trim.c"], place / "trim", "-O1")
    return place / "trim"


def logs(program: Path, how: str, folder: Path, asked: str | None = "1") -> list[HeapLog]:
    try:
        sampler = find_heap_sampler()
    except BinaryNotFoundError as error:
        pytest.skip(str(error))
    environment = {"LD_PRELOAD": sampler, "HIWATER_HEAP_DIR": str(folder), "HIWATER_HEAP_SAMPLE": "1"}
    if asked is not None:
        environment["HIWATER_HEAP_TRIM"] = asked
    subprocess.run([program, how], env=environment, check=how != "killed", timeout=60)
    return read_logs(folder)


@pytest.mark.parametrize("how", ["return", "_exit"])
def test_what_it_gives_back_is_counted(program: Path, tmp_path: Path, how: str) -> None:
    """319 freed blocks, whole pages of them, at the end; the account of malloc before it still has them."""
    (log,) = logs(program, how, tmp_path)
    assert log.trimmed is not None
    given = log.trimmed.rss_before_bytes - log.trimmed.rss_after_bytes
    assert 30 * MIB < given < 31 * MIB
    assert log.trimmed.seconds > 0
    assert log.mallinfo[-1].free_bytes > 30 * MIB
    assert log.head.end_ns is not None
    assert log.end_ns == max(log.head.end_ns, log.last_ns)


def test_a_fork_tells_its_own(program: Path, tmp_path: Path) -> None:
    """Each process trims when it ends, and the parent's is not the child's."""
    parent, child = sorted(logs(program, "fork", tmp_path), key=lambda log: log.head.parent_number is not None)
    assert parent.trimmed is not None
    assert child.trimmed is not None
    assert parent.trimmed.rss_before_bytes - parent.trimmed.rss_after_bytes < MIB
    assert child.trimmed.rss_before_bytes - child.trimmed.rss_after_bytes > 30 * MIB


@pytest.mark.parametrize(("how", "asked"), [("return", None), ("return", "0"), ("killed", "1"), ("handler", "1")])
def test_where_it_is_not_done(program: Path, tmp_path: Path, how: str, asked: str | None) -> None:
    """Unless it is asked for; not by a process that is killed; not in a signal handler, which may have interrupted
    malloc, and would wait for its lock for ever."""
    (log,) = logs(program, how, tmp_path, asked)
    assert log.trimmed is None
