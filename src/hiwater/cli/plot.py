"""``hiwater plot``: the timeline of a recording as a picture."""

from __future__ import annotations

import argparse
import sys

MISUSE = 2

_EPILOG = """\
examples:
  hiwater plot build.hiw -o peak.svg
  hiwater plot build.hiw -o peak.png --width 1200    takes pip install 'hiwater[png]'
  hiwater plot build.hiw --by kind --format png -o - | display

exit status: 0; 2 misused, FILE is no recording, or the picture cannot be written.
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The words that this sub-command understands."""
    parser = subparsers.add_parser(
        "plot",
        help="draw the timeline of a recording as SVG or PNG",
        description="Draws the timeline of a recording, stacked, with the tree's peak and its bounds, as SVG or PNG.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("file", metavar="FILE", help="the recording (.hiw)")
    parser.add_argument("-o", "--output", metavar="FILE", required=True, help="the picture (.svg or .png); - is stdout")
    parser.add_argument("--format", choices=("svg", "png"), help="what to draw (default: what FILE ends in, else svg)")
    parser.add_argument(
        "--by", choices=("process", "kind"), default="process", help="what the stack consists of (default: process)"
    )
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--width", metavar="PIXELS", type=int, help="width of a PNG (default: 1720)")
    size.add_argument("--scale", metavar="N", type=float, help="or how often to enlarge its 860 units (default: 2)")
    parser.add_argument("--font", metavar="FAMILY", help="the font of a PNG (default: a usual one that is installed)")
    parser.add_argument("-f", "--force", action="store_true", help="overwrite a file")
    parser.set_defaults(func=plot)


def plot(args: argparse.Namespace) -> int:
    """Writes it."""
    from hiwater.cli import table_output
    from hiwater.cli.stored import open_output, put
    from hiwater.errors import HiwaterError
    from hiwater.recording.reader import load
    from hiwater.views import plot_png, plot_svg

    try:
        png = _format(args) == "png"
        if png:
            plot_png.require_resvg()
        recording = load(args.file)
        with open_output(args.output, force=args.force) as file:
            picture: str | bytes = plot_svg.render(recording, plot_svg.By(args.by))
            if isinstance(picture, str) and png:
                scale = args.scale if args.scale is not None else plot_png.SCALE
                picture = plot_png.render(picture, width=args.width, scale=scale, font=args.font)
            put(file, [picture])
    except HiwaterError as error:
        return table_output.complain("plot", error, MISUSE)
    return 0


def _format(args: argparse.Namespace) -> str:
    """svg or png; what does not go with it is refused."""
    from hiwater.errors import MisuseError
    from hiwater.views.plot_png import LARGEST
    from hiwater.views.plot_svg import WIDTH

    ending = args.output.lower().rpartition("/")[2].rpartition(".")[2]
    found: str | None = args.format or (ending if ending in ("svg", "png") else None)
    if found is None and args.output != "-" and not args.output.startswith("/dev/"):
        raise MisuseError(f"{args.output} should end in .svg or .png; --format says it otherwise")
    if found != "png":
        for name in ("width", "scale", "font"):
            if getattr(args, name) is not None:
                raise MisuseError(f"--{name} is for PNG: SVG has any size, and the reader's font")
        return "svg"
    if args.output == "-" and sys.stdout.isatty():
        raise MisuseError("PNG is no text for a terminal: -o FILE says where to write it")
    pixels = args.width if args.width is not None else WIDTH * (args.scale if args.scale is not None else 1)
    if not 100 <= pixels <= LARGEST:  # nan too
        raise MisuseError(f"the picture would be {pixels:g} pixels wide: from 100 to {LARGEST} are possible")
    return "png"
