"""The options of ``hiwater check``; those that say the same as a key of hiwater.toml win over it."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hiwater.errors import MisuseError
from hiwater.units import parse_share

if TYPE_CHECKING:
    from hiwater.checks.model import Plan

VIEWS = {
    "json": "the results as JSON (hiwater.check/1)",
    "csv": "a line for each check as CSV",
    "markdown": "a table for a comment on a pull request, of 64 KiB at most",
    "junit": "JUnit XML",
    "openmetrics": "OpenMetrics text, for GitLab's metrics report and Prometheus' textfile collector",
    "github-benchmark": "the JSON that github-action-benchmark reads as customSmallerIsBetter",
    "bmf": "Bencher Metric Format",
}
"""Each is an option that takes a file."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """In groups, as --help shows them."""
    parser.add_argument("names", metavar="NAME", nargs="*", help="the checks to execute (default: all)")
    add = parser.add_argument
    add("-c", "--config", metavar="FILE", default="hiwater.toml", help="what to check (default: hiwater.toml)")
    add("-r", "--repeats", metavar="N", type=_count, help="execute each command N times at least")
    group = parser.add_argument_group("comparison with a baseline")
    add = group.add_argument
    add("--against", metavar="FILE", help="fail where a command surely takes more than FILE says that it took")
    add("--tolerance", metavar="SHARE", type=_typed(parse_share), help="growth that is allowed (default 5%%)")
    add("--confidence", metavar="SHARE", type=_typed(_confidence), help="how sure is sure (default 99%%)")
    add("--max-repeats", metavar="N", type=_count, help="the limit of executions of a command (default 30)")
    add("--update-baseline", action="store_true", help="write what the commands take now into the FILE of --against")
    group = parser.add_argument_group("output; - is stdout")
    for name, text in VIEWS.items():
        group.add_argument(f"--{name}", metavar="FILE", help=text)
    add = group.add_argument
    add("--github", action="store_true", help="print annotations, and append the table to $GITHUB_STEP_SUMMARY")
    add("--history", metavar="FILE", help="add the results to FILE (SQLite); see hiwater history")
    add("--evidence", metavar="DIR", help="write a flame graph for each heap budget that is not surely kept into DIR")
    add("-f", "--force", action="store_true", help="overwrite files")
    add("-q", "--quiet", action="store_true", help="print no progress and no table")
    add("--show-output", action="store_true", help="let the commands print, on stderr")
    add("--color", choices=("auto", "always", "never"), default="auto", help="colour the table (default: auto)")
    parser.add_argument("--bisect", action="store_true", help="exit status for git bisect run: 125 where it is unsure")


def applied(args: argparse.Namespace, plan: Plan) -> Plan:
    """The plan with what the command line says otherwise."""
    checks = plan.checks
    if args.repeats is not None:
        checks = tuple(
            replace(one, repeats=args.repeats, max_repeats=max(one.max_repeats, args.repeats)) for one in checks
        )
    if args.max_repeats is not None:
        for one in checks:
            if args.max_repeats < one.repeats:
                raise MisuseError(f"--max-repeats {args.max_repeats} is less than the {one.repeats} of {one.name!r}")
        checks = tuple(replace(one, max_repeats=args.max_repeats) for one in checks)
    if args.tolerance is not None:
        checks = tuple(replace(one, tolerance=args.tolerance) for one in checks)
    for name in ("tolerance", "confidence", "max_repeats"):
        if getattr(args, name) is not None and args.against is None:
            raise MisuseError(f"--{name.replace('_', '-')} has no effect without --against FILE")
    confidence = plan.confidence if args.confidence is None else args.confidence
    return replace(plan, checks=checks, confidence=confidence)


def _typed(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    def parsed(text: str) -> Any:
        try:
            return parse(text)
        except MisuseError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return parsed


def _confidence(text: str) -> float:
    share = parse_share(text)
    if not 0.5 <= share < 1:
        raise MisuseError(f"at least 50% and less than 100%, not {text}")
    return share


def _count(text: str) -> int:
    if text.isascii() and text.isdecimal() and 1 <= int(text) <= 10_000:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to 10000")
