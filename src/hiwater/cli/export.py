"""``hiwater export``: a recording for other programs."""

from __future__ import annotations

import argparse

MISUSE = 2

_EPILOG = """\
examples:
  hiwater export build.hiw --format csv -o build.csv
  hiwater export build.hiw --format jsonl | jq -c 'select(.rss_bytes > 1e8)'
  hiwater export build.hiw --format perfetto -o build.json     to open in ui.perfetto.dev

csv and jsonl hold the samples: a process keeps its values until its next row. Unknown is an empty field, or null.
exit status: 0; 2 misused, FILE is no recording, or the output cannot be written.
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The words that this sub-command understands."""
    parser = subparsers.add_parser(
        "export",
        help="write the samples of a recording for other programs",
        description="Writes what was sampled as CSV, JSON Lines or a trace that ui.perfetto.dev opens.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("file", metavar="FILE", help="the recording (.hiw)")
    parser.add_argument("--format", choices=("csv", "jsonl", "perfetto"), required=True, help="what to write")
    parser.add_argument("-o", "--output", metavar="FILE", default="-", help="where to (default: -, stdout)")
    parser.add_argument("-f", "--force", action="store_true", help="overwrite a file")
    parser.set_defaults(func=export)


def export(args: argparse.Namespace) -> int:
    """Writes it."""
    from hiwater.cli import table_output
    from hiwater.cli.stored import open_output, put
    from hiwater.errors import HiwaterError
    from hiwater.recording.reader import load
    from hiwater.views import perfetto, samples

    renderers = {"csv": samples.csv_lines, "jsonl": samples.json_lines, "perfetto": perfetto.render}
    try:
        recording = load(args.file)
        with open_output(args.output, force=args.force) as file:
            put(file, renderers[args.format](recording))
    except HiwaterError as error:
        return table_output.complain("export", error, MISUSE)
    return 0
