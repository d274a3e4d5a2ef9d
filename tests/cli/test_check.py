"""``hiwater check``, from outside and with the real monitor: every option and every key."""

from __future__ import annotations

import json
import os
import pty
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.cli.eaters import MIB, eat, hiwater, quoted

SIZED = "x = b'x' * (int(open('size').read()) << 20)"


class Project:
    """A directory with a hiwater.toml."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, *checks: str, top: str = "") -> None:
        """Each check: the lines behind its header."""
        (self.path / "hiwater.toml").write_text(top + "\n" + "".join(f"[[check]]\n{check}\n" for check in checks))

    def sized(self, mib: int, more: str = "") -> None:
        """A check that takes what the file ``size`` says."""
        (self.path / "size").write_text(str(mib))
        self.write(f"name = 'sized'\ncommand = {quoted([sys.executable, '-S', '-c', SIZED])}\n{more}")

    def check(self, *words: str | Path, status: int = 0, **env: str) -> subprocess.CompletedProcess[str]:
        done = hiwater("check", *words, cwd=self.path, env=env)
        assert done.returncode == status, done.stdout + done.stderr
        return done

    def results(self, *words: str | Path, status: int = 0) -> dict[str, dict[str, object]]:
        """By name, from the JSON."""
        done = self.check("-q", "--json", "-", *words, status=status)
        return {entry["name"]: entry for entry in json.loads(done.stdout)["checks"]}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def small(name: str, more: str = "budget = '512MiB'", command: str | None = None) -> str:
    return f"name = '{name}'\ncommand = {command or quoted(['true'])}\n{more}\n"


def large(name: str, more: str = "budget = '16MiB'") -> str:
    return small(name, more, quoted(eat(40)))


def test_verdicts_and_exit_status(project: Project) -> None:
    """0 if all checks pass, 1 if one does not; the table has a line for each, and the reason of what failed."""
    project.write(small("fine"))
    assert "fine" in project.check().stdout
    project.write(small("fine"), large("fat"))
    done = project.check(status=1)
    lines = {line.split()[0]: line for line in done.stdout.splitlines()}
    assert lines["fine"].endswith("ok")
    assert lines["fat"].endswith("violated")
    assert "fat: peak RSS " in done.stdout
    assert "exceeds its budget 16.0 MiB by " in done.stdout


def test_progress_in_a_log(project: Project) -> None:
    """Without a terminal each check is announced by a line on stderr."""
    project.write(small("one"), small("two"))
    assert project.check().stderr == "hiwater check: [1/2] one\nhiwater check: [2/2] two\n"
    quiet = project.check("-q")
    assert quiet.stdout + quiet.stderr == ""


def test_progress_on_a_terminal(project: Project) -> None:
    """On a terminal one line replaces itself, and is gone at the end."""
    project.write(small("one", "budget = '512MiB'\nrepeats = 2"))
    ours, theirs = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-m", "hiwater", "check"],
        cwd=project.path,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=theirs,
        check=True,
    )
    os.close(theirs)
    shown = os.read(ours, 4096).decode()
    os.close(ours)
    assert shown == "\r\x1b[K[1/1] one: execution 1\r\x1b[K[1/1] one: execution 2\r\x1b[K"
    assert done.stdout.decode().endswith(" ok\n")


def test_names_choose_checks(project: Project) -> None:
    """Only what is named is executed; an unknown name is misuse."""
    project.write(small("fine"), large("fat"))
    assert list(project.results("fine")) == ["fine"]
    assert "no check 'thin'; it has: fine, fat" in project.check("thin", status=2).stderr


def test_config(project: Project, tmp_path: Path) -> None:
    """--config names another file; directories are relative to it."""
    project.write(small("fine", "budget = '1GiB'\ndirectory = 'sub'", "'test -e here'"))
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/here").touch()
    (tmp_path / "hiwater.toml").rename(tmp_path / "other.toml")
    project.check("--config", "other.toml")
    assert "cannot read hiwater.toml" in project.check(status=2).stderr


def test_command_as_words_and_as_a_string_for_the_shell(project: Project) -> None:
    """An array is executed as it is; a string by /bin/sh."""
    project.write(
        small("words", command=quoted(["test", "$HOME", "=", "$" + "HOME"])),
        small("shell", command='\'test "$HOME" = "$(printenv HOME)" && true\''),
    )
    assert [entry["status"] for entry in project.results().values()] == ["ok", "ok"]


def test_budget_tree(project: Project) -> None:
    """``budget-tree`` limits all processes together."""
    (project.path / "eat.py").write_text(eat(40, "import time; time.sleep(.3)")[-1])
    both = f"'{sys.executable} -S eat.py & {sys.executable} -S eat.py & wait'"
    project.write(small("tree", "budget = '80MiB'\nbudget-tree = '80MiB'", both))
    entry = project.results(status=1)["tree"]
    assert str(entry["reason"]).startswith("tree peak ")
    assert entry["status"] == "violated"


def test_environment_directory_setup_teardown(project: Project, tmp_path: Path) -> None:
    """Setup, command and teardown find the variables and the directory; setup and teardown come once."""
    (tmp_path / "sub").mkdir()
    log = "echo {} $WHO $(basename $PWD) >> ../log"
    project.write(
        small(
            "a",
            "budget = '512MiB'\nrepeats = 2\ndirectory = 'sub'\nenvironment = { WHO = 'me' }\n"
            f"setup = '{log.format('setup')}'\nteardown = {quoted(['sh', '-c', log.format('teardown')])}",
            f"'{log.format('command')}'",
        )
    )
    project.check()
    lines = (tmp_path / "log").read_text().splitlines()
    assert lines == ["setup me sub", "command me sub", "command me sub", "teardown me sub"]


@pytest.mark.parametrize(
    ("more", "command", "reason"),
    [
        ("", "'echo so; exit 7'", "exited with 7"),
        ("", "'echo so; kill -9 $$'", "was ended by SIGKILL"),
        ("", "['/nowhere/none']", "/nowhere/none: command not found"),
        ("timeout = '200ms'", "'echo so; sleep 60'", "ran into its time-out"),
        ("setup = 'echo so; exit 3'", "'true'", "setup exited with 3"),
        ("teardown = ['/nowhere/none']", "'echo so'", "teardown /nowhere/none: No such file or directory"),
    ],
)
def test_what_fails_fails_the_check(project: Project, more: str, command: str, reason: str) -> None:
    """However small it was; the end of its output is shown, indented."""
    project.write(small("a", f"budget = '512MiB'\n{more}", command))
    done = project.check(status=1)
    assert f"a: {reason}" in done.stdout
    assert ("    | so\n" in done.stdout) == ("so" in more + command and "teardown" not in more)


def test_repeats_and_statistic(project: Project, tmp_path: Path) -> None:
    """``repeats`` executions; ``statistic`` says which of them the budget judges; -r overrides the number."""
    script = tmp_path / "program.py"
    script.write_text(
        "import os\nwith open('count', 'a') as f: f.write('x')\n"
        "x = b'x' * ((60 if os.stat('count').st_size == 1 else 1) << 20)\n"
    )
    command = quoted([sys.executable, "-S", str(script)])
    for statistic, status in (("max", 1), ("median", 0)):
        (tmp_path / "count").unlink(missing_ok=True)
        project.write(small("a", f"budget = '40MiB'\nrepeats = 3\nstatistic = '{statistic}'", command))
        entry = project.results(status=status)["a"]
        assert len((tmp_path / "count").read_text()) == len(entry["executions"]) == 3  # type: ignore[arg-type]
    (tmp_path / "count").unlink()
    assert len(project.results("--repeats", "5")["a"]["executions"]) == 5  # type: ignore[arg-type]


def test_trace(project: Project) -> None:
    """``trace`` sees every process, so the bounds of a tree of short ones are known."""
    command = "'/bin/true; /bin/true; /bin/true; /bin/true'"
    project.write(small("a", "budget-tree = '512MiB'\ntrace = true", command))
    entry = project.results()["a"]
    assert entry["tree_peak_upper_bytes"] is not None


def test_baseline(project: Project) -> None:
    """--update-baseline writes what is taken now; --against fails on growth, and tells improvement."""
    project.sized(40)
    done = project.check("--against", "b.json", "--update-baseline")
    assert "b.json written" in done.stderr
    samples = json.loads((project.path / "b.json").read_text())["checks"]["sized"]["peak_rss_bytes"]
    assert len(samples) == 10
    assert "did not grow: peak RSS " in project.check("--against", "b.json").stdout
    project.sized(48)
    done = project.check("--against", "b.json", status=1)
    assert "grown" in done.stdout
    assert "grew beyond the tolerance of 5 %: peak RSS +1" in done.stdout
    assert "CI +1" in done.stdout
    project.sized(30)
    assert "improved: peak RSS -2" in project.check("--against", "b.json").stdout
    project.check("-q", "--against", "b.json", "--update-baseline")
    project.sized(40)
    assert project.results("--against", "b.json", status=1)["sized"]["status"] == "grown"


def test_tolerance(project: Project) -> None:
    """What is allowed: on the command line, else in the check."""
    project.sized(40)
    project.check("-q", "--against", "b.json", "--update-baseline")
    project.sized(44, "tolerance = '30%'")
    project.check("--against", "b.json")
    project.check("--against", "b.json", "--tolerance", "3%", status=1)


def test_figure(project: Project, tmp_path: Path) -> None:
    """``figure = "tree_peak"`` compares the tree: a second process is growth, though neither is larger."""
    child = eat(40, "import time; time.sleep(.2)")
    (tmp_path / "child.py").write_text(child[-1])
    (tmp_path / "program.py").write_text(
        "import subprocess, sys\n"
        "many = [subprocess.Popen([sys.executable, '-S', 'child.py']) for _ in range(int(open('size').read()))]\n"
        "sys.exit(any(one.wait() for one in many))\n"
    )
    for figure, status in (("peak_rss", 0), ("tree_peak", 1)):
        more = f"figure = '{figure}'\nmax-repeats = 8"
        project.write(small("a", more, quoted([sys.executable, "-S", "program.py"])))
        (tmp_path / "size").write_text("1")
        project.check("-q", "--against", f"{figure}.json", "--update-baseline")
        (tmp_path / "size").write_text("2")
        project.check("--against", f"{figure}.json", status=status)


def test_the_limit_of_executions(project: Project) -> None:
    """--max-repeats and ``max-repeats`` end a comparison that is not sure: no alarm, and it says so."""
    project.sized(40)
    project.check("-q", "--against", "b.json", "--update-baseline")
    project.sized(60, "max-repeats = 2")
    for words in ((), ("--max-repeats", "1")):
        entry = project.results("--against", "b.json", *words)["sized"]
        assert entry["status"] == "unsure"
        assert len(entry["executions"]) == (1 if words else 2)  # type: ignore[arg-type]
    assert "not sure at the limit of executions" in project.check("--against", "b.json").stdout


def test_confidence(project: Project) -> None:
    """``confidence`` and --confidence: what is surely so at 60 % is not at 99.9999 %."""
    project.sized(40)
    project.check("-q", "--against", "b.json", "--update-baseline")
    project.sized(60, "max-repeats = 3")
    assert project.results("--against", "b.json", "--confidence", "60%", status=1)["sized"]["status"] == "grown"
    toml = (project.path / "hiwater.toml").read_text()
    (project.path / "hiwater.toml").write_text("confidence = '60%'\n" + toml)
    assert project.results("--against", "b.json", status=1)["sized"]["status"] == "grown"
    assert project.results("--against", "b.json", "--confidence", "99.9999%")["sized"]["status"] == "unsure"


def test_what_the_baseline_does_not_know(project: Project) -> None:
    """Without a budget it does not pass; with one, that decides, and a note says so."""
    project.sized(20)
    project.check("-q", "--against", "b.json", "--update-baseline")
    project.write(small("new", ""))
    assert "--update-baseline adds it" in project.check("--against", "b.json", status=1).stdout
    project.write(small("new"))
    assert "--update-baseline adds it" in project.check("--against", "b.json").stdout


def test_json_and_all_other_files(project: Project, tmp_path: Path) -> None:
    """Every view has an option that writes a file; what exists is overwritten with --force only."""
    project.write(small("fine"), large("fat"))
    views = ("json", "csv", "markdown", "junit", "openmetrics", "github-benchmark", "bmf")
    words = [word for view in views for word in (f"--{view}", f"{view}.out")]
    project.check(*words, status=1)
    for view in views:
        assert "fat" in (tmp_path / f"{view}.out").read_text(), view
        assert "--force overwrites it" in project.check(f"--{view}", f"{view}.out", status=2).stderr
        assert "fat" in project.check("-q", f"--{view}", "-", "fat", status=1).stdout
    project.check("--force", *words, status=1)
    assert "only one document" in project.check("--json", "-", "--csv", "-", status=2).stderr
    table = project.check("--bmf", "-", status=1)
    assert json.loads(table.stdout)
    assert "violated" in table.stderr


def test_github(project: Project, tmp_path: Path) -> None:
    """--github prints annotations, and appends to the summary of the step."""
    project.write(small("fine"), large("fat"))
    summary = tmp_path / "summary"
    summary.write_text("earlier\n")
    done = project.check("--github", status=1, GITHUB_STEP_SUMMARY=str(summary))
    (annotation,) = [line for line in done.stdout.splitlines() if line.startswith("::")]
    assert annotation.startswith("::error file=hiwater.toml,title=hiwater%3A fat,line=7::violated: peak RSS ")
    assert summary.read_text().startswith("earlier\n<!-- hiwater check -->\n### hiwater: 1 of 2 checks did not pass\n")


def test_history(project: Project, tmp_path: Path) -> None:
    """--history, or the key, adds the results to a file; hiwater history shows it."""
    project.write(small("fine"), top="history = 'key.sqlite'")
    project.check("-q")
    project.check("-q", "--history", "option.sqlite")
    for name in ("key", "option"):
        connection = sqlite3.connect(tmp_path / f"{name}.sqlite")
        assert connection.execute("SELECT check_name, status FROM results").fetchall() == [("fine", "ok")]
        connection.close()
        assert "fine" in hiwater("history", "--file", f"{name}.sqlite", cwd=tmp_path).stdout


def test_show_output(project: Project) -> None:
    """--show-output lets commands print, on stderr; otherwise what succeeds is not heard."""
    project.write(small("a", command="'echo heard'"))
    assert "heard" not in project.check().stderr
    done = project.check("--show-output", "--json", "-")
    assert "heard\n" in done.stderr
    assert json.loads(done.stdout)


def test_color(project: Project) -> None:
    """--color always, whatever stdout is."""
    project.write(small("a"))
    assert "\x1b[" in project.check("--color", "always").stdout
    assert "\x1b[" not in project.check().stdout


def test_without_scipy(project: Project, tmp_path: Path) -> None:
    """Budgets take nothing but Python; what a comparison takes is said before the first execution."""
    (tmp_path / "without").mkdir()
    (tmp_path / "without/scipy.py").write_text("raise ImportError('there is none')")
    without = str(tmp_path / "without")
    project.write(small("a", command="'echo >> ran'"))
    project.check("--against", "b.json", "--update-baseline", status=0, PYTHONPATH=without)
    (tmp_path / "ran").unlink()
    done = project.check("--against", "b.json", status=2, PYTHONPATH=without)
    assert "pip install 'hiwater[bench]'" in done.stderr
    assert not (tmp_path / "ran").exists()
    project.check(PYTHONPATH=without)


@pytest.mark.parametrize(
    ("check", "words", "complaint"),
    [
        (
            small("a", "budgte = '1MiB'"),
            (),
            "hiwater.toml:2: check 1 ('a'): unknown key 'budgte'; did you mean 'budget'?",
        ),
        (small("a", ""), (), "has no budget, so there is nothing to judge it by"),
        (small("a"), ("--update-baseline",), "--against FILE names it"),
        (small("a"), ("--against", "none.json"), "none.json does not exist; --update-baseline writes it"),
        (small("a"), ("--tolerance", "5%"), "--tolerance has no effect without --against"),
        (small("a"), ("--confidence", "95%"), "--confidence has no effect without --against"),
        (small("a"), ("--max-repeats", "5"), "--max-repeats has no effect without --against"),
        (small("a"), ("--against", "b", "--tolerance", "5"), "'5' is not a share"),
        (small("a"), ("--repeats", "0"), "'0' is not a whole number"),
        (small("a"), ("--unknown",), "unrecognized arguments"),
        (small("a"), ("--json", "nowhere/a"), "cannot write nowhere/a"),
        (small("a"), ("--history", "nowhere/a"), "unable to open database file"),
        (small("a"), ("--against", "nowhere/a", "--update-baseline"), "cannot write nowhere/a"),
    ],
)
def test_misuse(project: Project, check: str, words: tuple[str, ...], complaint: str) -> None:
    """2, before anything is executed."""
    project.write(check.replace('["true"]', "'echo > ran'"))
    assert complaint in project.check(*words, status=2).stderr
    assert not (project.path / "ran").exists()


@pytest.mark.parametrize(
    ("check", "status"),
    [
        (small("a"), 0),
        (large("a"), 1),
        (small("a", command="'exit 1'"), 125),
        (small("a", "budget = '1MiB'\nsetup = 'false'"), 125),
        (small("a", "budgte = 1"), 128),
    ],
)
def test_bisect_status(project: Project, check: str, status: int) -> None:
    """--bisect: 0 good, 1 bad, 125 skip what cannot be told, 128 stop on misuse."""
    project.write(check)
    project.check("--bisect", status=status)


def test_bisect_stops_on_a_word_that_is_not_understood(project: Project) -> None:
    """Otherwise every commit would be bad."""
    project.write(small("a"))
    project.check("--bisect", "--repeats", "none", status=128)
    project.check("--repeats", "none", status=2)


def test_git_bisect_finds_the_commit(project: Project, tmp_path: Path) -> None:
    """``git bisect run hiwater check --bisect`` names the commit that broke the budget, past one that fails."""
    names = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b"}

    def git(*words: str) -> str:
        done = subprocess.run(
            ["git", "-c", "init.defaultBranch=main", *words],
            cwd=tmp_path,
            env={**os.environ, **names, "GIT_CONFIG_GLOBAL": os.devnull},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    git("init", "-q")
    commits: list[str] = []
    for size in ("10", "12", "11", "50", "broken", "52", "53"):
        project.sized(12, "budget = '40MiB'")
        (tmp_path / "size").write_text(size)
        (tmp_path / "n").write_text(str(len(commits)))
        git("add", "-A")
        git("commit", "-q", "-m", f"size {size}")
        commits.append(git("rev-parse", "HEAD"))
    git("bisect", "start", commits[-1], commits[0])
    told = git("bisect", "run", sys.executable, "-m", "hiwater", "check", "--bisect", "-q")
    assert f"{commits[3]} is the first bad commit" in told


def test_size_of_the_answer(project: Project) -> None:
    """The figure is that of the command, not of whoever checks."""
    project.write(large("a", "budget = '512MiB'"))
    entry = project.results()["a"]
    size = entry["peak_rss_bytes"]
    assert isinstance(size, int)
    assert 45 * MIB < size < 55 * MIB


def test_a_planted_regression_is_caught_in_noise(project: Project) -> None:
    """3 % more of a program that varies by 1 % is growth beyond a tolerance of 0.5 %; without it there is no alarm."""
    program = (
        "import os, random\n"
        "with open('count', 'a') as file: file.write('x')\n"
        "seed = os.stat('count').st_size\n"
        "more = float(open('factor').read())\n"
        "x = b'x' * int((100 << 20) * more * random.Random(seed).gauss(1, 0.01))\n"
    )
    (project.path / "program.py").write_text(program)
    project.write(small("a", "tolerance = '0.5%'", quoted([sys.executable, "-S", "program.py"])))
    factor = project.path / "factor"
    factor.write_text("1")
    project.check("-q", "--against", "b.json", "--update-baseline")
    assert project.results("--against", "b.json")["a"]["status"] in ("ok", "unsure")
    factor.write_text("1.03")
    entry = project.results("--against", "b.json", status=1)["a"]
    assert entry["status"] == "grown"
    assert isinstance(entry["baseline"], dict)
    assert 1.01 < entry["baseline"]["ratio"] < 1.05


def test_an_interruption_leaves_nothing_behind(project: Project) -> None:
    """Ctrl-C ends the command, the teardown is executed, and no half-written file stays."""
    project.write(
        small(
            "a", "budget = '512MiB'\nteardown = 'echo > torn'", "'echo $$ > pid.part; mv pid.part pid; exec sleep 60'"
        )
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "hiwater", "check", "--json", "a.json"],
        cwd=project.path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    pid = project.path / "pid"
    while not pid.exists():
        assert process.poll() is None
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(30) == 130
    assert sorted(path.name for path in project.path.iterdir()) == ["hiwater.toml", "pid", "torn"]
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)
