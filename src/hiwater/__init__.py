"""hiwater: the true peak memory of commands on Linux.

    recording = hiwater.run(["make", "-j8"])
    print(recording.peak_rss.bytes, recording.peak_rss.low, recording.peak_rss.high)

Names are loaded when they are first used: ``import hiwater`` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module

from hiwater._version import __version__

TYPE_CHECKING = False  # not typing's: importing that takes as long as starting a command
if TYPE_CHECKING:
    from hiwater.analysis.reading import Method, Reading
    from hiwater.attaching import attach
    from hiwater.errors import (
        AttachError,
        BinaryNotFoundError,
        CommandFailedError,
        CommandNotExecutableError,
        CommandNotFoundError,
        HiwaterError,
        LimitError,
        LimitUnavailableError,
        MissingExtraError,
        MisuseError,
        MonitorError,
        NewerRecordingError,
        NotARecordingError,
        OutputError,
        OutputExistsError,
        PreparationError,
        RecordingError,
    )
    from hiwater.execute import run, run_async
    from hiwater.inprocess.mark import peak_rss
    from hiwater.inprocess.region import Region, region
    from hiwater.launch import Mode
    from hiwater.limits import LimitMethod
    from hiwater.recording.model import Recording
    from hiwater.recording.reader import load

_HOMES = {
    "LimitMethod": "hiwater.limits",
    "Method": "hiwater.analysis.reading",
    "Mode": "hiwater.launch",
    "Reading": "hiwater.analysis.reading",
    "Recording": "hiwater.recording.model",
    "Region": "hiwater.inprocess.region",
    "attach": "hiwater.attaching",
    "load": "hiwater.recording.reader",
    "peak_rss": "hiwater.inprocess.mark",
    "region": "hiwater.inprocess.region",
    "run": "hiwater.execute",
    "run_async": "hiwater.execute",
}

__all__ = [
    "AttachError",
    "BinaryNotFoundError",
    "CommandFailedError",
    "CommandNotExecutableError",
    "CommandNotFoundError",
    "HiwaterError",
    "LimitError",
    "LimitMethod",
    "LimitUnavailableError",
    "Method",
    "MissingExtraError",
    "MisuseError",
    "Mode",
    "MonitorError",
    "NewerRecordingError",
    "NotARecordingError",
    "OutputError",
    "OutputExistsError",
    "PreparationError",
    "Reading",
    "Recording",
    "RecordingError",
    "Region",
    "__version__",
    "attach",
    "load",
    "peak_rss",
    "region",
    "run",
    "run_async",
]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(_HOMES.get(name, "hiwater.errors")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
