"""What a user installs: the wheel as installed here, and the source archive that dev/test built it from."""

import importlib.metadata
import os
import re
import shutil
import subprocess
import sysconfig
import tarfile
from pathlib import Path

import pytest

import hiwater
from hiwater._version import __version__

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def distribution() -> importlib.metadata.Distribution:
    return importlib.metadata.distribution("hiwater")


@pytest.fixture(scope="module")
def installed(distribution: importlib.metadata.Distribution) -> list[str]:
    files = distribution.files
    assert files is not None
    return [str(file) for file in files]


@pytest.fixture(scope="module")
def tracked() -> set[str]:
    """The files of the project, as git knows them."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed: nothing says which files belong to the project")
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listing.returncode != 0:
        pytest.skip("this is no git checkout: nothing says which files belong to the project")
    return {name for name in listing.stdout.decode().split("\0") if name and (ROOT / name).exists()}


def test_the_tests_see_the_installed_package() -> None:
    """The tests run against what a user would have installed, not against the source tree."""
    site = Path(sysconfig.get_path("platlib"))
    assert Path(hiwater.__file__).is_relative_to(site)


def test_version_has_one_home(distribution: importlib.metadata.Distribution) -> None:
    """The version of the package, of its metadata and of the public API are one."""
    assert distribution.version == __version__ == hiwater.__version__


def test_one_wheel_serves_every_python(distribution: importlib.metadata.Distribution) -> None:
    """The wheel is bound to the platform, because of the C programs, but to no version of Python."""
    wheel = distribution.read_text("WHEEL")
    assert wheel is not None
    assert re.findall(r"^Tag: py3-none-linux_\w+$", wheel, re.MULTILINE) == re.findall("^Tag: .*$", wheel, re.MULTILINE)
    assert "Root-Is-Purelib: false" in wheel


def test_nothing_else_gets_installed(distribution: importlib.metadata.Distribution) -> None:
    """The core depends on nothing but Python, and before 3.11 on the module that became a part of it; extras may."""
    needed = [line for line in distribution.requires or [] if "extra ==" not in line]
    assert [re.sub(r"[\s\"']", "", line) for line in needed] == ["tomli>=2;python_version<3.11"]


@pytest.mark.parametrize("program", ["hiwater-monitor", "hiwater-probe"])
def test_programs_are_installed_and_executable(installed: list[str], program: str) -> None:
    """The C programs lie beside the package and can be executed."""
    assert f"hiwater/bin/{program}" in installed
    assert os.access(Path(hiwater.__file__).parent / "bin" / program, os.X_OK)


def test_type_information_is_installed(installed: list[str]) -> None:
    """Type checkers of those who use the library see its types."""
    assert "hiwater/py.typed" in installed


def test_licence_is_installed(installed: list[str]) -> None:
    """The licence travels with the package."""
    assert [name for name in installed if name.endswith("licenses/LICENSE")] != []


def test_no_c_sources_are_installed(installed: list[str]) -> None:
    """Who installs the wheel gets programs, not their sources."""
    assert [name for name in installed if name.endswith((".c", ".h", ".o"))] == []


def test_every_source_file_of_python_is_installed(installed: list[str], tracked: set[str]) -> None:
    """Nothing of the package is forgotten: modules, schemas, type marker."""
    sources = {name.removeprefix("src/") for name in tracked if name.startswith("src/")}
    wanted = {name for name in sources if not name.endswith((".c", ".h"))}
    assert wanted - set(installed) == set()


def test_source_archive_holds_the_whole_project(tracked: set[str]) -> None:
    """Who packages hiwater from its source archive can build, test and read all of it."""
    archive = os.environ.get("HIWATER_SDIST")
    if archive is None:
        pytest.skip("HIWATER_SDIST names no source archive: dev/test builds one")
    with tarfile.open(archive) as tar:
        held = {name.partition("/")[2] for name in tar.getnames()}
    assert tracked - held == set()


def test_source_archive_holds_no_leftovers() -> None:
    """Environments, builds and caches of a developer's checkout stay out of the source archive."""
    archive = os.environ.get("HIWATER_SDIST")
    if archive is None:
        pytest.skip("HIWATER_SDIST names no source archive: dev/test builds one")
    with tarfile.open(archive) as tar:
        top = {name.split("/")[1] for name in tar.getnames() if "/" in name}
    assert {name for name in top if name.startswith((".venv", "build", "dist", ".mypy", ".pytest"))} == set()


def test_readme_promises_two_commands() -> None:
    """The README has one command that installs and measures, and one that tests; CI executes both."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    commands = [line for block in blocks for line in block.splitlines() if line.startswith("dev/")]
    assert len(commands) == 2
    assert commands[0].startswith("dev/setup && .venv/bin/hiwater run ")
    assert commands[1] == "dev/test"


def test_constraints_are_exact() -> None:
    """Every tool has one exact version, at most by the version of Python, and nothing else stands in that file."""
    pin = r"""[a-z0-9-]+==[0-9][0-9.]*(; python_version [<>=]+ "3\.[0-9]+")?"""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert [line for line in lines if not re.fullmatch(f"#.*|{pin}", line)] == []
