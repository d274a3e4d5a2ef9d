"""What is said of a command before it is started."""

from __future__ import annotations

import os
import platform
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit.heap.building import EMPTY, build

from hiwater.heap.allocators import Place
from hiwater.heap.elf import OpenElf
from hiwater.heap.libraries import load_order, read_cache
from hiwater.heap.preflight import Coverage, Fitness, Verdict, preflight
from hiwater.heap.programs import find_program

ENV = dict(os.environ)
LINKED = "-Wl,--no-as-needed"
IS_ROOT = os.getuid() == 0


def verdict(*command: str | Path) -> Verdict:
    return preflight([str(word) for word in command], ENV)


def script(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o755)
    return path


def test_a_dynamic_program_is_fit(tmp_path: Path) -> None:
    """A program that glibc's dynamic linker starts is fit, and nothing else needs to be used."""
    program = build(tmp_path)
    told = verdict(program)
    assert (told.kind, told.coverage, told.path, told.alternative) == (Fitness.FIT, Coverage.FULL, str(program), None)


@pytest.mark.parametrize("option", ["-static", "-static-pie"])
def test_static_programs_are_named_before_the_start(tmp_path: Path, option: str) -> None:
    """Nothing can be preloaded into a static program, position-independent or not: page faults are the alternative."""
    told = verdict(build(tmp_path, option))
    assert (told.kind, told.usable) == (Fitness.STATIC, False)
    assert told.alternative is not None and "hiwater faults" in told.alternative


def test_programs_of_musl_are_named(tmp_path: Path) -> None:
    """A library made for glibc keeps a program of musl from starting."""
    told = verdict(build(tmp_path, compiler="musl-gcc"))
    assert (told.kind, told.usable) == (Fitness.OTHER_LIBC, False)
    assert "musl" in told.message


@pytest.mark.skipif(platform.machine() != "x86_64", reason="gcc -m32 is of x86")
def test_programs_of_another_word_size_are_named(tmp_path: Path) -> None:
    """A 64-bit sampler is not loaded into a 32-bit program."""
    told = verdict(build(tmp_path, "-m32"))
    assert (told.kind, told.usable) == (Fitness.OTHER_MACHINE, False)
    assert "32-bit" in told.message and "64-bit" in told.message


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@pytest.mark.parametrize(
    ("option", "name"),
    [("address", "AddressSanitizer"), ("thread", "ThreadSanitizer"), ("leak", "LeakSanitizer")],
)
def test_sanitizers_are_refused_by_name(tmp_path: Path, compiler: str, option: str, name: str) -> None:
    """A sanitizer replaces malloc, linked as a library (gcc) or into the program (clang)."""
    told = verdict(build(tmp_path, f"-fsanitize={option}", compiler=compiler))
    assert (told.kind, told.usable) == (Fitness.SANITIZER, False)
    assert name in told.message


def test_a_sanitizer_for_undefined_behaviour_is_none_of_memory(tmp_path: Path) -> None:
    """UBSan leaves malloc alone."""
    assert verdict(build(tmp_path, "-fsanitize=undefined")).kind is Fitness.FIT


@pytest.mark.parametrize(
    ("library", "name", "profiling", "alternative"),
    [
        ("jemalloc", "jemalloc", True, "--engine jemalloc"),
        ("tcmalloc", "tcmalloc", True, "--engine tcmalloc"),
        ("tcmalloc_minimal", "tcmalloc", False, "hiwater faults -- COMMAND"),
        ("mimalloc", "mimalloc", False, "hiwater faults -- COMMAND"),
    ],
)
def test_allocators_that_are_linked_are_named(
    tmp_path: Path, library: str, name: str, profiling: bool, alternative: str
) -> None:
    """Of an allocator that is a library it is said which it is, and whether its own profiler is there."""
    source = "int main() { return new int == nullptr; }\n"
    told = verdict(build(tmp_path, LINKED, f"-l{library}", compiler="g++", source=source))
    assert told.kind is Fitness.OWN_ALLOCATOR and told.coverage is Coverage.PARTIAL and told.allocator is not None
    assert (told.allocator.name, told.allocator.place, told.allocator.profiling) == (name, Place.LIBRARY, profiling)
    assert told.alternative == alternative


def test_an_allocator_that_is_linked_to_a_program_in_c_hides_nothing(tmp_path: Path) -> None:
    """The sampler comes before a library; only operator new is answered apart, and C has none."""
    told = verdict(build(tmp_path, LINKED, "-ljemalloc"))
    assert (told.kind, told.coverage, told.alternative) == (Fitness.OWN_ALLOCATOR, Coverage.FULL, None)
    assert told.allocator is not None and told.allocator.name == "jemalloc"


@pytest.mark.parametrize("stripped", [False, True])
def test_an_allocator_inside_the_program_is_not_reached(tmp_path: Path, stripped: bool) -> None:
    """What defines malloc itself comes before all that is preloaded; symbols that were stripped hide nothing."""
    strip = ["-s"] if stripped else []
    options = ["-Wl,--whole-archive", "-l:libjemalloc.a", "-Wl,--no-whole-archive", "-lpthread", "-ldl", "-lm", *strip]
    told = verdict(build(tmp_path, *options, compiler="g++", source="int main() { return 0; }\n"))
    assert told.kind is Fitness.OWN_ALLOCATOR and told.coverage is Coverage.NONE and told.allocator is not None
    assert (told.allocator.name, told.allocator.place) == ("jemalloc", Place.PROGRAM)
    assert told.alternative == "--engine jemalloc"


def test_an_unknown_malloc_of_the_programs_own_is_found(tmp_path: Path) -> None:
    """Whoever wrote it: a malloc in the program is one that the sampler cannot come before."""
    source = (
        "#include <stddef.h>\nstatic char pool[1 << 20]; static size_t used;\n"
        "void *malloc(size_t n) { used += (n + 15) & ~15ul; return pool + used; }\nvoid free(void *p) { (void)p; }\n"
        "int main(void) { return malloc(1) == 0; }\n"
    )
    told = verdict(build(tmp_path, "-rdynamic", "-fno-builtin", source=source))
    assert told.allocator is not None and (told.allocator.name, told.allocator.profiling) == ("own", None)
    assert told.coverage is Coverage.NONE and "allocator of its own" in told.message


def test_an_allocator_under_names_of_its_own_is_found(tmp_path: Path) -> None:
    """Rust's jemalloc and mimalloc are called under their own names: malloc sees nothing of them."""
    source = "void *_rjem_mallctl(void) { return 0; }\nint main(void) { return _rjem_mallctl() != 0; }\n"
    told = verdict(build(tmp_path, source=source))
    assert told.allocator is not None
    assert (told.allocator.name, told.allocator.place) == ("jemalloc", Place.PRIVATE)
    assert told.coverage is Coverage.NONE


def test_an_allocator_may_be_the_need_of_a_library(tmp_path: Path) -> None:
    """A library that the program needs may need the allocator: the folders of DT_RUNPATH and $ORIGIN are followed."""
    (tmp_path / "lib").mkdir()
    source = "#include <stddef.h>\nvoid *malloc(size_t n) { return (void *)n; }\nvoid mi_malloc(void) {}\n"
    build(tmp_path / "lib", "-shared", "-fPIC", "-fno-builtin", source=source, name="liballoc.so")
    inner = [LINKED, "-L", str(tmp_path / "lib"), "-l:liballoc.so", "-Wl,-rpath,$ORIGIN"]
    build(tmp_path / "lib", "-shared", "-fPIC", *inner, source="int deep(void) { return 0; }\n", name="libdeep.so")
    outer = ["-L", str(tmp_path / "lib"), "-l:libdeep.so", "-Wl,-rpath,$ORIGIN/lib", "-Wl,--allow-shlib-undefined"]
    program = build(tmp_path, LINKED, *outer, name="uses")
    told = verdict(program)
    assert told.allocator is not None and told.allocator.name == "mimalloc"
    assert told.allocator.path == str(tmp_path / "lib" / "liballoc.so")
    assert "libdeep.so" in told.message


def test_an_allocator_that_the_user_preloads_counts(tmp_path: Path) -> None:
    """LD_PRELOAD of an allocator is as good as linking it."""
    source = "#include <stddef.h>\nvoid *malloc(size_t n) { return (void *)n; }\nvoid tc_malloc(void) {}\n"
    library = build(tmp_path, "-shared", "-fPIC", "-fno-builtin", source=source, name="libmine.so")
    told = preflight([str(build(tmp_path))], {**ENV, "LD_PRELOAD": str(library)})
    assert told.allocator is not None and told.allocator.name == "tcmalloc"
    assert "preloaded" in told.message
    assert preflight(["env", f"LD_PRELOAD={library}", str(build(tmp_path))], ENV).allocator == told.allocator


def test_setuid_counts_for_others_only(tmp_path: Path) -> None:
    """The dynamic linker ignores LD_PRELOAD where the kernel gives rights that the caller does not have."""
    program = build(tmp_path)
    program.chmod(0o4755)
    assert verdict(program).kind is Fitness.FIT
    if not IS_ROOT:
        pytest.skip("only root can give a file to somebody else")
    os.chown(program, 65534, 65534)
    program.chmod(0o4755)
    assert (verdict(program).kind, verdict(program).usable) == (Fitness.PRIVILEGED, False)
    assert "setuid" in verdict(program).message
    program.chmod(0o2755)
    assert "setgid" in verdict(program).message
    program.chmod(0o755)
    assert verdict(program).kind is Fitness.FIT


@pytest.mark.skipif(not IS_ROOT, reason="only root can give capabilities to a file")
def test_file_capabilities_count_for_all_but_root(tmp_path: Path) -> None:
    """Capabilities of a file make the dynamic linker careful, unless the caller is root."""
    program = build(tmp_path)
    # struct vfs_cap_data, revision 2, effective: CAP_NET_RAW permitted
    data = (0x02000001).to_bytes(4, "little") + (1 << 13).to_bytes(4, "little") + bytes(12)
    try:
        os.setxattr(program, "security.capability", data)
    except OSError as error:
        pytest.skip(f"the file system takes no capabilities: {error}")
    assert verdict(program).kind is Fitness.FIT
    tmp_path.chmod(0o755)
    code = (
        "import os, sys\nfrom hiwater.heap.preflight import preflight\nos.setuid(65534)\n"
        "sys.stdout.write(str(preflight([sys.argv[1]]).kind))"
    )
    public = Path("/tmp") / f"hiwater-capabilities-{os.getpid()}"
    try:
        shutil.copy(program, public)
        public.chmod(0o755)
        os.setxattr(public, "security.capability", data)
        done = subprocess.run([sys.executable, "-c", code, str(public)], capture_output=True, text=True)
    finally:
        public.unlink(missing_ok=True)
    if done.returncode != 0:
        pytest.skip(f"another user cannot import hiwater here: {done.stderr[-200:]}")
    assert done.stdout == "privileged"


def test_valgrind_is_refused(tmp_path: Path) -> None:
    """Valgrind brings its own malloc; whatever kind of file it is called by."""
    wrapper = script(tmp_path / "valgrind", "#!/bin/sh\nexec true\n")
    told = verdict(wrapper, "ls")
    assert (told.kind, told.usable) == (Fitness.VALGRIND, False)


def test_go_programs_are_named_by_their_note(tmp_path: Path) -> None:
    """Go's heap is not libc's: of a static program nothing is seen, of one with C parts those."""
    note = (
        '__asm__(".section .note.go.buildid,\\"a\\",%note\\n.long 4,4,4\\n.ascii \\"Go\\\\0\\\\0\\"\\n'
        '.ascii \\"abcd\\"\\n.text");\n'
    )
    told = verdict(build(tmp_path, "-static", source=note + EMPTY))
    assert (told.kind, told.coverage) == (Fitness.GO, Coverage.NONE)
    told = verdict(build(tmp_path, source=note + EMPTY))
    assert (told.kind, told.coverage) == (Fitness.GO, Coverage.PARTIAL)


def test_scripts_of_a_shell_count_by_their_children(tmp_path: Path) -> None:
    """A shell holds next to nothing itself."""
    told = verdict(script(tmp_path / "start", "#!/bin/sh\nexec true\n"))
    assert (told.kind, told.coverage, told.path) == (Fitness.CHILDREN, Coverage.FULL, "/bin/sh")
    assert told.through == (str(tmp_path / "start"),)


def test_interpreters_are_followed_to_the_program(tmp_path: Path) -> None:
    """A script whose interpreter is a script whose interpreter is found by env: what counts is the last one."""
    program = build(tmp_path)
    inner = script(tmp_path / "inner", f"#!/usr/bin/env {program} -x\n")
    # env gets "program -x" as one word and fails; with -S it splits it.
    assert verdict(inner).kind is Fitness.NOT_FOUND
    script(inner, f"#!/usr/bin/env -S {program} -x\n")
    outer = script(tmp_path / "outer", f"#! {inner}  one word \n")
    found = find_program([str(outer), "last"], ENV)
    assert found.path == str(program)
    assert found.arguments == (str(program), "-x", str(inner), "one word", str(outer), "last")
    assert found.through == (str(outer), str(inner), "/usr/bin/env")


def test_the_kernel_follows_five_scripts_and_no_sixth(tmp_path: Path) -> None:
    """What is said of scripts whose interpreters are scripts is what the kernel does."""
    last = build(tmp_path)
    for number in range(1, 7):
        last = script(tmp_path / f"script{number}", f"#!{last}\n")
        started = subprocess.run([last], capture_output=True) if number < 6 else None
        assert started is None or started.returncode == 0
        assert (verdict(last).kind is Fitness.FIT) == (number < 6)
    with pytest.raises(OSError):
        subprocess.run([last])


def test_a_script_without_a_first_line_is_for_the_shell(tmp_path: Path) -> None:
    """As execvp(3) does it."""
    assert verdict(script(tmp_path / "bare", "echo hello\n")).path == "/bin/sh"


@pytest.mark.parametrize(
    "words",
    [
        ["env", "-i", "A=b"],
        ["env", "-u", "HOME", "--", "B="],
        ["nice", "-n", "5"],
        ["nice", "-n5"],
        ["nohup"],
        ["timeout", "-k", "1", "--signal", "KILL", "10"],
        ["setsid", "-w"],
        ["stdbuf", "-oL", "-e", "0"],
        ["nice", "timeout", "9", "env"],
    ],
)
def test_commands_that_execute_another_are_seen_through(tmp_path: Path, words: list[str]) -> None:
    """The command that is executed in the end is the one that is looked at."""
    assert verdict(*words, build(tmp_path, "-static"), "-x").kind is Fitness.STATIC


def test_the_search_in_path_is_that_of_execvp(tmp_path: Path) -> None:
    """What may not be executed is passed over, and a name with a slash is not searched."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "a" / "tool").write_text("")
    program = build(tmp_path / "b", name="tool")
    env = {"PATH": f"{tmp_path}/a:{tmp_path}/b"}
    assert find_program(["tool"], env).path == str(program)
    assert find_program(["sub/tool"], env).problem == "sub/tool: there is no such file"
    assert find_program(["nothing"], env).problem == "nothing: command not found"
    assert find_program([str(tmp_path)], env).problem == f"{tmp_path} is a folder"
    refused = find_program(["tool"], {"PATH": f"{tmp_path}/a"}).problem
    assert refused is not None and "permission" in refused
    assert find_program(["sh"], {}).path == "/bin/sh"


def test_a_file_that_is_no_program_is_said_to_be_none(tmp_path: Path) -> None:
    """A damaged file gives a sentence."""
    broken = tmp_path / "broken"
    broken.write_bytes(b"\x7fELF\x02\x01\x01" + bytes(100))
    broken.chmod(0o755)
    assert verdict(broken).kind in (Fitness.UNREADABLE, Fitness.OTHER_MACHINE)
    broken.write_bytes(b"\x7fELF")
    told = verdict(broken)
    assert told.kind is Fitness.UNREADABLE and "no ELF file" in told.message


@pytest.mark.skipif(shutil.which("ldd") is None, reason="ldd is not installed")
@pytest.mark.parametrize("name", ["python3", "git", "gcc", "sh"])
def test_the_libraries_are_those_that_ldd_finds(name: str) -> None:
    """Nothing is started, and the same libraries are found as the dynamic linker finds."""
    path = find_program([name], ENV).path
    assert path is not None
    listed = subprocess.run(["ldd", path], capture_output=True, text=True)
    expected = {os.path.realpath(word) for word in listed.stdout.split() if word.startswith("/")}
    with OpenElf(path) as elf:
        assert {os.path.realpath(library.path) for library in load_order(path, elf, ENV)} | {
            os.path.realpath(elf.interpreter or "")
        } == expected


def test_the_older_search_path_holds_for_the_libraries_of_libraries(tmp_path: Path) -> None:
    """DT_RPATH of the program, not DT_RUNPATH, is where the needs of its libraries are looked for, too."""
    (tmp_path / "lib").mkdir()
    source = "#include <stddef.h>\nvoid *malloc(size_t n) { return (void *)n; }\nvoid mi_malloc(void) {}\n"
    build(tmp_path / "lib", "-shared", "-fPIC", "-fno-builtin", source=source, name="liballoc.so")
    inner = [LINKED, "-L", str(tmp_path / "lib"), "-l:liballoc.so"]
    build(tmp_path / "lib", "-shared", "-fPIC", *inner, source="int deep(void) { return 0; }\n", name="libdeep.so")
    outer = ["-L", str(tmp_path / "lib"), "-l:libdeep.so", "-Wl,--allow-shlib-undefined", "-Wl,-rpath,$ORIGIN/lib"]
    for style, found in [("--disable-new-dtags", True), ("--enable-new-dtags", False)]:
        program = build(tmp_path, LINKED, f"-Wl,{style}", *outer, name=f"uses{style}")
        assert (verdict(program).allocator is not None) is found
        told = preflight([str(program)], {**ENV, "LD_LIBRARY_PATH": str(tmp_path / "lib")})
        assert told.allocator is not None and told.allocator.name == "mimalloc"


def test_a_cache_that_is_damaged_is_no_cache(tmp_path: Path) -> None:
    """Without ld.so's cache the default folders are left."""
    cache = tmp_path / "cache"
    assert read_cache(str(cache)) == {}
    cache.write_bytes(b"glibc-ld.so.cache1.1" + b"\xff" * 100)
    assert all(not paths or paths == [""] for paths in read_cache(str(cache)).values())
    chance = random.Random(7)
    try:
        whole = Path("/etc/ld.so.cache").read_bytes()
    except OSError:
        return
    for _ in range(50):
        data = bytearray(whole)
        for _ in range(20):
            data[chance.randrange(4 * 64 if chance.random() < 0.5 else len(data))] = chance.randrange(256)
        cache.write_bytes(data[: chance.randrange(len(data))])
        read_cache(str(cache))


@pytest.mark.skipif(not IS_ROOT, reason="root executes, and reads, everything")
def test_what_may_be_executed_but_not_read_is_tried(tmp_path: Path) -> None:
    """Nothing is known of it: that is said, and the sampler is worth a try."""
    public = Path("/tmp") / f"hiwater-unreadable-{os.getpid()}"
    code = (
        "import os, sys\nfrom hiwater.heap.preflight import preflight\nos.setuid(65534)\n"
        "told = preflight([sys.argv[1]])\nsys.stdout.write(f'{told.kind} {told.usable} {told.message}')"
    )
    try:
        shutil.copy(build(tmp_path), public)
        public.chmod(0o711)
        done = subprocess.run([sys.executable, "-c", code, str(public)], capture_output=True, text=True)
    finally:
        public.unlink(missing_ok=True)
    assert done.stdout.startswith("unreadable True") and "Permission denied" in done.stdout
