"""Where the samplers of one execution write to, and what has to stand in the environment for it."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from hiwater.binaries import find_heap_sampler
from hiwater.errors import MisuseError, OutputError

FOLDER, MEAN, TRIM = "HIWATER_HEAP_DIR", "HIWATER_HEAP_SAMPLE", "HIWATER_HEAP_TRIM"
PRELOAD = "LD_PRELOAD"
LEAST_MEAN, LARGEST_MEAN = 1, 1 << 40


class Sampling:
    """A folder of its own for the files of the samplers; it is gone afterwards, whatever happened.

    ``mean_bytes``: mean distance of two samples in allocated bytes (default: chosen by the sampler as memory grows).
    ``trim``: programs call malloc_trim(3) as the last they do, and tell what it gave back.
    Raises :class:`OutputError` where no folder can be made, and what :func:`find_heap_sampler` raises.
    """

    def __init__(self, *, mean_bytes: int | None = None, trim: bool = False) -> None:
        if mean_bytes is not None and not LEAST_MEAN <= mean_bytes <= LARGEST_MEAN:
            raise MisuseError(f"samples are taken every {LEAST_MEAN} byte to 1 TiB, not every {mean_bytes}")
        self._library = os.path.abspath(find_heap_sampler())
        if any(sign in self._library for sign in ": \t\n"):
            # ld.so takes these as separators, and has no way of quoting them (ld.so(8), LD_PRELOAD)
            raise MisuseError(
                f"the path {self._library} cannot be preloaded, it holds a space or a colon: install hiwater elsewhere"
            )
        self._mean, self._trim = mean_bytes, trim
        try:
            self.folder = Path(tempfile.mkdtemp(prefix="hiwater-heap-"))
        except OSError as error:
            raise OutputError(
                error.errno, f"no folder for the samples can be made: {error.strerror}; TMPDIR may name another place"
            ) from None
        if os.geteuid() == 0:
            # Servers give up root when they have started; their workers may make files here, and see nobody else's.
            self.folder.chmod(0o1733)

    def environment(self, before: Mapping[str, str]) -> dict[str, str]:
        """What the command is to find: all of ``before``, and ours. A library that is preloaded already stays."""
        others = before.get(PRELOAD, "")
        ours = {PRELOAD: f"{self._library}:{others}" if others else self._library, FOLDER: str(self.folder)}
        if self._mean is not None:
            ours[MEAN] = str(self._mean)
        if self._trim:
            ours[TRIM] = "1"
        return {**before, **ours}

    def close(self) -> None:
        """Removes the files."""
        with contextlib.suppress(OSError):
            shutil.rmtree(self.folder)

    def __enter__(self) -> Sampling:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
