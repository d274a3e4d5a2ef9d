"""python launcher.py SETTING... -- COMMAND...: executes a command in an unusual state, as an odd launcher would.

A program of its own, because a test process can not get back what it changed in itself.
"""

import ctypes
import errno
import os
import resource
import signal
import struct
import sys


def refuse_system_call(number: int) -> None:
    """As a kernel that lacks it."""
    # ld [nr]; jeq number, 0, 1; ret ERRNO | ENOSYS; ret ALLOW
    filters = [(0x20, 0, 0, 0), (0x15, 0, 1, number), (0x06, 0, 0, 0x00050000 | errno.ENOSYS), (0x06, 0, 0, 0x7FFF0000)]
    code = b"".join(struct.pack("=HBBI", *one) for one in filters)
    buffer = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("@HP", len(filters), ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(38, 1, 0, 0, 0) != 0 or libc.prctl(22, 2, program, 0, 0) != 0:  # PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP
        raise SystemExit("launcher.py: no seccomp here")


def apply(setting: str) -> None:
    name, _, value = setting.partition("=")
    if name == "ignore":
        signal.signal(int(value), signal.SIG_IGN)
    elif name == "block":
        signal.pthread_sigmask(signal.SIG_BLOCK, [int(value)])
    elif name == "umask":
        os.umask(int(value, 8))
    elif name == "nice":
        os.nice(int(value))
    elif name == "chdir":
        os.chdir(value)
    elif name == "close":
        os.close(int(value))
    elif name == "group":
        os.setpgid(0, 0)
    elif name == "session":
        os.setsid()
    elif name == "nosyscall":
        refuse_system_call(int(value))
    elif name in ("fsize", "nofile", "stack", "core"):
        limit = getattr(resource, f"RLIMIT_{name.upper()}")
        resource.setrlimit(limit, (int(value), resource.getrlimit(limit)[1]))
    else:
        raise SystemExit(f"launcher.py: {setting}?")


def main() -> None:
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them
        signal.signal(number, signal.SIG_DFL)
    at = sys.argv.index("--")
    for setting in sys.argv[1:at]:
        apply(setting)
    os.execvp(sys.argv[at + 1], sys.argv[at + 1 :])


if __name__ == "__main__":
    main()
