"""``hiwater history``: what checks took, commit by commit."""

from __future__ import annotations

import argparse
import sys

EXIT_MISUSE = 2

_EPILOG = """\
examples:
  hiwater check --history hiwater-history.sqlite     add what the checks take now
  hiwater history                                    list it, commit by commit
  hiwater history import --svg import.svg            draw one check

exit status: 0; 2 misuse, or the file is no history.
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The words that this sub-command understands."""
    parser = subparsers.add_parser(
        "history",
        help="list and plot what checks took, commit by commit",
        description="Lists what hiwater check --history kept, of all checks or of those whose NAMEs are given.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("names", metavar="NAME", nargs="*", help="the checks to show (default: all)")
    parser.add_argument(
        "--file", metavar="FILE", default="hiwater-history.sqlite", help="the history (default: hiwater-history.sqlite)"
    )
    parser.add_argument(
        "--figure", choices=("peak_rss", "tree_peak"), default="peak_rss", help="what to show (default: peak_rss)"
    )
    parser.add_argument("--limit", metavar="N", type=_count, help="only the last N commits of each check")
    parser.add_argument("--plot", action="store_true", help="only a line for each check, drawn with characters")
    parser.add_argument("--svg", metavar="FILE", help="draw it into FILE as SVG; - is stdout")
    parser.add_argument("--json", metavar="FILE", help="write it to FILE as JSON; - is stdout")
    parser.add_argument("-f", "--force", action="store_true", help="overwrite files")
    parser.add_argument(
        "--color", choices=("auto", "always", "never"), default="auto", help="colour the list (default: auto)"
    )
    parser.set_defaults(func=history)


def _count(text: str) -> int:
    if text.isascii() and text.isdecimal() and int(text) >= 1:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")


def history(args: argparse.Namespace) -> int:
    """Prints or draws it."""
    from hiwater.analysis.budget import Figure
    from hiwater.checks.history import read
    from hiwater.cli import table_output
    from hiwater.errors import HiwaterError, MisuseError
    from hiwater.output import write_whole
    from hiwater.views import history_json, history_svg, history_text
    from hiwater.views.style import Color

    figure = Figure(args.figure)
    try:
        if args.svg == args.json == "-":
            raise MisuseError("only one document can go to stdout")
        points = read(args.file, figure, args.names)
        if args.limit is not None:
            points = {name: series[-args.limit :] for name, series in points.items()}
        for path, render in ((args.svg, history_svg.render), (args.json, history_json.render)):
            if path == "-":
                sys.stdout.write(render(points, figure))
            elif path is not None:
                write_whole(path, render(points, figure).encode(), force=args.force)
    except HiwaterError as error:
        return table_output.complain("history", error, EXIT_MISUSE)
    if args.svg is None and args.json is None:
        table_output.show(
            lambda width, paint: history_text.render(points, figure, width, paint, brief=args.plot), Color(args.color)
        )
    return 0
