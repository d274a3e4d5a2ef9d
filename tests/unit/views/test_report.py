"""What the report is made of, without a browser."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from importlib import resources
from itertools import combinations
from math import dist
from operator import mul

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.streams import MIB, Stream
from tests.timelines import SPIKE_MIB, family, long_one

from hiwater.recording.reader import parse
from hiwater.views import plot_svg
from hiwater.views.plot_svg import nice_step
from hiwater.views.report import render
from hiwater.views.report_data import packed
from hiwater.views.report_table import LIMIT


def unpacked(text: str) -> list[int]:
    """What the script of the page does."""
    values, value, step, shift = [], 0, 0, 0
    for byte in b64decode(text):
        step |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            value += -(step + 1 >> 1) if step & 1 else step >> 1
            values.append(value)
            step = shift = 0
    return values


@given(st.lists(st.integers(-(1 << 52), 1 << 52)))
def test_columns_survive_their_packing(values: list[int]) -> None:
    """Any whole numbers come out as they went in."""
    assert unpacked(packed(values)) == values


def test_a_name_cannot_end_the_script() -> None:
    """Whatever a process calls itself, it stays text."""
    evil = b"</script><script>alert(1)</script>"
    stream = Stream().facts().command(evil).process().image(comm=evil[:15], exe=b"/" + evil, arguments=(evil,))
    page = render([parse(stream.data)], [evil.decode()])
    assert "<script>alert" not in page
    assert len(re.findall("<script", page)) == len(re.findall("</script", page)) == 3


def test_the_data_of_the_page() -> None:
    """Columns of one length, in microseconds and KiB; the last instant says what was left at the end."""
    found = re.search(r'id="data">(.*?)</script>', render([parse(family().data)], ["a"]))
    assert found is not None
    (data,) = json.loads(found[1])
    assert unpacked(data["times"]) == [1000, 20000, 50000, 51000, 80000, 100000, 100000]
    assert [(one["name"], one["pid"]) for one in data["processes"]] == [("boss", 4242), ("worker", 4343)]
    assert max(unpacked(data["processes"][1]["data"])) == 60 * 1024
    assert {one["kind"] for one in data["kinds"]} == {"anon", "file", "swap"}


def test_a_long_recording_makes_a_small_page_with_its_spike() -> None:
    """200,000 samples: the page stays below 1 MB; the one sample that stands out is there, in its process and in the
    sum; the smallest sums are there too."""
    page = render([parse(long_one(200_000))], ["a"])
    assert len(page) < 1_000_000
    found = re.search(r'id="data">(.*?)</script>', page)
    assert found is not None
    (data,) = json.loads(found[1])
    assert max(unpacked(data["processes"][0]["data"])) == SPIKE_MIB * 1024
    assert data["processes"][0]["name"] == "long"
    at = unpacked(data["processes"][0]["data"]).index(SPIKE_MIB * 1024)
    sums = [sum(values) for values in zip(*(unpacked(kind["data"]) for kind in data["kinds"]), strict=True)]
    assert max(sums) == sums[at]
    assert len(sums) == len(unpacked(data["times"])) < 20_000


def test_the_largest_of_very_many_processes_are_listed() -> None:
    """A page of ten thousand processes would open slowly; how many are left out is said."""
    stream = Stream().facts().command(b"a")
    for number in range(LIMIT + 50):
        stream.process(number, 0 if number else None, pid=100 + number).image(number, number)
        stream.image_end(number, hwm=(number + 1) * MIB)
    page = render([parse(stream.data)], ["a"])
    assert page.count("<tr data-order") + page.count("<tr class=peak data-order") == LIMIT
    assert f"{LIMIT + 50} processes, the {LIMIT} largest are listed" in page
    assert f'data-peak="{(LIMIT + 50) * MIB}"' in page


def test_the_chart_library_travels_with_its_licence() -> None:
    """uPlot is in the package and in the page, and so are its terms."""
    assets = resources.files("hiwater.views") / "report_assets"
    terms = (assets / "uplot.LICENSE.txt").read_text()
    assert "MIT License" in terms
    page = render([parse(family().data)], ["a"])
    assert "Permission is hereby granted" in page
    assert (assets / "uplot.min.js").read_text() in page


def test_the_axis_of_a_picture() -> None:
    """Five steps of a round number reach the largest."""
    assert [nice_step(size * MIB) / MIB for size in (1, 5, 9, 12, 60, 499, 501)] == [0.2, 1, 2, 2.5, 20, 100, 200]


# What remains of linear red, green and blue where one kind of cones is missing (Machado, Oliveira, Fernandes 2009).
_EYES = {
    "all": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "no long": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "no middle": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "no short": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
}
_XYZ = ((0.4339, 0.3762, 0.1899), (0.2126, 0.7152, 0.0722), (0.0177, 0.1095, 0.8728))
"""sRGB to XYZ, each divided by that of white."""


def seen(color: str, eye: str) -> tuple[float, float, float]:
    """A colour as CIE L*a*b*."""
    levels = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [level / 12.92 if level <= 0.04045 else ((level + 0.055) / 1.055) ** 2.4 for level in levels]
    left = [min(1, max(0, sum(map(mul, row, linear)))) for row in _EYES[eye]]
    x, y, z = (sum(map(mul, row, left)) for row in _XYZ)
    fx, fy, fz = (value ** (1 / 3) if value > 0.008856 else 7.787 * value + 16 / 116 for value in (x, y, z))
    return 116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)


@pytest.mark.parametrize("eye", _EYES)
def test_colours_stay_apart_for_all_eyes(eye: str) -> None:
    """Any two series, and the grey of the others, differ by 20 in CIE L*a*b* whichever cones the reader has; so do the
    kinds of memory. 2 can just be told apart side by side."""
    script = (resources.files("hiwater.views") / "report_assets" / "report.js").read_text()
    palettes = [re.findall("#[0-9a-f]{6}", line) for line in re.findall(r"const (?:LIGHT|DARK) = .*", script)]
    (greys,) = re.findall(r'dark\(\) \? "(#\w+)" : "(#\w+)"', script)
    assert [len(palette) for palette in palettes] == [10, 10]
    pictures = [[*palettes[0], greys[1]], [*palettes[1], greys[0]], [*plot_svg.COLORS, plot_svg.OTHERS],
                list(plot_svg.KIND_COLORS.values())]  # fmt: skip
    for colors in pictures:
        found = [seen(color, eye) for color in colors]
        assert min(dist(one, other) for one, other in combinations(found, 2)) >= 20
