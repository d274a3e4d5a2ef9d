"""Addresses of compiled programs, looked up: functions, lines, inlined calls, separate debug files."""

from __future__ import annotations

import lzma
import os
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from tests.unit.heap.building import build, tool

from hiwater.heap.elf import OpenElf
from hiwater.heap.model import Frame
from hiwater.heap.symbols import perfmap
from hiwater.heap.symbols.debuginfod import Debuginfod
from hiwater.heap.symbols.resolver import Symbols
from hiwater.heap.symbols.table import SymbolTable, read_table
from hiwater.heap.symbols.tools import Style, Tool, find_tools
from hiwater.heap.symbols.trouble import Trouble

# Each call of malloc stands in a line of its own; here_ marks the byte behind it.
SOURCE = """\
#include <cstdlib>
namespace app {
inline __attribute__((always_inline)) void *deep(unsigned long n) {
    void *p = malloc(n); __asm__ volatile(".globl here_inlined\\nhere_inlined:" : "+r"(p));
    return p;
}
template <class T> struct Box {
    __attribute__((noinline, used)) void *fill(T n) {
        void *p = deep(n);
        return p;
    }
};
__attribute__((noinline)) void *plain(unsigned long n) {
    void *p = malloc(n + 1); __asm__ volatile(".globl here_plain\\nhere_plain:" : "+r"(p));
    return p;
}
}
int main(int argc, char **) { app::Box<int> box; return box.fill(argc) == app::plain(argc); }
"""
INLINED_LINE, CALLER_LINE, PLAIN_LINE = 4, 9, 14
TOOLS = find_tools()


class Built:
    """The program, and what it knows of itself."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with OpenElf(path) as elf:
            self.build_id = elf.build_id or ""
            _, strings = elf.symbol_table(dynamic=False)
            names = {name: value for name, _, _, value, _ in elf.symbols(dynamic=False)}
            marks = {strings[at:].split(b"\0")[0].decode(): value for at, value in names.items()}
        self.plain_start = marks.get("_ZN3app5plainEm", 0)
        self.inlined, self.plain = marks["here_inlined"] - 1, marks["here_plain"] - 1

    def asked(self, address: int) -> tuple[str, str, int]:
        return str(self.path), self.build_id, address


@pytest.fixture
def built(tmp_path: Path) -> Built:
    path = build(tmp_path, "-O2", "-g", "-fno-ipa-cp", "-Wl,--build-id", compiler="g++", source=SOURCE)
    return Built(path)


def shown(frames: tuple[Frame, ...]) -> list[tuple[str | None, str | None, int | None, bool]]:
    return [(each.function, each.file and os.path.basename(each.file), each.line, each.inlined) for each in frames]


EXPECTED = [
    ("app::deep", "program.cc", INLINED_LINE, True),
    ("app::Box<int>::fill", "program.cc", CALLER_LINE, False),
]


@pytest.mark.parametrize("style", list(Style))
def test_inlined_calls_are_told_with_their_callers(built: Built, style: Style) -> None:
    """Innermost first, each with file and line; all but the last are marked as inlined."""
    tools = [each for each in TOOLS if each.style is style]
    if not tools:
        pytest.skip(f"no tool of {style} is installed")
    symbols = Symbols(tools=tools)
    frames = shown(symbols.resolve(*built.asked(built.inlined)))
    # addr2line may name the innermost call by the function around it.
    assert frames[0][1:] == EXPECTED[0][1:] and frames[1] == EXPECTED[1] and len(frames) == 2
    assert style is Style.BINUTILS or frames == EXPECTED
    assert shown(symbols.resolve(*built.asked(built.plain))) == [("app::plain", "program.cc", PLAIN_LINE, False)]
    assert symbols.warnings == ()


@pytest.mark.skipif(not any(each.style is Style.LLVM for each in TOOLS), reason="llvm-symbolizer is not installed")
def test_lambdas_are_told_apart_by_their_lines(tmp_path: Path) -> None:
    """Where they were inlined, debug information calls all of them operator()."""
    source = """\
#include <cstdlib>
#define MARK(p, mark) __asm__ volatile(".globl " mark "\\n" mark ":" : "+r"(p))
template <class F> __attribute__((always_inline)) inline void *apply(F f) { return f(); }
int main() {
    void *one = apply([] { void *p = malloc(1); MARK(p, "here_inlined"); return p; });
    void *two = apply([] { void *p = malloc(2); MARK(p, "here_plain"); return p; });
    return one == two;
}
"""
    path = build(tmp_path, "-O2", "-g", "-fno-ipa-icf", "-Wl,--build-id", compiler="g++", source=source, name="lambdas")
    built = Built(path)
    names = [Symbols().resolve(*built.asked(address))[0].function for address in (built.inlined, built.plain)]
    assert names == ["operator() at lambdas.cc:5", "operator() at lambdas.cc:6"]


def test_frames_name_the_module_and_the_address(built: Built) -> None:
    """As the module was asked for, and in its own terms; llvm-symbolizer says where a function begins, too."""
    (frame,) = Symbols().resolve(*built.asked(built.plain))
    assert (frame.library, frame.address) == (str(built.path), built.plain)
    if any(each.style is Style.LLVM for each in TOOLS):
        assert frame.first_line == PLAIN_LINE - 1


def test_without_tools_the_functions_are_named(built: Built) -> None:
    """From the symbol table, and that a tool is missing is said."""
    symbols = Symbols(tools=(), demangler="/nonexistent")
    assert shown(symbols.resolve(*built.asked(built.plain))) == [("app::plain", None, None, False)]
    assert [warning.kind for warning in symbols.warnings] == [Trouble.NO_LINES_TOOL]


def test_a_module_is_looked_up_at_once(built: Built, tmp_path: Path) -> None:
    """One start of the tool for all addresses of a file, and none for what is known."""
    log = tmp_path / "log"
    wrapper = tmp_path / "symbolizer"
    wrapper.write_text(f'#!/bin/sh\necho x >>"{log}"\nexec {TOOLS[0].path if TOOLS else "false"} "$@"\n')
    wrapper.chmod(0o755)
    if not TOOLS:
        pytest.skip("no tool is installed")
    symbols = Symbols(tools=[Tool(TOOLS[0].style, str(wrapper))])
    symbols.prepare([built.asked(built.plain), built.asked(built.inlined), built.asked(1)])
    symbols.prepare([built.asked(built.plain)])
    assert symbols.resolve(*built.asked(built.plain))[0].function == "app::plain"
    assert symbols.resolve(*built.asked(1)) == (Frame(None, library=str(built.path), address=1),)
    assert log.read_text() == "x\n"


def test_tools_that_fail_or_hang_leave_the_names(built: Built, tmp_path: Path) -> None:
    """A warning for each, and what the symbol table knows."""
    silent = tmp_path / "silent"
    silent.write_text("#!/bin/sh\nexec sleep 1000\n")
    silent.chmod(0o755)
    tools = [Tool(Style.LLVM, "/bin/false"), Tool(Style.LLVM, str(tmp_path)), Tool(Style.BINUTILS, str(silent))]
    symbols = Symbols(tools=tools, timeout_seconds=0.2)
    assert shown(symbols.resolve(*built.asked(built.plain))) == [("app::plain", None, None, False)]
    assert [each.kind for each in symbols.warnings] == [Trouble.TOOL_FAILED, Trouble.TOOL_FAILED, Trouble.TOOL_TIMEOUT]


def stripped(built: Built, debug: Path, link: bool = True) -> None:
    """Moves the debug information of the program to another file."""
    debug.parent.mkdir(parents=True, exist_ok=True)
    tool("objcopy", "--only-keep-debug", built.path, debug)
    tool("objcopy", "--strip-all", *([f"--add-gnu-debuglink={debug}"] if link else []), built.path)


@pytest.mark.skipif(not TOOLS, reason="no tool is installed")
@pytest.mark.parametrize("place", ["", ".debug"])
def test_debug_files_are_found_by_their_link(built: Built, place: str) -> None:
    """Beside the program or in .debug there."""
    stripped(built, built.path.parent / place / "program.debug")
    assert shown(Symbols(debug_folders=()).resolve(*built.asked(built.plain)))[0][:3] == (
        "app::plain",
        "program.cc",
        PLAIN_LINE,
    )


@pytest.mark.skipif(not TOOLS, reason="no tool is installed")
def test_debug_files_are_found_by_build_id(built: Built, tmp_path: Path) -> None:
    """Below .build-id of the folders for them, as distributions do it; the program need not be there any more."""
    folder = tmp_path / "debug"
    stripped(built, folder / ".build-id" / built.build_id[:2] / f"{built.build_id[2:]}.debug", link=False)
    expected = ("app::plain", "program.cc", PLAIN_LINE, False)
    assert shown(Symbols(debug_folders=[str(folder)]).resolve(*built.asked(built.plain))) == [expected]
    built.path.unlink()
    symbols = Symbols(debug_folders=[str(folder)])
    assert shown(symbols.resolve(*built.asked(built.plain))) == [expected]
    assert [warning.kind for warning in symbols.warnings] == [Trouble.FILE_MISSING]


def test_a_debug_file_of_another_build_is_not_used(built: Built, tmp_path: Path) -> None:
    """Its lines would be wrong ones."""
    stripped(built, tmp_path / "program.debug")
    other = build(tmp_path, "-g", "-Wl,--build-id=0x1234", compiler="g++", name="other", source=SOURCE)
    shutil.copy(other, tmp_path / "program.debug")
    symbols = Symbols(debug_folders=())
    (frame,) = symbols.resolve(*built.asked(built.plain))
    assert frame == Frame(f"program+{built.plain_start:#x}", library=str(built.path), address=built.plain)
    assert [warning.kind for warning in symbols.warnings] == [Trouble.DEBUG_FILE_CHANGED, Trouble.NO_NAMES]


def test_functions_without_names_are_told_apart(built: Built) -> None:
    """By the address where they begin, which the tables for exceptions know: two calls of one function are of one."""
    tool("strip", "--strip-all", built.path)
    symbols = Symbols(tools=(), debug_folders=())
    (frame,) = symbols.resolve(*built.asked(built.plain))
    (other,) = symbols.resolve(*built.asked(built.plain_start))
    assert frame.function == other.function == f"program+{built.plain_start:#x}"
    assert symbols.resolve(*built.asked(1))[0].function is None
    assert [warning.kind for warning in symbols.warnings] == [Trouble.NO_NAMES]


def test_a_file_that_was_replaced_is_not_used(built: Built, tmp_path: Path) -> None:
    """The build-id of what was executed decides, not the name."""
    symbols = Symbols()
    (frame,) = symbols.resolve(str(built.path), "00" * 20, built.plain)
    assert (frame.function, frame.address) == (None, built.plain)
    assert [warning.kind for warning in symbols.warnings] == [Trouble.FILE_CHANGED]
    assert symbols.resolve(str(built.path), "", built.plain)[0].function == "app::plain"
    assert Symbols().resolve(f"{built.path} (deleted)", built.build_id, built.plain)[0].function == "app::plain"


def test_files_of_another_machine_lie_below_the_sysroot(built: Built, tmp_path: Path) -> None:
    """The module is called what it was called there."""
    root = tmp_path / "root"
    (root / "opt").mkdir(parents=True)
    shutil.copy(built.path, root / "opt" / "app")
    symbols = Symbols(sysroot=str(root))
    (frame,) = symbols.resolve("/opt/app", built.build_id, built.plain)
    assert (frame.function, frame.library) == ("app::plain", "/opt/app")
    assert symbols.warnings == ()


def test_minidebuginfo_names_static_functions(built: Built, tmp_path: Path) -> None:
    """.gnu_debugdata is a small ELF file, compressed."""
    mini = tmp_path / "mini"
    tool("objcopy", "-S", "--remove-section", ".comment", "--keep-symbol", "_ZN3app5plainEm", built.path, mini)
    (tmp_path / "mini.xz").write_bytes(lzma.compress(mini.read_bytes()))
    tool("objcopy", "--strip-all", "--add-section", f".gnu_debugdata={tmp_path / 'mini.xz'}", built.path)
    assert Symbols(debug_folders=()).resolve(*built.asked(built.plain))[0].function == "app::plain"


def test_symbols_without_size_reach_to_the_next() -> None:
    """And those with a size to their end."""
    table = SymbolTable([(10, 5, 0, "a"), (20, 0, 0, "b"), (30, 10, 0, "c"), (30, 10, 9, "weak"), (32, 2, 0, "inner")])
    expected = {9: None, 10: "a", 14: "a", 15: None, 20: "b", 29: "b", 30: "c", 33: "inner", 35: "c", 40: None}
    assert {address: table.name_at(address) for address in expected} == expected


def test_public_names_are_preferred(tmp_path: Path) -> None:
    """Of several names of one function that which others know it by."""
    source = (
        'int plain(void) { return 1; }\nint __internal(void) __attribute__((alias("plain")));\n'
        'static int local(void) __attribute__((alias("plain"), used));\n'
    )
    path = build(tmp_path, "-shared", "-fPIC", source=source, name="library")
    with OpenElf(path) as elf:
        table = read_table(elf)
        values = [value for name, _, section, value, _ in elf.symbols(dynamic=True) if section and name]
    assert {table.name_at(value) for value in values} == {"plain"}


def test_compiled_code_has_the_names_that_its_compiler_left(tmp_path: Path) -> None:
    """perf-PID.map; the later of two lines for one place counts, and what is damaged is passed over."""
    lines = ["1000 20 LazyCompile:~load /srv/my app.js:3:14", "2000 8 old", "zz 1 x", "", "2000 8 new one"]
    lines += ["4000 8 JS:* node:buffer:391:30", "5000 8 instance void [app] App.Store::Load(int32)[Tier0]"]
    (tmp_path / "perf-7.map").write_text("\n".join(lines))
    symbols = Symbols(compiled_folder=str(tmp_path))
    assert symbols.resolve(perfmap.path(7), "", 0x1010) == (Frame("load", "/srv/my app.js", 3, address=0x1010),)
    assert symbols.resolve(perfmap.path(7), "", 0x4000) == (Frame("(anonymous)", "node:buffer", 391, address=0x4000),)
    assert symbols.resolve(perfmap.path(7), "", 0x5000)[0].function == "App.Store::Load"
    assert symbols.resolve(perfmap.path(7), "", 0x2007)[0].function == "new one"
    assert symbols.resolve(perfmap.path(7), "", 0x3000) == (Frame(None, address=0x3000),)
    assert symbols.resolve(perfmap.path(8), "", 0x1000) == (Frame(None, address=0x1000),)
    assert perfmap.read(8, str(tmp_path)) is None


def test_names_of_compiled_code_are_not_taken_from_a_link(tmp_path: Path) -> None:
    """The folder is everybody's."""
    (tmp_path / "real").write_text("1000 20 name\n")
    (tmp_path / "perf-7.map").symlink_to(tmp_path / "real")
    assert perfmap.read(7, str(tmp_path)) is None


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Path, list[str]]]:
    """A debuginfod server: its URL, the folder that it serves, what it was asked."""
    served, asked = tmp_path / "served", list[str]()
    served.mkdir()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            file = served / self.path.strip("/").replace("/", "_")
            self.send_response(200 if file.exists() else 404)
            self.end_headers()
            if file.exists():
                self.wfile.write(file.read_bytes())

        def log_message(self, format: str, *args: object) -> None:
            pass

    httpd = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{httpd.server_port}", served, asked
    httpd.shutdown()
    thread.join()
    httpd.server_close()


@pytest.mark.skipif(not TOOLS, reason="no tool is installed")
def test_servers_are_asked_only_if_wanted(
    built: Built, tmp_path: Path, server: tuple[str, Path, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By build-id, once: what was got stays in the cache."""
    url, served, asked = server
    stripped(built, tmp_path / "elsewhere" / "x.debug", link=False)
    shutil.copy(tmp_path / "elsewhere" / "x.debug", served / f"buildid_{built.build_id}_debuginfo")
    monkeypatch.setenv("DEBUGINFOD_URLS", url)
    assert Symbols(debug_folders=()).resolve(*built.asked(built.plain))[0].line is None
    assert asked == []
    env = {"DEBUGINFOD_URLS": url, "DEBUGINFOD_CACHE_PATH": str(tmp_path / "cache")}
    for _ in range(2):
        symbols = Symbols(debug_folders=(), debuginfod=Debuginfod.of(env))
        assert shown(symbols.resolve(*built.asked(built.plain)))[0][:3] == ("app::plain", "program.cc", PLAIN_LINE)
    assert asked == [f"/buildid/{built.build_id}/debuginfo"]


def test_what_a_server_does_not_have_is_said(built: Built, tmp_path: Path, server: tuple[str, Path, list[str]]) -> None:
    """Not found, another build, no server: the names of the program itself are left."""
    url, served, _ = server
    stripped(built, tmp_path / "elsewhere" / "x.debug", link=False)
    for urls, content, said in [
        ((url,), None, "no such file"),
        ((url,), b"\x7fELF nonsense", "another build"),
        ((), None, "DEBUGINFOD_URLS"),
        (("file:///etc/",), None, "no URL of the web"),
    ]:
        if content is not None:
            (served / f"buildid_{built.build_id}_debuginfo").write_bytes(content)
        symbols = Symbols(debug_folders=(), debuginfod=Debuginfod(urls, str(tmp_path / "cache")))
        symbols.resolve(*built.asked(built.plain))
        (warning,) = (each for each in symbols.warnings if each.kind is Trouble.DEBUGINFOD_FAILED)
        assert said in warning.message
    assert not [name for _, _, names in os.walk(tmp_path / "cache") for name in names]


def test_what_is_no_file_has_only_its_address() -> None:
    """The kernel's own page of code, and code without a file."""
    assert Symbols().resolve("[vdso]", "", 5) == (Frame(None, library="[vdso]", address=5),)
