"""Baselines."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.checks.fakes import HOST, MIB, check, execution, report, result

from hiwater.analysis.budget import Figure
from hiwater.checks.baseline import load_baseline, renew
from hiwater.checks.model import CheckResult, Commit, Status
from hiwater.errors import MisuseError


def test_round_trip(tmp_path: Path) -> None:
    """What was written is what is compared with: every execution, in bytes."""
    path = tmp_path / "b.json"
    path.write_text(renew(report(result("a", 20, 21), commit=Commit("c" * 40, 1, False)), None))
    baseline = load_baseline(path)
    assert baseline.commit == "c" * 40
    assert baseline.host == HOST
    assert baseline.old(check("a")) == (20 * MIB, 21 * MIB)
    assert baseline.old(check("a", figure=Figure.TREE_PEAK)) == (20 * MIB, 21 * MIB)
    assert baseline.notes(check("a")) == ()
    assert "command is not that" in baseline.notes(replace(check("a"), command=("other",)))[0]
    assert "--update-baseline adds it" in baseline.notes(check("b"))[0]


def test_renewing_keeps_what_was_not_measured(tmp_path: Path) -> None:
    """A check that failed or was not executed keeps its entry; one that is no longer in the plan goes."""
    path = tmp_path / "b.json"
    path.write_text(renew(report(*(result(name, 20) for name in ("kept", "failed", "gone", "new"))), None))
    failed = CheckResult(check("failed"), Status.FAILED, "exited with 1", (execution(1, failure="exited with 1"),))
    again = report(result("new", 30), failed)
    again = replace(again, plan=replace(again.plan, checks=(*again.plan.checks, check("kept"))))
    path.write_text(renew(again, load_baseline(path)))
    entries = {name: entry.samples[Figure.PEAK_RSS] for name, entry in load_baseline(path).entries.items()}
    assert entries == {"kept": (20 * MIB,), "failed": (20 * MIB,), "new": (30 * MIB,)}


def test_another_machine(tmp_path: Path) -> None:
    """Another architecture or page size cannot be compared; another kernel or number of CPUs is told."""
    path = tmp_path / "b.json"
    path.write_text(renew(report(result("a", 20)), None))
    baseline = load_baseline(path)
    assert baseline.warnings(HOST) == ()
    (warning,) = baseline.warnings(replace(HOST, kernel="7.0"))
    assert "kernel 6.18.44, this is 7.0" in warning
    assert "CPUs 2, this is 64" in baseline.warnings(replace(HOST, cpus=64))[0]
    for other in (replace(HOST, machine="aarch64"), replace(HOST, page_size=65536)):
        with pytest.raises(MisuseError, match="cannot be compared"):
            baseline.warnings(other)


def test_files_that_are_none(tmp_path: Path) -> None:
    """What is wrong is said, with what mends it where something does."""
    good = json.loads(renew(report(result("a", 20)), None))
    wrong = {
        "no JSON": "{",
        "no baseline of the schema": json.dumps({"schema": "hiwater.run/1"}),
        "is damaged": json.dumps({key: value for key, value in good.items() if key != "host"}),
        "damaged": json.dumps(good | {"checks": {"a": {"command": [], "peak_rss_bytes": [0], "tree_peak_bytes": []}}}),
        "is damaged:": json.dumps(good | {"checks": []}),
    }
    for complaint, text in wrong.items():
        (tmp_path / "b").write_text(text)
        with pytest.raises(MisuseError, match=complaint):
            load_baseline(tmp_path / "b")
    with pytest.raises(MisuseError, match="--update-baseline writes it"):
        load_baseline(tmp_path / "none")
