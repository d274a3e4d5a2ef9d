"""``hiwater run --ssh``: as if the command ran here, and nothing stays there."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.conftest import COMMAND, Hiwater
from tests.cli.sshd import find_server, server

import hiwater as library
from hiwater.errors import RemoteError
from hiwater.remote.programs import family, machine_of, monitor_for

GROW = "import sys; x = bytearray(64 << 20); print('grown', len(sys.argv)); sys.exit(int(sys.argv[1]))"


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment in which the host ``board`` is this machine."""
    if find_server() is None or shutil.which("ssh") is None:
        pytest.skip("apt-get install openssh-server openssh-client")
    with server(tmp_path_factory.mktemp("ssh")) as ssh:
        yield {**os.environ, "HIWATER_SSH": ssh}


def left_behind() -> list[Path]:
    return sorted(Path(os.environ.get("TMPDIR", "/tmp")).glob("hiwater.??????????"))


def test_it_is_as_if_the_command_ran_here(hiwater: Hiwater, board: dict[str, str], tmp_path: Path) -> None:
    """Output, arguments, standard input and the exit status are the command's own; the figures are of over there, and
    nothing is left."""
    before = left_behind()
    out = tmp_path / "a.hiw"
    words = ["run", "--ssh", "board", "-o", str(out), "--json", str(tmp_path / "a.json"), "--"]
    result = hiwater(*words, sys.executable, "-c", GROW, "7", "it's $HOME; a `b`", env=board)
    assert result.returncode == 7, result.stderr
    assert result.stdout == "grown 3\n"
    assert "peak RSS" in result.stderr
    figures = json.loads((tmp_path / "a.json").read_text())
    assert figures["exit_code"] == 7
    assert figures["command"][-1] == "it's $HOME; a `b`"
    assert 64 << 20 <= figures["peak_rss_bytes"] < 120 << 20
    assert library.load(out).complete
    assert left_behind() == before
    piped = hiwater("run", "-q", "--ssh", "board", "--", "cat", input="over there\n", env=board)
    assert (piped.returncode, piped.stdout) == (0, "over there\n")


@pytest.mark.parametrize(
    ("command", "status", "said"),
    [
        (["hiwater-has-no-such-command"], 127, "command not found"),
        (["sh", "-c", "exit 255"], 255, "exit 255"),
        (["sh", "-c", "kill -9 $$"], 137, "SIGKILL"),
    ],
)
def test_how_it_ends(hiwater: Hiwater, board: dict[str, str], command: list[str], status: int, said: str) -> None:
    """Every end is told as it is here, also the one that ssh has for itself."""
    result = hiwater("run", "--ssh", "board", "--", *command, env=board)
    assert result.returncode == status
    assert said in result.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_reach_the_command(board: dict[str, str], tmp_path: Path, number: signal.Signals) -> None:
    """A signal to hiwater ends the command over there; the summary still appears, and nothing is left."""
    before = left_behind()
    command = [*COMMAND, "run", "--ssh", "board", "--", "sh", "-c", "echo ready; exec sleep 600"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, env=board, cwd=tmp_path) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert f"ended by {number.name}" in said
    assert left_behind() == before


def test_who_cannot_be_reached(hiwater: Hiwater, board: dict[str, str]) -> None:
    """A host that does not answer is named, with what ssh said."""
    result = hiwater("run", "--ssh", "no-such-host.invalid", "--", "true", env=board)
    assert result.returncode == 125
    assert "no-such-host.invalid cannot be reached" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--ssh", "board", "--limit", "1GiB"], "exclude --ssh"),
        (["--ssh-monitor", "x"], "takes an --ssh"),
        (["--ssh=-oProxyCommand=x"], "takes the name of a machine"),
        (["--ssh", "board", "--ssh-monitor", "/nonexistent"], "--ssh-monitor /nonexistent: No such file"),
        (["--ssh", "board", "--ssh-monitor", __file__], "is no program for"),
    ],
)
def test_misuse(hiwater: Hiwater, board: dict[str, str], words: list[str], said: str) -> None:
    """What cannot work is refused before anything is executed, and nothing is left."""
    before = left_behind()
    result = hiwater("run", *words, "--", "true", env=board)
    assert result.returncode == 125
    assert said in result.stderr
    assert left_behind() == before


def _elf(number: int, bits: int, order: int) -> bytes:
    return b"\x7fELF" + bytes([bits, order]) + bytes(12) + number.to_bytes(2, "little" if order == 1 else "big")


@pytest.mark.parametrize(
    ("head", "machine"),
    [
        (_elf(62, 2, 1), "x86_64"),
        (_elf(183, 2, 1), "aarch64"),
        (_elf(40, 1, 1), "arm"),
        (_elf(243, 2, 1), "riscv64"),
        (_elf(22, 2, 2), "s390x"),
        (b"#!/bin/sh\n", None),
        (b"", None),
    ],
)
def test_what_a_program_is_for(tmp_path: Path, head: bytes, machine: str | None) -> None:
    """The machine of a program stands in its head."""
    (tmp_path / "program").write_bytes(head)
    assert machine_of(tmp_path / "program") == machine


def test_another_kind_of_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """For another machine the monitor beside our own is taken that bears its name; without one, how to get it is
    said."""
    own = tmp_path / "hiwater-monitor"
    own.write_bytes(_elf(62, 2, 1))
    own.chmod(0o755)
    monkeypatch.setenv("HIWATER_MONITOR", str(own))
    assert monitor_for("x86_64") == str(own)
    with pytest.raises(RemoteError, match=r"armv7l.*arm-linux-gnueabihf-gcc.*--ssh-monitor"):
        monitor_for("armv7l")
    (tmp_path / "hiwater-monitor-arm").write_bytes(_elf(40, 1, 1))
    assert monitor_for("armv7l") == str(tmp_path / "hiwater-monitor-arm")
    assert family("armv6l") == "arm"
