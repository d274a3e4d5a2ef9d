"""The man page and the completion files say what the command line says."""

import subprocess
import sys
from pathlib import Path

import pytest

import hiwater

ROOT = Path(__file__).parents[2]
SHARED = ["man/man1/hiwater.1", "bash-completion/completions/hiwater", "zsh/site-functions/_hiwater"]


def test_generated_files_are_up_to_date() -> None:
    """dev/generate.py has nothing to write: no option was added or changed without its documentation."""
    check = [sys.executable, str(ROOT / "dev" / "generate.py"), "--check"]
    found = subprocess.run(check, capture_output=True, text=True, check=False)
    assert (found.stdout, found.stderr, found.returncode) == ("", "", 0)


@pytest.mark.parametrize("name", SHARED)
def test_generated_files_are_installed(name: str) -> None:
    """man and the shells find them where they look: in the share directory of the environment."""
    assert (Path(sys.prefix) / "share" / name).is_file()
    assert Path(hiwater.__file__).is_relative_to(sys.prefix)


@pytest.mark.parametrize("command", ["run", "show", "explain", "bench", "scale", "methods", "doctor", "completion"])
def test_every_command_has_its_section_in_the_manual(command: str) -> None:
    """The man page explains every command."""
    page = (ROOT / "share" / "man" / "man1" / "hiwater.1").read_text()
    assert f"\n.SS hiwater {command} " in page
