"""``hiwater fit`` from outside, with programs of known need under real limits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from tests.cli.conftest import Hiwater

from hiwater.cgroups.place import find
from hiwater.errors import LimitUnavailableError

MIB = 1 << 20
PYTHON = [sys.executable, "-I", "-S", "-c"]


@pytest.fixture(autouse=True)
def limits_can_be_had() -> None:
    try:
        found = find()
    except LimitUnavailableError as error:
        pytest.skip(f"no cgroup can be made here: {error}")
    if found.needs_leaf:
        pytest.skip("the tests themselves are in the way of a group here")


def fit(hiwater: Hiwater, *words: str, timeout: int = 280) -> tuple[int, dict[str, Any], str]:
    """Exit status, JSON, what people see."""
    done = hiwater("fit", "--export-json", "-", *words, timeout=timeout)
    return done.returncode, json.loads(done.stdout or "{}"), done.stderr


def test_known_need(hiwater: Hiwater) -> None:
    """64 MiB that are touched and held: not less than that, and not more than the group took without a limit."""
    status, document, text = fit(hiwater, "--", *PYTHON, "x = bytearray(64 << 20)")
    assert status == 0, text
    unlimited = max(trial["cgroup_peak_bytes"] for trial in document["unlimited"]["executions"])
    assert document["smallest"]["limit_low_bytes"] > 64 * MIB
    assert 64 * MIB < document["smallest_limit_bytes"] <= 1.02 * unlimited
    assert document["smallest"]["precise"]
    for point in document["curve"]:
        if point["limit_bytes"] <= 64 * MIB:
            assert (point["successes"], list(point["failures"])) == (0, ["out of memory"])
        if point["limit_bytes"] > 1.02 * unlimited:
            assert point["successes"] == point["executions"]
    assert "Smallest limit:" in text


def test_success_command(hiwater: Hiwater, tmp_path: Path) -> None:
    """--success decides instead of the exit status, and is told it."""
    code = "import sys; x = bytearray(40 << 20); sys.exit(3)"
    options = ["--success", 'test "$HIWATER_EXIT_STATUS" = 3', "--precision", "10%", "--repeat", "1"]
    status, document, text = fit(hiwater, *options, "--", *PYTHON, code)
    assert status == 0, text
    assert 40 * MIB < document["smallest_limit_bytes"] < 60 * MIB
    assert os.listdir(tmp_path) == []


def test_pictures_and_output(hiwater: Hiwater, tmp_path: Path) -> None:
    """--svg and --html are files that fetch nothing, --show-output lets through what the command prints, and
    --probability is what the answer is to be good for."""
    svg, html = tmp_path / "fit.svg", tmp_path / "fit.html"
    options = ["--precision", "10%", "--repeat", "1", "--executions", "25", "--probability", "60%", "--show-output"]
    done = hiwater(
        "fit", "--svg", str(svg), "--html", str(html), "--export-json", str(tmp_path / "fit.json"), *options, "--",
        *PYTHON, "x = bytearray(40 << 20); print('it was', 'here')", timeout=280,
    )  # fmt: skip
    document = json.loads((tmp_path / "fit.json").read_text())
    assert done.returncode == 0, done.stderr
    assert 40 * MIB < document["smallest_limit_bytes"] < 60 * MIB
    assert document["probability"] == 0.6
    assert done.stdout.count("it was here") == sum(point["successes"] for point in document["curve"]) + len(
        document["unlimited"]["executions"]
    )
    ElementTree.parse(svg)
    assert "<svg" in html.read_text() and "http" not in html.read_text().replace("http://www.w3.org/", "")


def test_page_cache_is_not_needed(hiwater: Hiwater, tmp_path: Path) -> None:
    """Reading a file takes as much cache as there is, and runs with far less."""
    path = tmp_path / "large"
    path.write_bytes(os.urandom(32 * MIB))
    drop = f"import os; f = os.open({str(path)!r}, 0); os.fsync(f); os.posix_fadvise(f, 0, 0, os.POSIX_FADV_DONTNEED)"
    kind = subprocess.run(["stat", "-f", "-c", "%T", tmp_path], capture_output=True, text=True, check=True)
    if kind.stdout.strip() in ("tmpfs", "ramfs"):
        pytest.skip("the temporary directory is in memory: nothing of it can be reclaimed")
    code = f"f = open({str(path)!r}, 'rb', 0)\nwhile f.read(1 << 20): pass"
    prepare = f'{sys.executable} -I -S -c "{drop}"'
    options = ["--prepare", prepare, "--precision", "20%", "--repeat", "1", "--executions", "40"]
    _, document, text = fit(hiwater, *options, "--", *PYTHON, code)
    unlimited = max(trial["cgroup_peak_bytes"] for trial in document["unlimited"]["executions"])
    assert unlimited > 32 * MIB, text
    assert document["smallest_limit_bytes"] < 16 * MIB


def test_random_need(hiwater: Hiwater) -> None:
    """A program that needs 30 or 60 MiB by chance has no sharp edge, and none is claimed."""
    code = "import os; x = bytearray((30 if os.urandom(1)[0] < 128 else 60) << 20)"
    options = ["--precision", "5%", "--executions", "40", "--max-slowdown", "100"]
    _, document, text = fit(hiwater, *options, "--", *PYTHON, code)
    between = [point for point in document["curve"] if 36 * MIB < point["limit_bytes"] < 60 * MIB]
    assert document["smallest"]["limit_high_bytes"] > 60 * MIB, text
    rates = [point["successes"] for point in between], [point["executions"] for point in between]
    assert 0 < sum(rates[0]) < sum(rates[1]), "it succeeds now and then"


def test_fails_anyway(hiwater: Hiwater) -> None:
    """A command that fails without a limit has no smallest one."""
    done = hiwater("fit", "--", "false")
    assert done.returncode == 1
    assert "without any limit it fails already: exit 1" in done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "no command"),
        (["--max-slowdown", "1", "--", "true"], "not a factor above 1"),
        (["--precision", "0.02", "--", "true"], "a percent sign"),
        (["--from", "2GiB", "--to", "1GiB", "--", "true"], "--to is to be larger"),
        (["--unheard-of", "--", "true"], "no option --unheard-of"),
    ],
)
def test_misuse(hiwater: Hiwater, words: list[str], message: str) -> None:
    """Told before anything is executed."""
    done = hiwater("fit", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr


def test_size_that_outgrows_a_device(hiwater: Hiwater) -> None:
    """scale --smallest-limit: n MiB each, so 120 MiB are outgrown a little below n = 120."""
    pytest.importorskip("scipy", reason="pip install 'hiwater[bench]'")
    script = [*PYTHON, "import sys; x = bytearray(int(sys.argv[1]) << 20)", "{n}"]
    options = ["-L", "n", "12,24,36,48,60,72", "--smallest-limit", "--limit", "120MiB", "--export-json", "-"]
    done = hiwater("scale", *options, "--", *script, timeout=280)
    document = json.loads(done.stdout)
    assert document["metric"] == "smallest_limit", done.stderr
    for point in document["points"]:
        (found,) = point["memory_bytes"]
        assert point["size"] * MIB < found < 1.05 * (point["size"] + 6) * MIB
    assert document["law"]["law"] == "linear", done.stderr
    assert document["limit"]["size"] == pytest.approx(116, rel=0.08)
