"""``hiwater plot``: the timeline of a recording as a picture."""

from __future__ import annotations

import argparse

MISUSE = 2

_EPILOG = """\
examples:
  hiwater plot build.hiw -o peak.svg
  hiwater plot build.hiw --by kind -o - | rsvg-convert -o peak.png

exit status: 0; 2 misused, FILE is no recording, or the picture cannot be written.
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The words that this sub-command understands."""
    parser = subparsers.add_parser(
        "plot",
        help="draw the timeline of a recording as SVG",
        description="Draws the timeline of a recording, stacked, with the tree's peak and its bounds, as SVG.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("file", metavar="FILE", help="the recording (.hiw)")
    parser.add_argument("-o", "--output", metavar="FILE", required=True, help="the picture (.svg); - is stdout")
    parser.add_argument(
        "--by", choices=("process", "kind"), default="process", help="what the stack consists of (default: process)"
    )
    parser.add_argument("-f", "--force", action="store_true", help="overwrite a file")
    parser.set_defaults(func=plot)


def plot(args: argparse.Namespace) -> int:
    """Writes it."""
    from hiwater.cli import table_output
    from hiwater.cli.stored import open_output, put
    from hiwater.errors import HiwaterError, MisuseError
    from hiwater.recording.reader import load
    from hiwater.views import plot_svg

    try:
        if args.output != "-" and not args.output.lower().endswith(".svg") and not args.output.startswith("/dev/"):
            raise MisuseError(
                f"only SVG can be written, so {args.output} should end in .svg; "
                "another program makes other formats of that: rsvg-convert -o peak.png peak.svg"
            )
        recording = load(args.file)
        with open_output(args.output, force=args.force) as file:
            put(file, [plot_svg.render(recording, plot_svg.By(args.by))])
    except HiwaterError as error:
        return table_output.complain("plot", error, MISUSE)
    return 0
