"""Budgets of ``hiwater run``, from outside and with the real monitor."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from tests.cli.eaters import MIB, eat, fake_monitor, hiwater
from tests.streams import Stream, simple


def test_a_budget_that_is_kept_changes_nothing() -> None:
    """A command within its budgets ends as it would without; the summary says that they were kept."""
    done = hiwater("run", "--budget", "512MiB", "--budget-tree", "1GiB", "--", *eat(20))
    assert done.returncode == 0
    assert done.stderr.count("  budget    kept: ") == 2


def test_a_budget_that_is_broken_is_exit_123_with_the_reason() -> None:
    """A command that succeeded but needed more ends with 123; stderr says how much of how much."""
    done = hiwater("run", "--budget", "16MiB", "--", *eat(40))
    assert done.returncode == 123
    assert "hiwater: over budget: peak RSS " in done.stderr
    assert "exceeds its budget 16.0 MiB by " in done.stderr


def test_quiet_keeps_the_reason() -> None:
    """-q silences the summary, not the reason of a failure; a budget that was kept is silent."""
    broken = hiwater("run", "-q", "--budget", "16MiB", "--", *eat(40))
    assert (broken.returncode, broken.stderr.count("\n")) == (123, 1)
    assert broken.stderr.startswith("hiwater: over budget: peak RSS ")
    kept = hiwater("run", "-q", "--budget", "512MiB", "--", *eat(40))
    assert (kept.returncode, kept.stderr) == (0, "")


def test_the_tree_has_a_budget_of_its_own() -> None:
    """Two processes that are each within --budget can together break --budget-tree."""
    program = eat(40, "import time; time.sleep(.3)")[-1]
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-S', '-c', {program!r}])"
    done = hiwater("run", "--budget", "80MiB", "--budget-tree", "80MiB", "--", *eat(40, child))
    assert done.returncode == 123
    assert "over budget: tree peak" in done.stderr
    assert "kept: peak RSS" in done.stderr


def test_the_exit_code_can_be_chosen() -> None:
    """--budget-exit-code replaces 123."""
    done = hiwater("run", "-q", "--budget", "16MiB", "--budget-exit-code", "1", "--", *eat(40))
    assert done.returncode == 1


@pytest.mark.parametrize("ending", ["sys.exit(7)", "import os; os.kill(os.getpid(), 9)"])
def test_the_command_s_own_failure_wins(ending: str, tmp_path: Path) -> None:
    """A command that failed keeps its exit status; the violation is reported all the same."""
    done = hiwater("run", "--budget", "16MiB", "--json", tmp_path / "a.json", "--", *eat(40, f"import sys; {ending}"))
    assert done.returncode == (7 if "7" in ending else 128 + 9)
    assert "over budget" in done.stderr
    assert json.loads((tmp_path / "a.json").read_text())["budget"]["status"] == "violated"


def test_a_time_out_wins() -> None:
    """A command that ran into its time-out ends with 124, over budget or not."""
    done = hiwater("run", "--timeout", "1s", "--budget", "16MiB", "--", *eat(40, "import time; time.sleep(60)"))
    assert done.returncode == 124
    assert "over budget" in done.stderr


def test_json_has_the_verdict_and_the_reason(tmp_path: Path) -> None:
    """The key budget holds status, reason and each limit; it is null where there was no budget."""
    path = tmp_path / "peak.json"
    assert hiwater("run", "--json", path, "--budget", "16MB", "--budget-tree", "2GB", "--", *eat(40)).returncode == 123
    document = json.loads(path.read_text())
    budget = document["budget"]
    assert budget["status"] == "violated"
    assert budget["reason"].startswith("peak RSS ")
    first, second = budget["limits"]
    assert (first["figure"], first["limit_bytes"], first["status"]) == ("peak_rss", 16_000_000, "violated")
    assert first["bytes"] == document["peak_rss_bytes"]
    assert first["over_bytes"] == document["peak_rss_bytes"] - 16_000_000 > 20 * MIB
    assert (second["figure"], second["limit_bytes"], second["status"]) == ("tree_peak", 2_000_000_000, "ok")
    assert hiwater("run", "--json", path, "-f", "--", "true").returncode == 0
    assert json.loads(path.read_text())["budget"] is None


def test_no_number_is_no_pass(tmp_path: Path) -> None:
    """A budget for which there is no figure ends with 125, and says so."""
    unknown = Stream().facts().command(b"true").stats(unseen=3, max_alive=2).end()
    done = hiwater(
        "run", "--budget-tree", "1GiB", "--json", tmp_path / "a", "true", env=fake_monitor(tmp_path, unknown.data)
    )
    assert done.returncode == 125
    assert "budget not judged: tree peak could not be measured" in done.stderr
    assert json.loads((tmp_path / "a").read_text())["budget"]["status"] == "undecidable"


def test_the_limit_itself_is_fine(tmp_path: Path) -> None:
    """Exactly the budget is kept, a byte less is broken; bounds on both sides of it are told."""
    env = fake_monitor(tmp_path, simple().data)
    kept = hiwater("run", "--budget", "20MiB", "true", env=env)
    assert kept.returncode == 0
    assert "the truth is between 20.0 MiB and " in kept.stderr
    broken = hiwater("run", "--budget", f"{20 * MIB - 1}B", "true", env=env)
    assert broken.returncode == 123
    assert "exceeds its budget 20971519 bytes by 1 bytes" in broken.stderr


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--budget", "64"], "'64' is not a size"),
        (["--budget", "10 MBananas"], "is not a size"),
        (["--budget-tree", "-1MiB"], "--budget-tree"),
        (["--budget-exit-code", "7"], "there is no --budget"),
        (["--budget", "1MiB", "--budget-exit-code", "0"], "from 1 to 255"),
        (["--budget", "1MiB", "--budget-exit-code", "256"], "from 1 to 255"),
    ],
)
def test_misuse(words: list[str], complaint: str, tmp_path: Path) -> None:
    """What cannot be meant is refused with 125, before anything is executed."""
    done = hiwater("run", *words, "--", sys.executable, "-c", "open('ran', 'w')", cwd=tmp_path)
    assert done.returncode == 125
    assert complaint in done.stderr
    assert not (tmp_path / "ran").exists()
