"""Names of functions: what of a demangled name is told, and what is left out of it to be read."""

from __future__ import annotations

import re
from functools import lru_cache

_VERSION = re.compile(r"@{1,2}[A-Za-z_][\w.+-]*$")
"""Of a library's symbol: ``__libc_start_main@GLIBC_2.2.5``."""
_CLONE = re.compile(
    r"( \[clone [^\]]*\]| \(\.[a-z]\w*[.\d\w]*\)|\.(cold|isra|part|constprop|lto_priv|llvm|localalias)(\.\d+)*)+$"
)
"""What compilers append to copies of a function: gcc and clang."""
_RUST_HASH = re.compile(r"::h[0-9a-f]{16}$")
# What Rust's older mangling writes for signs that C++ has no letters for: rustc, symbol_names/legacy.rs.
_RUST_ESCAPES = {"$SP$": "@", "$BP$": "*", "$RF$": "&", "$LT$": "<", "$GT$": ">", "$LP$": "(", "$RP$": ")", "$C$": ","}
_QUALIFIER = re.compile(r"( const| volatile| &&?|&&?| noexcept)+$")
_OPERATOR = re.compile(r"\boperator(<=>|<<=|>>=|<<|>>|<=|>=|->\*|->|<|>|\(\))")
_SIGNS = str.maketrans("<>()-", "\ue000\ue001\ue002\ue003\ue004")
_BACK = str.maketrans("\ue000\ue001\ue002\ue003\ue004", "<>()-")
_PAIRS = {"<": ">", "(": ")", "{": "}", "[": "]"}


@lru_cache(maxsize=65536)
def without_arguments(name: str) -> str:
    """A demangled name without the types of its arguments, its return type, a hash of Rust's and marks of copies.

    Template arguments stay. What is no C++ or Rust name stays as it is.
    """
    text = of_rust(_CLONE.sub("", _VERSION.sub("", name.strip())))
    text = _shielded(text)
    bare = _QUALIFIER.sub("", text)
    if bare.endswith(")"):
        start = _opening(bare)
        if start > 0 and bare[start - 1] not in ".:" and not bare[start:].startswith("(anonymous"):
            text = bare[:start]
    return _after_return_type(text).translate(_BACK) or name


@lru_cache(maxsize=65536)
def short_name(name: str) -> str:
    """A name to be read, without template arguments: ``std::vector<int>::push_back`` is ``std::vector::push_back``."""
    text = _shielded(without_arguments(name))
    return _elided(text).translate(_BACK).strip() or name


def of_rust(name: str) -> str:
    """A name of Rust's older mangling, demangled as if it were C++, as Rust writes it, without its hash."""
    if _RUST_HASH.search(name) is None:
        return name
    parts = [part[1:] if part.startswith("_$") else part for part in _RUST_HASH.sub("", name).split("::")]
    text = "::".join(parts).replace("..", "::")
    for mark, sign in _RUST_ESCAPES.items():
        text = text.replace(mark, sign)
    return re.sub(r"\$u([0-9a-f]{1,6})\$", lambda found: _sign(found.group(1)), text)


def _sign(digits: str) -> str:
    number = int(digits, 16)
    return chr(number) if 0x20 <= number < 0xD800 else "?"


def _shielded(text: str) -> str:
    """With the signs of operators taken out of the way of those that bracket something."""
    return _OPERATOR.sub(lambda found: found.group().translate(_SIGNS), text)


def _opening(text: str) -> int:
    """Where the parenthesis begins that the text ends with; -1 if nowhere."""
    depth = 0
    for index in range(len(text) - 1, -1, -1):
        if text[index] == ")":
            depth += 1
        elif text[index] == "(":
            depth -= 1
            if depth == 0:
                return index
    return -1


def _after_return_type(text: str) -> str:
    """Functions made from templates have their return type in front: the last space outside all brackets ends it."""
    depth, start = 0, 0
    for index, sign in enumerate(text):
        if sign in "<({[":
            depth += 1
        elif sign in ">)}]":
            depth -= 1
        elif sign == " " and depth == 0 and not re.search(r"\boperator$", text[start:index]):
            if re.search(r"\boperator\b", text[start:index]):  # a conversion: operator unsigned long
                break
            start = index + 1
    return text[start:]


def _elided(text: str) -> str:
    """Without what stands in angle brackets, but for those of Rust that are the beginning of a path."""
    out: list[str] = []
    index = 0
    while index < len(text):
        sign = text[index]
        if sign == "<":
            end = _closing(text, index)
            inside = text[index + 1 : end]
            before = "".join(out[-2:])
            opens_path = not out or before[-1:] in " (&*,<"
            if (opens_path and text[end + 1 : end + 3] == "::") or inside.startswith("impl "):
                out.append("<" + _elided(inside) + ">")
            elif before.endswith("::"):  # Rust's ::<T>
                out[-2:] = [before[:-2]]
            index = end + 1
        elif sign == "(" and "".join(out[-7:]) == "{lambda":
            index = _closing(text, index) + 1
        else:
            out.append(sign)
            index += 1
    return "".join(out)


def _closing(text: str, start: int) -> int:
    """Where the bracket ends that begins at ``start``; the end of the text if it does not."""
    opening, depth = text[start], 0
    closing = _PAIRS[opening]
    for index in range(start, len(text)):
        if text[index] == opening:
            depth += 1
        elif text[index] == closing and not (closing == ">" and text[index - 1] == "-"):
            depth -= 1
            if depth == 0:
                return index
    return len(text) - 1
