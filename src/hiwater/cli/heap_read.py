"""``hiwater heap --read`` and ``--compare``: profiles that are there already."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from hiwater.cli.heap_options import flame, page, symbols
from hiwater.errors import MisuseError

if TYPE_CHECKING:
    from hiwater.heap.model import HeapProfile
    from hiwater.recording.model import Recording


def read(args: argparse.Namespace) -> int:
    """Prints one on stdout, and writes what was asked for."""
    from hiwater.cli import table_output

    if args.output is not None:
        raise MisuseError("-o keeps the recording of an execution: --read executes nothing")
    with table_output.open_json(args.json, args.force) as document:
        recording, profile = _profile(args, args.read)
        document.write(_document(recording, profile))
    _draw(args, recording, profile)
    if args.json != "-" and not args.quiet:
        _print(args, profile, recording)
    return 0


def _draw(args: argparse.Namespace, recording: Recording | None, profile: HeapProfile) -> None:
    from hiwater.cli.stored import open_output, put

    if args.flame is not None:
        with open_output(args.flame, force=args.force) as file:
            put(file, [flame(args, profile)])
    if args.html is not None:
        from hiwater.views import report

        if recording is None:
            raise MisuseError("--html needs a recording of hiwater's: the timeline comes from there; --flame does not")
        with open_output(args.html, force=args.force) as file:
            put(file, [report.render([recording], [args.read])])


def _document(recording: Recording | None, profile: HeapProfile) -> dict[str, object]:
    from hiwater.views import heap_json, json_view

    found = {} if recording is None else json_view.document(recording)
    trials = None if recording is None else recording.heap_tried
    return {**found, "heap": heap_json.document(profile, trials)}


def _print(args: argparse.Namespace, profile: HeapProfile, recording: Recording | None) -> None:
    from hiwater.views import style

    plain = sampled = None
    if recording is not None:
        execution = recording.heap_execution
        sampled = execution.summary.peak_rss.bytes
        plain = recording.summary.peak_rss.bytes if execution is not recording else None
    text = page(
        args,
        profile,
        style.columns(sys.stdout),
        sys.stdout.isatty(),
        sys.stdout.encoding,
        plain_peak=plain,
        sampled_peak=sampled,
        trials=None if recording is None else recording.heap_tried,
    )
    sys.stdout.write(style.encodable(text, sys.stdout.encoding))
    sys.stdout.flush()


def _profile(args: argparse.Namespace, path: str) -> tuple[Recording | None, HeapProfile]:
    """Of a recording, with the options that are asked for now; or of a file of another tool."""
    from hiwater.cli.heap_engines import growth_options
    from hiwater.heap.wrappers import pass_over
    from hiwater.recording.reader import load

    if not _is_recording(path):
        from hiwater.heap.readers import read_profile

        return None, pass_over(read_profile(path, symbols=symbols(args), every=args.every), args.wrapper)
    recording = load(path)

    found = recording.heap_profile(**growth_options(args))
    if found is None:
        raise MisuseError(f"{path} holds no heap: hiwater heap -o FILE -- COMMAND makes a recording that does")
    return recording, pass_over(found, args.wrapper)


def _is_recording(path: str) -> bool:
    """What is no file may be the prefix of a series of profiles, or a folder with one."""
    from hiwater.recording.wire import MAGIC

    try:
        with open(path, "rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except (FileNotFoundError, IsADirectoryError):
        return False
    except OSError as error:
        raise MisuseError(f"cannot read {path}: {error.strerror}") from None


def compare(args: argparse.Namespace) -> int:
    """Says on stdout what grew from one to the other."""
    from hiwater.cli.stored import open_output, put
    from hiwater.heap.choose import moment
    from hiwater.heap.compare import compare as differences
    from hiwater.heap.sites import By
    from hiwater.views import flame_svg, heap_compare_text, style
    from hiwater.views.paint import can_mark

    if args.output is not None or args.json is not None or args.html is not None:
        raise MisuseError("--compare prints, and draws with --flame: -o, --json and --html do not go with it")
    old, new = (_profile(args, path)[1] for path in args.compare)
    before, after = moment(old, str(args.at)), moment(new, str(args.at))
    if args.flame is not None:
        with open_output(args.flame, force=args.force) as file:
            put(file, [flame_svg.render_difference(old, new, before, after)])
    text = heap_compare_text.render(
        differences(old, new, before, after, By(args.by)),
        labels=(args.compare[0], args.compare[1]),
        width=style.columns(sys.stdout),
        color=style.use_color(style.Color(args.color), sys.stdout.isatty(), os.environ),
        unicode=can_mark(sys.stdout.encoding),
        limit=args.rows,
    )
    sys.stdout.write(style.encodable(text, sys.stdout.encoding))
    return 0
