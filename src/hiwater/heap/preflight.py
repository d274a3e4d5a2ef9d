"""What ``hiwater heap`` can see of a command, told before it is started, by reading files only.

A preloaded library is silently left out of some programs, and silently sees nothing in others. Profilers that find out
afterwards hang, or write an empty profile with exit status 0: so it is found out before.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from hiwater.heap.allocators import Allocator, Place, found_in
from hiwater.heap.elf import Elf, ElfError, OpenElf
from hiwater.heap.libraries import Library, load_order
from hiwater.heap.programs import Program, find_program

FAULTS = "hiwater faults -- COMMAND"
"""The alternative that preloads nothing."""


class Fitness(str, Enum):
    """What a program is to the sampler."""

    FIT = "fit"
    CHILDREN = "children"
    """A shell, a script of one, or a tool that starts others: fit, and what counts are its children."""
    STATIC = "static"
    OTHER_LIBC = "other_libc"
    """Its dynamic linker is not glibc's: musl, mostly."""
    PRIVILEGED = "privileged"
    """setuid, setgid or file capabilities, for somebody who does not have these rights already."""
    OTHER_MACHINE = "other_machine"
    """Of another machine, word size or byte order than this hiwater."""
    OWN_ALLOCATOR = "own_allocator"
    SANITIZER = "sanitizer"
    VALGRIND = "valgrind"
    GO = "go"
    NOT_FOUND = "not_found"
    """There is no such command, or it may not be executed."""
    UNREADABLE = "unreadable"
    """It may be executed, not read; or it is no ELF file, or a damaged one."""

    def __str__(self) -> str:
        return self.value


class Coverage(str, Enum):
    """What the sampler will see of its memory."""

    FULL = "full"
    PARTIAL = "partial"
    """Some of it: the message says what is missing."""
    NONE = "none"
    """Nothing, or it would break the program."""
    UNKNOWN = "unknown"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found."""

    kind: Fitness
    path: str | None
    """The program that will be executed in the end. ``None``: there is none."""
    message: str
    """A sentence."""
    alternative: str | None
    """What to use instead, as it reads after "Try": a command, an option. ``None``: nothing is missing."""
    coverage: Coverage = Coverage.FULL
    through: tuple[str, ...] = ()
    """Scripts and commands on the way to the program, outermost first."""
    allocator: Allocator | None = None
    """The allocator that it brings along."""

    @property
    def usable(self) -> bool:
        """Whether the sampler is worth starting."""
        return self.coverage is not Coverage.NONE


_SHELLS = frozenset({"sh", "bash", "dash", "ash", "zsh", "ksh", "mksh", "fish", "csh", "tcsh", "rbash"})
_STARTERS = frozenset(
    """
    cargo chroot ctest doas docker env find gdb gmake go gradle hatch heaptrack ltrace make meson mvn ninja nox npm npx
    parallel perf pipenv pnpm podman poetry prlimit runuser script setpriv ssh strace su sudo systemd-run tox unshare uv
    uvx watch xargs yarn
    """.split()  # noqa: SIM905 (a list of 40 words in quotes is none to read)
)
_MACHINES = {3: "i386", 8: "MIPS", 20: "PowerPC", 21: "PowerPC 64", 22: "S/390", 40: "Arm", 62: "x86-64"} | {
    183: "AArch64", 243: "RISC-V", 258: "LoongArch"
}  # fmt: skip
"""e_machine of elf(5)."""
_CPP_RUNTIMES = ("libstdc++.so", "libc++.so", "libc++abi.so", "libsupc++.so")
_SANITIZERS = (
    ("AddressSanitizer", "__asan_init", "asan"),
    ("ThreadSanitizer", "__tsan_init", "tsan"),
    ("MemorySanitizer", "__msan_init", "msan"),
    ("HWAddressSanitizer", "__hwasan_init", "hwasan"),
    ("LeakSanitizer", "__lsan_do_leak_check", "lsan"),
)


def preflight(command: Sequence[str], env: Mapping[str, str] | None = None) -> Verdict:
    """What the sampler will see of a command in an environment (default: this process's). Executes nothing."""
    program = find_program(command, os.environ if env is None else env)
    if program.path is None:
        return Verdict(
            Fitness.NOT_FOUND, None, _sentence(program.problem or "no command"), None, Coverage.NONE, program.through
        )
    for path in (*program.through, program.path):
        if os.path.basename(path).startswith("valgrind"):
            text = f"{path} replaces malloc and executes the program on a CPU of its own"
            alternative = (
                "the command without valgrind; what its massif or dhat wrote is shown by hiwater heap --read FILE"
            )
            return _verdict(program, Fitness.VALGRIND, Coverage.NONE, text, alternative)
    try:
        with OpenElf(program.path) as elf:
            return _of_file(program, elf) or _of_closure(program, elf) or _fit(program)
    except ElfError as error:
        return _verdict(
            program, Fitness.UNREADABLE, Coverage.UNKNOWN, f"{program.path} cannot be looked at: {error}", FAULTS
        )
    except OSError as error:
        message = (
            f"{program.path} may be executed but not read ({error.strerror}): what the sampler will see is not known"
        )
        return _verdict(program, Fitness.UNREADABLE, Coverage.UNKNOWN, message, FAULTS)


def _verdict(
    program: Program,
    kind: Fitness,
    coverage: Coverage,
    text: str,
    alternative: str | None,
    allocator: Allocator | None = None,
) -> Verdict:
    return Verdict(kind, program.path, _sentence(text), alternative, coverage, program.through, allocator)


def _sentence(text: str) -> str:
    return text if text.endswith(".") else text + "."


# -- what the file itself says


def _of_file(program: Program, elf: Elf) -> Verdict | None:
    path = program.path
    assert path is not None
    own = _own_traits()
    if own is not None and (elf.bits, elf.big_endian, elf.machine) != own:
        kind = f"a {elf.bits}-bit program for {_machine(elf.machine)}"
        this = f"{own[0]}-bit {_machine(own[2])}"
        text = f"{path} is {kind}; the sampler of this hiwater is {this} and cannot be loaded into it"
        return _verdict(program, Fitness.OTHER_MACHINE, Coverage.NONE, text, FAULTS)
    if elf.is_go:
        if elf.interpreter is None:
            text = f"{path} is a static Go program: it has no libc whose malloc could be sampled"
            return _verdict(program, Fitness.GO, Coverage.NONE, text, FAULTS)
        text = f"{path} is a Go program: only what its C parts hold is seen, not what Go's own heap holds"
        return _verdict(program, Fitness.GO, Coverage.PARTIAL, text, FAULTS)
    if elf.is_static:
        text = f"{path} is linked statically: nothing can be loaded into it before it starts"
        found = _allocator(elf, path, True)
        return _verdict(program, Fitness.STATIC, Coverage.NONE, text, FAULTS, found)
    interpreter = os.path.basename(elf.interpreter or "")
    if elf.interpreter is not None and not interpreter.startswith(("ld-linux", "ld64.so", "ld.so", "ld-2.")):
        libc = "musl" if interpreter.startswith("ld-musl") else elf.interpreter
        text = f"{path} runs with {libc}, not with glibc: the sampler cannot be loaded into it"
        return _verdict(program, Fitness.OTHER_LIBC, Coverage.NONE, text, FAULTS)
    why = _privileges(path)
    if why:
        text = f"{path} {why}: the dynamic linker ignores LD_PRELOAD for it"
        alternative = f"it as its owner or as root; or, as root, {FAULTS}"
        return _verdict(program, Fitness.PRIVILEGED, Coverage.NONE, text, alternative)
    return None


def _own_traits() -> tuple[int, bool, int] | None:
    """Word size, byte order and machine of this Python, which are those of the sampler that was installed with it."""
    try:
        with OpenElf("/proc/self/exe") as elf:
            return elf.bits, elf.big_endian, elf.machine
    except (OSError, ElfError):
        return None


def _machine(number: int) -> str:
    return _MACHINES.get(number, f"machine {number}")


def _privileges(path: str) -> str | None:
    """Why the kernel will tell the dynamic linker to be secure (AT_SECURE): security/commoncap.c,
    cap_bprm_creds_from_file(), and fs/exec.c, bprm_fill_uid()."""
    try:
        status = os.stat(path)
        if os.statvfs(path).f_flag & os.ST_NOSUID or _no_new_privileges():
            return None
    except OSError:
        return None
    if status.st_mode & stat.S_ISUID and status.st_uid != os.getuid():
        return "is setuid"
    if status.st_mode & stat.S_ISGID and status.st_mode & stat.S_IXGRP and status.st_gid != os.getgid():
        return "is setgid"
    if os.getuid() != 0 and _gives_capabilities(path):
        return "has file capabilities"
    return None


def _gives_capabilities(path: str) -> bool:
    """linux/capability.h, struct vfs_cap_data: little-endian, a word of flags, then pairs permitted, inheritable."""
    try:
        data = os.getxattr(path, "security.capability")
    except OSError:
        return False
    words = struct.unpack(f"<{len(data) // 4}I", data[: len(data) // 4 * 4])
    return any(words[1:5:2])


def _no_new_privileges() -> bool:
    try:
        with open("/proc/self/status", "rb") as file:
            return any(line.split() == [b"NoNewPrivs:", b"1"] for line in file)
    except OSError:
        return False


# -- what it will be executed with


def _of_closure(program: Program, elf: Elf) -> Verdict | None:
    path = program.path
    assert path is not None
    found = _sanitizer(elf)
    allocator = _allocator(elf, path, True)
    libraries = (
        [] if found or (allocator and allocator.place is Place.PROGRAM) else list(load_order(path, elf, program.env))
    )
    carrier = path
    library: Library | None = None
    wants_new = _mentions_new(elf)
    answers_new = False
    for each in libraries:
        try:
            with OpenElf(each.path) as opened:
                found = _sanitizer(opened)
                if found:
                    carrier = each.path
                    break
                if allocator is None:
                    allocator = _allocator(opened, each.path, False)
                    if allocator is not None:
                        library, answers_new = each, _mentions_new(opened)
                        continue
                if not os.path.basename(each.path).startswith(_CPP_RUNTIMES):
                    wants_new = wants_new or _mentions_new(opened)
        except (OSError, ElfError):
            continue
    if found:
        text = f"{carrier} is built with {found}, which replaces malloc and multiplies the memory"
        return _verdict(program, Fitness.SANITIZER, Coverage.NONE, text, f"a build without the sanitizer, or {FAULTS}")
    return _with_allocator(program, allocator, library, wants_new and answers_new) if allocator else None


def _mentions_new(elf: Elf) -> bool:
    """Whether it has to do with operator new, of either word size."""
    return elf.mentions("_Znwm", "_Znwj", "_Znam", "_Znaj")


def _allocator(elf: Elf, path: str, program: bool) -> Allocator | None:
    try:
        return found_in(elf, path, program)
    except ElfError:
        return None


def _sanitizer(elf: Elf) -> str | None:
    for title, mark, library in _SANITIZERS:
        if elf.mentions(mark) or any(
            needed.startswith((f"lib{library}.so", f"libclang_rt.{library}")) for needed in elf.needed
        ):
            return title
    return None


def _with_allocator(program: Program, allocator: Allocator, library: Library | None, apart: bool) -> Verdict:
    """``apart``: operator new of C++ is asked for, and the library answers it by itself."""
    name = "an allocator of its own" if allocator.name == "own" else allocator.name
    engine = (
        f"--engine {allocator.name}" if allocator.profiling and allocator.name in ("jemalloc", "tcmalloc") else None
    )
    if allocator.place is Place.LIBRARY:
        chain = f", through {' -> '.join(library.chain)}" if library and library.chain else ""
        how = "preloaded" if library and library.preloaded else "linked to it"
        text = f"{program.path} allocates by {name} ({allocator.path}, {how}{chain})"
        if not apart:
            text += ": its calls of malloc are seen"
            return _verdict(program, Fitness.OWN_ALLOCATOR, Coverage.FULL, text, None, allocator)
        text += f": calls of malloc are seen, those of operator new are not, for {name} answers them by itself"
        return _verdict(program, Fitness.OWN_ALLOCATOR, Coverage.PARTIAL, text, engine or FAULTS, allocator)
    where = "defines malloc itself" if allocator.place is Place.PROGRAM else "has it inside, under names of its own"
    text = f"{program.path} allocates by {name} and {where}: a preloaded library is not asked"
    return _verdict(program, Fitness.OWN_ALLOCATOR, Coverage.NONE, text, engine or FAULTS, allocator)


def _fit(program: Program) -> Verdict:
    name = os.path.basename(program.path or "")
    if name in _SHELLS or name in _STARTERS:
        what = (
            f"the script {program.through[-1]} is executed by {program.path}"
            if program.through
            else f"{program.path} starts others"
        )
        text = f"{what}: what counts are the programs that it starts, which are followed, each by itself"
        return _verdict(program, Fitness.CHILDREN, Coverage.FULL, text, None)
    return _verdict(program, Fitness.FIT, Coverage.FULL, f"{program.path} can be sampled", None)
