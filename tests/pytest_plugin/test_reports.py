"""Table, JSON and JUnit: in one process, under pytest-xdist, in forked children, executed again, in event loops."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from importlib import resources
from typing import Any

import jsonschema
import pytest
from tests.pytest_plugin.conftest import Run

pytest_plugins = ["pytester"]

TESTS = """
import sys
@pytest.mark.hiwater(growth="20 MiB")
@pytest.mark.parametrize("mib", [5, 60])
def test_grow(mib): spike(mib)

def test_plain(): pass

def test_command(hiwater):
    hiwater.run([sys.executable, "-c", "x = b'1' * (100 << 20)"])

@pytest.fixture(scope="module")
def held(): return take(30)

@pytest.mark.hiwater(growth="20 MiB")
def test_held(held): pass
"""
# What pytest-forked does (which, as of 1.7.5, can not pass on the reports of pytest 9.2).
FORKING = """
import marshal, os
from _pytest.runner import runtestprotocol

def pytest_runtest_protocol(item, nextitem):
    reader, writer = os.pipe()
    pid = os.fork()
    hook = item.config.hook
    if pid == 0:
        reports = runtestprotocol(item, log=False, nextitem=nextitem)
        plain = [hook.pytest_report_to_serializable(config=item.config, report=report) for report in reports]
        with os.fdopen(writer, "wb") as file:
            file.write(marshal.dumps(plain))
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        reports = marshal.loads(file.read())
    os.waitpid(pid, 0)
    for report in reports:
        hook.pytest_runtest_logreport(report=hook.pytest_report_from_serializable(config=item.config, data=report))
    return True
"""
FORMS = [
    pytest.param([], id="one process"),
    pytest.param(["-n2"], id="xdist"),
    pytest.param(["-n1", "--dist=loadfile"], id="xdist, one worker"),
    pytest.param(["-p", "forking"], id="forked children"),
]


def read(pytester: pytest.Pytester) -> dict[str, dict[str, Any]]:
    """The tests of the JSON file by the end of their names."""
    document = json.loads((pytester.path / "out.json").read_bytes())
    schema = resources.files("hiwater.pytest_plugin").joinpath("hiwater.pytest-1.schema.json").read_text("utf-8")
    jsonschema.validate(document, json.loads(schema))
    return {test["nodeid"].partition("::")[2]: test for test in document["tests"]}


@pytest.mark.parametrize("form", FORMS)
def test_everything_arrives(run: Run, pytester: pytest.Pytester, form: list[str]) -> None:
    """Verdicts, table, JSON and JUnit properties are the same, wherever the tests were executed."""
    options = ["--hiwater", "--hiwater-json=out.json", "--junitxml=out.xml", "-ojunit_family=xunit2"]
    pytester.makepyfile(forking=FORKING)
    result = run(TESTS, *options, *form, process=True)
    result.assert_outcomes(passed=4, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*hiwater: the most demanding tests*",
            "*test_command",
            "*test_grow?60?  OVER BUDGET (growth)",
            "*5 of 5 tests*",
        ]
    )
    assert result.stdout.str().count("the most demanding tests") == 1

    tests = read(pytester)
    assert set(tests) == {"test_grow[5]", "test_grow[60]", "test_plain", "test_command", "test_held"}
    large = tests["test_grow[60]"]
    assert large["growth_lower_bytes"] <= 61 << 20 and large["growth_upper_bytes"] >= 60 << 20
    assert large["peak_bytes"] == large["baseline_bytes"] + large["growth_bytes"]
    assert large["peak_method"] == "vmhwm_sampled" and large["outcome"] == "failed"
    assert large["budgets"] == [{"figure": "growth", "limit_bytes": 20 << 20, "status": "violated"}]
    assert tests["test_grow[5]"]["growth_bytes"] < 20 << 20
    (command,) = tests["test_command"]["commands"]
    assert 100 << 20 <= command["peak_rss_upper_bytes"] < 200 << 20 and command["exit_code"] == 0
    assert (large["worker"] is not None) == any(word.startswith("-n") for word in form)

    cases = {case.get("name"): case for case in ElementTree.parse(pytester.path / "out.xml").iter("testcase")}
    found = [(p.get("name"), p.get("value")) for p in cases["test_grow[60]"].iter("property")]
    assert len(dict(found)) == len(found)
    assert dict(found)["hiwater_growth_bytes"] == str(large["growth_bytes"])
    properties = {p.get("name"): p.get("value") for p in cases["test_command"].iter("property")}
    assert int(properties["hiwater_largest_command_bytes"] or 0) >= 99 << 20


@pytest.mark.parametrize("form", [[], ["-n2"]])
def test_executed_again(run: Run, pytester: pytest.Pytester, form: list[str]) -> None:
    """With pytest-rerunfailures each execution is judged by itself, and the last one is reported, once."""
    text = """
counter = []
@pytest.mark.hiwater(growth="20 MiB")
def test_a():
    counter.append(1)
    spike(60 if len(counter) < 3 else 5)

@pytest.mark.hiwater(growth="20 MiB")
def test_b(): spike(60)
"""
    options = ["--reruns=2", "--hiwater-json=out.json", "--junitxml=out.xml", *form]
    outcomes = run(text, *options, process=True).parseoutcomes()
    assert outcomes == {"passed": 1, "failed": 1, "rerun": 4}
    tests = read(pytester)
    assert tests["test_a"]["growth_bytes"] < 20 << 20 and tests["test_a"]["outcome"] == "passed"
    for case in ElementTree.parse(pytester.path / "out.xml").iter("testcase"):
        names = [found.get("name") for found in case.iter("property")]
        assert len(names) == len(set(names)) and "hiwater_growth_bytes" in names


@pytest.mark.parametrize("plugin", ["asyncio", "anyio"])
def test_async(run: Run, plugin: str) -> None:
    """The body of a coroutine is measured, not the making of it."""
    text = f"""
import asyncio
@pytest.fixture
def anyio_backend(): return "asyncio"

@pytest.mark.{plugin}
@pytest.mark.hiwater(growth="20 MiB")
@pytest.mark.parametrize("mib", [5, 60])
async def test_a(mib):
    await asyncio.sleep(0)
    spike(mib)

@pytest.mark.{plugin}
async def test_command(hiwater):
    await hiwater.run_async(["true"], peak="64 MiB")
"""
    pytest.importorskip("anyio" if plugin == "anyio" else "pytest_asyncio")
    run(text, process=True).assert_outcomes(passed=2, failed=1)


def test_tests_that_fork(run: Run) -> None:
    """Children that a test forks measure themselves; its own figures are its own."""
    text = """
import hiwater as hw
@pytest.mark.hiwater(growth="20 MiB")
def test_a():
    pid = os.fork()
    if pid == 0:
        with hw.region() as r:
            spike(60)
        os._exit(0 if r.growth.bytes > 55 << 20 else 1)
    assert os.waitpid(pid, 0)[1] == 0
"""
    run(text, process=True).assert_outcomes(passed=1)


def test_top(run: Run, pytester: pytest.Pytester) -> None:
    """The table is as long as was asked for."""
    pytester.makepyprojecttoml("[tool.hiwater.pytest]\ntop = 2\n")
    run(TESTS, "--hiwater").stdout.fnmatch_lines(["*2 of 5 tests*"])
    run(TESTS, "--hiwater", "--hiwater-top=3").stdout.fnmatch_lines(["*3 of 5 tests*"])
    run("", "--hiwater").stdout.fnmatch_lines(["no test was measured"])


def test_json_replaces_the_last(run: Run, pytester: pytest.Pytester) -> None:
    """Like other reports of pytest, written whole; tests without a budget are in it as well."""
    (pytester.path / "out.json").write_text("old")
    run("def test_a(): spike(5)\n", "--hiwater-json=out.json").assert_outcomes(passed=1)
    test = read(pytester)["test_a"]
    assert test["budgets"] == [] and test["growth_bytes"] > 4 << 20
    assert not (pytester.path / "out.json.part").exists()
