"""hiwater starts itself again in a scope of systemd, once, and only where that works."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from hiwater.cgroups import scope
from hiwater.errors import LimitUnavailableError


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A systemd-run that becomes what it is given, as the real one does with --scope; the directory of its world."""
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    program = tmp_path / "bin/systemd-run"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\nwhile [ "$1" != -- ]; do shift; done; shift; exec "$@"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.delenv("HIWATER_IN_SCOPE", raising=False)
    return tmp_path


def test_start_again(systemd: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the words that hiwater was started with."""
    started: list[list[str]] = []
    monkeypatch.setattr("os.execv", lambda _, words: started.append(words))
    monkeypatch.setattr(sys, "orig_argv", ["python", "-m", "hiwater", "run", "--limit", "1GiB", "true"])
    scope.enter(str(systemd))
    whose = [] if os.geteuid() == 0 else ["--user"]
    words = ["--scope", "--quiet", "-p", "Delegate=yes", "--", sys.executable, "-m", "hiwater", "run", "--limit"]
    assert started == [[str(systemd / "bin/systemd-run"), *whose, *words, "1GiB", "true"]]
    assert scope.arrived(), "the second start knows that it is one"
    assert not scope.arrived(), "and the command does not"


def test_no_systemd(systemd: Path) -> None:
    """A systemd-run without a systemd, as in containers."""
    (systemd / "run/systemd/system").rmdir()
    with pytest.raises(LimitUnavailableError, match="does not run"):
        scope.enter(str(systemd))


def test_refused(systemd: Path) -> None:
    """What fails is told before it could be mistaken for the command's failure."""
    (systemd / "bin/systemd-run").write_text("#!/bin/sh\necho 'Failed to connect to bus' >&2; exit 1\n")
    with pytest.raises(LimitUnavailableError, match="makes no scope: Failed to connect to bus"):
        scope.enter(str(systemd))
