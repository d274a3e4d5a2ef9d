"""``hiwater doctor`` as a user meets it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

from hiwater.doctor import CHECKS


def doctor(
    *words: str, cwd: Path | None = None, environ: Mapping[str, str] = MappingProxyType({})
) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS")}
    return subprocess.run(
        [sys.executable, "-m", "hiwater", "doctor", *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env={**environment, "PYTHONIOENCODING": "utf-8", **environ},
        stdin=subprocess.DEVNULL,
    )


def test_this_machine_is_fine() -> None:
    """Every check has a finding, and every program of known size was measured within its bounds."""
    done = doctor("--json", "-")
    assert done.stderr == ""
    document = json.loads(done.stdout)
    assert (done.returncode, document["schema"], document["healthy"]) == (0, "hiwater.doctor/1", True), document
    assert [check["name"] for check in document["checks"]] == [name for name, _ in CHECKS]
    assert {check["state"] for check in document["checks"]} <= {"ok", "limited", "missing"}
    tests = document["self_tests"]
    assert {test["mode"] for test in tests} == {"quiet", "trace"}
    for test in tests:
        assert test["passed"], test
        assert test["peak_rss_lower_bytes"] <= test["true_bytes"] <= test["peak_rss_upper_bytes"]


@pytest.mark.parametrize("columns", ["80", "120"])
def test_the_text(columns: str) -> None:
    """Findings, what hiwater does, the self-test and a verdict; only what is to be copied may be wider."""
    done = doctor(environ={"COLUMNS": columns})
    assert (done.returncode, done.stderr) == (0, "")
    assert "What hiwater does here" in done.stdout and "Self-test" in done.stdout
    assert " truths lie within the stated bounds; the largest error is " in done.stdout.replace("\n", " ")
    lines = [line for line in done.stdout.splitlines() if "mend: " not in line and "/sys/fs/cgroup" not in line]
    assert max(map(len, lines)) <= int(columns)
    assert "\x1b" not in done.stdout


def test_color() -> None:
    """Only where it is wanted."""
    assert "\x1b[32m" in doctor("--color", "always").stdout
    assert "\x1b" not in doctor("--color", "never", environ={"FORCE_COLOR": "1"}).stdout


def test_json_file(tmp_path: Path) -> None:
    """The text still comes; an existing file is refused unless --force."""
    assert "Self-test" in doctor("--json", "d.json", cwd=tmp_path).stdout
    assert json.loads((tmp_path / "d.json").read_text())["healthy"] is True
    refused = doctor("--json", "d.json", cwd=tmp_path)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "exists already" in refused.stderr
    assert doctor("--json", "d.json", "--force", cwd=tmp_path).returncode == 0
    assert [path.name for path in tmp_path.iterdir()] == ["d.json"]


@pytest.mark.parametrize(
    "words", [["--nonsense"], ["extra"], ["--json"], ["--color", "pink"], ["--json", "/no/d.json"]]
)
def test_misuse(words: list[str]) -> None:
    """Exit status 2 and a sentence."""
    done = doctor(*words)
    assert (done.returncode, done.stdout, done.stderr != "") == (2, "", True)


@pytest.mark.parametrize("variable", ["HIWATER_MONITOR", "HIWATER_PROBE"])
def test_a_program_of_ours_that_is_missing(variable: str) -> None:
    """Something that hiwater needs is broken: 1, and what to do about it."""
    done = doctor(environ={variable: "/no/such/program"})
    assert (done.returncode, done.stdout) == (1, "")
    assert variable in done.stderr


def test_a_monitor_that_lies_is_found_out(tmp_path: Path) -> None:
    """The self-test fails when the monitor does not measure: 1, and the text says so."""
    monitor = tmp_path / "monitor"
    monitor.write_text("#!/bin/sh\nexit 125\n")
    monitor.chmod(0o755)
    done = doctor(environ={"HIWATER_MONITOR": str(monitor)})
    assert done.returncode == 1
    assert "Not well: 12 of 12 self-tests are outside their bounds." in done.stdout


def test_without_ptrace(tmp_path: Path) -> None:
    """Under strace -f nothing else can trace: that is missing, not broken, and everything is still measured."""
    strace = "/usr/bin/strace"
    if not Path(strace).exists():
        pytest.skip("strace is not installed")
    target = tmp_path / "d.json"
    words = [strace, "-f", "-e", "trace=none", "-o", str(tmp_path / "log"), sys.executable, "-m", "hiwater"]
    done = subprocess.run([*words, "doctor", "--json", str(target)], capture_output=True, text=True, check=False)
    if not target.exists():
        pytest.skip(f"strace cannot trace here: {done.stderr}")
    document = json.loads(target.read_text())
    ptrace = next(check for check in document["checks"] if check["name"] == "ptrace")
    assert (ptrace["state"], "traces hiwater itself" in ptrace["detail"]) == ("missing", True)
    assert document["healthy"], document["self_tests"]
