"""``hiwater export``: a recording for other programs."""

from __future__ import annotations

import argparse
import sys

from hiwater.cli import heap_export

TYPE_CHECKING = False  # not typing's: importing that takes as long as starting the command
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hiwater.recording.model import Recording

MISUSE = 2
SAMPLES = ("csv", "jsonl", "parquet", "perfetto", "speedscope")
FORMATS = (*SAMPLES, *heap_export.FORMATS)

_EPILOG = f"""\
examples:
  hiwater export build.hiw --format csv -o build.csv
  hiwater export build.hiw --format jsonl | jq -c 'select(.rss_bytes > 1e8)'
  hiwater export build.hiw --format parquet -o build.parquet   for data frames; takes pip install 'hiwater[parquet]'
  hiwater export build.hiw --format perfetto -o build.json     to open in ui.perfetto.dev
  hiwater export build.hiw --format speedscope -o peak.json    to open in speedscope.app
  hiwater export app.hiw --format pprof --at exit -o app.pb.gz go tool pprof -top app.pb.gz

csv, jsonl and parquet hold the samples: a process keeps its values until its next row. Unknown is an empty field, or
null.
speedscope holds the tree at its peak as a flame graph, perfetto all of it over time.

{heap_export.HELP}
exit status: 0; 2 misused, FILE is no recording, or the output cannot be written.
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The words that this sub-command understands."""
    parser = subparsers.add_parser(
        "export",
        help="write the samples of a recording for other programs",
        description="Writes what was sampled as CSV, JSON Lines or Parquet, as a trace that ui.perfetto.dev opens, or "
        "as a flame graph for speedscope.app; or who held the heap, for pprof, speedscope and flame graphs.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("file", metavar="FILE", help="the recording (.hiw)")
    parser.add_argument("--format", choices=FORMATS, required=True, help="what to write")
    parser.add_argument("-o", "--output", metavar="FILE", default="-", help="where to (default: -, stdout)")
    parser.add_argument("-f", "--force", action="store_true", help="overwrite a file")
    heap = parser.add_argument_group("heap profiles")
    heap.add_argument("--at", metavar="MOMENT", help="peak (the default), exit, or a number of seconds")
    heap.add_argument("--process", metavar="PID", type=int, help="whose heap (default: the largest)")
    heap.add_argument(
        "--by", choices=("function", "line", "library"), help="what a box of a picture is (default: function)"
    )
    parser.set_defaults(func=export)


def export(args: argparse.Namespace) -> int:
    """Writes it."""
    from hiwater.cli import table_output
    from hiwater.cli.stored import open_output, put
    from hiwater.errors import HiwaterError
    from hiwater.recording.reader import load

    try:
        render = _renderer(args)
        recording = load(args.file)
        with open_output(args.output, force=args.force) as file:
            put(file, render(recording))
    except HiwaterError as error:
        return table_output.complain("export", error, MISUSE)
    return 0


def _renderer(args: argparse.Namespace) -> Callable[[Recording], Iterable[str | bytes]]:
    from hiwater.errors import MisuseError
    from hiwater.views import parquet, perfetto, samples, speedscope

    name, output = args.format, args.output
    if name not in SAMPLES:
        if args.by is not None and name not in heap_export.PICTURES:
            raise MisuseError(f"--by is for pictures; {name} holds functions and lines")
        return heap_export.renderer(name, output, args.at or "peak", args.process, args.by or "function")
    for option, value in (("--at", args.at), ("--process", args.process), ("--by", args.by)):
        if value is not None:
            raise MisuseError(f"{option} is for heap profiles ({', '.join(heap_export.FORMATS)}), not for {name}")
    if name == "parquet":
        parquet.require_pyarrow()
        if output == "-" and sys.stdout.isatty():
            raise MisuseError("Parquet is no text for a terminal: -o FILE says where to write it")
        return lambda recording: [parquet.render(recording)]
    texts = {"csv": samples.csv_lines, "jsonl": samples.json_lines, "perfetto": perfetto.render,
             "speedscope": speedscope.render}  # fmt: skip
    return texts[name]
