"""``hiwater show``: the summary of a stored recording."""

from __future__ import annotations

import argparse
import os
import sys

_EPILOG = """\
examples:
  hiwater run -o build.hiw -- make -j8
  hiwater show build.hiw
  hiwater show build.hiw --json | jq .peak_rss_bytes

A recording that was cut short (FILE.part of a session that was killed, a full disk) is shown up to there.
exit status: 0; 2 if FILE is no recording or cannot be read.
"""
MISUSE = 2


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The words that this sub-command understands."""
    parser = subparsers.add_parser(
        "show",
        help="print the summary of a stored recording",
        description="Prints the summary of a recording that hiwater run -o FILE kept.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("file", metavar="FILE", help="the recording (.hiw)")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument(
        "--color", choices=("auto", "always", "never"), default="auto", help="colour the summary (default: auto)"
    )
    parser.set_defaults(func=show)


def show(args: argparse.Namespace) -> int:
    """Prints it on stdout."""
    from hiwater.errors import RecordingError
    from hiwater.recording.reader import load
    from hiwater.views import json_view, names, style, terminal

    try:
        recording = load(args.file)
    except RecordingError as error:
        print(f"hiwater show: {names.visible(str(error))}", file=sys.stderr)
        return MISUSE
    if args.json:
        text = json_view.render(recording)
        sys.stdout.flush()
        sys.stdout.buffer.write(text.encode())  # JSON is UTF-8, whatever the locale says
        sys.stdout.buffer.flush()
        return 0
    color = style.use_color(style.Color(args.color), sys.stdout.isatty(), os.environ)
    text = terminal.render(recording, width=style.columns(sys.stdout), color=color)
    sys.stdout.write(style.encodable(text, sys.stdout.encoding))
    return 0
