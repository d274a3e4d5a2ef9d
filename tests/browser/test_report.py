"""The report, as a browser shows it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from selenium.webdriver import ActionChains, Chrome, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait
from tests.browser.conftest import emulate, open_page
from tests.streams import MIB, Stream
from tests.timelines import SPIKE_MIB, family, long_one

from hiwater.recording.reader import load, parse
from hiwater.views.json_view import document
from hiwater.views.report import render


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """That of a command with one child."""
    path = tmp_path / "report.html"
    path.write_text(render([parse(family().data)], ["a.hiw"]), encoding="utf-8")
    return path


@pytest.fixture
def both(tmp_path: Path) -> Path:
    """That of two recordings."""
    path = tmp_path / "both.html"
    two = [parse(family().data), parse(family(extra_mib=40).data)]
    path.write_text(render(two, ["a.hiw", "b.hiw"]), encoding="utf-8")
    return path


def find(browser: Chrome, css: str) -> WebElement:
    return browser.find_element(By.CSS_SELECTOR, css)


def shown_range(browser: Chrome, css: str = ".chart") -> tuple[float, float]:
    chart = find(browser, css)
    return float(chart.get_attribute("data-from") or ""), float(chart.get_attribute("data-to") or "")


def legend(browser: Chrome) -> list[str]:
    entries = browser.find_elements(By.CSS_SELECTOR, ".legend button")
    return [entry.get_attribute("textContent") or "" for entry in entries]


def logged(browser: Chrome, log: str) -> list[dict[str, str]]:
    return list(browser.get_log(log))  # type: ignore[no-untyped-call]


def names(browser: Chrome) -> list[str]:
    """Those in the table that can be seen, from top to bottom."""
    rows = browser.find_elements(By.CSS_SELECTOR, ".processes tbody tr")
    return [row.get_attribute("data-name") or "" for row in rows if row.is_displayed()]


@pytest.mark.parametrize("kind", ["one", "two", "long", "empty", "header only"])
def test_it_renders_without_an_error_and_loads_nothing(browser: Chrome, tmp_path: Path, kind: str) -> None:
    """Whatever was recorded: the console stays empty, and nothing but the file itself is asked for."""

    streams = {
        "one": [family().data],
        "two": [family().data, family(extra_mib=9).data],
        "long": [long_one(40_000)],
        "empty": [Stream().facts().command(b"true").end().data],
        "header only": [Stream().data],
    }
    path = tmp_path / "report.html"
    recordings = [parse(data) for data in streams[kind]]
    path.write_text(render(recordings, [f"{at}.hiw" for at in range(len(recordings))]), encoding="utf-8")
    open_page(browser, path)
    assert logged(browser, "browser") == []
    messages = [json.loads(entry["message"])["message"] for entry in logged(browser, "performance")]
    asked = {
        message["params"]["request"]["url"] for message in messages if message["method"] == "Network.requestWillBeSent"
    }
    assert {url for url in asked if not url.startswith("data:")} == {path.as_uri()}
    charts = browser.find_elements(By.CSS_SELECTOR, ".chart canvas")
    assert len(charts) == len(recordings) + (len(recordings) > 1)


def test_the_peak_shown_is_that_of_the_json(browser: Chrome, page: Path) -> None:
    """The figures in the cards, and the point in the chart, are those of the JSON."""
    open_page(browser, page)
    figures = document(parse(family().data))
    for key in ("peak_rss", "tree_peak"):
        card = find(browser, f"[data-figure={key}]")
        size, low, high = (figures[f"{key}{part}_bytes"] for part in ("", "_lower", "_upper"))
        assert isinstance(size, int) and isinstance(low, int) and isinstance(high, int)
        assert card.find_element(By.CSS_SELECTOR, ".big").text == f"{size / MIB:.1f} MiB"
        assert f"between {low / MIB:.1f} and {high / MIB:.1f} MiB" in card.text
    drawn = browser.execute_script("return JSON.parse(document.getElementById('data').textContent)[0].peak")
    assert drawn == {
        "t": 50_000,
        "bytes": figures["tree_peak_bytes"],
        "low": figures["tree_peak_lower_bytes"],
        "high": figures["tree_peak_upper_bytes"],
    }
    assert "70.0 MiB" in (find(browser, ".chart").get_attribute("aria-label") or "")


def test_buttons_and_keys_zoom(browser: Chrome, page: Path) -> None:
    """In, out, to the peak and back to all; the same with the keyboard."""
    open_page(browser, page)
    assert shown_range(browser) == (0, 0.1)
    find(browser, "[data-zoom=in]").click()
    assert shown_range(browser) == pytest.approx((0.025, 0.075))
    assert find(browser, ".range").text != ""
    find(browser, "[data-zoom=out]").click()
    assert shown_range(browser) == pytest.approx((0, 0.1))
    find(browser, "[data-zoom=peak]").click()
    low, high = shown_range(browser)
    assert low < 0.05 < high < 0.06
    find(browser, "[data-zoom=all]").click()
    assert find(browser, ".range").text == ""
    chart = find(browser, ".chart")
    chart.send_keys("+")
    assert shown_range(browser) == pytest.approx((0.025, 0.075))
    chart.send_keys("0")
    assert shown_range(browser) == pytest.approx((0, 0.1))
    chart.send_keys("p")
    assert shown_range(browser) == pytest.approx((low, high))


def test_dragging_zooms_and_a_double_click_shows_all(browser: Chrome, page: Path) -> None:
    """As in every chart."""
    open_page(browser, page)
    over = find(browser, ".chart .u-over")
    wide = over.size["width"]
    ActionChains(browser).move_to_element_with_offset(over, -wide // 4, 0).click_and_hold().move_by_offset(
        wide // 2, 0
    ).release().perform()
    low, high = shown_range(browser)
    assert (low, high) == pytest.approx((0.025, 0.075), abs=0.002)
    ActionChains(browser).double_click(over).perform()
    assert shown_range(browser) == pytest.approx((0, 0.1))


def test_hovering_tells_the_process(browser: Chrome, page: Path) -> None:
    """Under the pointer: the time, the sum, and each process; the one that is pointed at stands out."""
    open_page(browser, page)
    over = find(browser, ".chart .u-over")
    ActionChains(browser).move_to_element_with_offset(
        over, -over.size["width"] // 5, over.size["height"] // 4
    ).perform()
    tip = find(browser, ".tip")
    assert "sum 40.0 MiB" in tip.text
    assert "worker (4343)\n30.0 MiB" in tip.text
    assert find(browser, ".tip .here").text.startswith("worker")


def test_the_arrows_move_a_cursor_that_speaks(browser: Chrome, page: Path) -> None:
    """With the keyboard alone, what is under the cursor is said."""
    open_page(browser, page)
    chart = find(browser, ".chart")
    chart.send_keys(Keys.HOME)
    for _ in range(3):
        chart.send_keys(Keys.SHIFT, Keys.ARROW_RIGHT)
    said = find(browser, ".live").get_attribute("textContent") or ""
    assert "sum 40.0 MiB; worker 30.0 MiB, boss 10.0 MiB" in said
    assert find(browser, ".live").get_attribute("aria-live") == "polite"


def test_by_kind_and_hidden_series(browser: Chrome, page: Path) -> None:
    """The stack can be by kind; each series can be hidden."""
    open_page(browser, page)
    assert legend(browser) == ["boss pid 4242 · 10.0 MiB", "worker pid 4343 · 60.0 MiB"]
    find(browser, "[data-by=kind]").click()
    assert find(browser, "[data-by=kind]").get_attribute("aria-pressed") == "true"
    assert [entry.split(" ", 1)[0] for entry in legend(browser)] == ["anonymous", "files", "swapped"]
    first = find(browser, ".legend button")
    first.click()
    assert first.get_attribute("aria-pressed") == "false"
    assert logged(browser, "browser") == []


def test_the_table_sorts(browser: Chrome, page: Path) -> None:
    """By each header, both ways; the header says which."""
    open_page(browser, page)
    assert names(browser) == ["boss", "worker"]
    find(browser, "[data-key=peak]").click()
    assert names(browser) == ["worker", "boss"]
    assert find(browser, "th:has([data-key=peak])").get_attribute("aria-sort") == "descending"
    find(browser, "[data-key=peak]").click()
    assert names(browser) == ["boss", "worker"]
    assert find(browser, "th:has([data-key=peak])").get_attribute("aria-sort") == "ascending"
    find(browser, "[data-key=pid]").send_keys(Keys.ENTER, Keys.ENTER)
    assert names(browser) == ["worker", "boss"]
    find(browser, "[data-key=order]").click()
    assert names(browser) == ["boss", "worker"]


@pytest.mark.parametrize(
    ("words", "left"), [("work", ["worker"]), ("--fast", ["worker"]), ("4242", ["boss"]), ("zzz", []), ("B", ["boss"])]
)
def test_the_table_filters(browser: Chrome, page: Path, words: str, left: list[str]) -> None:
    """By name, arguments or pid; how many are left is said."""
    open_page(browser, page)
    field = find(browser, ".filter input")
    field.send_keys(words)
    assert names(browser) == left
    assert find(browser, ".processes [role=status]").text == f"{len(left)} of 2 shown"
    field.clear()
    field.send_keys(" ")
    assert names(browser) == ["boss", "worker"]


def test_everything_that_can_be_used_has_a_name(browser: Chrome, both: Path) -> None:
    """Screen readers have a word for each button, field, chart, table and region, and each id is there once."""
    open_page(browser, both)
    nameless = browser.execute_script("""
        const name = (e) => e.getAttribute("aria-label") || e.textContent.trim() || e.labels?.[0]?.textContent.trim()
            || e.querySelector("caption")?.textContent;
        return [...document.querySelectorAll("button, input, a, [tabindex], section, [role=region], [role=group], nav")]
            .filter((e) => !name(e)).map((e) => e.outerHTML.slice(0, 90));
    """)
    assert nameless == []
    ids = [e.get_attribute("id") for e in browser.find_elements(By.CSS_SELECTOR, "[id]")]
    assert len(ids) == len(set(ids))
    for chart in browser.find_elements(By.CSS_SELECTOR, ".chart"):
        described = chart.get_attribute("aria-describedby")
        assert "keyboard" in find(browser, f"#{described}").text
    assert find(browser, "html").get_attribute("lang") == "en"


def test_light_and_dark(browser: Chrome, page: Path) -> None:
    """The page follows what the user prefers; the button overrides it."""
    paper = "return getComputedStyle(document.body).backgroundColor"
    open_page(browser, page)
    light = browser.execute_script(paper)
    emulate(browser, width=1280, scheme="dark")
    open_page(browser, page)
    dark = browser.execute_script(paper)
    assert light != dark
    find(browser, "#theme").click()
    assert browser.execute_script(paper) == light
    assert find(browser, "#theme").get_attribute("aria-label") == "Switch to dark colours"


@pytest.mark.parametrize("width", [320, 390, 768, 1280, 1920])
def test_it_fits_every_screen(browser: Chrome, both: Path, width: int) -> None:
    """Nothing but the tables scrolls sideways, from a phone to a large screen."""
    emulate(browser, width=width, scheme="light")
    open_page(browser, both)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width


def test_several_recordings_are_overlaid(browser: Chrome, both: Path) -> None:
    """One line each, named; the cursor tells all; the differences are listed, with what is beyond doubt."""
    open_page(browser, both)
    assert [item.text for item in browser.find_elements(By.CSS_SELECTOR, "[data-overlay] .legend li")] == [
        "a.hiw",
        "b.hiw",
    ]
    chart = find(browser, "[data-overlay] .chart")
    chart.send_keys("+", Keys.END)
    for _ in range(4):
        chart.send_keys(Keys.SHIFT, Keys.ARROW_LEFT)
    chart.send_keys(Keys.ARROW_LEFT * 9)  # 50.5 ms
    assert "a.hiw 70.0 MiB, b.hiw 110.0 MiB" in (
        find(browser, "[data-overlay] .live").get_attribute("textContent") or ""
    )
    rows = [row.text for row in browser.find_elements(By.CSS_SELECTOR, ".differences tbody tr")]
    assert rows[0] == "peak RSS 60.0 MiB 100.0 MiB (+40.0, +66.7%)"
    assert "worker 60.0 MiB 100.0 MiB (+40.0, +66.7%)" in rows


def test_a_million_samples(browser: Chrome, tmp_path: Path) -> None:
    """The page stays below 3 MB, and has the one sample that stands out (bench/report.py tells how fast it opens)."""
    recording, path = tmp_path / "long.hiw", tmp_path / "long.html"
    recording.write_bytes(long_one())
    path.write_text(render([load(recording)], ["long.hiw"]), encoding="utf-8")
    assert path.stat().st_size <= 3_000_000
    open_page(browser, path)
    assert legend(browser)[0] == f"long pid 4242 · {SPIKE_MIB}.0 MiB"
    assert logged(browser, "browser") == []


def test_processes_are_called_what_they_call_themselves(browser: Chrome, tmp_path: Path) -> None:
    """A title that a process wrote over its arguments is its name, in the legend and in the table; of others that run
    one program, the legend names what each was given."""

    stream = Stream().facts().command(b"db").process().image(comm=b"db", exe=b"/bin/db", arguments=(b"db",))
    for number, arguments in enumerate(
        [(b"db: writer ", b"", b""), (b"sort", b"-u", b"one"), (b"sort", b"-u", b"two")]
    ):
        name = b"db" if number == 0 else b"sort"
        stream.process(number + 1, 0, pid=100 + number)
        stream.image(number + 1, number + 1, comm=name, exe=b"/bin/" + name, arguments=arguments)
    rows = [(1000, image, 2560, 2560, 0, 0, 2560) for image in range(4)]
    path = tmp_path / "report.html"
    path.write_text(render([parse(stream.samples(rows).end().data)], ["a.hiw"]), encoding="utf-8")
    open_page(browser, path)
    assert [entry.split(" pid")[0] for entry in legend(browser)] == ["db", "db: writer", "sort one", "sort two"]
    assert names(browser) == ["db", "db: writer", "sort", "sort"]
    find(browser, ".filter input").send_keys("writer")
    assert names(browser) == ["db: writer"]


def test_it_prints(browser: Chrome, page: Path) -> None:
    """On paper: the charts as wide as the page, in light colours even where the screen is dark, no buttons."""
    emulate(browser, width=1280, scheme="dark")
    open_page(browser, page)
    browser.execute_script("window.dispatchEvent(new Event('beforeprint'))")
    assert browser.execute_script("return document.documentElement.dataset.theme") == "light"
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        emulate_width = {"width": 700, "height": 1000, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", emulate_width)
        # The charts follow in the frame after the change of width.
        WebDriverWait(browser, 60).until(
            lambda page: page.execute_script("return document.documentElement.scrollWidth") <= 700,
            "the page stays wider than the paper",
        )
        assert 500 < find(browser, ".chart canvas").size["width"] <= 700
        assert not [one for one in browser.find_elements(By.CSS_SELECTOR, ".bar button, #theme") if one.is_displayed()]
        assert find(browser, ".legend button").is_displayed()
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    browser.execute_script("window.dispatchEvent(new Event('afterprint'))")
    assert browser.execute_script("return document.documentElement.dataset.theme") == "dark"


def test_little_times_are_told_in_milliseconds(browser: Chrome, page: Path) -> None:
    """0.051 s is hard to read."""
    open_page(browser, page)
    find(browser, ".chart").send_keys(Keys.HOME, *[Keys.ARROW_RIGHT] * 20)
    find(browser, "[data-zoom=in]").click()
    assert find(browser, ".range").text.endswith(" ms")


def test_a_peak_above_all_samples_is_in_the_picture(browser: Chrome, tmp_path: Path) -> None:
    """A process that was too short-lived to be looked at peaked above what was sampled: the chart reaches up to it."""
    stream = Stream().facts().command(b"prog").process().image().samples([(1000, 0, 256, 256, 0, 0, 256)])
    stream.image_end(hwm=20 * MIB, max_rss=MIB).process_end(maxrss=20 * MIB).stats().end(maxrss=20 * MIB)
    path = tmp_path / "report.html"
    path.write_text(render([parse(stream.data)], ["a.hiw"]), encoding="utf-8")
    open_page(browser, path)
    widest = browser.execute_script("""
        const chart = document.querySelector(".chart canvas"), {width, height} = chart;
        const {data} = chart.getContext("2d").getImageData(0, 0, width, height);
        let most = 0;
        for (let y = 0; y < height; y++) {
          let count = 0;
          for (let at = 4 * y * width; at < 4 * (y + 1) * width; at += 4)
            count += data[at] - data[at + 1] > 40 && data[at] - data[at + 2] > 40;  // red, or half of it
          most = Math.max(most, count);
        }
        return most / width;
    """)
    assert widest > 0.3, "the dashed line at the peak's height"
