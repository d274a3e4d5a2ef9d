"""What the truth suite shares: the programs, the users, and the table of all that was measured."""

import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.truth import rows, users, workshop


@pytest.fixture(scope="session")
def room() -> Iterator[Path]:
    """A directory that every user can read; pytest's own are for their owner only."""
    path = Path(tempfile.mkdtemp(prefix="hiwater-truth-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="session")
def programs(room: Path) -> workshop.Programs:
    if platform.machine() not in workshop.ARCHITECTURES:
        pytest.skip(f"the truth programs know no system calls of {platform.machine()}")
    directory = room / "programs"
    directory.mkdir()
    return workshop.build(directory)


@pytest.fixture(scope="session")
def nobody(room: Path) -> users.User | str:
    return users.nobody(room)


@pytest.fixture
def user(request: pytest.FixtureRequest) -> users.User:
    """The user that the test is parametrised with: `me`, or `nobody`."""
    if request.param == "me":
        return users.me()
    found: users.User | str = request.getfixturevalue("nobody")
    if isinstance(found, str):
        pytest.skip(found)
    return found


@pytest.fixture(scope="session")
def report() -> Iterator[list[rows.Row]]:
    """Collects every row; HW_TRUTH_REPORT names the file that they are written to."""
    collected: list[rows.Row] = []
    yield collected
    path = os.environ.get("HW_TRUTH_REPORT")
    if path:
        rows.write(Path(path), collected)
