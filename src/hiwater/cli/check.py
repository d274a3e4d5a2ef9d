"""``hiwater check``: executes the commands of a hiwater.toml and holds them to their budgets, and to a baseline."""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hiwater.checks.baseline import Baseline
    from hiwater.checks.execute import Terms
    from hiwater.checks.model import Check, CheckResult, Plan, Report

EXIT_FINE, EXIT_VIOLATED, EXIT_MISUSE = 0, 1, 2
BISECT_SKIP, BISECT_STOP = 125, 128

_DESCRIPTION = """\
Executes the commands of hiwater.toml, all or those whose NAMEs are given, and judges them: by the budgets that stand
there, and with --against by what they took before. A comparison repeats a command until it is sure, or until the limit
of executions is reached.
"""
_EPILOG = """\
examples:
  hiwater check                                   all checks of hiwater.toml
  hiwater check --against baseline.json --update-baseline
                                                  write what they take now into baseline.json
  hiwater check --against baseline.json --tolerance 5%
                                                  fail on growth beyond noise and 5 %
  git bisect run hiwater check --bisect NAME      find the commit that broke it

exit status: 0 all checks pass; 1 one does not; 2 misuse, or unreadable data. With --bisect: 0 good; 1 bad: over budget
or grown; 125 cannot be told: the command failed, or there is no sure answer; 128 misuse, which stops git bisect.
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The words that this sub-command understands."""
    from hiwater.cli.check_options import add_options

    parser = subparsers.add_parser(
        "check",
        help="execute the commands of a hiwater.toml, and hold them to their budgets",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_options(parser)
    parser.error = lambda message: _misused(parser, message)  # type: ignore[method-assign]
    parser.set_defaults(func=check)


def _misused(parser: argparse.ArgumentParser, message: str) -> NoReturn:
    """argparse's 2 would be a bad commit to git bisect."""
    parser.print_usage(sys.stderr)
    parser.exit(BISECT_STOP if "--bisect" in sys.argv else EXIT_MISUSE, f"hiwater check: {message}\n")


def check(args: argparse.Namespace) -> int:
    """Executes, prints, and says how it went."""
    from hiwater.cli import table_output
    from hiwater.errors import HiwaterError

    try:
        report = _checked(args)
    except HiwaterError as error:
        return table_output.complain("check", error, BISECT_STOP if args.bisect else EXIT_MISUSE)
    except Exception:
        if not args.bisect:
            raise
        # A bug of ours, which Python would end with 1: to git bisect that is a bad commit.
        traceback.print_exc()
        return BISECT_STOP
    if args.bisect:
        return _bisect_status(report)
    return EXIT_FINE if report.passes else EXIT_VIOLATED


def _bisect_status(report: Report) -> int:
    from hiwater.checks.model import Status

    found = {result.status for result in report.results}
    # A check that is surely bad is bad, whatever became of others.
    if found & {Status.VIOLATED, Status.GROWN}:
        return EXIT_VIOLATED
    return BISECT_SKIP if found & {Status.FAILED, Status.UNDECIDABLE, Status.UNSURE} else EXIT_FINE


def _checked(args: argparse.Namespace) -> Report:
    """Everything that can be wrong is found before the first execution."""
    from hiwater.binaries import find_monitor
    from hiwater.checks import baseline, history
    from hiwater.checks.config import load_plan
    from hiwater.checks.model import Report
    from hiwater.checks.surroundings import this_commit, this_host
    from hiwater.cli.check_options import applied
    from hiwater.cli.check_output import Outputs

    plan = applied(args, load_plan(args.config))
    host = this_host()
    old = _baseline(args)
    warnings = old.warnings(host) if old is not None and not args.update_baseline else ()
    checks = _chosen(args, plan)
    _refuse_what_judges_nothing(args, checks)
    find_monitor()
    kept = args.history or plan.history
    with Outputs(args) as outputs:
        if kept is not None:
            history.prepare(kept)
        started, commit = time.time(), this_commit(checks[0].directory)
        report = Report(plan, _executed(args, plan, checks, old), started, host, commit, args.against, warnings)
        outputs.write(report)
        outputs.write_evidence(report)
        if args.update_baseline:
            outputs.write_baseline(baseline.renew(report, old))
        if kept is not None:
            history.record(kept, report)
    return report


def _baseline(args: argparse.Namespace) -> Baseline | None:
    from pathlib import Path

    from hiwater.checks.baseline import load_baseline
    from hiwater.errors import MisuseError

    if args.against is None:
        if args.update_baseline:
            raise MisuseError("--update-baseline: which one? --against FILE names it")
        return None
    if args.update_baseline and not Path(args.against).exists():
        return None
    return load_baseline(args.against)


def _chosen(args: argparse.Namespace, plan: Plan) -> tuple[Check, ...]:
    from hiwater.errors import MisuseError

    known = {check.name: check for check in plan.checks}
    for name in args.names:
        if name not in known:
            raise MisuseError(f"{plan.path} has no check {name!r}; it has: {', '.join(known)}")
    return tuple(check for check in plan.checks if not args.names or check.name in args.names)


def _refuse_what_judges_nothing(args: argparse.Namespace, checks: Sequence[Check]) -> None:
    from hiwater.errors import MisuseError

    if args.against is not None:
        return
    for one in checks:
        if not one.budgets and not one.heap:
            raise MisuseError(
                f"{args.config}: check {one.name!r} has no budget, so there is nothing to judge it by: give it a"
                " 'budget' or a 'budget-tree', or compare it with --against FILE"
            )


def _executed(
    args: argparse.Namespace, plan: Plan, checks: Sequence[Check], old: Baseline | None
) -> tuple[CheckResult, ...]:
    from hiwater.analysis import statistics
    from hiwater.checks.execute import LocalExecutor, run_check
    from hiwater.cli.check_output import Progress

    # One wrong alarm among all checks of an execution is as likely as stated, not one in each.
    confidence = 1 - (1 - plan.confidence) / len(checks)
    if old is not None:
        statistics.compare([1.0] * 5, [1.0] * 5, confidence=confidence)  # SciPy is missed now, not after an hour
    executor = LocalExecutor(show_output=args.show_output)
    results = []
    with Progress(quiet=args.quiet) as progress:
        for number, one in enumerate(checks, 1):
            terms = _terms(args, one, old, confidence)
            progress.begins(f"[{number}/{len(checks)}] {one.name}")
            results.append(run_check(one, executor, terms, progress.execution))
    return tuple(results)


def _terms(args: argparse.Namespace, one: Check, old: Baseline | None, confidence: float) -> Terms:
    from hiwater.checks.execute import Terms

    renewing = args.update_baseline
    if old is None:
        return Terms(confidence=confidence, renewing=renewing)
    notes = () if renewing else old.notes(one)
    return Terms(old.old(one), confidence, renewing, notes)
