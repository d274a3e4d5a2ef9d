"""``hiwater show``: the summary of a stored recording."""

from __future__ import annotations

import argparse
import os
import sys

TYPE_CHECKING = False  # not typing's: importing that takes as long as starting the command
if TYPE_CHECKING:
    from hiwater.recording.model import Recording

_EPILOG = """\
examples:
  hiwater run -o build.hiw -- make -j8
  hiwater show build.hiw
  hiwater show build.hiw --tree
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
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument("--json", action="store_true", help="print the figures as JSON")
    instead.add_argument(
        "--tree", action="store_true", help="print every process too: its peak, lifetime and memory over time"
    )
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
    width = style.columns(sys.stdout)
    text = style.encodable(terminal.render(recording, width=width, color=color), sys.stdout.encoding)
    if args.tree:
        asked = os.environ.get("COLUMNS", "")
        tree_width = max(40, int(asked)) if asked.isdecimal() and asked != "0" else width
        text += "\n" + _tree(recording, tree_width, color)
    sys.stdout.write(text)
    return 0


def _tree(recording: Recording, width: int, color: bool) -> str:
    from hiwater.views import style, tree_text

    encoding = sys.stdout.encoding or "ascii"
    text = tree_text.render(recording, width=width, color=color)
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        text = style.encodable(tree_text.render(recording, width=width, color=color, unicode=False), encoding)
    return text.encode(encoding, "backslashreplace").decode(encoding)
