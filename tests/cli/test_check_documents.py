"""docs/budgets.md and examples/ say what hiwater check does, and what they show works."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from tests.cli.eaters import hiwater, quoted

from hiwater.checks import config
from hiwater.checks.model import Status
from hiwater.cli import build_parser

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "budgets.md").read_text()
EXAMPLES = sorted((ROOT / "examples").glob("*.*"))


def options(command: str) -> set[str]:
    """The long options of a sub-command."""
    (choices,) = [a.choices for a in build_parser(command)._actions if isinstance(a, argparse._SubParsersAction)]
    actions = choices[command]._actions
    return {name for action in actions for name in action.option_strings if name.startswith("--")}


def test_every_key_is_documented() -> None:
    """A row for each key of a check, none for what is no key."""
    keys = re.search(r"### Keys\n(.*?)\n### ", TEXT, re.DOTALL)
    assert keys is not None
    assert set(re.findall(r"^\| `([a-z-]+)` \|", keys[1], re.MULTILINE)) == set(config._KEYS)


@pytest.mark.parametrize("command", ["check", "history"])
def test_every_option_is_documented(command: str) -> None:
    """Each long option has its word, but for those that every command has, and those that are said by their letter."""
    elsewhere = {"--help", "--color", "--quiet", "--repeats"}
    assert {name for name in options(command) - elsewhere if not re.search(f"{name}(?![a-z-])", TEXT)} == set()


def test_every_verdict_is_documented() -> None:
    """A row for each, which says whether it passes."""
    told = dict(re.findall(r"^\| `([a-z]+)` \| (yes|no) \|", TEXT, re.MULTILINE))
    assert told == {str(status): "yes" if status.passes else "no" for status in Status}


def commands(text: str) -> list[str]:
    """What a text calls hiwater check and hiwater history with."""
    return re.findall(r"hiwater (?:check|history)(?: [^\n`()|>]*)?(?=\n|`|\)| +#|$)", text)


@pytest.mark.parametrize("path", [ROOT / "docs" / "budgets.md", *EXAMPLES], ids=lambda path: path.name)
def test_what_is_shown_is_understood(path: Path) -> None:
    """Every call that the documents show has options that exist, with values that are understood."""
    found = commands(path.read_text())
    if path.suffix == ".yml":
        assert len(found) == 2
    for line in found:
        words = [word for word in shlex.split(line, comments=True)[1:] if word != "$against"]
        build_parser(words[0]).parse_args([word.replace("NAME...", "NAME") for word in words])


def test_the_example_passes(tmp_path: Path) -> None:
    """examples/hiwater.toml works as it is, and cleans up behind itself."""
    shutil.copy(ROOT / "examples" / "hiwater.toml", tmp_path)
    done = hiwater("check", cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["hiwater.toml"]


def test_the_first_example_of_the_page(tmp_path: Path) -> None:
    """The smallest file is complete."""
    first = re.search(r"```toml\n(.*?)```", TEXT, re.DOTALL)
    assert first is not None
    (tmp_path / "hiwater.toml").write_text(first[1])
    (tmp_path / "app.py").touch()
    assert hiwater("check", cwd=tmp_path).returncode == 0


def script_of(name: str) -> str:
    """The shell scripts of a job, one behind the other; the variables of GitHub's own syntax as those of the shell."""
    text = (ROOT / "examples" / name).read_text()
    blocks = re.findall(r"^( +)(?:run:|-) \|\n((?:\1 +.*\n)+)", text, re.MULTILINE)
    wanted = [textwrap.dedent(block) for _, block in blocks if "hiwater check" in block]
    return "\n".join(wanted).replace("${{ github.event.pull_request.base.sha }}", "$CI_MERGE_REQUEST_DIFF_BASE_SHA")


@pytest.mark.parametrize("growth", [0, 20])
@pytest.mark.parametrize("name", ["github-workflow.yml", "gitlab-job.yml"])
def test_the_jobs_work(tmp_path: Path, name: str, growth: int) -> None:
    """What the job executes compares a change with the commit that it is based on, and fails on growth only."""
    project = tmp_path / "project"
    project.mkdir()
    steps = script_of(name)
    if name.startswith("github"):
        # Each step is a shell of its own, in the checkout; the first may fail.
        steps = steps.replace("test -e baseline.json", 'cd "$GITHUB_WORKSPACE"\ntest -e baseline.json')
    (project / "Makefile").write_text("all: ;\n")
    command = quoted([sys.executable, "-S", "program.py"])
    (project / "hiwater.toml").write_text(f"[[check]]\nname = 'a'\ncommand = {command}\nbudget = '512MiB'\n")
    (project / ".gitignore").write_text("*.json\n*.xml\n*.txt\n*.md\n")
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main", "-C", str(project)]
    subprocess.run([*git, "init", "-q"], check=True)
    for size in (40, 40 + growth):
        (project / "program.py").write_text(f"x = b'x' * ({size} << 20)\n# {growth}\n")
        (project / "n").write_text(f"{size} {(project / 'n').exists()}")
        subprocess.run([*git, "add", "-A"], check=True)
        subprocess.run([*git, "commit", "-q", "-m", str(size)], check=True)
    base = subprocess.run([*git, "rev-parse", "HEAD~1"], check=True, capture_output=True, text=True).stdout.strip()
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "hiwater"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m hiwater "$@"\n')
    program.chmod(0o755)
    done = subprocess.run(
        ["bash", "-e", "-c", steps],
        cwd=project,
        env={
            **os.environ,
            "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
            "CI_MERGE_REQUEST_DIFF_BASE_SHA": base,
            "CI_PROJECT_DIR": str(project),
            "GITHUB_WORKSPACE": str(project),
            "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"),
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == (1 if growth else 0), done.stdout + done.stderr
    assert ("grew beyond the tolerance" if growth else "did not grow") in done.stdout
    assert (project / "memory.xml").exists() and (project / "memory.json").exists()
    told = (project / "metrics.txt") if name.startswith("gitlab") else (project / "comment.md")
    assert "hiwater" in told.read_text()
