"""A test runner as it is in the real world: it once held a lot of memory, and then starts a program and asks wait4 how
much that took.

    python3 fat_runner.py MIB COMMAND [ARGUMENT...]

Prints, in bytes, what ru_maxrss said.
"""

from __future__ import annotations

import os
import sys


def main() -> int:
    mib, command = int(sys.argv[1]), sys.argv[2:]
    results = bytearray(mib << 20)  # a log, a report, whatever a test runner gathers ...
    results[::4096] = b"x" * len(results[::4096])
    del results  # ... and has long given back
    null = os.open(os.devnull, os.O_WRONLY)
    pid = os.posix_spawnp(command[0], command, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, null, 1)])
    _, status, usage = os.wait4(pid, 0)
    print(usage.ru_maxrss * 1024)
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(main())
