"""How growth is shown."""

import json
import re
from collections.abc import Sequence
from xml.etree import ElementTree

import pytest

from hiwater.analysis.scale_report import ScaleReport, scale_report
from hiwater.bench.model import Benchmark, Command, Execution, Metric, Result, Stop
from hiwater.views import scale_html, scale_json, scale_svg, scale_text
from hiwater.views.paint import Paint
from hiwater.views.scale_words import between, human, number, unit

pytest.importorskip("scipy", reason="pip install 'hiwater[bench]'")

MIB = 1 << 20
SVG = "{http://www.w3.org/2000/svg}"


def report(
    sizes: Sequence[int] = (10_000, 20_000, 30_000, 40_000, 50_000),
    *,
    slope: float = 3277.0,
    at: Sequence[float] = (100_000, 2_000_000),
    limit: int | None = 512 * MIB,
    stop: Stop = Stop.DONE,
) -> ScaleReport:
    def execution(size: int, extra: int) -> Execution:
        memory = 8 * MIB + int(slope * size) + extra
        return Execution(memory, memory, 0.1, 0.1, 0.0, 0)

    results = tuple(
        Result(Command("app", ("app", str(size)), {"songs": str(size)}), (execution(size, 0), execution(size, 8192)))
        for size in sizes
    )
    benchmark = Benchmark(results, Metric.PEAK_RSS, 2, 0.95, stop)
    return scale_report("songs", ["./app", "--<b>", "{songs}"], benchmark, at=at, limit=limit)


TEXT = """\
./app '--<b>' '{songs}'

 songs  median peak RSS  runs       law  off by
10,000         39.3 MiB     2  39.3 MiB   0.0 %
20,000         70.5 MiB     2  70.5 MiB   0.0 %
30,000          102 MiB     2   102 MiB   0.0 %
40,000          133 MiB     2   133 MiB   0.0 %
50,000          164 MiB     2   164 MiB   0.0 %

Linear growth: 8.00 MiB + 3.20 KiB x songs
"""


def test_text() -> None:
    """The table, the law, the answers, and what cannot be answered."""
    text = scale_text.render(report(), 100, Paint())
    assert text.startswith(TEXT)
    assert re.search(r"Fixed cost: 8\.00 MiB \(8\.00\d+ to 8\.00\d+ MiB\)\n", text)
    assert re.search(r"Cost per unit: 3\.20 KiB \(3\.\d+ to 3\.\d+ KiB\) per song\n", text)
    assert "At 100,000 songs: 321 MiB (320.5" in text
    assert "At 2,000,000 songs: no prediction; 2,000,000 is more than 20 times the largest size measured" in text
    assert re.search(r"512 MiB are reached at 161,2\d\d songs \(161,2\d\d to 161,2\d\d\)\n", text)
    assert report().answered is False
    assert report(at=[100_000]).answered is True


def test_text_without_a_law() -> None:
    """What was measured is shown, and why there is no more."""
    text = scale_text.render(report([10, 20, 30], at=(), limit=None), 100, Paint())
    assert "Note: no extrapolation: 3 sizes are too few to tell one law from another: at least 5" in text
    text = scale_text.render(report([10, 20, 30], stop=Stop.INTERRUPTED), 100, Paint())
    assert "512 MiB: cannot be told; 3 sizes are too few" in text
    assert text.endswith("interrupted: these are the executions until then\n")


def test_text_of_a_law_that_does_not_explain() -> None:
    """It is called the closest one, and nothing is made of its figures."""
    narrow = (10_000, 10_500, 11_000, 11_500, 12_000)
    text = scale_text.render(report(narrow, at=(), limit=None), 100, Paint())
    assert "The closest law is linear growth: " in text and "Fixed cost" not in text
    assert "Note: no extrapolation: from 10,000 to 12,000 is too narrow a range" in text


def test_text_of_a_constant() -> None:
    """No growth is said in words."""
    text = scale_text.render(report(slope=0.0), 100, Paint())
    assert "The memory does not depend on songs: 8.00 MiB" in text
    assert "512 MiB: the memory does not grow with it" in text


def test_json() -> None:
    """Everything, for machines; the picture of the law included."""
    found = json.loads(scale_json.render(report()))
    assert (found["schema"], found["parameter"], found["metric"]) == ("hiwater.scale/1", "songs", "peak_rss")
    assert found["law"]["law"] == "linear"
    assert found["law"]["factor_bytes"] == pytest.approx(3277, rel=0.01)
    assert found["per_unit_bytes"] == pytest.approx(3277, rel=0.01)
    assert found["points"][0]["memory_bytes"] == [8 * MIB + 32_770_000, 8 * MIB + 32_778_192]
    assert [told["bytes"] is None for told in found["predictions"]] == [False, True]
    assert found["limit"]["answered"] is True and found["limit"]["size"] == pytest.approx(161_261, rel=0.01)
    empty = json.loads(scale_json.render(report([1, 2], limit=None)))
    assert (empty["law"], empty["limit"], empty["per_unit_bytes"]) == (None, None, None)


def test_svg() -> None:
    """A picture that parses: a circle for each execution, the line, the band, the limit; no name can break out."""
    root = ElementTree.fromstring(scale_svg.render(report()))
    circles = [circle.get("class") for circle in root.iter(f"{SVG}circle")]
    assert circles.count("p") == 10 and circles.count("x") == 1 and circles.count("n") == 1
    assert len(list(root.iter(f"{SVG}polygon"))) == 1
    assert [line.get("class") for line in root.iter(f"{SVG}polyline")] == ["l", "l e"]
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert "./app '--<b>' '{songs}'" in texts and "songs" in texts and "100,000" in texts
    assert any(str(text).startswith("limit 512 MiB, reached at 161,2") for text in texts)
    for circle in root.iter(f"{SVG}circle"):
        assert 0 < float(str(circle.get("cx"))) < scale_svg.WIDTH
        assert 0 < float(str(circle.get("cy"))) < scale_svg.HEIGHT


def test_svg_without_a_law() -> None:
    """The measurements alone are a picture too."""
    root = ElementTree.fromstring(scale_svg.render(report([1, 2], limit=None)))
    assert len(list(root.iter(f"{SVG}circle"))) == 4 and not list(root.iter(f"{SVG}polyline"))


def test_html() -> None:
    """One page that fetches nothing, with the picture, the answers and the table in it."""
    page = scale_html.render(report())
    assert page.count("<svg") == 1 and "<li>512 MiB are reached at 161,2" in page and "<td>50,000</td>" in page
    assert "<b>" not in page and "--&lt;b&gt;" in page
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "") and "<script" not in page


def test_numbers() -> None:
    """Three digits with the unit that suits; a range has as many as tell its ends apart."""
    assert [human(size) for size in (0, 17, 3277, 84.26 * MIB, 512 * MIB, 3 << 30)] == [
        "0 B",
        "17.0 B",
        "3.20 KiB",
        "84.3 MiB",
        "512 MiB",
        "3.00 GiB",
    ]
    assert between(3270, 3284) == "3.193 to 3.207 KiB"
    assert between(8 * MIB, 8 * MIB) == "8.00 to 8.00 MiB"
    assert (number(1_000_000), number(0.25)) == ("1,000,000", "0.25")
    assert [unit(name) for name in ("songs", "n", "mass", "s")] == ["song", "n", "mass", "s"]


@pytest.mark.parametrize("top", [0.3, 1, 7.4, 52_000, 1_040_000])
def test_ticks(top: float) -> None:
    """Four to nine round numbers."""
    found = scale_svg.ticks(top)
    assert 4 <= len(found) <= 9 and found[0] == 0 and found[-1] <= top
