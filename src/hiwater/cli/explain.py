"""``hiwater explain``: where the peak of a stored recording went."""

from __future__ import annotations

import argparse

TYPE_CHECKING = False  # not typing's: importing that takes as long as starting the command
if TYPE_CHECKING:
    from hiwater.analysis.ledger_model import ProcessLedger
    from hiwater.recording.model import Recording

MISUSE = 2

_EPILOG = """\
examples:
  hiwater run -o build.hiw -- make -j8
  hiwater explain build.hiw
  hiwater explain build.hiw --process 4711 --all
  hiwater explain build.hiw --json - | jq '.processes[0].sections[].bytes'

The rows add up to the peak, to the byte; what none of them explains is a row itself.
exit status: 0; 2 misused, FILE is no recording, or the output cannot be written.
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The words that this sub-command understands."""
    parser = subparsers.add_parser(
        "explain",
        help="break the peak of a recording down until every byte has an owner",
        description="Says where the peak of a recording went: heap, stacks, anonymous mappings, each file, shared "
        "memory, and what several processes hold together; and why other tools say something else.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("file", metavar="FILE", help="the recording (.hiw)")
    parser.add_argument(
        "--process", metavar="PID", type=int, help="explain the peak of this process (default: the one that peaked)"
    )
    parser.add_argument(
        "--all", action="store_true", help="fold nothing: every mapping and file; with --json, every process"
    )
    parser.add_argument("--json", metavar="FILE", help="write it to FILE as JSON; - is stdout, without the text")
    parser.add_argument("--markdown", metavar="FILE", help="write it to FILE as Markdown; - is stdout")
    parser.add_argument("-f", "--force", action="store_true", help="overwrite FILE if it exists")
    parser.add_argument(
        "--color", choices=("auto", "always", "never"), default="auto", help="colour the text (default: auto)"
    )
    parser.set_defaults(func=explain)


def explain(args: argparse.Namespace) -> int:
    """Prints it on stdout, or writes it."""
    from hiwater.cli import table_output
    from hiwater.cli.stored import open_output, put
    from hiwater.errors import HiwaterError
    from hiwater.recording.reader import load
    from hiwater.views import explain_json, explain_markdown, explain_text
    from hiwater.views.style import Color

    try:
        recording = load(args.file)
        process = _wanted(recording, args.process)
        shown = [process] if process is not None else []
        if args.all and args.process is None:
            shown = list(recording.ledger.processes)
        with table_output.open_json(args.json, args.force) as document:
            if args.markdown is not None:
                with open_output(args.markdown, force=args.force) as file:
                    put(file, [explain_markdown.render(recording, process, everything=args.all)])
            document.write(explain_json.document(recording, shown))
        if args.json is None and args.markdown is None:
            table_output.show(
                lambda width, paint: explain_text.render(recording, process, width, paint, everything=args.all),
                Color(args.color),
            )
    except HiwaterError as error:
        return table_output.complain("explain", error, MISUSE)
    return 0


def _wanted(recording: Recording, pid: int | None) -> ProcessLedger | None:
    from hiwater.analysis.ledger import explain_process
    from hiwater.errors import MisuseError

    if pid is None:
        return recording.ledger.peak
    found = [
        ledger
        for process in recording.observed_processes
        if process.pid == pid and (ledger := explain_process(recording, process)) is not None
    ]
    if not found:
        known = any(process.pid == pid for process in recording.observed_processes)
        what = f"nothing was read of process {pid}" if known else f"the recording has no process {pid}"
        raise MisuseError(f"{what}: hiwater show --tree lists those that it has")
    return max(found, key=lambda ledger: ledger.peak_bytes)  # the kernel gives a number away again
