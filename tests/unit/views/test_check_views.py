"""What ``hiwater check`` writes, each held to the format as its readers have published it."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families as prometheus_families
from tests.unit.checks.fakes import MIB, check, execution, report, result

import hiwater.views
from hiwater.analysis.budget import Figure
from hiwater.analysis.statistics import Decision
from hiwater.checks.model import CheckResult, Commit, Growth, Report, Status
from hiwater.checks.verdict import conclude
from hiwater.views import (
    bmf,
    checks_csv,
    checks_json,
    checks_markdown,
    checks_text,
    github_annotations,
    github_benchmark,
    junit,
    openmetrics,
)
from hiwater.views.paint import Paint

NASTY = 'a|b <c> & "d" \\ `e` @f [g](h) *i* 50% :,'
GROWTH = Growth(Figure.PEAK_RSS, (20 * MIB, 21 * MIB, 22 * MIB), 1.25, 1.2, 1.3, 0.99, 0.05)


def everything() -> Report:
    """A report in which every status occurs, and a name that wants to be markup everywhere."""
    tree = check("tree", limit=None, line=7)
    results = (
        result("fine", 20, 21, 22, line=1),
        result("over", 70, line=3),
        conclude(check("both", line=5), [execution(20, 30)]),
        conclude(tree, [execution(25)], (GROWTH, Decision.SURE_YES), ["its command is not that of the baseline"]),
        conclude(
            check("better"),
            [execution(18)],
            (Growth(Figure.PEAK_RSS, (20,), 0.9, 0.88, 0.91, 0.99, 0.05), Decision.SURE_NO),
        ),
        conclude(
            check("unsure"),
            [execution(21)],
            (Growth(Figure.PEAK_RSS, (20,), 1.05, None, None, 0.99, 0.05), Decision.UNSURE),
        ),
        result("unknown", None),  # type: ignore[arg-type]
        CheckResult(
            check("failed"),
            Status.FAILED,
            "exited with 7",
            (execution(3, failure="exited with 7"),),
            output="so\x1b[31m\nand so",
        ),
        CheckResult(check("never"), Status.FAILED, "setup exited with 3"),
        result(NASTY, 20),
    )
    return report(*results, commit=Commit("c" * 40, 1, True), warnings=("another kernel",))


EVERYTHING = everything()


def test_every_status_occurs() -> None:
    """The report that the other tests show is complete."""
    assert {one.status for one in EVERYTHING.results} == set(Status)


def test_json() -> None:
    """Valid under the published schema, which describes every key; a size as text is not."""
    schema = json.loads((Path(hiwater.views.__file__).parent / "hiwater.check-1.schema.json").read_text())
    validator = jsonschema.Draft202012Validator(schema)
    jsonschema.Draft202012Validator.check_schema(schema)
    document = json.loads(checks_json.render(EVERYTHING))
    validator.validate(document)
    assert set(document) == set(schema["properties"])
    for entry in document["checks"]:
        assert set(entry) == set(schema["properties"]["checks"]["items"]["properties"])
    document["checks"][0]["peak_rss_bytes"] = "20 MiB"
    assert not validator.is_valid(document)
    assert document["status"] == "failed"
    assert document["reason"].startswith("not passed: over, ")


def test_csv() -> None:
    """RFC 4180: CR LF, a header, as many fields in each line; unknown is empty."""
    text = checks_csv.render(EVERYTHING)
    assert text.count("\n") == text.count("\r\n") == 1 + len(EVERYTHING.results)
    header, *rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    assert {len(row) for row in rows} == {len(header)}
    first = dict(zip(header, rows[0], strict=True))
    assert (first["name"], first["peak_rss_bytes"], first["budget_bytes"]) == ("fine", str(22 * MIB), str(64 * MIB))
    grown = dict(zip(header, rows[3], strict=True))
    assert (grown["baseline_bytes"], grown["ratio"], grown["ratio_lower"]) == (str(21 * MIB), "1.25", "1.2")
    assert dict(zip(header, rows[6], strict=True))["peak_rss_bytes"] == ""
    assert rows[-1][0] == NASTY


def test_openmetrics() -> None:
    """Read by the reference parser: gauges with their unit, a sample for each check in which the figure is known."""
    text = openmetrics.render(EVERYTHING)
    assert text.endswith("# EOF\n")
    families = {family.name: family for family in openmetrics_families(text)}  # type: ignore[no-untyped-call]
    peak = families["hiwater_peak_rss_bytes"]
    assert (peak.type, peak.unit) == ("gauge", "bytes")
    samples = {sample.labels["check"]: sample.value for sample in peak.samples}
    assert samples["fine"] == 22 * MIB
    assert samples[NASTY] == 20 * MIB
    assert "unknown" not in samples
    passed = {sample.labels["check"]: sample.value for sample in families["hiwater_check_passed"].samples}
    assert passed == {one.check.name: float(one.status.passes) for one in EVERYTHING.results}
    for name, family in families.items():
        assert name.endswith(f"_{family.unit}") or not family.unit


def test_prometheus_textfile() -> None:
    """The same text is what the textfile collector reads: the older format takes the rest for comments."""
    families = {family.name: family for family in prometheus_families(openmetrics.render(EVERYTHING))}
    assert {s.labels["check"] for s in families["hiwater_budget_bytes"].samples} >= {"fine", "over", NASTY}


JUNIT = {
    "testsuites": (set(), {"name", "time", "tests", "failures", "errors"}, {"testsuite"}),
    "testsuite": (
        {"name", "tests", "failures", "errors"},
        {"group", "time", "skipped", "timestamp", "hostname", "id", "package", "file", "log", "url"},
        {"properties", "testcase", "system-out", "system-err"},
    ),
    "properties": (set(), set(), {"property"}),
    "property": ({"name", "value"}, set(), set()),
    "testcase": ({"name"}, {"time", "classname", "group"}, {"skipped", "error", "failure", "system-out", "system-err"}),
    "failure": (set(), {"type", "message"}, set()),
    "error": (set(), {"type", "message"}, set()),
    "system-out": (set(), set(), set()),
}
"""Of each element: the attributes that it must and may have, and its children, as Jenkins' junit-10.xsd says."""


def test_junit() -> None:
    """Nothing but what the strictest published schema knows; the counts are right; control characters are escaped."""
    root = ElementTree.fromstring(junit.render(EVERYTHING).encode())
    for element in root.iter():
        required, optional, children = JUNIT[element.tag]
        assert required <= set(element.attrib) <= required | optional, element.tag
        assert {child.tag for child in element} <= children, element.tag
    cases = list(root.iter("testcase"))
    assert [case.get("name") for case in cases] == [one.check.name for one in EVERYTHING.results]
    assert int(root.get("tests", "")) == len(cases) == 10
    assert int(root.get("failures", "")) == len(list(root.iter("failure"))) == 2
    assert int(root.get("errors", "")) == len(list(root.iter("error"))) == 3
    assert sum(int(suite.get("failures", "")) for suite in root) == 2
    for timed in root.iter():
        if "time" in timed.attrib:
            assert re.fullmatch(r"\d+\.\d{1,3}", timed.attrib["time"]), "the schema knows no more than milliseconds"
    (output,) = root.iter("system-out")
    assert output.text == "so\\x1b[31m\nand so"
    values = {item.get("name"): item.get("value") for item in root[0].iter("property")}
    assert values["peak_rss_bytes"] == str(22 * MIB)


def test_github_benchmark() -> None:
    """An array of objects with name, unit and a number as value; range and extra are text."""
    entries = json.loads(github_benchmark.render(EVERYTHING))
    for entry in entries:
        assert {"name", "unit", "value"} <= set(entry) <= {"name", "unit", "value", "range", "extra"}
        assert type(entry["value"]) in (int, float)
        assert all(isinstance(entry[key], str) for key in set(entry) - {"value"})
    assert len({entry["name"] for entry in entries}) == len(entries)
    assert entries[0] == {
        "name": "fine: peak RSS",
        "unit": "MiB",
        "value": 22.0,
        "extra": "ok: peak RSS 22.0 MiB keeps its budget 64.0 MiB",
        "range": "± 1.0000",
    }


METRIC = {
    "type": "object",
    "properties": {key: {"type": "number"} for key in ("value", "lower_value", "upper_value")},
    "required": ["value"],
    "additionalProperties": False,
}
BMF = {"type": "object", "additionalProperties": {"type": "object", "additionalProperties": METRIC, "minProperties": 1}}
"""What Bencher's bmf.json says, and nothing beside it."""


def test_bmf() -> None:
    """Valid Bencher Metric Format; the bounds are around the value, the measures are slugs."""
    document = json.loads(bmf.render(EVERYTHING))
    jsonschema.validate(document, BMF)
    assert document["fine"]["peak-rss"] == {"value": 22 * MIB, "lower_value": 21 * MIB, "upper_value": 23 * MIB}
    assert "unknown" not in document
    for measures in document.values():
        for slug, metric in measures.items():
            assert re.fullmatch("[a-z0-9-]{1,64}", slug)
            assert metric["lower_value"] <= metric["value"] <= metric["upper_value"]


def test_github_annotations() -> None:
    """Workflow commands: one line each, with file and line, and with what would end them escaped."""
    lines = github_annotations.render(EVERYTHING).splitlines()
    for line in lines:
        match = re.fullmatch(r"::(error|warning|notice) ((?:[a-zA-Z]+=[^,:]*)(?:,[a-zA-Z]+=[^,:]*)*)::(.+)", line)
        assert match, line
        assert not re.search("%(?!25|0A|0D|3A|2C)", match.group(2) + match.group(3))
    levels = [line.split(" ")[0] for line in lines]
    assert levels == ["::error"] * 5 + ["::warning", "::notice"]
    assert lines[0] == (
        "::error file=hiwater.toml,title=hiwater%3A over,line=3::"
        "violated: peak RSS 70.0 MiB exceeds its budget 64.0 MiB by 6.0 MiB (9%25)"
    )


def test_github_shows_ten_of_a_kind() -> None:
    """No more than ten errors are shown, so the tenth counts the rest; what is over budget comes first."""
    failed = [CheckResult(check(f"f{n}"), Status.FAILED, "exited with 1") for n in range(12)]
    lines = github_annotations.render(report(*failed, result("over", 70))).splitlines()
    assert len(lines) == 10
    assert "over" in lines[0]
    assert lines[-1] == "::error title=hiwater::4 more: see the table of hiwater check"


def test_markdown() -> None:
    """A table whose rows have as many cells as its header, whatever a name contains; what failed comes first."""
    text = checks_markdown.render(EVERYTHING)
    assert text.startswith("<!-- hiwater check -->\n### hiwater: 5 of 10 checks did not pass\n\n| |")
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {9}
    marks = [row[2] for row in rows[2:]]
    assert marks == ["❌"] * 5 + sorted(marks[5:], key="❌".__eq__)
    assert "another kernel" in text
    assert "commit cccccccccccc with changes" in text
    (row,) = [row for row in rows if "50%" in row]
    assert "<c>" not in row and "@f" not in row and "\\`e\\`" in row and "\\[g\\]" in row


@pytest.mark.parametrize("most", [checks_markdown.COMMENT_CHARACTERS, checks_markdown.SUMMARY_BYTES])
def test_markdown_keeps_below_the_limit(most: int) -> None:
    """Whatever is reported: rows for which there is no room are counted, those that failed are shown first."""
    many = [result(f"check {n} é", 70 if n == 4_999 else 20) for n in range(5_000)]
    text = checks_markdown.render(report(*many), most)
    assert most * 0.9 < len(text.encode()) <= most
    shown = len(re.findall("^\\| [✅❌]", text, re.MULTILINE))
    assert f"…and {5_000 - shown} more checks for which there is no room here." in text
    assert "check 4999" in text


def test_text() -> None:
    """The table for people: a line each, columns aligned, then the reasons."""
    text = checks_text.render(EVERYTHING, 120, Paint())
    lines = text.splitlines()
    table = lines[: 1 + len(EVERYTHING.results)]
    assert [line.rsplit(" ", 1)[1] for line in table[1:]] == [str(one.status) for one in EVERYTHING.results]
    ends = {line.index(mark) for line, mark in zip(table[1:], "✓✗✓✗✓–✗✗✗✓", strict=True)}  # noqa: RUF001
    assert len(ends) == 1
    assert "over: peak RSS 70.0 MiB exceeds its budget 64.0 MiB by 6.0 MiB (9%)" in lines
    assert "    | so\\x1b[31m" in lines
    assert lines[-1] == "warning: another kernel"
    plain = checks_text.render(report(result("fine", 20)), 80, Paint(unicode=False))
    assert plain == "check  peak RSS  budget  n  verdict\nfine       20.0    64.0  1  + ok\n"
