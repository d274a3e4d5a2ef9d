"""Result files that are there, whole, after each execution: whatever happens later, what was measured is kept."""

from __future__ import annotations

import sys
from collections.abc import Callable

from hiwater.errors import OutputError
from hiwater.output import OutputFile, write_whole


class Export:
    """One file. It is checked when this is made: nobody waits for a measurement that cannot be kept."""

    def __init__(self, path: str, *, force: bool) -> None:
        self.path = path
        self.is_stdout = path == "-"
        self._force = force
        self._direct = self.is_stdout
        if not self.is_stdout:
            file = OutputFile(path, force=force)
            self._direct = file.direct
            file.discard()

    def update(self, render: Callable[[], str]) -> None:
        """Puts the present state in the place of the last one; a pipe or a terminal only gets the final one."""
        if not self._direct:
            self._write(render())

    def finish(self, render: Callable[[], str]) -> None:
        """The final state."""
        if self.is_stdout:
            sys.stdout.write(render())
            sys.stdout.flush()
        else:
            self._write(render())

    def _write(self, text: str) -> None:
        write_whole(self.path, text.encode("utf-8", "backslashreplace"), force=self._force)
        self._force = True  # from here on it is ours


class Exports:
    """All files of a benchmark. One that cannot be written does not end the measurement: it is told at the end."""

    def __init__(self) -> None:
        self._files: list[tuple[Export, Callable[[], str]]] = []
        self.errors: list[OutputError] = []

    def add(self, path: str | None, render: Callable[[], str], *, force: bool) -> None:
        """A file and what is to be in it, unless ``path`` is None."""
        if path is not None:
            self._files.append((Export(path, force=force), render))

    @property
    def any(self) -> bool:
        """Whether there is one."""
        return bool(self._files)

    @property
    def use_stdout(self) -> bool:
        """Whether stdout belongs to one of them."""
        return bool([file for file, _ in self._files if file.is_stdout])

    def update(self) -> None:
        """After each execution."""
        for file, render in self._files:
            self._guarded(lambda file=file, render=render: file.update(render))  # type: ignore[misc]

    def finish(self) -> None:
        """At the end, on stdout too."""
        self.errors.clear()
        for file, render in self._files:
            self._guarded(lambda file=file, render=render: file.finish(render))  # type: ignore[misc]

    def _guarded(self, write: Callable[[], None]) -> None:
        try:
            write()
        except OutputError as error:
            self.errors.append(error)
