"""What ``hiwater heap`` and ``hiwater faults`` share: the options of a profile, and how it comes to the terminal."""

from __future__ import annotations

import argparse
import os

from hiwater.errors import MisuseError

TYPE_CHECKING = False  # not typing's: importing that takes as long as starting the command
if TYPE_CHECKING:
    from hiwater.heap.model import HeapProfile
    from hiwater.heap.symbols.resolver import Symbols
    from hiwater.heap.tried import Trials

EVERY = 10 << 20


def add_profile_options(parser: argparse.ArgumentParser) -> None:
    """What of a profile is shown, and where the names come from."""
    parser.add_argument(
        "--by", choices=("function", "line", "library"), default="function", help="what a row is (default: function)"
    )
    parser.add_argument("--at", metavar="WHEN", type=moment, default="peak", help="peak (default), exit, or seconds")
    parser.add_argument("--rows", metavar="N", type=count, default=15, help="so many rows at most (default: 15)")
    parser.add_argument(
        "--every", metavar="SIZE", type=size, default=EVERY, help="look at each growth by SIZE (default: 10MiB)"
    )
    parser.add_argument("--flame", metavar="FILE", help="write the flame graph as SVG")
    parser.add_argument("--sysroot", metavar="DIR", help="look for programs and libraries below DIR")
    parser.add_argument("--debuginfod", action="store_true", help="ask the servers of DEBUGINFOD_URLS for debug files")


def size(text: str) -> int:
    """The value of an option, in bytes."""
    from hiwater.units import parse_size

    try:
        found = parse_size(text)
    except MisuseError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if not 1 <= found <= 1 << 40:
        raise argparse.ArgumentTypeError("1 byte to 1 TiB")
    return found


def count(text: str) -> int:
    """A number of rows."""
    if text.isascii() and text.isdecimal() and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a number of rows")


def moment(text: str) -> str | float:
    """``peak``, ``exit``, or seconds."""
    if text in ("peak", "exit"):
        return text
    try:
        seconds = float(text.removesuffix("s"))
    except ValueError:
        seconds = -1.0
    if 0 <= seconds < float("inf"):
        return seconds
    raise argparse.ArgumentTypeError(f"{text!r} is neither peak nor exit, nor a number of seconds")


def symbols(args: argparse.Namespace) -> Symbols:
    """Says what lies at an address."""
    from hiwater.heap.symbols.debuginfod import Debuginfod
    from hiwater.heap.symbols.resolver import Symbols

    return Symbols(sysroot=args.sysroot, debuginfod=Debuginfod.of(os.environ) if args.debuginfod else None)


def page(
    args: argparse.Namespace,
    profile: HeapProfile,
    width: int,
    is_terminal: bool,
    encoding: str | None,
    *,
    plain_peak: int | None = None,
    sampled_peak: int | None = None,
    trials: Trials | None = None,
) -> str:
    """What the terminal shows of a profile, and of other settings of malloc."""
    from hiwater.heap.sites import By
    from hiwater.views import heap_text, heap_tried, style
    from hiwater.views.paint import Paint, can_mark

    color = style.use_color(style.Color(args.color), is_terminal, os.environ)
    unicode = can_mark(encoding)
    text = heap_text.render(
        profile,
        plain_peak_bytes=plain_peak,
        sampled_peak_bytes=sampled_peak,
        width=width,
        color=color,
        unicode=unicode,
        by=By(args.by),
        limit=args.rows,
        at=str(args.at),
    )
    more = heap_tried.render(trials, profile.trim, width, Paint(color, unicode))
    return f"{text}\n{more}" if more else text


def flame(args: argparse.Namespace, profile: HeapProfile) -> str:
    """What --flame writes."""
    from hiwater.heap.choose import moment as chosen
    from hiwater.heap.sites import By
    from hiwater.views import flame_svg

    by = By.LINE if args.by == "line" else By.FUNCTION
    return flame_svg.render(profile, chosen(profile, str(args.at)), by=by)
