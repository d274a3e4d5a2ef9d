"""Places in a program that hold memory: which frame of a stack is meant."""

from __future__ import annotations

import math

import pytest
from tests.unit.heap.profiles import frame, profile

from hiwater.heap.model import Frame, Kind
from hiwater.heap.plumbing import Plumbing, Role, Sight
from hiwater.heap.sites import By, call_sites, label


@pytest.mark.parametrize(
    ("row", "function"),
    [
        ("main > load > malloc", "load"),
        ("main > load > operator new(unsigned long)", "load"),
        ("main > load > std::vector<int, std::allocator<int>>::push_back > std::__new_allocator::allocate", "load"),
        ("main > load > std::__cxx11::basic_string<char>::_M_create", "load"),
        ("main > load > strdup", "load"),
        ("main > load > getline!/lib/x86_64-linux-gnu/libc.so.6", "load"),
        ("main > load > in:grow@/usr/include/c++/12/bits/vector.tcc:70 > in:fill@/opt/c++/v1/vector:9", "load"),
        ("main > load > xmalloc", "load"),
        ("main > load > g_strdup > g_malloc", "load"),
        ("main > dictAdd > zmalloc > ztrymalloc_usable_internal", "dictAdd"),
        ("main > ExecInitNode > palloc0 > AllocSetAlloc", "ExecInitNode"),
        ("main > ngx_http_block > ngx_pcalloc > ngx_palloc_large", "ngx_http_block"),
        ("main > load > je_malloc", "load"),
        ("main > load > arena_malloc!/usr/lib/libjemalloc.so.2", "load"),
        ("app::main > app::load > alloc::vec::Vec<T>::push > alloc::raw_vec::RawVec::grow > __rust_alloc", "app::load"),
        ("app::load > hashbrown::raw::RawTable<T>::resize > <T as core::clone::Clone>::clone", "app::load"),
        ("app::load > <alloc::string::String as core::fmt::Write>::write_str", "app::load"),
        ("app::load > grow@/rustc/90b35a6/library/alloc/src/vec/mod.rs:20", "app::load"),
        ("runtime.main > main.main > main.load > runtime.makeslice > runtime.mallocgc", "main.load"),
        ("main > run_mod > cache_init > PyList_New > _PyObject_GC_New", "cache_init"),
        ("main > load > list_resize!/usr/lib/libpython3.11.so.1.0", "load"),
        ("main > resize_window", "resize_window"),
        ("node::Start > v8::Call > load@/srv/app.js:3 > alloc@node:buffer:3 > v8::internal::Heap::Allocate", "load"),
        ("node::Start > addon::Make > v8::internal::Heap::Allocate", "addon::Make"),
        ("node::Start > v8::internal::Isolate::New", "v8::internal::Isolate::New"),
        ("main > sort > palloc0!/bin/pg > pg+0x5c!/bin/pg > pg+0x7a!/bin/pg", "sort"),
        ("main > sort > pg+0x5c!/bin/pg > palloc0!/bin/pg", "pg+0x5c"),
        ("main > sort > palloc0!/bin/pg > libx+0x7a!/lib/libx.so", "libx+0x7a"),
        ("main > core::Engine::load", "core::Engine::load"),
        ("main > mallocator", "mallocator"),
        ("_start!/app > __libc_main!/lib/libc.so > setlocale!/lib/libc.so.6 > strdup!/lib/libc.so.6", "setlocale"),
        ("malloc", "malloc"),
    ],
)  # fmt: skip
def test_the_place_is_the_innermost_frame_that_is_no_plumbing(row: str, function: str) -> None:
    """Not allocators and their wrappers, not containers, not the C library, unless nothing else is there."""
    (site,) = call_sites(*profile(f"{row}: 100"))
    assert site.function == function


def test_frames_of_python_come_first() -> None:
    """The place is a line of Python, whichever part of the interpreter or of an extension allocates for it."""
    told, snapshot = profile(
        "main > _PyEval_EvalFrameDefault!/usr/bin/python3.11 > py:load@app.py:7 > new_array!/x/_multi.so > malloc: 100"
    )
    (site,) = call_sites(told, snapshot)
    assert (site.function, site.file, site.line, site.library) == ("load", "app.py", 7, None)
    assert site.stack[0].function == "load"
    (site,) = call_sites(told, snapshot, plumbing=Plumbing(sight=Sight.NATIVE))
    assert site.function == "new_array"
    told, snapshot = profile("main > py:load@app.py:7 > list_append!/usr/bin/python3.11: 100")
    assert call_sites(told, snapshot, plumbing=Plumbing(sight=Sight.NATIVE))[0].function == "load"


def test_wrappers_of_the_programs_own_are_passed_over() -> None:
    """Which they are is the user's to say: expressions for whole names."""
    told, snapshot = profile("main > load > Pool::grab<Song> > page_get: 100", "main > pool: 50")
    assert [site.function for site in call_sites(told, snapshot)] == ["page_get", "pool"]
    plumbing = Plumbing(("Pool::.*", "page_\\w+", "poo"))
    assert [site.function for site in call_sites(told, snapshot, plumbing=plumbing)] == ["load", "pool"]


def test_sizes_and_variances_of_a_place_add_up() -> None:
    """Its stacks are counted, its error is the root of the sum of variances, its stack is the largest."""
    told, snapshot = profile("main > a > load@f.c:3: 100", "main > b > load@f.c:3: 300", variance=50.0)
    (site,) = call_sites(told, snapshot)
    assert (site.in_use_bytes, site.allocations, site.stacks) == (400, 2, 2)
    assert site.standard_error_bytes == round(math.sqrt(100))
    assert [each.function for each in site.stack] == ["load", "b", "main"]


def test_places_are_lines_functions_or_libraries() -> None:
    """Two lines of one function are two places, or one; functions of one library likewise. The largest is first."""
    told, snapshot = profile(
        "main!/bin/app > load@f.c:3!/bin/app: 100",
        "main!/bin/app > load@f.c:9!/bin/app: 300",
        "main > x!/lib/libx.so: 350",
    )
    lines = call_sites(told, snapshot, By.LINE)
    assert [(site.function, site.line, site.in_use_bytes) for site in lines] == [
        ("x", None, 350), ("load", 9, 300), ("load", 3, 100)
    ]  # fmt: skip
    functions = call_sites(told, snapshot, By.FUNCTION)
    assert [(site.function, site.line, site.in_use_bytes) for site in functions] == [
        ("load", None, 400),
        ("x", None, 350),
    ]
    libraries = call_sites(told, snapshot, By.LIBRARY)
    assert [(site.function, site.library, site.in_use_bytes) for site in libraries] == [
        (None, "/bin/app", 400), (None, "/lib/libx.so", 350)
    ]  # fmt: skip


def test_mapped_memory_is_a_place_of_its_own() -> None:
    """The same line that mallocs and maps holds two kinds of memory."""
    told, snapshot = profile("main > load@f.c:3: 100", "main > load@f.c:3: 300 mmap")
    assert [(site.kind, site.in_use_bytes) for site in call_sites(told, snapshot)] == [
        (Kind.MMAP, 300),
        (Kind.MALLOC, 100),
    ]


def test_what_has_no_name_is_told_apart_by_its_address() -> None:
    """And is shown with its library and the address in it; a stack without frames is unknown, and counts."""
    told, snapshot = profile(": 7")
    (site,) = call_sites(told, snapshot)
    assert (site.function, site.in_use_bytes, site.stack) == (None, 7, ())
    assert label(Frame(None, library="/usr/lib/libx.so.1", address=0x1234)) == "libx.so.1+0x1234"
    assert label(Frame(None)) == "(unknown)"


def test_labels_are_short_unless_templates_are_asked_for() -> None:
    """Template arguments are left out, not lost."""
    named = frame("std::vector<int>::push_back@/usr/include/c++/12/bits/vector.tcc:70")
    assert label(named) == "std::vector::push_back"
    assert label(named, templates=True) == "std::vector<int>::push_back"
    assert label(named, By.LINE) == "std::vector::push_back (vector.tcc:70)"


def test_a_role_is_found_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Expressions are tried once for a frame, however many stacks it is on."""
    plumbing = Plumbing()
    assert plumbing.role(frame("malloc")) is Role.ALLOCATOR
    monkeypatch.setattr(Plumbing, "_role", None)
    assert plumbing.role(frame("malloc")) is Role.ALLOCATOR
