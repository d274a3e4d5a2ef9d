"""The picture of plot_svg as PNG, for where SVG is not taken. resvg draws it; the text takes a font of this machine."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from hiwater.errors import MissingExtraError, MisuseError

SCALE = 2.0
"""Pixels for each unit of the SVG: sharp on screens of today and in print."""
LARGEST = 20_000
"""Pixels of a side."""
FONTS = (
    "DejaVu Sans", "Liberation Sans", "Noto Sans", "Arial", "Helvetica", "FreeSans", "Nimbus Sans", "Open Sans",
    "Roboto", "Ubuntu", "Cantarell", "Inter", "Carlito", "Lato", "Source Sans 3", "Adwaita Sans", "Droid Sans",
)  # fmt: skip
"""Families, the first that is installed is taken: SVG's sans-serif means Arial to resvg, and text in a family that is
not there is left out without a word."""


class NoFontError(MisuseError):
    """There is no font to write the text with."""


def require_resvg() -> ModuleType:
    """The library; MissingExtraError where it is not installed."""
    try:
        return import_module("resvg_py")
    except ImportError:
        raise MissingExtraError("PNG pictures", "resvg-py", "png") from None


def render(
    svg: str,
    *,
    width: int | None = None,
    scale: float = SCALE,
    font: str | None = None,
    families: tuple[str, ...] = FONTS,
) -> bytes:
    """A whole file. ``width`` in pixels wins over ``scale``; ``font`` is the name of an installed family."""
    resvg = require_resvg()
    family = _family(resvg, (font,) if font is not None else families)
    if family is None and font is not None:
        raise NoFontError(f"there is no font {font!r} on this machine: fc-list : family names those that are there")
    if family is None:
        raise NoFontError(
            "no font was found to write the text with: install one (apt-get install fonts-dejavu-core), or name one "
            "that is installed: --font FAMILY"
        )
    size: dict[str, float | int] = {"zoom": scale} if width is None else {"width": width}
    return bytes(resvg.svg_to_bytes(svg_string=svg, sans_serif_family=family, **size))


def _family(resvg: ModuleType, families: tuple[str, ...]) -> str | None:
    """The first of them that draws anything."""
    empty = resvg.svg_to_bytes(svg_string=_probe(""))
    for family in families:
        # Its serif too: that is where resvg looks next, and would find another one than was asked for.
        drawn = resvg.svg_to_bytes(svg_string=_probe("Mag"), sans_serif_family=family, serif_family=family)
        if drawn != empty:
            return family
    return None


def _probe(text: str) -> str:
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="20" font-family="sans-serif">'
        f'<text x="2" y="15">{text}</text></svg>'
    )
