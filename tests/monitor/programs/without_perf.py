"""without_perf.py ERRNO COMMAND [ARG...]: executes a command for which perf_event_open(2) fails; x86-64 only."""

from __future__ import annotations

import ctypes
import os
import struct
import sys

SET_SECCOMP, FILTER, NO_NEW_PRIVS = 22, 2, 38
PERF_EVENT_OPEN = 298
LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
FAIL, ALLOW = 0x00050000, 0x7FFF0000

libc = ctypes.CDLL(None, use_errno=True)
steps = (
    (LOAD, 0, 0, 0),
    (JUMP_IF_EQUAL, 0, 1, PERF_EVENT_OPEN),
    (RETURN, 0, 0, FAIL | int(sys.argv[1])),
    (RETURN, 0, 0, ALLOW),
)
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
program = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(steps), ctypes.addressof(code)))
if libc.prctl(NO_NEW_PRIVS, 1, 0, 0, 0) != 0 or libc.prctl(SET_SECCOMP, FILTER, program, 0, 0) != 0:
    sys.exit(os.strerror(ctypes.get_errno()))
os.execvp(sys.argv[2], sys.argv[2:])
