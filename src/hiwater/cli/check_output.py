"""What ``hiwater check`` prints and writes. Files are opened before the first execution, and whole or not there."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from types import TracebackType

from hiwater.checks.model import CheckResult, Report
from hiwater.cli import table_output
from hiwater.cli.check_options import VIEWS
from hiwater.errors import MisuseError, OutputError
from hiwater.heap.budget import At, Kept
from hiwater.output import OutputFile, fill, write_all, write_whole
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
from hiwater.views.names import visible
from hiwater.views.style import Color

RENDER: dict[str, Callable[[Report], str]] = {
    "json": checks_json.render,
    "csv": checks_csv.render,
    "markdown": checks_markdown.render,
    "junit": junit.render,
    "openmetrics": openmetrics.render,
    "github-benchmark": github_benchmark.render,
    "bmf": bmf.render,
}
_BASELINE = "baseline"


class Outputs:
    """The files of one execution of ``hiwater check``."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        wanted = {name: getattr(args, name.replace("-", "_")) for name in VIEWS}
        self.to_stdout = [name for name, path in wanted.items() if path == "-"]
        if len(self.to_stdout) + args.github > 1:
            raise MisuseError("only one document can go to stdout; --github prints there as well")
        self.summary = os.environ.get("GITHUB_STEP_SUMMARY") if args.github else None
        self.files: dict[str, OutputFile] = {}
        if args.evidence is not None and not os.path.isdir(args.evidence):
            raise MisuseError(f"--evidence: {args.evidence} is no directory")
        try:
            if args.update_baseline:
                # Renewing it is what the option is for: no --force is needed.
                self.files[_BASELINE] = OutputFile(args.against, force=True)
            for name, path in wanted.items():
                if path not in (None, "-"):
                    self.files[name] = OutputFile(path, force=args.force)
        except BaseException:
            self._discard()
            raise

    def __enter__(self) -> Outputs:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._discard()

    def _discard(self) -> None:
        while self.files:
            self.files.popitem()[1].discard()

    def write(self, report: Report) -> None:
        """Every view that was asked for, the table last."""
        for name in [name for name in self.files if name != _BASELINE]:
            fill(self.files.pop(name), RENDER[name](report).encode())
        for name in self.to_stdout:
            sys.stdout.flush()
            write_all(1, RENDER[name](report).encode())
        if self.args.github:
            sys.stdout.write(github_annotations.render(report))
            if self.summary:
                self._append(self.summary, checks_markdown.render(report, checks_markdown.SUMMARY_BYTES))
        if self.args.quiet:
            return
        # A document on stdout stands there alone.
        with redirect_stdout(sys.stderr if self.to_stdout else sys.stdout):
            table_output.show(lambda width, paint: checks_text.render(report, width, paint), Color(self.args.color))

    def write_evidence(self, report: Report) -> None:
        """A flame graph for each moment at which a budget of the heap is not surely kept."""
        if self.args.evidence is None:
            return
        for result in report.results:
            moments = {one.budget.at for one in result.heap if one.status is not Kept.OK}
            for at in sorted(moments):
                self._evidence(result, at)

    def _evidence(self, result: CheckResult, at: At) -> None:
        from hiwater.views import flame_svg

        profile = result.profile
        snapshot = None if profile is None else profile.peak if at is At.PEAK else profile.exit
        if profile is None or snapshot is None:
            return
        name = re.sub(r"[^\w.-]+", "-", result.check.name)
        path = os.path.join(self.args.evidence, f"{name}-{at}.svg")
        write_whole(path, flame_svg.render(profile, snapshot).encode(), force=self.args.force)
        if not self.args.quiet:
            print(f"hiwater check: {visible(path)} shows who held the heap", file=sys.stderr)

    def write_baseline(self, text: str) -> None:
        """Behind all else: what could not be reported is not taken for granted next time."""
        fill(self.files.pop(_BASELINE), text.encode())
        if not self.args.quiet:
            print(f"hiwater check: {self.args.against} written", file=sys.stderr)

    def _append(self, path: str, text: str) -> None:
        try:
            with open(path, "a", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            raise OutputError(error.errno, f"cannot write {path}: {error.strerror}") from None


class Progress:
    """On a terminal one line that replaces itself; elsewhere, such as in the log of a CI, a line for each check."""

    def __init__(self, *, quiet: bool) -> None:
        self.quiet = quiet
        self.live = sys.stderr.isatty()
        self.name = ""

    def begins(self, name: str) -> None:
        """The next check."""
        self.name = visible(name)
        if not self.quiet and not self.live:
            print(f"hiwater check: {self.name}", file=sys.stderr, flush=True)

    def execution(self, number: int) -> None:
        """Its next execution."""
        if not self.quiet:
            table_output.progress(f"{self.name}: execution {number}")

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self.quiet:
            table_output.progress("")
