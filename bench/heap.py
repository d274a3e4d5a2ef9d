"""What a heap profile costs, and how near it comes to the truth: hiwater beside other profilers.

    python bench/heap.py [--rounds 5] [--only WORKLOAD ...] [--tools TOOL ...] [--seeds 5]

The programs of bench/programs/heap know how many bytes each of their functions holds at the peak, and print it. Each
round executes the program as it is and then under each tool, in turn; a ratio is the median over the rounds of tool /
bare of the same round, with the smallest and the largest. `bare again` is the noise: the program as it is, once more.
RSS is of an execution of its own, by `hiwater run`, as is what the tool says of the peak. Prints Markdown. Needs g++
and hiwater installed; tools that are not installed are left out and named.
"""

from __future__ import annotations

import argparse
import glob
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.overhead import host, ratio_row

import hiwater
from hiwater.binaries import find_heap_sampler

HERE = Path(__file__).resolve().parent
HIWATER = [sys.executable, "-m", "hiwater"]
SYSTEM_PYTHON = "/usr/bin/python3"
SHARE = 0.05
"""Sites that hold less of the peak are not judged."""
HEADERS = 0.001
"""An error that is no error: one small object beside a large one that was certain to be sampled."""


@dataclass(frozen=True)
class Tool:
    """One profiler: what stands before the command, what is in its environment, and what it leaves."""

    name: str
    prefix: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    leaves: str | None = None
    """A pattern of files, below the folder of the execution; the last of them is read. ``None``: nothing to read."""
    needs: Callable[[], bool] = lambda: True
    slow: bool = False
    """Executed in one round only."""


@dataclass(frozen=True)
class Workload:
    """A program and what it is to show."""

    name: str
    title: str
    command: tuple[str, ...]
    truth: tuple[str, ...] = ()
    """Further arguments that have it print what it holds."""
    knows: bool = True
    """It can say what it holds."""


@dataclass(frozen=True)
class Cost:
    """One execution, in seconds."""

    wall: float
    cpu: float


def library(name: str) -> str | None:
    """The path of a shared library, where ldconfig has put it."""
    found = glob.glob(f"/usr/lib/*/{name}") + glob.glob(f"/usr/lib/{name}")
    return found[0] if found else None


def tools() -> list[Tool]:
    """``{folder}`` stands for the folder of the execution."""
    tcmalloc, jemalloc = library("libtcmalloc.so.4"), library("libjemalloc.so.2")
    ours = {"LD_PRELOAD": find_heap_sampler(), "HIWATER_HEAP_DIR": "{folder}"}
    every = {**ours, "HIWATER_HEAP_SAMPLE": str(512 << 10)}
    return [
        Tool("bare again"),
        Tool("hiwater", env=ours, leaves="*.heap"),
        Tool("hiwater, each 512 KiB", env=every, leaves="*.heap"),
        Tool("heaptrack", ("heaptrack", "-o", "{folder}/out"), leaves="out.*", needs=has("heaptrack"), slow=True),
        Tool(
            "massif",
            ("valgrind", "-q", "--tool=massif", "--massif-out-file={folder}/massif.out"),
            leaves="massif.out",
            needs=has("valgrind"),
            slow=True,
        ),
        Tool(
            "gperftools",
            env={
                "LD_PRELOAD": tcmalloc or "",
                "HEAPPROFILE": "{folder}/out",
                "HEAP_PROFILE_INUSE_INTERVAL": "10485760",
            },
            leaves="out.*.heap",
            needs=lambda: tcmalloc is not None,
            slow=True,
        ),
        Tool(
            "jemalloc, each 512 KiB",
            env={
                "LD_PRELOAD": jemalloc or "",
                "MALLOC_CONF": "prof:true,prof_final:true,lg_prof_sample:19,prof_prefix:{folder}/out",
            },
            needs=lambda: jemalloc is not None,  # what it leaves is of the exit, not of the peak
        ),
        Tool("memray", (sys.executable, "-m", "memray", "run", "-q", "-o", "{folder}/out.bin"), leaves="out.bin"),
        Tool(
            "memray, each object",
            (sys.executable, "-m", "memray", "run", "-q", "--trace-python-allocators", "-o", "{folder}/out.bin"),
            leaves="out.bin",
        ),
        Tool("tracemalloc", (sys.executable, "-X", "tracemalloc=1")),
    ]


def has(program: str) -> Callable[[], bool]:
    return lambda: shutil.which(program) is not None


def prepared(tool: Tool, command: Sequence[str], folder: Path) -> tuple[list[str], dict[str, str]]:
    """Command and environment. A Python profiler takes the place of the interpreter."""
    prefix = [word.format(folder=folder) for word in tool.prefix]
    env = {name: value.format(folder=folder) for name, value in tool.env.items()}
    words = [*prefix, *command]
    if prefix and prefix[0] == sys.executable:
        words = [*prefix, *command[1:]]
    return words, {**os.environ, **env}


def execute(argv: Sequence[str], env: Mapping[str, str]) -> Cost:
    """Raises RuntimeError with the end of what it said when it fails."""
    with tempfile.TemporaryFile() as said:
        begin = time.perf_counter()
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=said, stderr=said, env=env)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            said.seek(0)
            text = said.read()[-500:].decode(errors="replace")
            raise RuntimeError(f"{argv[0]} ended with {process.returncode}: {text}")
    return Cost(wall, usage.ru_utime + usage.ru_stime)


def in_folder(tool: Tool, command: Sequence[str], scratch: Path) -> tuple[Cost, int]:
    """One execution, and the size of what it left."""
    with tempfile.TemporaryDirectory(dir=scratch) as place:
        cost = execute(*prepared(tool, command, Path(place)))
        return cost, sum(path.stat().st_blocks * 512 for path in Path(place).rglob("*") if path.is_file())


def peak_rss(tool: Tool, command: Sequence[str], scratch: Path) -> int | None:
    """True peak of the program under the tool, in bytes: the largest program image of all."""
    with tempfile.TemporaryDirectory(dir=scratch) as place:
        words, env = prepared(tool, command, Path(place))
        return hiwater.run(words, env=env, capture_output=True).peak_rss.bytes


def truth_and_profile(tool: Tool, command: Sequence[str], scratch: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the program says it held, and what the profile says of its peak: ``peak`` of the JSON of hiwater heap."""
    if tool.name.startswith("hiwater"):
        sample = ["--sample", tool.env["HIWATER_HEAP_SAMPLE"] + "B"] if "HIWATER_HEAP_SAMPLE" in tool.env else []
        path = scratch / "heap.json"
        argv = [*HIWATER, "heap", "--once", "-q", "-f", *sample, "--json", str(path), "--", *command]
        said = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
        return _truth(said), json.loads(path.read_text())["heap"]["peak"]
    with tempfile.TemporaryDirectory(dir=scratch) as place:
        words, env = prepared(tool, command, Path(place))
        said = subprocess.run(words, env=env, capture_output=True, text=True, check=True).stdout
        assert tool.leaves is not None
        file = sorted(Path(place).glob(tool.leaves))[-1]
        shown = subprocess.run(
            [*HIWATER, "heap", "--json", "-", "--read", str(file)], capture_output=True, text=True, check=True
        )
        heap = json.loads(shown.stdout)["heap"]
        return _truth(said), heap["peak"] or heap["exit"]


def _truth(said: str) -> dict[str, Any]:
    """The line of JSON among what a program printed: bytes by function; of the Python program, by line."""
    found: dict[str, Any] = json.loads(next(line for line in said.splitlines() if line.startswith("{")))
    return found if "live" in found else {"live": found}


def errors(truth: Mapping[str, Any], peak: Mapping[str, Any]) -> list[tuple[str, float, float, float]]:
    """(function or line, share of the peak, error, stated standard error) of each that holds 5 % or more; errors as
    fractions of what it holds. A line holds what the functions hold that it called in other files."""
    told: dict[str, list[float]] = {}
    for site in peak["call_sites"]:
        lines = [call["line"] for call in site["stack"] if (call["file"] or "").endswith("pychurn.py")]
        for name in (site["function"] or "?", *map(str, lines[:1])):
            entry = told.setdefault(name, [0.0, 0.0])
            entry[0] += site["in_use_bytes"]
            entry[1] += site["standard_error_bytes"] ** 2
    whole = sum(truth["live"].values())
    found = []
    for function, size in truth["live"].items():
        if size >= SHARE * whole:
            estimate, variance = told.get(function, [0.0, 0.0])
            found.append((function, size / whole, estimate / size - 1, variance**0.5 / size))
    return found


def judge(tool: Tool, command: Sequence[str], scratch: Path, seeds: int) -> tuple[str, str]:
    """The largest error of all sites of all executions, and the largest in stated standard errors."""
    rows = [row for _ in range(seeds) for row in errors(*truth_and_profile(tool, command, scratch))]
    worst = max(abs(row[2]) for row in rows)
    stated = max(row[3] for row in rows)
    if stated == 0:
        return f"{worst:.1%}", "none stated"
    sigmas = max(max(0.0, abs(row[2]) - HEADERS) / row[3] for row in rows if row[3] > 0)
    return f"{worst:.1%}", f"{sigmas:.1f} of its standard errors, at most {stated:.1%}"


def compare(workload: Workload, contestants: Sequence[Tool], rounds: int, seeds: int, scratch: Path) -> None:
    """The table of one workload."""
    bare = Tool("bare")
    in_folder(bare, workload.command, scratch)
    costs: dict[str, list[tuple[Cost, Cost]]] = {tool.name: [] for tool in contestants}
    left: dict[str, int] = {}
    broken: dict[str, str] = {}
    for number in range(rounds):
        for tool in contestants:
            if tool.name in broken or (tool.slow and number):
                continue
            try:
                first, _ = in_folder(bare, workload.command, scratch)
                second, left[tool.name] = in_folder(tool, workload.command, scratch)
                costs[tool.name].append((first, second))
            except RuntimeError as error:
                broken[tool.name] = str(error)
    usual = peak_rss(bare, workload.command, scratch)
    print(f"bare: {min(one.cpu for pairs in costs.values() for one, _ in pairs):.2f} s CPU at least, ", end="")
    print(f"{(usual or 0) / 2**20:.1f} MiB\n")
    print("| tool | CPU / bare | wall / bare | RSS | output | largest error of a site | in its own words |")
    print("|---|---|---|---|---|---|---|")
    for tool in contestants:
        if tool.name in broken:
            print(f"| {tool.name} | failed | | | | | |")
            print(f"{tool.name}: {broken[tool.name]}", file=sys.stderr)
            continue
        pairs = costs[tool.name]
        peak = peak_rss(tool, workload.command, scratch)
        more = "-" if peak is None or usual is None else f"{(peak - usual) / 2**20:+.1f} MiB"
        worst = words = "-"
        if tool.leaves is not None and workload.knows:
            try:
                judged = (*workload.command, *workload.truth)
                worst, words = judge(tool, judged, scratch, 1 if tool.slow else seeds)
            except (subprocess.CalledProcessError, IndexError, StopIteration, KeyError, TypeError) as error:
                worst = "unread"
                print(f"{tool.name}: {error} {getattr(error, 'stderr', '')}", file=sys.stderr)
        cpu = ratio_row([b.cpu / a.cpu for a, b in pairs])
        wall = ratio_row([b.wall / a.wall for a, b in pairs])
        print(f"| {tool.name} | {cpu} | {wall} | {more} | {left[tool.name] / 1e6:.1f} MB | {worst} | {words} |")
        sys.stdout.flush()
    print()


def workloads(scratch: Path) -> list[Workload]:
    """Builds the programs."""
    churn = scratch / "churn"
    source = HERE / "programs/heap/churn.cc"
    subprocess.run(["g++", "-O2", "-g", "-std=c++17", "-pthread", "-o", str(churn), str(source)], check=True)
    return [
        Workload("fast", "C++: 20 M allocations by two threads, as fast as they can", (str(churn),)),
        Workload("usual", "C++: about a million allocations a second and core", (str(churn), "10000000", "2", "900")),
        *of_python("python", sys.executable),
        *(of_python("system-python", SYSTEM_PYTHON) if Path(SYSTEM_PYTHON).exists() else []),
    ]


def of_python(name: str, interpreter: str) -> list[Workload]:
    """Two programs: one that does nothing but make objects, and one that does what many do."""
    asked = subprocess.run([interpreter, "-VV"], capture_output=True, text=True, check=True)
    version = f"{interpreter}, {asked.stdout.strip()}"
    churn, usual = (str(HERE / "programs/heap" / script) for script in ("pychurn.py", "pyusual.py"))
    return [
        Workload(
            name, f"Python: objects, a document, temporaries ({version})", (interpreter, churn), ("800", "--truth")
        ),
        Workload(
            f"{name}-usual",
            f"Python: a log parsed, grouped, written ({version})",
            (interpreter, usual),
            knows=False,
        ),
    ]


def main() -> int:
    """Executes the benchmark and prints it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=5, help="executions whose profiles are held against the truth")
    parser.add_argument("--only", nargs="+", help="names of workloads: fast, usual, python, python-usual, ...")
    parser.add_argument("--tools", nargs="+", help="names of tools, as in the tables (default: all that are installed)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hiwater-bench-") as folder:
        scratch = Path(folder)
        known = [tool for tool in tools() if not args.tools or tool.name in args.tools]
        there = [tool for tool in known if tool.needs()]
        absent = ", ".join(tool.name for tool in known if tool not in there)
        print(f"{host()}; {args.rounds} rounds; not installed: {absent or 'none'}\n")
        for workload in workloads(scratch):
            if args.only and workload.name not in args.only:
                continue
            print(f"## {workload.title}\n")
            for_python = ("memray", "tracemalloc")
            own = workload.command[0] == sys.executable  # they are installed for this interpreter
            fit = [tool for tool in there if own or not tool.name.startswith(for_python)]
            compare(workload, fit, args.rounds, args.seeds, scratch)
    return 0


if __name__ == "__main__":
    sys.exit(main())
