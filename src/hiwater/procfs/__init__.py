"""Pure parsers of the kernel's files: bytes in, frozen dataclass out; nothing here opens a file.

One module per kernel file. A field that a kernel may lack is ``None``: unknown, never 0. Sizes are bytes; what the
kernel calls kB is KiB and is converted here, once.
"""

from hiwater.procfs.cgroup import CgroupEntry, parse_cgroup, parse_flat_keyed, parse_limit
from hiwater.procfs.errors import MalformedFileError
from hiwater.procfs.meminfo import Meminfo, parse_meminfo
from hiwater.procfs.mountinfo import Mount, parse_mountinfo
from hiwater.procfs.release import Release, parse_release
from hiwater.procfs.smaps_rollup import SmapsRollup, parse_smaps_rollup
from hiwater.procfs.stat import Stat, parse_stat
from hiwater.procfs.statm import Statm, parse_statm
from hiwater.procfs.status import Status, parse_status
from hiwater.procfs.swaps import SwapArea, parse_swaps
from hiwater.procfs.sysfs import parse_choice, parse_int

__all__ = [
    "CgroupEntry",
    "MalformedFileError",
    "Meminfo",
    "Mount",
    "Release",
    "SmapsRollup",
    "Stat",
    "Statm",
    "Status",
    "SwapArea",
    "parse_cgroup",
    "parse_choice",
    "parse_flat_keyed",
    "parse_int",
    "parse_limit",
    "parse_meminfo",
    "parse_mountinfo",
    "parse_release",
    "parse_smaps_rollup",
    "parse_stat",
    "parse_statm",
    "parse_status",
    "parse_swaps",
]
