"""``hiwater bench`` from outside, with real executions."""

from __future__ import annotations

import csv
import json
import os
import pty
import select
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import COMMAND, Hiwater

pytest.importorskip("scipy", reason="pip install 'hiwater[bench]'")

PYTHON = shlex.quote(sys.executable) + " -I -S"


def eats(mib: str, also: str = "pass") -> str:
    """A command that needs so many MiB above the interpreter."""
    script = f"x = bytes([1]) * (int({mib} * 1024) << 10); {also}"
    return f"{PYTHON} -c {shlex.quote(script)}"


def load(path: Path) -> Any:
    return json.loads(path.read_text())


def test_which_command_needs_more(hiwater: Hiwater, tmp_path: Path) -> None:
    """Medians with intervals, a ratio for the pair, and the three exports."""
    small, big = eats("10"), eats("30")
    files = ["--export-json", "b.json", "--export-csv", "b.csv", "--export-markdown", "b.md"]
    done = hiwater("bench", "--runs", "6", *files, small, big)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Command 2 needs " in done.stdout and "times as much as command 1 (95 % CI " in done.stdout
    found = load(tmp_path / "b.json")
    assert [result["command"] for result in found["results"]] == [small, big]
    comparison = found["comparisons"][0]
    assert comparison["verdict"] == "more" and 1.5 < comparison["ratio"] < 3
    assert len(list(csv.reader((tmp_path / "b.csv").read_text().splitlines()))) == 3
    assert (tmp_path / "b.md").read_text().count("\n| ") == 2
    again = hiwater("bench", "-r", "1", "--export-json", "b.json", "true")
    assert again.returncode == 2
    assert "b.json exists already: choose another name, or --force overwrites it" in again.stderr
    assert hiwater("bench", "-r", "1", "--export-json", "b.json", "--force", "true").returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.csv", "b.json", "b.md"]


def test_no_difference_between_a_command_and_itself(hiwater: Hiwater) -> None:
    """The same command twice is found to be the same."""
    done = hiwater("bench", "-r", "6", "--confidence", "99%", "true", "true")
    assert "No difference found between command 1 and command 2" in done.stdout
    assert "99 % CI" in done.stdout


def test_three_per_cent_are_found(hiwater: Hiwater) -> None:
    """A program whose size varies by about a per cent, and 3 % more of it: told apart."""
    noise = "__import__('random').gauss(0, 0.6)"
    done = hiwater("bench", "-r", "15", eats(f"(54 + {noise})"), eats(f"(56.1 + {noise})"))
    assert "Command 2 needs 1.0" in done.stdout, done.stdout


def test_parameters(hiwater: Hiwater, tmp_path: Path) -> None:
    """-L and -P with -D make a command for each combination; each of them is named in the results."""
    words = ["-L", "kind", "a,b", "-P", "n", "1", "5", "-D", "2", "--export-json", "-", "echo {kind} {n}"]
    done = hiwater("bench", "--runs=1", *words)
    assert done.returncode == 0
    assert "median peak RSS" in done.stderr  # stdout belongs to the JSON
    found = json.loads(done.stdout)
    assert [result["arguments"] for result in found["results"]] == [
        ["echo", kind, n] for kind in "ab" for n in ("1", "3", "5")
    ]
    assert found["results"][0]["parameters"] == {"kind": "a", "n": "1"}
    long = ["--parameter-list", "k", "x", "--parameter-scan", "n", "1", "1", "--parameter-step-size", "1"]
    done = hiwater("bench", "-r1", *long, "-n", "with {k}{n}", "--command-name", "second", "true {k}", "true {n}")
    assert done.stdout.startswith("1  with x1\n2  second\n")


def test_steps(hiwater: Hiwater, tmp_path: Path) -> None:
    """--setup, --prepare, --warmup and --cleanup, each as often as said, and by a shell."""
    note = "echo {} >> log.txt"
    words = ["-s", note.format("s"), "-p", note.format("p"), "-c", note.format("c"), "-w", "1"]
    done = hiwater("bench", "-r", "2", *words, "true")
    assert done.returncode == 0
    assert (tmp_path / "log.txt").read_text().split() == ["s", "p", "p", "p", "c"]
    (tmp_path / "log.txt").unlink()
    prepare = ["--prepare", note.format("1"), "--prepare", note.format("2")]
    done = hiwater("bench", "-r1", "--warmup=0", "--setup", "true", "--cleanup", "true", *prepare, "true", "true")
    assert done.returncode == 0
    assert (tmp_path / "log.txt").read_text().split() == ["1", "2"]
    done = hiwater("bench", "-r", "1", "--prepare", "exit 3", "true")
    assert (done.returncode, done.stdout) == (1, "")
    assert "hiwater bench: --prepare 'exit 3' failed with 3" in done.stderr


def test_shell(hiwater: Hiwater, tmp_path: Path) -> None:
    """Without a shell a pipe is a word; with one it is a pipe."""
    assert hiwater("bench", "-r1", "-N", "--show-output", "echo a | tr a b").stdout.startswith("a | tr a b\n")
    assert hiwater("bench", "-r1", "--shell", "default", "--show-output", "echo a | tr a b").stdout.startswith("b\n")
    assert hiwater("bench", "-r1", "-S", "bash --norc", "--show-output", "echo {a..c}").stdout.startswith("a b c\n")
    assert hiwater("bench", "-r1", "echo a").stdout.startswith("1  echo a\n")


def test_failures(hiwater: Hiwater, tmp_path: Path) -> None:
    """A command that fails ends the benchmark with 1 and what was measured; -i goes on and says so."""
    done = hiwater("bench", "-r", "3", "--export-json", "b.json", "true", "false")
    assert done.returncode == 1
    assert "hiwater bench: false ended with exit status 1; -i ignores that" in done.stderr
    assert "not measured" not in done.stdout and "runs" in done.stdout
    found = load(tmp_path / "b.json")
    assert found["stop"] == "failed"
    assert [len(result["executions"]) for result in found["results"]] == [1, 1]
    for option in ("-i", "--ignore-failure"):
        done = hiwater("bench", "-r", "2", option, "false")
        assert (done.returncode, done.stderr) == (0, "")
        assert "note: command 1: 2 of 2 executions failed (exit status 1)" in done.stdout
    done = hiwater("bench", "-r", "2", "no-such-command")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "hiwater bench: no-such-command: command not found\n")


def test_tree(hiwater: Hiwater) -> None:
    """--tree compares whole trees: two children at once are twice the memory of one."""
    eater = eats("30", "__import__('time').sleep(0.3)")
    script = f"{eater} & {eater} & wait"
    done = hiwater("bench", "-r", "1", "--tree", "--export-json", "-", "--shell", "default", eater, script)
    assert "median tree peak" in done.stderr
    single, double = json.loads(done.stdout)["results"]
    assert double["memory"]["median_bytes"] - single["memory"]["median_bytes"] > 25 << 20


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "no command to measure"),
        (["-r", "0", "true"], "not a whole number of at least 1"),
        (["-w", "-1", "true"], "not a whole number of at least 0"),
        (["--confidence", "0.95", "true"], "not a percentage"),
        (["--frob", "true"], "unrecognized arguments: --frob"),
        (["-D", "2", "true"], "--parameter-step-size belongs to --parameter-scan"),
        (["-P", "n", "1", "x", "true {n}"], "'x' is not a number"),
        (["-L", "n", "1,2", "true"], "no command holds the parameter {n}"),
        (["a 'b"], "cannot be split into words"),
        (["--export-csv", "/no/such/dir/x", "true"], "cannot write /no/such/dir/x"),
        (["--color", "blue", "true"], "invalid choice"),
    ],
)
def test_misuse(hiwater: Hiwater, words: list[str], message: str) -> None:
    """What makes no sense ends with 2 before anything is executed."""
    done = hiwater("bench", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr


def test_a_table_that_cannot_be_written(hiwater: Hiwater, tmp_path: Path) -> None:
    """A full disk behind stdout is told, and the files are there all the same."""
    with open("/dev/full", "w") as full:
        done = hiwater("bench", "-r1", "--export-csv", "b.csv", "true", capture_output=False, stdout=full, stderr=-1)
    assert (done.returncode, done.stderr) == (2, "hiwater bench: cannot write the table: No space left on device\n")
    assert (tmp_path / "b.csv").exists()


def test_colour(hiwater: Hiwater) -> None:
    """--color always colours, never does not."""
    assert "\x1b[" in hiwater("bench", "-r1", "--color", "always", "true").stdout
    assert "\x1b[" not in hiwater("bench", "-r1", "--color", "never", "true").stdout


def test_without_scipy(tmp_path: Path) -> None:
    """The extra is named, and nothing was executed."""
    code = "import sys; sys.modules['scipy'] = None; from hiwater.cli import main; sys.exit(main())"
    words = [sys.executable, "-c", code, "bench", "--setup", "touch executed", "true"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "pip install 'hiwater[bench]'" in done.stderr
    assert list(tmp_path.iterdir()) == []


def wait_for_executions(path: Path, count: int) -> None:
    for _ in range(600):
        if path.exists() and sum(len(r["executions"]) for r in load(path)["results"]) >= count:
            return
        time.sleep(0.05)
    raise AssertionError("the results were not written")


def test_interruption(tmp_path: Path) -> None:
    """Results are there after each execution; Ctrl-C ends it with 130, and shows and keeps what was measured."""
    words = [*COMMAND, "bench", "-r", "1000", "--export-json", "b.json", "sleep 0.05"]
    process = subprocess.Popen(
        words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    wait_for_executions(tmp_path / "b.json", 2)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, "")
    assert "interrupted: these are the executions until then" in out
    found = load(tmp_path / "b.json")
    assert found["stop"] == "interrupted"
    assert [path.name for path in tmp_path.iterdir()] == ["b.json"]


def test_progress_is_shown_on_a_terminal_only(hiwater: Hiwater, tmp_path: Path) -> None:
    """A bar on a terminal's stderr, cleared at the end; nothing elsewhere."""
    main, terminal = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "bench", "-r", "3", "true"], stdout=subprocess.PIPE, stderr=terminal, text=True
    )
    os.close(terminal)
    out, _ = process.communicate(timeout=30)
    seen = b""
    while select.select([main], [], [], 0)[0]:
        try:
            seen += os.read(main, 65536)
        except OSError:
            break
    os.close(main)
    assert b"[......" in seen and b" 2/3 " in seen and seen.endswith(b"\r\x1b[K")
    assert "/3" not in out
