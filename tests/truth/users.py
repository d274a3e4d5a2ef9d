"""Who executes hiwater, and with which Python."""

import importlib.util
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

NOBODY = 65534


@dataclass(frozen=True)
class User:
    """A user, and the Python with hiwater that this user can execute."""

    name: str
    uid: int | None
    """None: the user who executes the tests."""
    python: str
    environment: dict[str, str] = field(default_factory=dict)

    def run(self, command: list[str], environment: dict[str, str], cwd: Path) -> subprocess.CompletedProcess[bytes]:
        """Executes a command as this user."""
        return subprocess.run(
            command,
            env={**os.environ, **self.environment, **environment},
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=120,
            check=False,
            user=self.uid,
            group=self.uid,
            extra_groups=None if self.uid is None else [],
        )


def me() -> User:
    return User("root" if os.geteuid() == 0 else "unprivileged", None, sys.executable)


def _python_of_nobody(room: Path, environment: dict[str, str]) -> str | None:
    """A Python that an unprivileged user can execute, new enough, and that imports the copied package."""
    for python in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        candidate = User("nobody", NOBODY, python)
        code = "import sys, hiwater; sys.exit(sys.version_info < (3, 10))"
        try:
            if candidate.run([python, "-c", code], environment, room).returncode == 0:
                return python
        except OSError:
            continue
    return None


def _copy_package(target: Path) -> dict[str, str]:
    """Copies the package that the tests use, with its executables, to where everybody can read it."""
    spec = importlib.util.find_spec("hiwater")
    if spec is None or not spec.submodule_search_locations:
        raise AssertionError("hiwater is not installed: see CONTRIBUTING.md")
    environment = {"PYTHONPATH": str(target), "PYTHONDONTWRITEBYTECODE": "1"}
    for location in spec.submodule_search_locations:
        shutil.copytree(location, target / "hiwater", dirs_exist_ok=True)
    for name in ("HIWATER_MONITOR", "HIWATER_PROBE"):
        if name in os.environ:
            environment[name] = str(shutil.copy(os.environ[name], str(target)))
    subprocess.run(["chmod", "-R", "a+rX", target], check=True)
    return environment


def nobody(room: Path) -> User | str:
    """The unprivileged user, or why that can not be one here. Only root can become another."""
    if os.geteuid() != 0:
        return "only root can execute something as another user; the tests themselves run unprivileged here"
    environment = _copy_package(room / "package")
    python = _python_of_nobody(room, environment)
    if python is None:
        return "no Python >= 3.10 that an unprivileged user can execute (looked in /usr/bin and /usr/local/bin)"
    subprocess.run([python, "-m", "compileall", "-q", room / "package"], check=True)
    return User("nobody", NOBODY, python, environment)
