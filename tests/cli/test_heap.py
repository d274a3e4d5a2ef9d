"""``hiwater heap`` from outside, with programs that know what their lines hold."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from tests.cli.eaters import HIWATER

MIB = 1 << 20
SOURCE = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

char *kept[100000];

__attribute__((noinline)) char *make_song(size_t bytes) { char *p = malloc(bytes); memset(p, 1, bytes); return p; }
__attribute__((noinline)) char *make_cover(size_t bytes) { char *p = malloc(bytes); memset(p, 2, bytes); return p; }
__attribute__((noinline)) char *make_list(size_t bytes) { char *p = calloc(bytes, 1); memset(p, 3, bytes); return p; }

int main(int count, char **arguments)
{
	const char *how = count > 1 ? arguments[1] : "";

	if (strcmp(how, "unseen") == 0) {
		char *p = (char *)syscall(SYS_mmap, 0, 64 << 20, 3, 0x22, -1, 0);
		memset(p, 1, 64 << 20);
		puts("unseen");
		return 0;
	}
	for (int i = 0; i < 100000; i++)
		kept[i] = make_song(200); /* 19.07 MiB */
	for (int i = 0; i < 100; i++)
		kept[i] = make_cover(100000); /* 9.54 MiB, and a hundred songs less to find */
	char *list = make_list(16 << 20);
	if (strcmp(how, "killed") == 0)
		raise(9);
	free(list);
	if (strcmp(how, "stdin") == 0)
		for (int c; (c = getchar()) != EOF;)
			putchar(c);
	for (int i = 0; i < 30 && strcmp(how, "temps") == 0; i++)
		free(make_list(1 << 20));
	puts("done");
	fflush(stdout);
	if (strcmp(how, "wait") == 0)
		pause();
	return strcmp(how, "fails") == 0 ? 7 : 0;
}
""".replace("#include <unistd.h>", "#include <signal.h>\n#include <unistd.h>")

CLOSELY = ("--sample", "32KiB")
"""By default it depends on the time that the program takes, how many samples there are."""
SONGS, COVERS, LIST = 100000 * 200, 100 * 100000, 16 * MIB


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built once; for everybody to execute."""
    place = tmp_path_factory.mktemp("heap")
    source, target = place / "songs.c", place / "songs"
    source.write_text(SOURCE)
    subprocess.run(["gcc", "-O1", "-g", "-o", str(target), str(source)], check=True)
    return target


def heap(
    *words: str | Path, cwd: Path, stdin: str | None = None, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    given: dict[str, Any] = {"stdin": subprocess.DEVNULL} if stdin is None else {"input": stdin}
    return subprocess.run(
        [*HIWATER, "heap", *map(str, words)],
        cwd=cwd,
        env={**os.environ, "COLUMNS": "120", **(env or {})},
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
        **given,
    )


def sites(snapshot: dict[str, Any]) -> dict[str, tuple[int, int]]:
    """In use and standard error, by function."""
    found: dict[str, tuple[int, int]] = {}
    for site in snapshot["call_sites"]:
        before = found.get(site["function"], (0, 0))
        error = (before[1] ** 2 + site["standard_error_bytes"] ** 2) ** 0.5
        found[site["function"]] = before[0] + site["in_use_bytes"], round(error)
    return found


def holds(found: dict[str, tuple[int, int]], function: str, truth: int) -> None:
    """Within three of its stated standard errors (four: one in 10,000 tests fails by chance)."""
    estimate, error = found[function]
    assert abs(estimate - truth) <= 4 * error + 1, (function, estimate, truth, error)
    assert error <= 0.1 * truth


def test_who_holds_it(program: Path, tmp_path: Path) -> None:
    """At the peak and at the exit, by function, file and line; the peak RSS beside it is the plain execution's."""
    done = heap(*CLOSELY, "--json", "heap.json", "-o", "heap.hiw", "--", program, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr
    document = json.loads((tmp_path / "heap.json").read_text())
    found = document["heap"]
    assert document["schema"] == "hiwater.run/1"
    assert document["peak_rss_bytes"] == found["plain_peak_rss_bytes"]
    assert 45 * MIB < found["plain_peak_rss_bytes"] < 60 * MIB
    assert abs(found["sampled_peak_rss_bytes"] - found["plain_peak_rss_bytes"]) < 8 * MIB
    assert found["lost_samples"] == 0
    peak, exit = sites(found["peak"]), sites(found["exit"])
    holds(peak, "make_song", SONGS)
    holds(peak, "make_cover", COVERS)
    assert peak["make_list"] == (LIST, 0)
    assert "make_list" not in exit
    holds(exit, "make_song", SONGS)
    (site,) = (site for site in found["peak"]["call_sites"] if site["function"] == "make_list")
    assert site["file"].endswith("songs.c")
    assert site["library"] == str(program)
    assert [frame["function"] for frame in site["stack"]][-3:] != []
    # At 10 and 20 MiB, and where the list passes 40; songs and covers, 28.6 MiB, may be estimated at 30 now and then.
    assert len(found["growth"]) in (3, 4)
    sizes = [snapshot["in_use_bytes"] for snapshot in found["growth"]]
    assert sizes == sorted(sizes)
    for function in ("make_song", "make_cover", "make_list"):
        assert function in done.stderr


def test_stored_and_read_again(program: Path, tmp_path: Path) -> None:
    """The recording holds all of it: read on another day, with other options, it says the same."""
    assert heap("-q", "--json", "a.json", "-o", "a.hiw", "--", program, cwd=tmp_path).returncode == 0
    done = heap("--read", "a.hiw", "--json", "b.json", "--every", "5MiB", "--by", "line", "--rows", "2", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    first, again = (json.loads((tmp_path / name).read_text()) for name in ("a.json", "b.json"))
    assert again["heap"]["peak"] == first["heap"]["peak"]
    assert again["heap"]["exit"] == first["heap"]["exit"]
    assert len(again["heap"]["growth"]) > len(first["heap"]["growth"])
    assert again["peak_rss_bytes"] == first["peak_rss_bytes"]
    assert "songs.c:" in done.stdout
    early = heap("--read", "a.hiw", "--at", "0", "--json", "-", cwd=tmp_path)
    assert json.loads(early.stdout)["heap"]["growth"] == first["heap"]["growth"], "a moment that was asked for is none"
    shown = heap("--read", "a.hiw", "--at", "0", cwd=tmp_path)
    assert "0.0 MiB in use" in shown.stdout.replace("± 0.0 ", ""), shown.stdout + shown.stderr
    at_exit = heap("--read", "a.hiw", "--at", "exit", cwd=tmp_path).stdout
    table = "".join(line for line in at_exit.splitlines() if "%  " in line and "songs.c" in line)
    assert set(re.findall(r"make_\w+", table)) == {"make_song", "make_cover"}, at_exit


def test_wrappers_are_passed_over(tmp_path: Path) -> None:
    """With --wrapper the callers of a function that only hands out memory are the call sites."""
    (tmp_path / "old.folded").write_text("main;load;get_mem 3000000\nmain;cache;get_mem 1000000\n")
    for words, functions in (([], ["get_mem"]), (["--wrapper", "get_.*"], ["load", "cache"])):
        done = heap("--read", "old.folded", *words, "--json", "out.json", "--force", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        peak = json.loads((tmp_path / "out.json").read_text())["heap"]["peak"]
        assert [site["function"] for site in peak["call_sites"]] == functions


def test_once(program: Path, tmp_path: Path) -> None:
    """Executed once only, if that is asked for, or if what it reads can be read once only; its output comes once."""
    done = heap("--json", "a.json", "--once", "--", program, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "done\n")
    assert json.loads((tmp_path / "a.json").read_text())["heap"]["plain_peak_rss_bytes"] is None
    done = heap("--json", "b.json", "--", program, "stdin", cwd=tmp_path, stdin="from a pipe\n")
    assert (done.returncode, done.stdout) == (0, "from a pipe\ndone\n")
    assert json.loads((tmp_path / "b.json").read_text())["heap"]["plain_peak_rss_bytes"] is None


@pytest.mark.parametrize(("how", "status"), [("fails", 7), ("killed", 137)])
def test_exit_status(program: Path, tmp_path: Path, how: str, status: int) -> None:
    """It is the command's own; who was killed has left all samples."""
    done = heap("-q", *CLOSELY, "--json", "a.json", "--", program, how, cwd=tmp_path)
    assert done.returncode == status, done.stderr
    found = json.loads((tmp_path / "a.json").read_text())["heap"]
    holds(sites(found["peak"]), "make_song", SONGS)


def test_next_to_nothing_is_an_error(program: Path, tmp_path: Path) -> None:
    """64 MiB that no function of the C library gave: the profile explains nothing, and that is no result."""
    done = heap("-o", "a.hiw", "--once", "--", program, "unseen", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (125, "unseen\n")
    assert "hiwater faults" in done.stderr
    assert (tmp_path / "a.hiw").exists(), "what was measured is kept"


def test_static_programs_are_refused(tmp_path: Path) -> None:
    """Told before anything is executed, with what to use instead."""
    source = tmp_path / "a.c"
    source.write_text('#include <stdio.h>\nint main(void) { puts("executed"); return 0; }\n')
    subprocess.run(["gcc", "-static", "-o", str(tmp_path / "a"), str(source)], check=True)
    done = heap("--", "./a", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (125, "")
    assert "static" in done.stderr and "hiwater faults" in done.stderr


def test_interrupt(program: Path, tmp_path: Path) -> None:
    """Ctrl-C reaches the command; what it held by then is told, and it is not executed once more."""
    process = subprocess.Popen(
        [*HIWATER, "heap", *CLOSELY, "--json", "a.json", "--", str(program), "wait"],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "done\n"
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (130, ""), err
    found = json.loads((tmp_path / "a.json").read_text())["heap"]
    holds(sites(found["exit"]), "make_song", SONGS)


def test_nothing_is_left(program: Path, tmp_path: Path) -> None:
    """The samplers' folder is gone, also after a failure; the environment of the command has no more than it needs."""
    place = tmp_path / "tmp"
    place.mkdir()
    for how in ("", "killed", "unseen"):
        heap("-q", "--once", "--", program, how, cwd=tmp_path, env={"TMPDIR": str(place)})
    assert list(place.iterdir()) == []


def test_python_lines(tmp_path: Path) -> None:
    """A pure Python program: its own lines, for objects of Python's allocator too."""
    script = tmp_path / "app.py"
    script.write_text(
        "def load():\n    return [str(n) * 20 for n in range(100000)]\n\nkept = load()\nprint(len(kept))\n"
    )
    done = heap("-q", "--json", "a.json", "--sample", "8KiB", "--", sys.executable, script, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "100000\n"), done.stderr
    found = json.loads((tmp_path / "a.json").read_text())["heap"]["peak"]
    held = [site for site in found["call_sites"] if site["file"] == str(script) and site["line"] == 2]
    kept = [str(n) * 20 for n in range(100000)]
    truth = sum(map(sys.getsizeof, kept)) + sys.getsizeof(kept)
    error = sum(site["standard_error_bytes"] ** 2 for site in held) ** 0.5
    assert abs(sum(site["in_use_bytes"] for site in held) - truth) < 4 * error
    assert error < 0.1 * truth


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "one of COMMAND, --read FILE, --compare OLD NEW"),
        (["--read", "a", "--", "true"], "one of COMMAND"),
        (["--every", "0", "--", "true"], "--every"),
        (["--at", "noon", "--", "true"], "neither peak nor exit"),
        (["--rows", "-1", "--", "true"], "--rows"),
        (["--wrapper", "(", "true"], "'(' is no regular expression"),
        (["--read", "/no/such/file"], "/no/such/file: there is no such file"),
        (["--read", "/dev/null", "-o", "x"], "--read executes nothing"),
        (["--", "/no/such/command"], "/no/such/command"),
    ],
)
def test_misuse(tmp_path: Path, words: list[str], message: str) -> None:
    """Told before anything is executed."""
    done = heap(*words, cwd=tmp_path)
    assert done.returncode in (125, 127)
    assert message in done.stderr


def test_pictures_and_comparison(program: Path, tmp_path: Path) -> None:
    """A page, a flame graph, and what grew from one execution to another."""
    done = heap("-q", "-o", "a.hiw", "--html", "a.html", "--flame", "a.svg", "--", program, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "a.html").read_text()
    assert "make_cover" in page
    ElementTree.parse(tmp_path / "a.svg")
    assert "make_cover" in (tmp_path / "a.svg").read_text()
    assert heap("-q", "-o", "b.hiw", "--once", "--", program, "killed", cwd=tmp_path).returncode == 137
    told = heap("--compare", "a.hiw", "b.hiw", "--at", "exit", "--flame", "d.svg", cwd=tmp_path)
    assert told.returncode == 0, told.stderr
    (grown,) = (
        line for line in told.stdout.splitlines() if line.split()[-3:-2] == ["make_list"] or "make_list" in line
    )
    assert "+16.0" in grown
    ElementTree.parse(tmp_path / "d.svg")
    for option in ("--flame", "--html"):
        again = heap("-q", "--once", option, "a.svg", "--", program, cwd=tmp_path)
        assert (again.returncode, again.stdout) == (125, ""), "nothing is executed that cannot be kept"
        assert "a.svg exists already" in again.stderr
        assert heap(option, "-", "--", program, cwd=tmp_path).returncode == 125


def test_growth_by_what_was_allocated(program: Path, tmp_path: Path) -> None:
    """Memory that comes and goes adds to what was allocated, not to what is in use."""
    assert heap("-q", "--once", "--sample", "1B", "-o", "a.hiw", "--", program, "temps", cwd=tmp_path).returncode == 0
    counts = {}
    for growth in ("in-use", "allocated"):
        done = heap("--read", "a.hiw", "--growth", growth, "--json", "-", cwd=tmp_path)
        counts[growth] = len(json.loads(done.stdout)["heap"]["growth"])
    assert counts == {"in-use": 3, "allocated": 6}, "44.6 MiB at once, and 30 MiB one after another"


def test_sysroot(program: Path, tmp_path: Path) -> None:
    """Names come from the files below it: of a stripped program, from the one that was not."""
    stripped = tmp_path / "songs"
    subprocess.run(["strip", "-o", str(stripped), str(program)], check=True)
    whole = tmp_path / "root" / str(stripped).lstrip("/")
    whole.parent.mkdir(parents=True)
    whole.write_bytes(program.read_bytes())
    for options, found in ((["--sysroot", "root"], True), ([], False)):
        done = heap("--once", *options, "--", stripped, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert ("make_song" in done.stderr) == found, done.stderr


def test_budget(program: Path, tmp_path: Path) -> None:
    """The budgets of a run hold for the execution without the sampler."""
    assert heap("-q", "--budget", "100MiB", "--", program, cwd=tmp_path).returncode == 0
    assert heap("-q", "--budget", "30MiB", "--", program, cwd=tmp_path).returncode == 123
