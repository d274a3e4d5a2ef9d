"""``hiwater``, ``hiwater show``, ``hiwater completion``."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from tests.cli.conftest import COMMAND, Hiwater
from tests.streams import Stream, simple

from hiwater import __version__


@pytest.mark.parametrize("word", ["run", "show", "methods", "doctor", "completion"])
def test_help(hiwater: Hiwater, word: str) -> None:
    """Each command explains itself; the overview names each."""
    assert word in hiwater("--help").stdout
    done = hiwater(word, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"hiwater {word}" in done.stdout


def test_help_has_examples(hiwater: Hiwater) -> None:
    """The help of run and the overview show examples and the exit statuses."""
    assert "hiwater run -- make -j8" in hiwater("--help").stdout
    text = hiwater("run", "--help").stdout
    assert "examples:" in text
    assert "exit status:" in text


def test_version(hiwater: Hiwater) -> None:
    """--version says which hiwater this is."""
    assert hiwater("--version").stdout == f"hiwater {__version__}\n"


@pytest.mark.parametrize("words", [(), ("frobnicate",), ("--frobnicate",), ("show",), ("completion", "tcsh")])
def test_misuse(hiwater: Hiwater, words: tuple[str, ...]) -> None:
    """Misuse outside of run is status 2."""
    done = hiwater(*words)
    assert done.returncode == 2
    assert "usage: hiwater" in done.stderr


def test_show(hiwater: Hiwater, tmp_path: Path) -> None:
    """The summary of a stored recording goes to stdout."""
    (tmp_path / "a.hiw").write_bytes(simple().data)
    done = hiwater("show", "a.hiw")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("hiwater: prog --flag · exit 0")


def test_show_json(hiwater: Hiwater, tmp_path: Path) -> None:
    """--json prints the document."""
    (tmp_path / "a.hiw").write_bytes(simple().data)
    assert json.loads(hiwater("show", "--json", "a.hiw").stdout)["schema"] == "hiwater.run/1"


def test_show_is_what_run_said(hiwater: Hiwater) -> None:
    """A stored recording shows as the execution did."""
    said = hiwater("run", "-o", "a.hiw", "--", "true").stderr
    assert hiwater("show", "a.hiw").stdout == said


@pytest.mark.parametrize(
    ("data", "text"),
    [(b"", "empty"), (b"junk" * 20, "not a recording"), (Stream(version=9).data, "version 9"), (None, "No such file")],
)
def test_show_refuses(hiwater: Hiwater, tmp_path: Path, data: bytes | None, text: str) -> None:
    """What is no recording is status 2, and says why."""
    if data is not None:
        (tmp_path / "a.hiw").write_bytes(data)
    done = hiwater("show", "a.hiw")
    assert (done.returncode, done.stdout) == (2, "")
    assert text in done.stderr
    assert "Traceback" not in done.stderr


def test_show_cut(hiwater: Hiwater, tmp_path: Path) -> None:
    """A recording that was cut is shown, with a warning."""
    (tmp_path / "a.hiw").write_bytes(simple().data[:-20])
    done = hiwater("show", "a.hiw")
    assert done.returncode == 0
    assert "warning: the recording is incomplete" in done.stdout


def test_a_reader_that_goes_away(tmp_path: Path) -> None:
    """A closed pipe ends hiwater quietly."""
    (tmp_path / "a.hiw").write_bytes(simple().data)
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as pipe:
        done = subprocess.run(
            [*COMMAND, "show", "--json", "a.hiw"], cwd=tmp_path, stdout=pipe, stderr=subprocess.PIPE, check=False
        )
    assert (done.returncode, done.stderr) == (141, b"")


def test_bash_completion(hiwater: Hiwater, tmp_path: Path) -> None:
    """bash completes commands, options, choices, and the command that is to be executed."""
    script = tmp_path / "hiwater.bash"
    script.write_text(hiwater("completion", "bash").stdout)

    def complete(*words: str) -> list[str]:
        line = " ".join(f"'{word}'" for word in ("hiwater", *words))
        code = f"source {script}; COMP_WORDS=({line}); COMP_CWORD={len(words)}; _hiwater"
        code += "; printf '%s\\n' \"${COMPREPLY[@]}\""
        done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True)
        assert done.stderr == ""
        return done.stdout.split()

    assert complete("sh") == ["show"]
    assert set(complete("run", "--ti")) == {"--timeout"}
    assert complete("run", "--color", "al") == ["always"]
    assert complete("completion", "z") == ["zsh"]
    assert "printf" in complete("run", "-q", "print")
    assert complete("show", str(tmp_path / "hi")) == [str(script)]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_names_every_option(hiwater: Hiwater, shell: str) -> None:
    """The scripts are made from the parser: no option is missing."""
    text = hiwater("completion", shell).stdout
    for option in ("quiet", "output", "json", "trace", "timeout", "linger", "color"):
        assert option in text
