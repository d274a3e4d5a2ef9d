"""The formats of ``hiwater export`` that hold the heap profile of a recording."""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # not typing's: importing that takes as long as starting the command
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hiwater.recording.model import Recording

FORMATS = ("pprof", "collapsed", "heap-speedscope", "flamegraph", "callgraph", "dot")
PICTURES = ("flamegraph", "callgraph", "dot")
HELP = """\
of a recording with a heap profile (hiwater heap -o):
  pprof            one moment, for go tool pprof
  collapsed        one moment, as stacks with their bytes, for flamegraph.pl and the like
  heap-speedscope  all moments, for speedscope.app
  flamegraph       one moment as a picture (SVG)
  callgraph        one moment as a picture (SVG), drawn by Graphviz; dot is the text that it draws
"""


def build_ids(recording: Recording) -> dict[str, str]:
    """Of the program and libraries that the sampler saw, by their paths."""
    from hiwater.recording.heap import stored

    found = stored(recording.data)
    logs = found.logs() if found is not None else []
    return {module.path: module.build_id for log in logs for module in log.modules if module.build_id}


def renderer(name: str, output: str, at: str, pid: int | None, by: str) -> Callable[[Recording], Iterable[str | bytes]]:
    """What writes a format; what it takes is looked for before anything is read."""
    from hiwater.errors import MisuseError
    from hiwater.heap.choose import heap_of, moment, moments
    from hiwater.heap.sites import By
    from hiwater.views import callgraph_svg

    if name == "pprof" and output == "-" and sys.stdout.isatty():
        raise MisuseError("pprof's format is no text for a terminal: -o FILE says where to write it")
    if name == "callgraph":
        callgraph_svg.require_dot()

    def render(recording: Recording) -> Iterable[str | bytes]:
        from hiwater.views import callgraph_dot, collapsed, flame_svg, heap_speedscope, pprof

        profile = heap_of(recording, pid)
        snapshot = moment(profile, at)
        if name == "pprof":
            ids = build_ids(recording)
            return [pprof.render(profile, snapshot, started_ns=recording.started_realtime_ns, build_ids=ids)]
        if name == "collapsed":
            return collapsed.render(profile, snapshot)
        if name == "heap-speedscope":
            found = moments(profile)
            active = next(place for place, one in enumerate(found) if one is snapshot)
            return heap_speedscope.render(profile, found, active)
        if name == "flamegraph":
            return [flame_svg.render(profile, snapshot, by=By(by))]
        dot = callgraph_dot.render(profile, snapshot, by=By(by))
        return [dot if name == "dot" else callgraph_svg.render(dot)]

    return render
