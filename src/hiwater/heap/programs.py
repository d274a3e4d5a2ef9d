"""Which program a command comes to: PATH, #! lines, and commands that execute another one (``env``, ``nice``)."""

from __future__ import annotations

import getopt
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

MAX_SCRIPTS = 5
"""Scripts in a row: fs/exec.c, exec_binprm() gives up with ELOOP after the sixth image (execve(2) says 4)."""
_MAX_STEPS = 32
_HEAD_BYTES = 256
"""BINPRM_BUF_SIZE: what the kernel (5.1 and newer) reads of a #! line."""
_DEFAULT_PATH = "/bin:/usr/bin"
"""What the monitor, like execvp(3), uses without PATH."""
_SHELL = "/bin/sh"


@dataclass(frozen=True, slots=True)
class Program:
    """What a command comes to."""

    path: str | None
    """The file that will be executed in the end. ``None``: there is none, and ``problem`` says why."""
    arguments: tuple[str, ...]
    """Its arguments, the name that it is called by first."""
    env: Mapping[str, str]
    """Its environment, as far as commands on the way change it."""
    through: tuple[str, ...] = ()
    """The scripts and commands on the way, outermost first."""
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class _Wrapper:
    """A command that executes the one in its arguments: how to find that one."""

    valued: str = ""
    """Letters of options that take a value."""
    valued_words: tuple[str, ...] = ()
    """Long options that take a value."""
    operands: int = 0
    """Arguments of its own in front of the command."""


WRAPPERS: Mapping[str, _Wrapper] = {
    "nice": _Wrapper("n", ("--adjustment",)),
    "nohup": _Wrapper(),
    "setsid": _Wrapper(),
    "timeout": _Wrapper("ks", ("--kill-after", "--signal"), 1),
    "stdbuf": _Wrapper("ioe", ("--input", "--output", "--error")),
    "ionice": _Wrapper("cn", ("--class", "--classdata")),
    "taskset": _Wrapper(operands=1),
    "chrt": _Wrapper("TPD", ("--sched-runtime", "--sched-period", "--sched-deadline"), 1),
    "time": _Wrapper("fo", ("--format", "--output")),
    "numactl": _Wrapper("CNmip", ("--physcpubind", "--cpunodebind", "--membind", "--interleave", "--preferred")),
    "chronic": _Wrapper(),
}
_LOADER = _Wrapper(
    valued_words=("--library-path", "--inhibit-rpath", "--audit", "--preload", "--argv0", "--glibc-hwcaps-mask")
)


def find_program(command: Sequence[str], env: Mapping[str, str]) -> Program:
    """What a command comes to in an environment. Executes nothing."""
    arguments, environment = tuple(command), dict(env)
    through: list[str] = []
    scripts = 0
    path: str | None = None
    for _ in range(_MAX_STEPS):
        if path is None:
            path, problem = _search(arguments[0], environment)
            if path is None:
                return Program(None, arguments, environment, tuple(through), problem)
        head = _head(path)
        if head.startswith(b"#!"):
            scripts += 1
            interpreter = _interpreter(head)
            if not interpreter or scripts > MAX_SCRIPTS:
                why = "names no interpreter" if not interpreter else "needs more interpreters than the kernel allows"
                return Program(None, arguments, environment, tuple(through), f"the script {path} {why}")
            through.append(path)
            arguments = (*interpreter, path, *arguments[1:])
            path = interpreter[0]  # the kernel does not search PATH for it
            problem = _not_executable(path)
            if problem:
                return Program(None, arguments, environment, tuple(through), problem)
            continue
        if head and not head.startswith(b"\x7fELF") and b"\0" not in head.split(b"\n")[0]:
            through.append(path)
            return Program(_SHELL, (_SHELL, path, *arguments[1:]), environment, tuple(through))
        inner = _unwrap(path, arguments, environment)
        if inner is None:
            return Program(path, arguments, environment, tuple(through))
        through.append(path)
        arguments, path = inner, None
    return Program(None, arguments, environment, tuple(through), "it starts one command after the other without end")


def _search(name: str, env: Mapping[str, str]) -> tuple[str | None, str | None]:
    """As the monitor does it: execvp(3)."""
    if "/" in name:
        problem = _not_executable(name)
        return (None, problem) if problem else (name, None)
    found = None
    for folder in env.get("PATH", _DEFAULT_PATH).split(":"):
        candidate = os.path.join(folder, name) if folder else name
        problem = _not_executable(candidate)
        if problem is None:
            return candidate, None
        if os.path.exists(candidate):
            found = problem
    return None, found or f"{name}: command not found"


def _not_executable(path: str) -> str | None:
    if os.path.isdir(path):
        return f"{path} is a folder"
    if not os.path.exists(path):
        return f"{path}: there is no such file"
    return None if os.access(path, os.X_OK) else f"{path} may not be executed: it lacks the permission"


def _head(path: str) -> bytes:
    """The beginning of a file; empty if it may be executed but not read."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        return b""
    try:
        return os.read(fd, _HEAD_BYTES)
    except OSError:
        return b""
    finally:
        os.close(fd)


def _interpreter(head: bytes) -> tuple[str, ...]:
    """Interpreter and, as one word, its argument: fs/binfmt_script.c, load_script()."""
    line = head[2:].split(b"\n")[0].split(b"\0")[0].strip(b" \t")
    words = line.split(None, 1)
    return tuple(os.fsdecode(word) for word in words)


def _unwrap(path: str, arguments: tuple[str, ...], env: dict[str, str]) -> tuple[str, ...] | None:
    """The command among the arguments of a command that executes it; ``None`` if this is not such a one."""
    name = os.path.basename(path)
    if name == "env":
        return _unwrap_env(list(arguments[1:]), env)
    wrapper = _LOADER if name.startswith(("ld-linux", "ld64.so", "ld.so")) else WRAPPERS.get(name)
    if wrapper is None:
        return None
    words = list(arguments[1:])
    while words and words[0].startswith("-") and len(words[0]) > 1:
        option = words.pop(0)
        if option == "--":
            break
        takes = option in wrapper.valued_words if option.startswith("--") else option[-1] in wrapper.valued
        if takes and words and (option.startswith("--") or not set(option[1:-1]) & set(wrapper.valued)):
            words.pop(0)
    return tuple(words[wrapper.operands :]) or None


_ENV_WORDS = (
    "ignore-environment",
    "null",
    "unset=",
    "chdir=",
    "split-string=",
    "argv0=",
    "debug",
    "list-signal-handling",
)
_ENV_SIGNALS = ("--default-signal", "--ignore-signal", "--block-signal")


def _unwrap_env(words: list[str], env: dict[str, str]) -> tuple[str, ...] | None:
    """env(1) of coreutils; changes ``env`` as it does."""
    words = [word for word in words if not word.startswith(_ENV_SIGNALS)]
    try:
        options, words = getopt.getopt(words, "i0u:C:S:a:v", _ENV_WORDS)
        for option, value in options:
            if option in ("-i", "--ignore-environment"):
                env.clear()
            elif option in ("-u", "--unset"):
                env.pop(value, None)
            elif option in ("-S", "--split-string"):
                return _unwrap_env(shlex.split(value) + words, env)
    except (getopt.GetoptError, ValueError):  # nothing that env itself would accept
        return None
    if words[:1] == ["-"]:
        env.clear()
        del words[0]
    while words and "=" in words[0]:
        name, _, value = words.pop(0).partition("=")
        env[name] = value
    return tuple(words) or None
