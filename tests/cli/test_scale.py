"""``hiwater scale`` from outside, with programs whose law is known."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import pytest
from tests.cli.conftest import COMMAND, Hiwater

pytest.importorskip("scipy", reason="pip install 'hiwater[bench]'")

MIB = 1 << 20


def grows(bytes_of_n: str) -> list[str]:
    """A command that needs so many bytes above the interpreter; n is its argument."""
    script = f"import sys; from math import log; n = int(sys.argv[1]); x = bytes([1]) * int({bytes_of_n})"
    return [sys.executable, "-I", "-S", "-c", script, "{n}"]


SCAN = ["-P", "n", "10000", "50000", "--steps", "5", "--runs", "2"]
LIST = ["-L", "n", "1000,2000,4000,8000,16000,32000,64000", "-r", "1"]


@pytest.mark.parametrize(
    ("options", "law", "cost", "exponent"),
    [
        (SCAN, "linear", "3277 * n", 1),
        (LIST, "n log n", "150 * n * log(n)", None),
        (LIST, "quadratic", "0.03 * n * n", 2),
        (LIST, "power", "8 * n ** 1.5", 1.5),
        (LIST, "logarithmic", "8e6 * log(n)", None),
        (SCAN, "constant", "3e7", 0),
    ],
)
def test_laws_of_real_programs(
    hiwater: Hiwater, options: list[str], law: str, cost: str, exponent: float | None
) -> None:
    """The law of a program is recovered, and what it takes at twice the size is predicted within 5 %."""
    from math import log  # the cost may name it

    done = hiwater("scale", *options, "--at", "100000", "--export-json", "-", "--", *grows(cost))
    found = json.loads(done.stdout)
    assert found["law"]["law"] == law, done.stderr
    values: dict[str, object] = {"log": log}
    growth = eval(cost, values | {"n": 100_000}) - eval(cost, values | {"n": 50_000})
    fixed = found["points"][0]["memory_bytes"][0] - eval(cost, values | {"n": found["points"][0]["size"]})
    truth = fixed + eval(cost, values | {"n": 100_000})
    assert found["predictions"][0]["bytes"] == pytest.approx(truth, rel=0.05)
    if law == "linear":
        assert found["law"]["factor_bytes"] == pytest.approx(growth / 50_000, rel=0.05)
    if law == "power":
        assert found["law"]["exponent"] == pytest.approx(exponent, rel=0.05)
    assert done.returncode == 0


def test_answers_and_pictures(hiwater: Hiwater, tmp_path: Path) -> None:
    """Fixed cost, cost per unit, a prediction, the size at a limit; JSON, SVG and HTML beside it."""
    files = ["--export-json", "s.json", "--svg", "s.svg", "--html", "s.html"]
    words = ["scale", *SCAN, "--limit", "512MiB", "--at", "100000", "--at=200000", *files, "--warmup", "1"]
    done = hiwater(*words, "--prepare", "echo {n} >> log.txt", "--confidence", "99", "--", *grows("3277 * n"))
    assert (done.returncode, done.stderr) == (0, "")
    for expected in (
        "Linear growth: ",
        "Fixed cost: ",
        "Cost per unit: 3.",
        "per n\n",
        "At 100,000 n: ",
        "At 200,000 n: ",
    ):
        assert expected in done.stdout
    assert "512 MiB are reached at 16" in done.stdout and "99 % prediction interval" in done.stdout
    found = json.loads((tmp_path / "s.json").read_text())
    assert [len(point["memory_bytes"]) for point in found["points"]] == [2] * 5
    assert 155_000 < found["limit"]["size"] < 165_000
    assert len((tmp_path / "log.txt").read_text().split()) == 15
    ElementTree.parse(tmp_path / "s.svg")
    assert "<svg" in (tmp_path / "s.html").read_text()
    again = hiwater("scale", *SCAN, "--svg", "s.svg", "true", "{n}")
    assert again.returncode == 2 and "s.svg exists already" in again.stderr
    assert hiwater("scale", *SCAN, "--svg", "s.svg", "-f", "true", "{n}").returncode == 0


def test_it_refuses_to_extrapolate(hiwater: Hiwater) -> None:
    """Where the measurements do not carry an answer there is none, and 1 says so."""
    done = hiwater("scale", "-P", "n", "1", "3", "--steps=3", "-r1", "--limit", "1GiB", "--at", "9", "true", "{n}")
    assert done.returncode == 1
    said = " ".join(done.stdout.split())
    assert "At 9 n: no prediction; 3 sizes are too few to tell one law from another: at least 5" in said
    assert "1.00 GiB: cannot be told; 3 sizes are too few" in said
    done = hiwater("scale", *SCAN, "-r", "1", "--at", "9000000", *grows("1000 * n"))
    assert done.returncode == 1
    assert "no prediction; 9,000,000 is more than 20 times the largest size" in " ".join(done.stdout.split())


def test_tree(hiwater: Hiwater) -> None:
    """--tree measures the whole tree: n children at once are n times the memory."""
    child = "x = bytes([1]) * 10_000_000; import time; time.sleep(0.3)"
    script = f"for i in $(seq $0); do {sys.executable} -I -S -c '{child}' & done; wait"
    done = hiwater("scale", "-L", "n", "1,4", "-r1", "--tree", "--export-json=-", "--", "sh", "-c", script, "{n}")
    one, four = (point["memory_bytes"][0] for point in json.loads(done.stdout)["points"])
    assert four - one > 25 << 20
    assert "median tree peak" in done.stderr


def test_output_of_the_command(hiwater: Hiwater) -> None:
    """It is discarded, or let through; what stands behind the command belongs to it."""
    words = ["-L", "n", "1,2", "-r", "1"]
    assert hiwater("scale", *words, "--show-output", "echo", "--at", "{n}").stdout.startswith("--at 1\n--at 2\n")
    assert "--at 1\n" not in hiwater("scale", *words, "echo", "--at", "{n}").stdout
    assert "\x1b[" in hiwater("scale", *words, "--color", "always", "true", "{n}").stdout
    assert "\x1b[" not in hiwater("scale", *words, "--color=never", "true", "{n}").stdout


def test_a_command_that_fails(hiwater: Hiwater) -> None:
    """It ends the measurement with 1, and what was measured is shown."""
    done = hiwater("scale", "-L", "n", "0,1", "-r", "1", "sh", "-c", "exit $0", "{n}")
    assert done.returncode == 1
    assert "ended with exit status 1" in done.stderr and "median peak RSS" in done.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["true", "{n}"], "one of -P NAME FIRST LAST and -L NAME SIZES"),
        (["-P", "n", "1", "9", "-L", "n", "1", "true", "{n}"], "one of -P NAME FIRST LAST and -L NAME SIZES"),
        (["-P", "n", "1", "9"], "no command to measure"),
        (["-P", "n", "1", "9", "true"], "no word of the command holds the parameter {n}"),
        (["-P", "n", "9", "1", "true", "{n}"], "between 9 and 1 there are no 6 sizes"),
        (["-P", "n", "-9", "1", "true", "{n}"], "'-9' is not a size"),
        (["-P", "n", "1", "9", "--steps", "1", "true", "{n}"], "not a whole number of at least 2"),
        (["-L", "n", "1,x", "true", "{n}"], "'x' is not a size"),
        (["-L", "n", "1,1.0", "true", "{n}"], "a size is given twice"),
        (["-L", "n", "1,2", "--limit", "512", "true", "{n}"], "'512' is not a size: write a number and a unit"),
        (["-L", "n", "1,2", "--at", "far", "true", "{n}"], "'far' is not a size"),
        (["-L", "n", "1,2", "--frob", "true", "{n}"], "there is no option --frob"),
        (["-L", "n", "1,2", "--html", "/no/such/dir/x", "true", "{n}"], "cannot write /no/such/dir/x"),
    ],
)
def test_misuse(hiwater: Hiwater, words: Sequence[str], message: str) -> None:
    """What makes no sense ends with 2 before anything is executed."""
    done = hiwater("scale", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr


def test_interruption(tmp_path: Path) -> None:
    """Ctrl-C ends it with 130, and shows and keeps what was measured."""
    words = [*COMMAND, "scale", "-L", "n", "0.05,0.06", "-r", "1000", "--export-json", "s.json", "sleep", "{n}"]
    process = subprocess.Popen(
        words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    for _ in range(600):
        if (tmp_path / "s.json").exists():
            break
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, "")
    assert "interrupted: these are the executions until then" in out
    assert json.loads((tmp_path / "s.json").read_text())["stop"] == "interrupted"
