"""How the smallest memory is shown."""

from __future__ import annotations

import json
import re
from xml.etree import ElementTree

import pytest
from tests.unit.fit.programs import MIB, Program

from hiwater.fit.model import FitReport
from hiwater.views import fit_html, fit_json, fit_svg, fit_text
from hiwater.views.paint import Paint


@pytest.fixture(scope="module")
def sharp() -> FitReport:
    return Program(lambda _: 137).fit()


@pytest.fixture(scope="module")
def noisy() -> FitReport:
    return Program(lambda r: r.gauss(137, 10)).fit()


def test_text(sharp: FitReport) -> None:
    """The curve from the largest limit down, and the answers."""
    lines = fit_text.render(sharp, 100, Paint()).splitlines()
    assert lines[2].split() == ["limit", "succeeds", "time", "slower", "major", "faults", "read", "again"]
    rows = lines[3 : lines.index("", 3)]
    limits = [float(row.split()[0]) for row in rows]
    assert limits == sorted(limits, reverse=True)
    assert any(row.endswith("out of memory") for row in rows)
    assert any(line.startswith("Smallest limit: 137.") for line in lines)
    assert not any("not sharp" in line for line in lines)
    assert all(len(line) <= 100 for line in lines)


def test_colour(sharp: FitReport) -> None:
    """On a terminal it says the same."""
    plain, colored = (fit_text.render(sharp, 100, Paint(color=color)) for color in (False, True))
    assert re.sub("\x1b\\[[0-9]*m", "", colored) == plain != colored


def test_slope(noisy: FitReport) -> None:
    """An edge that is none is not drawn as a line: the probability is told."""
    text = " ".join(fit_text.render(noisy, 100, Paint()).split())
    assert "the edge is not sharp: half of the executions succeed at" in text.lower()
    assert "not within 2 %" in text


def test_json(sharp: FitReport) -> None:
    """The answers, the curve and every execution."""
    document = json.loads(fit_json.render(sharp))
    assert document["schema"] == "hiwater.fit/1"
    assert 137 * MIB <= document["smallest_limit_bytes"] <= 1.02 * 137 * MIB
    assert document["smallest"]["limit_low_bytes"] <= 137 * MIB <= document["smallest"]["limit_high_bytes"]
    assert document["comfortable_limit_bytes"] >= document["smallest_limit_bytes"]
    curve = document["curve"]
    assert [point["limit_bytes"] for point in curve] == sorted(point["limit_bytes"] for point in curve)
    assert sum(point["executions"] for point in curve) + len(document["unlimited"]["executions"]) == len(sharp.trials)
    assert {point["success_rate"] for point in curve} == {0.0, 1.0}
    assert all(point["failures"] == {} or list(point["failures"]) == ["out of memory"] for point in curve)
    assert {"major_faults", "wall_seconds", "slowdown", "refaulted_bytes"} <= set(curve[0])
    chances = [step["probability"] for step in document["success_probability"]]
    assert chances == sorted(chances)


@pytest.mark.parametrize("which", ["sharp", "noisy"])
def test_pictures(which: str, request: pytest.FixtureRequest) -> None:
    """The SVG is one, and the page holds it and fetches nothing."""
    report: FitReport = request.getfixturevalue(which)
    svg = fit_svg.render(report)
    root = ElementTree.fromstring(svg)
    circles = [element for element in root.iter() if element.tag.endswith("circle")]
    assert len(circles) >= len(report.curve)
    page = fit_html.render(report)
    assert svg in page
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "")


def test_nothing_but_failures() -> None:
    """A report without an answer is shown as well."""
    report = Program(lambda _: 100).fit(highest=50 * MIB)
    document = json.loads(fit_json.render(report))
    assert (document["smallest_limit_bytes"], document["comfortable_limit_bytes"]) == (None, None)
    assert document["message"] == "it fails under the largest limit as well, 50.0 MiB"
    ElementTree.fromstring(fit_svg.render(report))
    assert "Without a limit" in fit_text.render(report, 80, Paint())
