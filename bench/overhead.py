"""What measuring costs: hiwater beside other tools, each workload and tool in turn, as ratios to the bare command.

    python bench/overhead.py [--rounds 7] [--only WORKLOAD ...] [--tools TOOL ...]

Prints Markdown tables. Needs a C compiler, and hiwater installed for the Python that executes it; tools that are not
installed are left out and named. A ratio is the median over the rounds of (tool / bare) of the same round, so that a
machine that slows down for a while slows down both; beside it stand the smallest and the largest.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
LOOP = 'i=0; while [ "$i" -lt 2000 ]; do /bin/true; i=$((i+1)); done'


@dataclass(frozen=True)
class Tool:
    """One way to measure a command: what stands before it."""

    name: str
    prefix: tuple[str, ...]
    needs: str | None = None
    """The executable that must be there, if it is not Python."""


@dataclass(frozen=True)
class Cost:
    """One execution: wall time, and CPU time of everything that was started, in seconds."""

    wall: float
    cpu: float


def follows_every_change(hiwater: Sequence[str]) -> bool:
    """Whether --exact is possible here; where it is refused it would be measured as the quiet mode that it becomes."""
    said = subprocess.run([*hiwater, "--exact", "--json", "-", "--", "true"], capture_output=True, check=True)
    return json.loads(said.stdout)["exact"] is not None


def tools(scratch: Path) -> list[Tool]:
    """hiwater and what people use today; `scratch` takes their output files."""
    hiwater = (sys.executable, "-m", "hiwater", "run", "-q")
    exact = [Tool("hiwater --exact", (*hiwater, "--exact", "--"))] if follows_every_change(hiwater) else []
    return [
        Tool("hiwater", (*hiwater, "--")),
        Tool("hiwater --trace", (*hiwater, "--trace", "--")),
        *exact,
        Tool("GNU time", ("/usr/bin/time", "-f", "%M", "-o", os.devnull), "/usr/bin/time"),
        Tool("strace -f, no calls", ("strace", "-f", "-e", "trace=none", "-o", os.devnull), "strace"),
        Tool("psrecord", ("psrecord", "--log", str(scratch / "psrecord.log"), "--include-children"), "psrecord"),
        Tool("mprof", ("mprof", "run", "-C", "-o", str(scratch / "mprof.dat")), "mprof"),
        Tool("con/duct", ("duct", "-p", str(scratch / "duct_"), "--clobber", "-q"), "duct"),
        Tool("pyperf command", (sys.executable, "-m", "pyperf", "command", "-p1", "-n1", "-w0", "-l1"), "pyperf"),
    ]


def wrapped(tool: Tool | None, command: Sequence[str]) -> list[str]:
    """The command under a tool; psrecord takes it as one string."""
    if tool is None:
        return list(command)
    if tool.name == "psrecord":
        import shlex

        return [tool.prefix[0], shlex.join(command), *tool.prefix[1:]]
    return [*tool.prefix, *command]


def execute(argv: Sequence[str]) -> Cost:
    """Executes once. Raises RuntimeError with the end of what it said when it fails."""
    with tempfile.TemporaryFile() as said:
        begin = time.perf_counter()
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            said.seek(0)
            raise RuntimeError(
                f"{argv[0]} ended with {process.returncode}: {said.read()[-500:].decode(errors='replace')}"
            )
    return Cost(wall, usage.ru_utime + usage.ru_stime)


def compile_programs(scratch: Path) -> dict[str, str]:
    """Name -> path of each program of bench/programs."""
    built = {}
    for source in sorted((HERE / "programs").glob("*.c")):
        target = scratch / source.stem
        subprocess.run(["cc", "-O1", "-pthread", "-o", str(target), str(source)], check=True)
        built[source.stem] = str(target)
    return built


def ratio_row(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} - {max(values):.2f})"


def compare(command: Sequence[str], contestants: Sequence[Tool], rounds: int, note: Callable[[str], None]) -> None:
    """One workload: each round executes it bare, then under each tool; prints the table of ratios."""
    execute(command)
    bare: list[Cost] = []
    costs: dict[str, list[Cost]] = {tool.name: [] for tool in contestants}
    broken: dict[str, str] = {}
    for _ in range(rounds):
        bare.append(execute(command))
        for tool in contestants:
            if tool.name in broken:
                continue
            try:
                costs[tool.name].append(execute(wrapped(tool, command)))
            except RuntimeError as error:
                broken[tool.name] = str(error)
    note(
        f"bare: {statistics.median(c.wall for c in bare):.3f} s wall, "
        f"{statistics.median(c.cpu for c in bare):.3f} s CPU\n"
    )
    note("| tool | wall / bare | CPU / bare |\n|---|---|---|")
    for tool in contestants:
        if tool.name in broken:
            note(f"| {tool.name} | failed | |")
            print(f"{tool.name}: {broken[tool.name]}", file=sys.stderr)
            continue
        pairs = list(zip(costs[tool.name], bare, strict=True))
        cpu = ratio_row([a.cpu / b.cpu for a, b in pairs]) if min(b.cpu for b in bare) > 0 else "-"
        note(f"| {tool.name} | {ratio_row([a.wall / b.wall for a, b in pairs])} | {cpu} |")
    note("")


def start_up(rounds: int, note: Callable[[str], None]) -> None:
    """hiwater run of a command that does nothing, against a Python that imports click."""
    measured = [sys.executable, "-m", "hiwater", "run", "-q", "--", "true"]
    reference = [sys.executable, "-c", "import click"]
    try:
        execute(reference)
    except RuntimeError:
        note("click is not installed (pip install click): left out\n")
        return
    pairs = [(execute(measured).wall, execute(reference).wall) for _ in range(rounds * 3)]
    note("| | median wall | ratio |\n|---|---|---|")
    note(f"| `hiwater run -q -- true` | {statistics.median(a for a, _ in pairs) * 1000:.0f} ms | |")
    note(f"| `python -c 'import click'` | {statistics.median(b for _, b in pairs) * 1000:.0f} ms | |")
    note(f"| first / second | | {ratio_row([a / b for a, b in pairs])} |\n")


def sampler(alive: str, note: Callable[[str], None], scratch: Path) -> None:
    """The monitor's own CPU time, as the recording tells it, over 5 s with processes that do nothing."""
    note("| processes alive | RSS in all | looks | mean time between looks | CPU of one core |\n|---|---|---|---|---|")
    for count, mib in ((1, 1), (100, 1), (500, 1), (1, 10240)):
        result = scratch / "sampler.json"
        subprocess.run(
            [
                sys.executable,
                "-m",
                "hiwater",
                "run",
                "-q",
                "--json",
                str(result),
                "--",
                alive,
                str(count),
                str(mib),
                "5",
            ],
            check=True,
        )
        summary = json.loads(result.read_text())
        result.unlink()
        sampling, wall = summary["sampling"], summary["wall_seconds"]
        note(
            f"| {count} | {count * mib} MiB | {sampling['count']} | {wall / sampling['count'] * 1000:.1f} ms "
            f"| {sampling['cpu_seconds'] / wall * 100:.2f} % |"
        )
    note("")


def host() -> str:
    """One line on where the figures come from."""
    return (
        f"Linux {platform.release()}, {platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}"
    )


def main() -> int:
    """Executes the benchmark and prints it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = ["start-up", "processes", "syscalls", "threads", "mappings", "idle", "sampler"]
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", nargs="+", choices=names, default=names)
    parser.add_argument("--tools", nargs="+", help="names of tools, as in the tables (default: all that are installed)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hiwater-bench-") as folder:
        scratch = Path(folder)
        programs = compile_programs(scratch)
        known = tools(scratch)
        there = [t for t in known if t.needs is None or shutil.which(t.needs)]
        if args.tools:
            there = [t for t in there if t.name in args.tools]
        missing = [t.name for t in known if t.needs is not None and not shutil.which(t.needs)]
        print(f"{host()}; {args.rounds} rounds; not installed: {', '.join(missing) or 'none'}\n")
        workloads = {
            "processes": ("2,000 processes one after another (`/bin/true` in a shell loop)", ["sh", "-c", LOOP]),
            "syscalls": ("5 million system calls", [programs["syscalls"]]),
            "threads": ("5,000 threads, created and joined", [programs["threads"]]),
            "mappings": ("1 MiB mapped, touched and unmapped, 2,500 times", [programs["mappings"]]),
            "idle": ("A second asleep", ["sleep", "1"]),
        }
        for name in args.only:
            if name == "start-up":
                print("## Start-up\n")
                start_up(args.rounds, print)
            elif name == "sampler":
                print("## The sampler's own CPU time\n")
                sampler(programs["alive"], print, scratch)
            else:
                title, command = workloads[name]
                print(f"## {title}\n")
                compare(command, there, args.rounds, print)
            sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
