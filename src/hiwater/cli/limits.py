"""The options of a limit: what they say, and the group that comes of them. Imported before the command starts."""

from __future__ import annotations

import argparse
from contextlib import suppress

from hiwater.errors import LimitUnavailableError, MisuseError
from hiwater.units import parse_size

TYPE_CHECKING = False  # not typing's: importing that takes as long as starting the command
if TYPE_CHECKING:
    from hiwater.cgroups.place import Place
    from hiwater.limits import Enclosure

_METHODS = ("auto", "cgroup", "rlimit", "rlimit-data")


def add_limit_options(parser: argparse.ArgumentParser) -> None:
    """--limit and what belongs to it."""
    parser.add_argument(
        "--limit",
        metavar="SIZE",
        type=limit_size,
        help="the memory that COMMAND and its descendants have together, e.g. 512MiB: a cgroup with this limit",
    )
    parser.add_argument(
        "--limit-swap", metavar="SIZE", type=swap_size, help="swap beside it (default 0; max: as much as there is)"
    )
    parser.add_argument(
        "--limit-method",
        choices=_METHODS,
        default="auto",
        help="cgroup: one that hiwater makes; auto: that, or a scope of systemd; rlimit, rlimit-data: RLIMIT_AS or "
        "RLIMIT_DATA of each process, which limits what it may ask for, not what it uses",
    )
    parser.add_argument(
        "--cgroup", action="store_true", help="measure in a cgroup of its own too: page cache, tmpfs, kernel memory"
    )


def check_limit_options(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """What one option alone cannot tell."""
    if args.limit is None and (args.limit_swap is not None or args.limit_method.startswith("rlimit")):
        parser.error("--limit-swap and --limit-method rlimit take a --limit")
    if args.limit_method.startswith("rlimit") and (args.cgroup or args.limit_swap is not None):
        parser.error(f"--limit-method {args.limit_method} makes no cgroup: --cgroup and --limit-swap exclude it")


def wants_limit(args: argparse.Namespace) -> bool:
    """Whether the command is to be put into anything."""
    return args.limit is not None or args.cgroup


def enclose(args: argparse.Namespace) -> Enclosure:
    """Makes the group. May start hiwater again, in a scope of systemd; then it does not return."""
    from hiwater.limits import Enclosure, LimitMethod

    method = LimitMethod(args.limit_method)
    grouped = method in (LimitMethod.AUTO, LimitMethod.CGROUP)
    place = ready_place(may_have_scope=method is LimitMethod.AUTO) if grouped else None
    swap = 0 if args.limit_swap is None else args.limit_swap
    return Enclosure.make(
        limit=args.limit, swap=None if swap < 0 else swap, method=method, cgroup=args.cgroup, place=place
    )


def ready_place(*, may_have_scope: bool = True) -> Place:
    """Where groups can be made, from here on by the library too. May start hiwater again, in a scope of systemd; then
    it does not return."""
    from hiwater.cgroups import scope
    from hiwater.limits import allow_moving, find_place

    allow_moving()
    has_scope = scope.arrived()
    try:
        place = find_place()
        if not place.sibling:
            return place
        failure = None
    except LimitUnavailableError as error:
        place, failure = None, error
    version = 2 if failure is None else failure.version
    if may_have_scope and not has_scope and version == 2:
        # A group beside ours would be in the way of whoever manages them, if somebody does.
        with suppress(LimitUnavailableError):
            scope.enter()
    if place is None:
        assert failure is not None
        raise failure
    return place


def limit_size(text: str) -> int:
    try:
        value = parse_size(text)
    except MisuseError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if value == 0:
        raise argparse.ArgumentTypeError("at least 1B")
    return value


def swap_size(text: str) -> int:
    """-1: no limit."""
    if text == "max":
        return -1
    try:
        return 0 if text == "0" else parse_size(text)
    except MisuseError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
