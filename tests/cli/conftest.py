"""Black-box tests of the command line, with the real monitor."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Hiwater = Callable[..., "subprocess.CompletedProcess[str]"]
COMMAND = [sys.executable, "-m", "hiwater"]


@pytest.fixture
def hiwater(tmp_path: Path) -> Hiwater:
    """Calls ``hiwater WORD...`` in an empty directory; output is captured as text."""

    def call(*words: str, **options: object) -> subprocess.CompletedProcess[str]:
        settings: dict[str, object] = {
            "capture_output": True,
            "encoding": "utf-8",
            "errors": "surrogateescape",
            "cwd": tmp_path,
            "stdin": subprocess.DEVNULL,
            "timeout": 60,
        }
        if "input" in options:
            del settings["stdin"]
        return subprocess.run([*COMMAND, *words], **(settings | options))  # type: ignore[call-overload, no-any-return]

    return call
