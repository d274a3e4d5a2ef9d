"""``hiwater check`` with budgets of call sites, with the real sampler."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from tests.cli.eaters import MIB, hiwater

PROGRAM = """
#include <stdlib.h>
#include <string.h>
static void *kept[64];
static void hold(int from, int count)
{
    for (int at = from; at < from + count; at++)
        memset(kept[at], 1, 1 << 20);
}
__attribute__((noinline)) void hold_much(void)
{
    for (int at = 0; at < 24; at++)
        kept[at] = malloc(1 << 20);
    hold(0, 24);
}
__attribute__((noinline)) void hold_little(void)
{
    for (int at = 24; at < 26; at++)
        kept[at] = malloc(1 << 20);
    hold(24, 2);
}
int main(void)
{
    hold_much();
    hold_little();
    for (int at = 0; at < 24; at++)
        free(kept[at]);
    return kept[25] == 0;
}
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds 24 MiB here and 2 MiB there, and the latter to its end."""
    path = tmp_path_factory.mktemp("program")
    (path / "hold.c").write_text(PROGRAM)
    flags = ["-g", "-O1", "-fno-builtin-malloc"]
    subprocess.run(["gcc", *flags, "-o", path / "hold", path / "hold.c"], check=True)
    subprocess.run(["gcc", *flags, "-static", "-o", path / "static", path / "hold.c"], check=True)
    return path


def check(tmp_path: Path, command: Path, budgets: str, *words: str) -> tuple[int, dict[str, object], str]:
    (tmp_path / "hiwater.toml").write_text(f"[[check]]\nname = 'a b'\ncommand = ['{command}']\n{budgets}")
    done = hiwater("check", "--json", "out.json", "-f", *words, cwd=tmp_path)
    (result,) = json.loads((tmp_path / "out.json").read_text())["checks"]
    return done.returncode, result, done.stdout + done.stderr


def test_call_sites_are_held_to_their_budgets(program: Path, tmp_path: Path) -> None:
    """At the peak and at exit; what breaks one is told, and the flame graph shows it."""
    (tmp_path / "proof").mkdir()
    kept = """
[[check.heap]]
site = "hold_much"
budget = "25MiB"
[[check.heap]]
library = "hold"
at = "exit"
budget = "3MiB"
"""
    status, result, _ = check(tmp_path, program / "hold", kept, "--evidence", "proof")
    assert (status, result["status"]) == (0, "ok")
    assert list((tmp_path / "proof").iterdir()) == []
    broken = kept + "[[check.heap]]\nsite = 'hold_*'\nbudget = '20MiB'\n"
    status, result, told = check(tmp_path, program / "hold", broken, "--evidence", "proof")
    assert (status, result["status"]) == (1, "violated")
    assert "heap of hold_* at its peak 26.0" in told and "exceeds its budget 20.0 MiB by 6.0 MiB (30%)" in told
    heap = result["heap"]
    assert isinstance(heap, list)
    assert [one["status"] for one in heap] == ["ok", "ok", "violated"]
    assert heap[2]["in_use_bytes"] == pytest.approx(26 * MIB, rel=0.01) and heap[2]["limit_bytes"] == 20 * MIB
    assert "hold_much" in (tmp_path / "proof" / "a-b-peak.svg").read_text()
    assert sorted(path.name for path in (tmp_path / "proof").iterdir()) == ["a-b-peak.svg"]


@pytest.mark.parametrize(
    ("name", "site", "reason"),
    [
        ("static", "hold_much", "heap of hold_much at its peak could not be judged: there is no heap profile"),
        ("hold", "hold_mcuh", "no call site is 'hold_mcuh'; is 'hold_much' meant?"),
    ],
)
def test_what_cannot_be_judged_does_not_pass(program: Path, tmp_path: Path, name: str, site: str, reason: str) -> None:
    """A program that the sampler cannot see into, a name that is misspelt."""
    status, result, _ = check(tmp_path, program / name, f"[[check.heap]]\nsite = '{site}'\nbudget = '1GiB'\n")
    assert (status, result["status"]) == (1, "undecidable")
    assert reason in str(result["reason"])


def test_evidence_needs_a_directory(program: Path, tmp_path: Path) -> None:
    """Known before anything is executed."""
    (tmp_path / "hiwater.toml").write_text("[[check]]\nname = 'a'\ncommand = ['false']\nbudget = '1MiB'\n")
    done = hiwater("check", "--evidence", "missing", cwd=tmp_path)
    assert done.returncode == 2 and "--evidence: missing is no directory" in done.stderr
