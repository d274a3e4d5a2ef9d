"""The limit that a command is to run under: what was asked for, and how it comes about.

with Enclosure.make(limit=512 << 20) as enclosure:
    ... the monitor gets enclosure.arguments ...
"""

from __future__ import annotations

import os
from enum import Enum
from types import TracebackType

from hiwater.errors import LimitUnavailableError, MisuseError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hiwater.cgroups.group import Group
    from hiwater.cgroups.place import Place


_may_move = False


def allow_moving() -> None:
    """From here on this process may be moved to a leaf of its own cgroup while a command is executed: for programs that
    do nothing else, such as hiwater's own."""
    global _may_move  # it is a property of the process
    _may_move = True


class LimitMethod(str, Enum):
    """How a limit is enforced."""

    AUTO = "auto"
    """A cgroup: of our own, or of a scope that systemd makes for us."""
    CGROUP = "cgroup"
    """A cgroup that we make ourselves."""
    RLIMIT = "rlimit"
    """RLIMIT_AS of each process: of the addresses it may ask for, not of the memory it uses, and not of the tree."""
    RLIMIT_DATA = "rlimit-data"
    """RLIMIT_DATA of each process: the same for private memory that can be written, without files that are mapped."""

    def __str__(self) -> str:
        return self.value


def limit_method(name: LimitMethod | str) -> LimitMethod:
    """The method of that name."""
    try:
        return LimitMethod(name)
    except ValueError:
        known = ", ".join(one.value for one in LimitMethod)
        raise MisuseError(f"a limit's method is one of {known}, not {name!r}") from None


class Enclosure:
    """What the command is put into, for as long as the ``with`` lasts."""

    def __init__(self, arguments: list[bytes], group: Group | None) -> None:
        self.arguments = arguments
        """For the monitor."""
        self._group = group
        self.path = group.path if group is not None else None
        self.left: tuple[int, ...] = ()
        """Once it is over: processes that still run under the limit, in a group that therefore stays."""

    @classmethod
    def make(
        cls,
        *,
        limit: int | None = None,
        swap: int | None = 0,
        method: LimitMethod = LimitMethod.AUTO,
        cgroup: bool = False,
        place: Place | None = None,
    ) -> Enclosure:
        """``limit``: bytes. ``swap``: bytes beside it, None for as much as there is. ``cgroup``: a group even if there
        is no limit. ``place``: where, if that was found already."""
        if limit is None and not cgroup:
            return cls([], None)
        if limit is not None and limit <= 0:
            raise MisuseError("a limit is at least one byte")
        if method in (LimitMethod.RLIMIT, LimitMethod.RLIMIT_DATA):
            if limit is None or cgroup:
                raise MisuseError(f"the method {method} makes no cgroup, and takes a limit")
            option = b"--rlimit-as" if method is LimitMethod.RLIMIT else b"--rlimit-data"
            return cls([option, b"%d" % limit], None)
        from hiwater.cgroups.group import Group

        group = Group(place or find_place(), limit, swap)
        return cls([b"--cgroup", os.fsencode(group.path)], group)

    def close(self) -> None:
        """Removes what was made."""
        if self._group is not None:
            self.left = self._group.remove()
            self._group = None

    def __enter__(self) -> Enclosure:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def find_place() -> Place:
    """Where a group can be made."""
    from hiwater.cgroups.place import find

    place = find()
    if place.needs_leaf and not _may_move:
        raise LimitUnavailableError(
            f"{place.directory} can hand the memory controller down only once this process has left it: hiwater run "
            "does that, the library leaves the process that it is in alone",
            version=2,
        )
    return place
