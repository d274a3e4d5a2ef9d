"""Commands that take a known amount of memory, and hiwater as a user calls it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

HIWATER = (sys.executable, "-m", "hiwater")
MIB = 1 << 20


def eat(mib: int, then: str = "") -> list[str]:
    """A Python that takes so much beyond its own 10 MiB."""
    return [sys.executable, "-S", "-c", f"x = b'x' * ({mib} << 20); {then}"]


def hiwater(
    *arguments: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Its exit status and what it printed."""
    return subprocess.run(
        [*HIWATER, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def fake_monitor(directory: Path, stream: bytes) -> dict[str, str]:
    """An environment in which every command leaves this stream, without being executed."""
    script, data = directory / "monitor", directory / "stream"
    data.write_bytes(stream)
    script.write_text(
        f"#!{sys.executable} -IS\nimport os, sys\n"
        f"os.write(int(sys.argv[sys.argv.index('--output-fd') + 1]), open({str(data)!r}, 'rb').read())\n"
    )
    script.chmod(0o755)
    return {"HIWATER_MONITOR": str(script)}


def quoted(command: Sequence[str]) -> str:
    """As a TOML array of strings, which JSON's are."""
    return json.dumps(command)
