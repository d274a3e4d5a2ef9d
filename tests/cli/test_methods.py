"""``hiwater methods`` as a user meets it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

MIB = 1 << 20
BALLAST = "--ballast=64MiB"


def hiwater(
    *words: str, cwd: Path | None = None, environ: Mapping[str, str] = MappingProxyType({})
) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS")}
    return subprocess.run(
        [sys.executable, "-m", "hiwater", "methods", *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env={**environment, "PYTHONIOENCODING": "utf-8", **environ},
        stdin=subprocess.DEVNULL,
    )


def document(*words: str) -> dict[str, Any]:
    done = hiwater("--json", "-", BALLAST, *words)
    assert done.stderr == ""
    parsed: dict[str, Any] = json.loads(done.stdout)
    return parsed


def test_the_oddity() -> None:
    """A small program needs the launcher's size, says wait4, unless it is asked for in the right way."""
    table = document("--", "true")
    verdicts = {method["key"]: method["verdict"] for method in table["methods"]}
    high = {key for key, verdict in verdicts.items() if verdict == "high"}
    assert high >= {
        "wait4.fork.holds",
        "wait4.vfork.holds",
        "wait4.spawn.holds",
        "first-line.spawn.holds",
        "wait4.vfork.freed",
        "wait4.spawn.freed",
        "first-line.spawn.freed",
        "children.fork.after-bigger",
    }
    assert not any(key.startswith("hiwater-") or key in ("wait4.fork.freed", "wait4.fork.small") for key in high)
    for method in table["methods"]:
        if method["key"] in high:
            assert method["reported_bytes"] > 60 * MIB
            assert method["off_by_bytes"] == method["reported_bytes"] - table["peak_rss_bytes"]
        assert (method["exit_code"], method["term_signal"]) == (0, None)
    assert table["peak_rss_lower_bytes"] <= table["peak_rss_bytes"] <= table["peak_rss_upper_bytes"] < 16 * MIB


def test_a_command_larger_than_the_ballast() -> None:
    """Then the floor does not show, and the methods agree."""
    table = document(sys.executable, "-c", "x = b'x' * (128 << 20)")
    wait4 = [method for method in table["methods"] if method["interface"] == "wait4"]
    assert [method["verdict"] for method in wait4] == ["within"] * len(wait4)
    assert any("grew larger" in method["why"] for method in wait4)


@pytest.mark.parametrize("columns", ["80", "120"])
def test_the_table(columns: str) -> None:
    """One table on stdout, no wider than the terminal, without colour where there is no terminal."""
    done = hiwater(BALLAST, "--", "true", environ={"COLUMNS": columns})
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "true"
    assert re.fullmatch(r"It needed [\d.]+ MiB: between [\d.]+ MiB and [\d.]+ MiB\.", lines[1])
    for title in ("wait4 after fork", "wait4 after vfork", "RUSAGE_CHILDREN", "VmHWM at exit", "hiwater run --trace"):
        assert any(line[2:].startswith(title) for line in lines), title
    assert max(map(len, lines)) <= int(columns)
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize(
    ("option", "environ", "coloured"),
    [
        ("auto", {}, False),
        ("always", {}, True),
        ("never", {"FORCE_COLOR": "1"}, False),
        ("auto", {"FORCE_COLOR": "1"}, True),
        ("auto", {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
    ],
)
def test_color(option: str, environ: dict[str, str], coloured: bool) -> None:
    """--color wins over NO_COLOR, that over FORCE_COLOR."""
    done = hiwater(BALLAST, "--color", option, "true", environ=environ)
    assert ("\x1b" in done.stdout) is coloured


def test_a_stream_that_takes_only_ascii() -> None:
    """The marks have a plain form, and names are escaped instead of failing."""
    done = hiwater(BALLAST, "--", "sh", "-c", "true # ä", environ={"PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stdout.isascii()) == (0, True)
    assert "x wait4 after fork" in done.stdout


def test_json_file(tmp_path: Path) -> None:
    """The table still comes; an existing file is refused unless --force; nothing is left over from a refusal."""
    assert "wait4 after fork" in hiwater(BALLAST, "--json", "t.json", "true", cwd=tmp_path).stdout
    assert json.loads((tmp_path / "t.json").read_text())["schema"] == "hiwater.methods/1"
    (tmp_path / "t.json").write_text("mine")
    refused = hiwater(BALLAST, "--json", "t.json", "true", cwd=tmp_path)
    assert (refused.returncode, refused.stdout) == (125, "")
    assert "t.json exists already" in refused.stderr
    assert (tmp_path / "t.json").read_text() == "mine"
    assert hiwater(BALLAST, "--force", "--json", "t.json", "true", cwd=tmp_path).returncode == 0
    assert json.loads((tmp_path / "t.json").read_text())["command"] == ["true"]
    assert [path.name for path in tmp_path.iterdir()] == ["t.json"]


def test_json_is_checked_before_anything_is_executed(tmp_path: Path) -> None:
    """Nobody waits for a measurement that cannot be kept."""
    done = hiwater("--json", str(tmp_path / "no" / "t.json"), "touch", str(tmp_path / "executed"))
    assert (done.returncode, (tmp_path / "executed").exists()) == (125, False)


def test_the_commands_output() -> None:
    """Discarded, unless it is asked for; its stdin is empty."""
    assert "shouted" not in hiwater(BALLAST, "sh", "-c", "echo shout''ed; echo shout''ed >&2").stdout
    kept = hiwater(BALLAST, "--keep-output", "--", "sh", "-c", "cat; echo shout''ed; echo whisper''ed >&2")
    executions = kept.stdout.count("shouted\n")
    assert (executions > 10, kept.stderr.count("whispered\n")) == (True, executions)


@pytest.mark.parametrize(
    ("script", "end"), [("echo no such luck >&2; exit 3", "exit status 3"), ("kill -9 $$", "signal 9")]
)
def test_a_command_that_fails(script: str, end: str) -> None:
    """It is measured all the same, said below the table, and told by the exit status."""
    done = hiwater(BALLAST, "--", "sh", "-c", script, environ={"COLUMNS": "200"})
    assert done.returncode == 1
    last = done.stdout.splitlines()[-1]
    assert re.match(rf"The command failed in (\d+) of \1 executions \({end}\)\.", last)
    assert last.endswith("It said: no such luck") == ("luck" in script)


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["--", "/no/such/program"], 127, "hiwater methods: /no/such/program: command not found\n"),
        (["--", "/etc/passwd"], 126, "hiwater methods: /etc/passwd: cannot be executed: Permission denied\n"),
        ([], 125, "no command to measure"),
        (["--"], 125, "no command to measure"),
        (["--", ""], 125, "no command to measure"),
        (["--nonsense", "true"], 125, "there is no option --nonsense"),
        (["--ball", "5MiB", "true"], 125, "there is no option --ball"),
        (["--ballast", "800", "true"], 125, "a number and a unit"),
        (["--ballast", "10 MBananas", "true"], 125, "a number and a unit"),
        (["--ballast", "0MiB", "true"], 125, "more than 0"),
        (["--ballast", "999999GiB", "true"], 125, "does not fit"),
        (["--color", "pink", "true"], 125, "invalid choice"),
    ],
)
def test_misuse(words: list[str], status: int, message: str) -> None:
    """Each mistake has its exit status and a sentence on stderr; stdout stays empty."""
    done = hiwater(*words)
    assert (done.returncode, done.stdout) == (status, "")
    assert message in done.stderr


def test_what_follows_the_command_belongs_to_the_command() -> None:
    """Options behind it are its own, and only the first -- is ours."""
    table = document("echo", "--ballast", "--json", "--", "-x")
    assert table["command"] == ["echo", "--ballast", "--json", "--", "-x"]
    assert document("--", "echo", "--", "--help")["command"] == ["echo", "--", "--help"]


def test_help() -> None:
    """With an example and the exit statuses."""
    done = hiwater("--help")
    assert done.returncode == 0
    assert "hiwater methods -- ls -l" in done.stdout and "Exit status" in done.stdout
