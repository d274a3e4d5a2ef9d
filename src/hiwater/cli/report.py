"""``hiwater report``: recordings as one page."""

from __future__ import annotations

import argparse
import sys

MISUSE = 2

_EPILOG = """\
examples:
  hiwater run -o build.hiw -- make -j8
  hiwater report build.hiw                       writes report.html
  hiwater report before.hiw after.hiw -o both.html

The page is one file that needs no network. Several recordings are laid over each other, with their differences.
exit status: 0; 2 misused, a FILE is no recording, or the page cannot be written.
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The words that this sub-command understands."""
    parser = subparsers.add_parser(
        "report",
        help="write a page with timeline and process tree of a recording",
        description="Writes recordings that hiwater run -o FILE kept as one HTML page: when the memory rose, which "
        "process it was, what it consisted of, and how far the figures can be trusted.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("files", metavar="FILE", nargs="+", help="the recordings (.hiw)")
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        default="report.html",
        help="where the page goes (default: report.html); - is stdout",
    )
    parser.add_argument("-f", "--force", action="store_true", help="overwrite a file")
    parser.set_defaults(func=report)


def report(args: argparse.Namespace) -> int:
    """Writes it; says nothing if all is well."""
    from hiwater.cli import table_output
    from hiwater.cli.stored import open_output, put
    from hiwater.errors import HiwaterError
    from hiwater.recording.reader import load

    try:
        recordings = [load(path) for path in args.files]
        with open_output(args.output, force=args.force) as file:
            from hiwater.views.report import render

            put(file, [render(recordings, _labels(args.files))])
    except HiwaterError as error:
        return table_output.complain("report", error, MISUSE)
    if args.output != "-" and sys.stderr.isatty():
        print(f"hiwater report: wrote {args.output}", file=sys.stderr)
    return 0


def _labels(paths: list[str]) -> list[str]:
    """The names of the files; the whole paths where these alone would not tell them apart."""
    names = [path.rpartition("/")[2] for path in paths]
    return names if len(set(names)) == len(names) else paths
