"""Files with debug information from debuginfod servers: only where the user asks for it.

Protocol and cache are those of debuginfod(8) and debuginfod-find(1): ``URL/buildid/BUILD-ID/debuginfo``.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass

from hiwater.errors import HiwaterError
from hiwater.heap.elf import ElfError, OpenElf

TIMEOUT_SECONDS = 90.0
MAX_BYTES = 4 << 30


class DebuginfodError(HiwaterError):
    """No server gave the file."""


@dataclass(frozen=True, slots=True)
class Debuginfod:
    """Where to ask, and where to keep what was got."""

    urls: tuple[str, ...]
    cache: str
    timeout_seconds: float = TIMEOUT_SECONDS

    @classmethod
    def of(cls, env: Mapping[str, str]) -> Debuginfod:
        """As the variables of debuginfod-find(1) say: DEBUGINFOD_URLS, DEBUGINFOD_CACHE_PATH."""
        home = env.get("XDG_CACHE_HOME") or os.path.join(env.get("HOME", "/"), ".cache")
        cache = env.get("DEBUGINFOD_CACHE_PATH") or os.path.join(home, "debuginfod_client")
        return cls(tuple(env.get("DEBUGINFOD_URLS", "").split()), cache)

    def find(self, build_id: str) -> str:
        """The path of the file with the debug information of that build. Raises DebuginfodError."""
        if re.fullmatch(r"[0-9a-f]{4,64}", build_id) is None:
            raise DebuginfodError("it has no build-id to ask for")
        path = os.path.join(self.cache, build_id, "debuginfo")
        if _fits(path, build_id):
            return path
        if not self.urls:
            raise DebuginfodError("no server is named: set DEBUGINFOD_URLS")
        problem = ""
        for url in self.urls:
            try:
                self._fetch(f"{url.rstrip('/')}/buildid/{build_id}/debuginfo", path, build_id)
                return path
            except urllib.error.HTTPError as error:
                problem = f"{url}: {'it has no such file' if error.code == 404 else error.reason}"
            except (OSError, ValueError) as error:
                problem = f"{url}: {getattr(error, 'reason', None) or error}"
        raise DebuginfodError(problem)

    def _fetch(self, url: str, path: str, build_id: str) -> None:
        if not url.startswith(("http://", "https://")):
            raise ValueError("it is no URL of the web")
        folder = os.path.dirname(path)
        os.makedirs(folder, mode=0o700, exist_ok=True)
        fd, temporary = tempfile.mkstemp(dir=folder, prefix=".debuginfo-")
        try:
            with open(fd, "wb") as file, urllib.request.urlopen(url, timeout=self.timeout_seconds) as answer:
                got = 0
                while block := answer.read(1 << 20):
                    got += len(block)
                    if got > MAX_BYTES:
                        raise ValueError("it is too large")
                    file.write(block)
            if not _fits(temporary, build_id):
                raise ValueError("what it sent is of another build")
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise


def _fits(path: str, build_id: str) -> bool:
    try:
        with OpenElf(path) as elf:
            return elf.build_id == build_id
    except (OSError, ElfError):
        return False
