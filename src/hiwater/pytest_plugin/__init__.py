"""The pytest plugin: budgets for tests and for the commands they start, and a table of the most demanding tests.

pytest loads this module in every session of an environment where hiwater is installed, so it imports nothing else of
hiwater, and nothing is measured, before an option, a configuration or a marker asks for it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable

import pytest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hiwater.pytest_plugin.commands import Commands
    from hiwater.pytest_plugin.session import Session

MARKER = (
    'hiwater(budget, *, peak, growth, left, include_setup): hold this test to a memory budget: "64 MiB" or peak=... '
    "limits the peak RSS of the process during the test, growth=... what it rises by, left=... what stays; "
    "None lifts a default"
)
HEAP_MARKER = (
    "hiwater_heap(budget, *, site, file, library, at): hold what this test executes with hiwater.heap() to "
    "a budget of a call site, a source file or a library: hiwater_heap('10 MiB', site='load'); None lifts one from "
    "further out; repeatable"
)
INI = {
    "hiwater_peak": ("string", "default budget of a test: peak RSS, such as 512MiB"),
    "hiwater_growth": ("string", "default budget of a test: growth of RSS over where it began"),
    "hiwater_left": ("string", "default budget of a test: RSS that stays when it has ended"),
    "hiwater_include_setup": ("string", "yes: what the setup of a test takes counts for it"),
    "hiwater_budgets": ("linelist", "budgets by directory or pattern: TARGET: peak=SIZE growth=SIZE left=SIZE"),
    "hiwater_evidence": ("string", "where flame graphs of broken heap budgets go (default: the cache of pytest)"),
    "hiwater_top": ("string", "how many tests the table of --hiwater shows (default 10)"),
}

_session_key = pytest.StashKey["Session | None"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("hiwater", "memory (hiwater)")
    group.addoption("--hiwater", action="store_true", help="measure all tests; table of the most demanding ones")
    group.addoption("--hiwater-top", metavar="N", help=INI["hiwater_top"][1])
    group.addoption("--hiwater-json", metavar="FILE", help="measure all tests; write their figures as JSON")
    group.addoption("--hiwater-evidence", metavar="DIR", help=INI["hiwater_evidence"][1])
    for name in ("peak", "growth", "left"):
        group.addoption(f"--hiwater-{name}", metavar="SIZE", help=INI[f"hiwater_{name}"][1])
    group.addoption(
        "--hiwater-budget",
        action="append",
        metavar="RULE",
        help="budget by directory or pattern, such as 'tests/unit: peak=64MiB' or '*slow*: growth=1GiB'; repeatable",
    )
    group.addoption("--hiwater-include-setup", action="store_true", help="what the setup of a test takes counts for it")
    for key, (kind, text) in INI.items():
        parser.addini(key, text, type=kind, default=None)  # type: ignore[arg-type]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", MARKER)
    config.addinivalue_line("markers", HEAP_MARKER)
    config.stash[_session_key] = None
    if _configured(config):
        session_of(config)


def _configured(config: pytest.Config) -> bool:
    """Whether anything but a marker or the fixture asks for hiwater: cheap, as it is asked everywhere."""
    if any(key.startswith("hiwater") for key in ini_keys(config)):
        return True
    if any(value for name, value in vars(config.option).items() if name.startswith("hiwater")):
        return True
    try:
        return b"hiwater" in (config.rootpath / "pyproject.toml").read_bytes()
    except OSError:
        return False


def ini_keys(config: pytest.Config) -> Iterable[str]:
    """Those that were written. pytest 9.1 deprecated ``inicfg`` and offers nothing that names unknown keys."""
    keys: Iterable[str] = config._inicfg if hasattr(config, "_inicfg") else config.inicfg
    return keys


def session_of(config: pytest.Config) -> Session:
    """The part that does the work, loaded when it is first needed."""
    session = config.stash.get(_session_key, None)
    if session is None:
        from hiwater.pytest_plugin.session import Session

        session = config.stash[_session_key] = Session(config)
        config.pluginmanager.register(session, "hiwater-session")
    return session


def _session_for(item: pytest.Item) -> Session | None:
    if any(item.get_closest_marker(name) is not None for name in ("hiwater", "hiwater_heap")):
        return session_of(item.config)
    return item.config.stash.get(_session_key, None)


# Outermost for the setup, innermost for the call: the budget is that of the test, not of other plugins.
@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, object, object]:
    session = _session_for(item)
    if session is None:
        return (yield)
    return (yield from session.setup(item))


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    session = _session_for(item)
    if session is None:
        return (yield)
    return (yield from session.call(item))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    session = item.config.stash.get(_session_key, None)
    if session is not None and call.when == "call":
        session.attach(item, report)
    return report


@pytest.fixture(name="hiwater")
def hiwater_fixture(request: pytest.FixtureRequest) -> Commands:
    """Measures commands and holds them to a budget: ``hiwater.run(["cmd"], peak="64MiB", tree="1GiB")``."""
    from hiwater.pytest_plugin.commands import Commands

    return Commands(request.node, session_of(request.config))
