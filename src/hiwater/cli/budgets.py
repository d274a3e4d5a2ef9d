"""The budget options of ``hiwater run`` and ``hiwater attach``, and what a verdict means for its exit status.

Imported before the command starts; what judges is imported while the command runs.
"""

from __future__ import annotations

import argparse

from hiwater.errors import MisuseError
from hiwater.units import parse_size

TYPE_CHECKING = False  # not typing's: importing that takes as long as starting the command
if TYPE_CHECKING:
    from hiwater.analysis.budget import Judgement
    from hiwater.recording.model import Recording

VIOLATED, NO_NUMBER = 123, 125


def add_budget_options(parser: argparse.ArgumentParser, when: str = "if COMMAND succeeded but needed more") -> None:
    """--budget, --budget-tree, --budget-exit-code."""
    parser.add_argument(
        "--budget",
        metavar="SIZE",
        type=_size,
        help="the most that the peak RSS may be, e.g. 64MiB or 64MB; exit status 123"
        f" {when}, 125 if that cannot be told",
    )
    parser.add_argument(
        "--budget-tree", metavar="SIZE", type=_size, help="the same for the peak of the whole process tree"
    )
    parser.add_argument(
        "--budget-exit-code",
        metavar="N",
        type=_exit_code,
        help="the exit status of a budget that was not kept (default 123)",
    )


def check_budget_options(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Says so where an option could have no effect."""
    if args.budget_exit_code is not None and not has_budget(args):
        parser.error("--budget-exit-code: there is no --budget and no --budget-tree")


def has_budget(args: argparse.Namespace) -> bool:
    """Whether there is anything to judge."""
    return args.budget is not None or args.budget_tree is not None


def judge_recording(args: argparse.Namespace, recording: Recording) -> tuple[Judgement, ...]:
    """The budgets that were given, held against what was measured."""
    if not has_budget(args):
        return ()
    from hiwater.analysis.budget import Budget, Figure, judge_all

    limits = ((Figure.PEAK_RSS, args.budget), (Figure.TREE_PEAK, args.budget_tree))
    budgets = (Budget(figure, limit) for figure, limit in limits if limit is not None)
    return judge_all(budgets, recording.summary, complete=recording.complete)


def exit_status(args: argparse.Namespace, judgements: tuple[Judgement, ...]) -> int:
    """What a command that succeeded ends with."""
    if not judgements:
        return 0
    from hiwater.analysis.budget import Status, overall

    status = overall(judgements)
    if status is Status.VIOLATED:
        return VIOLATED if args.budget_exit_code is None else int(args.budget_exit_code)
    return NO_NUMBER if status is Status.UNDECIDABLE else 0


def _size(text: str) -> int:
    try:
        return parse_size(text)
    except MisuseError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _exit_code(text: str) -> int:
    if text.isascii() and text.isdecimal() and 1 <= int(text) <= 255:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not an exit status from 1 to 255")
