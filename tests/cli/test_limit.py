"""``hiwater run --limit``, with real groups: each verdict is provoked. Skips, by name, where no group can be made."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.truth import users

import hiwater as library
from hiwater.cgroups.place import Place, find
from hiwater.errors import LimitUnavailableError

HIWATER = [sys.executable, "-m", "hiwater"]
PYTHON = [sys.executable, "-S", "-c"]
MIB = 1 << 20
EAT = "x = bytearray({} << 20)"
PATIENCE = 60
# Returns once the monitor, our parent, has woken up several times since.
LOOKED_AT = """
def wakes(): return int(open(f'/proc/{os.getppid()}/status').read().split('voluntary_ctxt_switches:')[1].split()[0])
before = wakes()
while wakes() < before + 5: pass
"""


@pytest.fixture(scope="session")
def place() -> Place:
    try:
        found = find()
    except LimitUnavailableError as error:
        pytest.skip(f"no cgroup can be made here: {error}")
    if found.needs_leaf:
        pytest.skip("the tests themselves are in the way of a group here")
    return found


def groups(place: Place) -> set[str]:
    return {name for name in os.listdir(place.directory) if name.startswith("hiwater-")}


@pytest.fixture(autouse=True)
def nothing_is_left(place: Place) -> Iterator[None]:
    """After each test all groups are gone."""
    before = groups(place)
    yield
    assert groups(place) - before == set()


def run(
    tmp_path: Path, *words: str, env: Mapping[str, str] | None = None, prefix: tuple[str, ...] = ()
) -> tuple[int, dict[str, Any], str]:
    """Exit status, JSON, stderr."""
    path = tmp_path / "out.json"
    done = subprocess.run(
        [*prefix, *HIWATER, "run", "--force", "--json", str(path), *words],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **(env or {})},
        timeout=PATIENCE,
        check=False,
    )
    document = json.loads(path.read_text()) if path.exists() and path.stat().st_size else {}
    return done.returncode, document, done.stderr


def test_it_fits(tmp_path: Path) -> None:
    """A program that needs less than the limit finishes, and its group's peak is reported."""
    status, document, text = run(tmp_path, "--limit", "256MiB", "--", *PYTHON, EAT.format(40))
    assert (status, document["limit_verdict"]["verdict"], document["limit_verdict"]["fits"]) == (0, "finished", True)
    assert document["limit"] == {"bytes": 256 * MIB, "swap_bytes": 0, "method": "cgroup"}
    assert 40 * MIB < document["cgroup_peak_bytes"] < 256 * MIB
    assert document["cgroup"]["at_maximum"]["anon_bytes"] > 30 * MIB
    assert "the limit was never met" in " ".join(text.split())


def test_killed_in_its_group(tmp_path: Path) -> None:
    """One that needs more is ended by the kernel's OOM killer, in its own group; the exit status is that of SIGKILL."""
    status, document, _ = run(tmp_path, "--limit", "48MiB", "--", *PYTHON, EAT.format(200))
    verdict = document["limit_verdict"]
    assert (status, document["ended_by"], verdict["verdict"], verdict["fits"]) == (137, "oom", "oom_in_group", False)
    assert (document["cgroup"]["oom_kills"], document["cgroup"]["peak_is_limit"]) == (1, True)
    assert document["cgroup_peak_bytes"] is None, "the limit is not the need"
    assert [warning["code"] for warning in document["warnings"]] == ["peak-is-limit"]


def test_killed_child(tmp_path: Path) -> None:
    """The whole tree is under the limit; that a child was killed is seen though the command itself goes on."""
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-S', '-c', {EAT.format(200)!r}])"
    status, document, _ = run(tmp_path, "--limit", "64MiB", "--", *PYTHON, code)
    assert (status, document["limit_verdict"]["verdict"]) == (0, "oom_in_group")


def test_killed_by_somebody_else(tmp_path: Path) -> None:
    """A SIGKILL without an OOM kill in the group is somebody else's."""
    status, document, _ = run(
        tmp_path, "--limit", "256MiB", "--", *PYTHON, "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert (status, document["ended_by"], document["limit_verdict"]["verdict"]) == (137, "signal", "killed")


def test_exit_137_is_no_proof(tmp_path: Path) -> None:
    """A program may exit with 137 as with any number."""
    status, document, _ = run(tmp_path, "--limit", "256MiB", "--", "sh", "-c", "exit 137")
    verdict = document["limit_verdict"]
    assert (status, verdict["verdict"], verdict["fits"]) == (137, "failed", None)
    assert "no proof" in verdict["reason"]


def test_limit_of_a_group_above(tmp_path: Path, place: Place) -> None:
    """Who dies of a limit further up did not die of this one."""
    if place.version != 1 or os.geteuid() != 0:
        pytest.skip("makes a group above by the files of version 1, as root")
    above = Path(place.directory, f"hiwater-test-{os.getpid()}")
    above.mkdir()
    try:
        (above / "memory.limit_in_bytes").write_text(str(96 * MIB))
        (above / "memory.swappiness").write_text("0")
        enter = ("sh", "-c", f'echo $$ > {above}/cgroup.procs; exec "$@"', "sh")
        status, document, _ = run(tmp_path, "--limit", "512MiB", "--", *PYTHON, EAT.format(200), prefix=enter)
        verdict = document["limit_verdict"]
        assert (status, document["ended_by"], verdict["verdict"], verdict["fits"]) == (137, "oom", "oom_above", None)
    finally:
        until_gone(above)


def until_empty(directory: Path) -> None:
    """No event tells of the end of a process that is nobody's child here."""
    for _ in range(2000):
        if not (directory / "cgroup.procs").read_text():
            return
        subprocess.run(["true"], check=True)
    pytest.fail("it did not end")


def until_gone(directory: Path) -> None:
    """A group can go once its last process is really gone."""
    for _ in range(2000):
        with contextlib.suppress(OSError):
            directory.rmdir()
            return
        subprocess.run(["true"], check=True)
    directory.rmdir()


def on_disk(tmp_path: Path) -> Path:
    """A directory whose files are page cache that can be dropped."""
    kind = subprocess.run(
        ["stat", "-f", "-c", "%T", tmp_path], capture_output=True, text=True, check=True
    ).stdout.strip()
    if kind in ("tmpfs", "ramfs"):
        pytest.skip("the temporary directory is in memory: nothing of it can be reclaimed")
    return tmp_path


def test_page_cache_is_reclaimed(tmp_path: Path) -> None:
    """Writing more than the limit meets it, and hurts nobody."""
    path = on_disk(tmp_path) / "large"
    code = f"f = open({str(path)!r}, 'wb'); [f.write(bytes(1 << 20)) for _ in range(96)]"
    status, document, _ = run(tmp_path, "--limit", "48MiB", "--", *PYTHON, code)
    assert (status, document["limit_verdict"]["fits"]) == (0, True)
    assert document["cgroup"]["peak_is_limit"]
    assert document["cgroup"]["at_maximum"]["file_bytes"] > 16 * MIB


def test_reclaimed_heavily(tmp_path: Path) -> None:
    """One that reads a file again and again which does not fit finishes, and how often it had to is told."""
    path = on_disk(tmp_path) / "large"
    with open(path, "wb") as file:
        file.write(os.urandom(96 * MIB))
        file.flush()
        os.fsync(file.fileno())
        # Pages that are cached already would stay in the group that has them.
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    code = f"for _ in range(4):\n with open({str(path)!r}, 'rb', 0) as f:\n  while f.read(1 << 20): pass"
    status, document, _ = run(tmp_path, "--limit", "48MiB", "--", *PYTHON, code)
    assert (status, document["limit_verdict"]["verdict"]) == (0, "reclaimed"), document["limit_verdict"]
    assert document["cgroup"]["refaulted_bytes"] > 48 * MIB


@pytest.mark.parametrize("method", ["rlimit", "rlimit-data"])
def test_gave_up(tmp_path: Path, method: str) -> None:
    """Under a resource limit malloc fails; who gives up near the limit did so for want of memory, probably."""
    code = "x = [bytearray(1 << 20) for _ in range(400)]"
    status, document, text = run(tmp_path, "--limit", "192MiB", "--limit-method", method, "--", *PYTHON, code)
    assert (status, document["limit_verdict"]["verdict"]) == (1, "gave_up")
    assert document["limit"] == {"bytes": 192 * MIB, "swap_bytes": None, "method": method}
    assert document["cgroup"] is None
    assert "MemoryError" in text
    assert "each process may ask for" in " ".join(text.split())


def test_one_request_too_large(tmp_path: Path) -> None:
    """If it was far from the limit when it failed, that is all that can be said."""
    code = EAT.format(4000)
    status, document, _ = run(tmp_path, "--limit", "1GiB", "--limit-method", "rlimit", "--", *PYTHON, code)
    assert (status, document["limit_verdict"]["verdict"]) == (1, "failed")
    assert "an execution without the limit tells" in document["limit_verdict"]["reason"]


def test_timeout(tmp_path: Path) -> None:
    """A time-out under a limit is a time-out."""
    status, document, _ = run(tmp_path, "--limit", "64MiB", "--timeout", "100ms", "--", "sleep", "60")
    assert (status, document["limit_verdict"]["verdict"]) == (124, "timeout")


def test_cgroup_without_a_limit(tmp_path: Path) -> None:
    """--cgroup counts what RSS does not: 40 MiB on tmpfs that nobody has mapped, and says so."""
    if not os.access("/dev/shm", os.W_OK):
        pytest.skip("no /dev/shm")
    path = f"/dev/shm/hiwater-test-{os.getpid()}"
    code = f"import os; f = open({path!r}, 'wb'); os.unlink({path!r}); f.write(bytes(40 << 20)); {LOOKED_AT}"
    status, document, text = run(tmp_path, "--cgroup", "--", *PYTHON, code)
    assert (status, document["limit"], document["limit_verdict"]) == (0, None, None)
    assert document["cgroup_peak_bytes"] > 40 * MIB
    assert document["cgroup"]["at_maximum"]["shmem_bytes"] >= 39 * MIB
    assert "tmpfs and shared memory" in document["cgroup"]["difference"]
    assert "tmpfs" in text


def test_recording_tells_it_all(tmp_path: Path) -> None:
    """A recording is judged again later, with the same result."""
    run(tmp_path, "--limit", "48MiB", "-o", str(tmp_path / "x.hiw"), "--", *PYTHON, EAT.format(200))
    first = json.loads((tmp_path / "out.json").read_text())
    assert library.load(tmp_path / "x.hiw").to_json() == first


def test_monitor_stays_outside(tmp_path: Path, place: Place) -> None:
    """Only the command is in the group; it sees that in its own /proc."""
    del place
    done = subprocess.run(
        [*HIWATER, "run", "-q", "--cgroup", "--", "sh", "-c", "cat /proc/self/cgroup; echo; cat /proc/$PPID/cgroup"],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    own, _, parent = done.stdout.partition("\n\n")
    assert "/hiwater-" in own
    assert f"/hiwater-{os.getpid()}" not in parent
    assert own != parent.strip()


def test_processes_that_outlive_it(tmp_path: Path, place: Place) -> None:
    """Who outlives the command keeps the limit; the group goes with the next execution."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    holder = os.open(pipe, os.O_RDWR)
    words = ["--linger", "0s", "--limit", "64MiB", "--", "sh", "-c", f"cat < {pipe} > /dev/null 2>&1 & exit 0"]
    done = subprocess.run([*HIWATER, "run", *words], capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    assert "still running under the limit: pid" in done.stderr
    (left,) = groups(place)
    os.close(holder)
    until_empty(Path(place.directory, left))
    run(tmp_path, "--limit", "64MiB", "--", "true")
    assert groups(place) == set()


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts a command under a limit and returns once it runs."""
    started: list[subprocess.Popen[str]] = []

    def start(*words: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*HIWATER, "run", "-q", "--limit", "64MiB", *words, "--", "sh", "-c", "echo up; exec cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            start_new_session=True,
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        return process

    yield start
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            pipe.close()


def test_interrupt(running: Callable[..., subprocess.Popen[str]], place: Place) -> None:
    """Ctrl-C reaches all of the terminal's group; the command's group goes all the same."""
    process = running()
    assert len(groups(place)) == 1
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(PATIENCE) == 128 + signal.SIGINT
    assert groups(place) == set()


def test_killed_hiwater(running: Callable[..., subprocess.Popen[str]], tmp_path: Path, place: Place) -> None:
    """What a killed hiwater leaves behind is removed by the next one, once the command has ended."""
    process = running()
    process.kill()
    process.wait()
    assert len(groups(place)) == 1
    run(tmp_path, "--limit", "64MiB", "--", "true")
    assert len(groups(place)) == 1, "the command still runs in it"
    assert process.stdin is not None
    process.stdin.close()
    until_empty(Path(place.directory, *groups(place)))
    run(tmp_path, "--limit", "64MiB", "--", "true")


def test_library() -> None:
    """hiwater.run takes the limit too, as a size or as a number."""
    for limit in ("48MiB", 48 * MIB):
        recording = library.run([*PYTHON, EAT.format(200)], limit=limit, capture_output=True)
        assert recording.limit_verdict is not None
        assert recording.limit_verdict.verdict == "oom_in_group"
    assert (library.run(["true"], cgroup=True).cgroup_peak_bytes or 0) > 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--limit-swap", "0"], "take a --limit"),
        (["--limit", "0B"], "at least 1B"),
        (["--limit", "512"], "a number and a unit"),
        (["--limit", "1GiB", "--limit-method", "rlimit", "--cgroup"], "makes no cgroup"),
    ],
)
def test_misuse(tmp_path: Path, words: list[str], message: str) -> None:
    """Told before anything is made."""
    status, document, text = run(tmp_path, *words, "--", "true")
    assert (status, document) == (125, {})
    assert message in text


@pytest.fixture(scope="session")
def nobody(tmp_path_factory: pytest.TempPathFactory) -> users.User:
    room = tmp_path_factory.mktemp("nobody")
    for part in (room, *room.parents[:2]):
        part.chmod(part.stat().st_mode | 0o755)
    found = users.nobody(room)
    if isinstance(found, str):
        pytest.skip(found)
    return found


@pytest.fixture
def delegated(place: Place) -> Iterator[Path]:
    """A group of version 1 that belongs to nobody, made by the very commands that hiwater tells."""
    if place.version != 1 or os.geteuid() != 0:
        pytest.skip("delegates a group of version 1, as root")
    path = Path(place.directory, f"hiwater-{users.NOBODY}")
    path.mkdir()
    for file in (path, path / "cgroup.procs", path / "tasks"):
        shutil.chown(file, users.NOBODY)
    yield path
    until_gone(path)


def as_nobody(nobody: users.User, script: str, *words: str) -> subprocess.CompletedProcess[bytes]:
    """``script`` may set things up before the shell becomes hiwater."""
    command = ["sh", "-c", f'{script}; exec "$@"', "sh", nobody.python, "-m", "hiwater", "run", *words]
    return nobody.run(command, {"TMPDIR": "/tmp"}, Path("/"))


def test_delegated(nobody: users.User, delegated: Path) -> None:
    """An unprivileged user who was given a group limits commands in there."""
    enter = f"echo $$ > {delegated}/cgroup.procs"
    code = EAT.format(200)
    done = as_nobody(nobody, enter, "-q", "--json", "-", "--limit", "48MiB", "--", nobody.python, "-S", "-c", code)
    assert done.returncode == 137, done.stderr
    document = json.loads(done.stdout)
    assert document["limit_verdict"]["verdict"] == "oom_in_group"
    assert document["cgroup"]["path"].startswith(f"{delegated}/hiwater-")


def test_not_delegated(nobody: users.User, place: Place) -> None:
    """One who was given none is told the commands that would make one possible, and nothing is executed."""
    if place.version != 1:
        pytest.skip("the commands are those of version 1")
    done = as_nobody(nobody, ":", "--limit", "48MiB", "--", "echo", "executed")
    assert (done.returncode, done.stdout) == (125, b"")
    group = f"{place.directory}/hiwater-{users.NOBODY}"
    assert f"sudo mkdir {group}\n".encode() in done.stderr
    assert f"echo $$ > {group}/cgroup.procs\n".encode() in done.stderr
