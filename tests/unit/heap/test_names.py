"""What of a function's name is told."""

from __future__ import annotations

import shutil

import pytest

from hiwater.heap.symbols.demangle import demangle, is_mangled
from hiwater.heap.symbols.names import short_name, without_arguments

NAMES = [
    ("main", "main", "main"),
    ("foo(int) const", "foo", "foo"),
    ("foo(int) [clone .cold]", "foo", "foo"),
    ("app::fill(unsigned long) (.isra.0)", "app::fill", "app::fill"),
    ("foo.isra.0.cold", "foo", "foo"),
    ("__libc_start_main@GLIBC_2.2.5", "__libc_start_main", "__libc_start_main"),
    ("load@@LIBX_1.0", "load", "load"),
    ("operator new(unsigned long)", "operator new", "operator new"),
    ("operator new[](unsigned long, std::nothrow_t const&)", "operator new[]", "operator new[]"),
    (
        "void std::vector<int, std::allocator<int> >::_M_realloc_insert<int const&>(std::iterator<int*>, int const&)",
        "std::vector<int, std::allocator<int> >::_M_realloc_insert<int const&>",
        "std::vector::_M_realloc_insert",
    ),
    ("A::operator()(int) const", "A::operator()", "A::operator()"),
    ("A::operator()", "A::operator()", "A::operator()"),
    ("operator() at my file.cc:13", "operator() at my file.cc:13", "operator() at my file.cc:13"),
    ("A::operator unsigned long() const", "A::operator unsigned long", "A::operator unsigned long"),
    ("bool operator< <int>(A<int> const&, A<int> const&)", "operator< <int>", "operator<"),
    ("std::ostream& std::operator<< <char>(std::ostream&, char const*)", "std::operator<< <char>", "std::operator<<"),
    ("A<int>::operator->() const", "A<int>::operator->", "A::operator->"),
    ("(anonymous namespace)::f(int)", "(anonymous namespace)::f", "(anonymous namespace)::f"),
    ("f()::{lambda(int)#1}::operator()() const", "f()::{lambda(int)#1}::operator()", "f()::{lambda#1}::operator()"),
    ("decltype(auto) f<int>(int)", "f<int>", "f"),
    ("load[abi:cxx11](int)", "load[abi:cxx11]", "load[abi:cxx11]"),
    ("f(void (*)(int))", "f", "f"),
    ("Foo::~Foo()", "Foo::~Foo", "Foo::~Foo"),
    (
        "<alloc::vec::Vec<T> as core::clone::Clone>::clone::h0123456789abcdef",
        "<alloc::vec::Vec<T> as core::clone::Clone>::clone",
        "<alloc::vec::Vec as core::clone::Clone>::clone",
    ),
    (
        "_$LT$alloc..vec..Vec$LT$T$GT$$u20$as$u20$core..clone..Clone$GT$::clone::h0123456789abcdef",
        "<alloc::vec::Vec<T> as core::clone::Clone>::clone",
        "<alloc::vec::Vec as core::clone::Clone>::clone",
    ),
    ("foo::<u8>::bar", "foo::<u8>::bar", "foo::bar"),
    ("core::str::<impl str>::parse", "core::str::<impl str>::parse", "core::str::<impl str>::parse"),
    ("app::load::{{closure}}", "app::load::{{closure}}", "app::load::{{closure}}"),
    ("main.(*Server).Handle", "main.(*Server).Handle", "main.(*Server).Handle"),
    ("main.Map[go.shape.int]", "main.Map[go.shape.int]", "main.Map[go.shape.int]"),
    ("main.main.func1", "main.main.func1", "main.main.func1"),
    ("", "", ""),
    ("operator", "operator", "operator"),
    ("a<b", "a<b", "a"),
    (")(", ")(", ")("),
]  # fmt: skip


@pytest.mark.parametrize(("name", "told", "short"), NAMES)
def test_arguments_and_templates_are_left_out(name: str, told: str, short: str) -> None:
    """Of C++, Rust and Go: a name without the types of arguments and results, and one without template arguments."""
    assert without_arguments(name) == told
    assert short_name(name) == short
    assert without_arguments(told) == told and short_name(told) == short


MANGLED = {
    "_ZN3app5Index4loadEv": "app::Index::load()",
    "_Z4loadi": "load(int)",
    "_Znwm": "operator new(unsigned long)",
    "_ZN12_GLOBAL__N_14loadEv": "(anonymous namespace)::load()",
    "_ZNSt6vectorIiSaIiEE9push_backEOi": "std::vector<int, std::allocator<int> >::push_back(int&&)",
}
RUST = {
    "_ZN5alloc7raw_vec11finish_grow17h0123456789abcdefE": "alloc::raw_vec::finish_grow",
    "_ZN65_$LT$alloc..string..String$u20$as$u20$core..fmt..Write$GT$9write_str17h0123456789abcdefE": None,
    "_ZN58_$LT$alloc..string..String$u20$as$u20$core..fmt..Write$GT$9write_str17h0123456789abcdefE": (
        "<alloc::string::String as core::fmt::Write>::write_str"
    ),
}


@pytest.mark.skipif(not (shutil.which("c++filt") or shutil.which("llvm-cxxfilt")), reason="c++filt is not installed")
def test_names_are_demangled_by_the_tool() -> None:
    """C++ with its arguments, Rust of both manglings; what is not mangled is left alone."""
    found = demangle([*MANGLED, "main", "_start", "_RNvC3app4load", "_Zwhat"])
    assert {name: without_arguments(found[name]) for name in MANGLED} == {
        name: without_arguments(plain) for name, plain in MANGLED.items()
    }
    assert found["_RNvC3app4load"].startswith("app") and found["_RNvC3app4load"].endswith("::load")
    assert "main" not in found and "_Zwhat" not in found


def test_simple_names_are_demangled_without_a_tool() -> None:
    """Where nothing is installed, templates stay mangled; the others are read."""
    found = demangle(list(MANGLED), tool="/nonexistent")
    assert found["_ZN3app5Index4loadEv"] == "app::Index::load"
    assert found["_Z4loadi"] == "load"
    assert found["_ZN12_GLOBAL__N_14loadEv"] == "(anonymous namespace)::load"
    assert found["_Znwm"] == "operator new(unsigned long)"
    assert "_ZNSt6vectorIiSaIiEE9push_backEOi" not in found


def test_rusts_older_names_need_no_tool() -> None:
    """Their hash is left out, their escapes are read; a length that lies is no name."""
    found = demangle(list(RUST), tool="/nonexistent")
    assert {name: found.get(name) for name in RUST} == RUST


def test_what_looks_mangled() -> None:
    """C++ and Rust; not every name with an underscore."""
    assert [is_mangled(name) for name in ("_Z1f", "_RNvC1a1f", "_start", "_Rapid", "malloc")] == [
        True,
        True,
        False,
        False,
        False,
    ]
