"""Who held the heap, as a browser shows it in the report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from selenium.webdriver import Chrome, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select
from tests.browser.conftest import emulate, open_page
from tests.heapprofiles import exact, hostile, large, nothing, python_app, shuffle
from tests.streams import MIB
from tests.timelines import family
from tests.unit.heap.profiles import profile as of_rows

from hiwater.heap.model import HeapProfile
from hiwater.recording.reader import parse
from hiwater.views.report import render


def page_of(tmp_path: Path, *profiles: HeapProfile) -> Path:
    path = tmp_path / "report.html"
    path.write_text(render([parse(family().data)], ["a.hiw"], [profiles]), encoding="utf-8")
    return path


def find(browser: Chrome, css: str) -> WebElement:
    return browser.find_element(By.CSS_SELECTOR, css)


def boxes(browser: Chrome) -> dict[str, float]:
    """The boxes of the flame graph that have room for a name, with their share of its width."""
    found: list[tuple[str, float]] = browser.execute_script("""
        const wide = document.querySelector(".flame").getBoundingClientRect().width;
        return [...document.querySelectorAll(".flame .box")].map((box) =>
            [box.getAttribute("aria-label").split(",")[0], box.getBoundingClientRect().width / wide]);
    """)
    return dict(found)


def press(browser: Chrome, css: str) -> None:
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", find(browser, css))
    find(browser, css).click()


def test_the_peak_is_shown_first(browser: Chrome, tmp_path: Path) -> None:
    """As a flame graph whose boxes are as wide as what was held through them; nothing is logged."""
    open_page(browser, page_of(tmp_path, shuffle(20)))
    assert Select(find(browser, ".heap select")).first_selected_option.text == "at its peak, 1.60 s: 80.1 MiB"
    found = boxes(browser)
    assert found["main"] == pytest.approx(1, abs=0.002)
    assert found["sort_all"] == pytest.approx(20 / 80.1, abs=0.003)
    assert found["Library::load"] == pytest.approx(60 / 80.1, abs=0.003)
    assert "80.1 ± 1.7 MiB in use, estimated" in find(browser, ".heap .sizes").text
    assert browser.get_log("browser") == []  # type: ignore[no-untyped-call]


def test_another_moment(browser: Chrome, tmp_path: Path) -> None:
    """By the list, by the buttons beside it, by a point of the course, by the timeline of the report."""
    open_page(browser, page_of(tmp_path, shuffle(20)))
    choice = Select(find(browser, ".heap select"))
    choice.select_by_index(0)
    assert "sort_all" not in boxes(browser)
    assert "10.1" in find(browser, ".heap .sizes").text
    press(browser, ".heap [data-step='1']")
    assert choice.first_selected_option.text.startswith("at a moment of its growth, 0.500 s")
    press(browser, ".heap-course i.exit")
    assert choice.first_selected_option.text.startswith("at exit, 2.00 s")
    assert find(browser, ".heap [data-step='1']").get_attribute("disabled") is not None
    browser.execute_script("""
        document.querySelector("[data-recording]").dispatchEvent(
            new CustomEvent("hiwater-time", { bubbles: true, detail: 0.76 }));
    """)
    assert choice.first_selected_option.text.startswith("at a moment of its growth, 0.750 s")


def test_a_press_on_the_timeline_chooses_the_moment(browser: Chrome, tmp_path: Path) -> None:
    """The report's own chart leads to the moment next to it."""
    open_page(browser, page_of(tmp_path, shuffle(20)))
    chart = find(browser, "[data-recording] .chart")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", chart)
    find(browser, "[data-recording] .u-over").click()
    assert Select(find(browser, ".heap select")).first_selected_option.text.startswith(
        "at a moment of its growth, 0.250"
    )


def test_looking_into_a_call(browser: Chrome, tmp_path: Path) -> None:
    """A click makes it as wide as all; Escape, or the button, leads back; arrows move."""
    open_page(browser, page_of(tmp_path, shuffle(20)))
    press(browser, ".box[aria-label^='Library::load']")
    assert boxes(browser)["Library::load"] == pytest.approx(1, abs=0.002)
    assert boxes(browser)["std::string::_M_create"] == pytest.approx(42 / 60, abs=0.003)
    assert "sort_all" not in boxes(browser)
    focused = browser.switch_to.active_element
    assert (focused.get_attribute("aria-label") or "").startswith("Library::load")
    focused.send_keys(Keys.ARROW_DOWN)
    focused = browser.switch_to.active_element
    assert (focused.get_attribute("aria-label") or "").startswith("std::string::_M_create, 42.0 ± 1.6 MiB, 52.4%")
    assert "42.0 ± 1.6 MiB" in find(browser, ".heap-detail").text
    focused.send_keys(Keys.ARROW_RIGHT)
    focused = browser.switch_to.active_element
    assert (focused.get_attribute("aria-label") or "").startswith("std::vector::push_back")
    focused.send_keys(Keys.ENTER)
    browser.switch_to.active_element.send_keys(Keys.ESCAPE)
    browser.switch_to.active_element.send_keys(Keys.ARROW_UP)
    assert (browser.switch_to.active_element.get_attribute("aria-label") or "").startswith("load_library")
    press(browser, ".whole")
    assert boxes(browser)["sort_all"] == pytest.approx(20 / 80.1, abs=0.003)
    assert not find(browser, ".whole").is_displayed()


def test_finding(browser: Chrome, tmp_path: Path) -> None:
    """What matches stands out, and how much goes through it is said."""
    open_page(browser, page_of(tmp_path, shuffle(20)))
    field = find(browser, ".heap .search input")
    field.send_keys("MPDCLIENT")
    assert find(browser, ".heap .matches").text == "6.00 MiB, 7.5%, go through what matches"
    assert len(browser.find_elements(By.CSS_SELECTOR, ".box.hit")) == 2
    field.send_keys("x")
    assert find(browser, ".heap .matches").text == "nothing matches"


def test_call_sites_first(browser: Chrome, tmp_path: Path) -> None:
    """Inverted, the call sites stand below all, without what they called to allocate."""
    open_page(browser, page_of(tmp_path, shuffle(20)))
    press(browser, ".heap .invert")
    found = boxes(browser)
    assert "operator new" not in found
    assert found["mpd_pair_dup"] == pytest.approx(6 / 80.1, abs=0.003)


def rows(browser: Chrome) -> list[list[str]]:
    return [
        [cell.text for cell in row.find_elements(By.CSS_SELECTOR, "td, th")]
        for row in browser.find_elements(By.CSS_SELECTOR, ".heap-view tbody tr:not(.kind)")
    ]


def test_the_table(browser: Chrome, tmp_path: Path) -> None:
    """By function, line or library; the headers sort; what rests on few samples is one row; mapped memory is apart."""
    open_page(browser, page_of(tmp_path, shuffle(20)))
    press(browser, "[data-mode=table]")
    assert [row[4] for row in rows(browser)][:4] == [
        "Library::load",
        "sort_all",
        "mpd_pair_dup",
        "1 other, too small to tell",
    ]
    assert rows(browser)[0][0] == "54.0" and rows(browser)[0][2] == "67.4%" and rows(browser)[0][3] == "60.0"
    assert rows(browser)[-1][0] == "16.0" and rows(browser)[-1][4] == "map_cache"
    press(browser, ".heap-view thead th:nth-child(5) button")
    assert [row[4] for row in rows(browser)][:3] == ["Library::load", "mpd_pair_dup", "sort_all"]
    assert find(browser, ".heap-view thead th:nth-child(5)").get_attribute("aria-sort") == "ascending"
    press(browser, ".heap-view thead th:nth-child(1) button")
    press(browser, ".heap [data-by=line]")
    assert [row[5] for row in rows(browser)[:3]] == ["library.cc:88", "sort.c:17", "library.cc:91"]
    press(browser, ".heap [data-by=library]")
    assert [row[4] for row in rows(browser)][:2] == ["shuffle", "libmpdclient.so.2.20"]


def test_from_the_table_into_the_flame_graph(browser: Chrome, tmp_path: Path) -> None:
    """A press on a name finds it there."""
    open_page(browser, page_of(tmp_path, shuffle(20)))
    press(browser, "[data-mode=table]")
    press(browser, ".heap-view tbody tr:nth-child(2) .link")
    assert [box.text for box in browser.find_elements(By.CSS_SELECTOR, ".box.hit")] == ["sort_all"]


def test_the_call_graph(browser: Chrome, tmp_path: Path) -> None:
    """A box for each function, callers above what they call, no box over another; one tells its callers."""
    open_page(browser, page_of(tmp_path, shuffle(20), large(600, 3)))
    for panel in (1, 2):
        browser.execute_script(
            "document.querySelectorAll('.heap')[arguments[0]].querySelector('[data-mode=graph]').click()", panel - 1
        )
        overlapping = browser.execute_script("""
            const panel = document.querySelectorAll(".heap")[arguments[0]];
            const rects = [...panel.querySelectorAll(".node rect")].map((r) => r.getBBox());
            let count = 0;
            rects.forEach((a, i) => rects.slice(i + 1).forEach((b) => {
                if (a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height) count++;
            }));
            return [rects.length, count];
        """, panel - 1)  # fmt: skip
        assert overlapping[0] > 5 and overlapping[1] == 0
    tops = browser.execute_script("""
        return Object.fromEntries([...document.querySelector(".heap").querySelectorAll(".node")].map((node) =>
            [node.getAttribute("aria-label").split(",")[0], node.querySelector("rect").getBBox().y]));
    """)
    assert tops["main"] < tops["load_library"] < tops["Library::load"] < tops["mpd_pair_dup"]
    browser.execute_script("document.querySelector('.node[aria-label^=\"Library::load\"]').focus()")
    assert "called by load_library 60.0 · calls mpd_recv_pair 6.00" in find(browser, ".heap-detail").text


def test_calls_that_are_not_joined_stay_together(browser: Chrome, tmp_path: Path) -> None:
    """A thread has a root of its own: its boxes stand beside the others, and the widest is in sight."""
    begin = "_start > before_main > call_main > main"
    profile, snapshot = of_rows(
        f"{begin} > load_library > load_tags: {24 * MIB}", f"{begin} > load_library: {5 * MIB}",
        f"{begin} > load_library > make_uri: {3 * MIB}", f"{begin} > shuffle > make_uri: {MIB // 3}",
        f"{begin} > shuffle: {MIB // 16}", f"clone > start_thread > run > fill_cache: {21 * MIB}",
    )  # fmt: skip
    open_page(browser, page_of(tmp_path, replace(profile, peak=snapshot)))
    press(browser, "[data-mode=graph]")
    wide, boxes, seen = browser.execute_script("""
        const host = document.querySelector(".heap .graph"), place = host.getBoundingClientRect();
        const rects = [...host.querySelectorAll(".node rect")].map((r) => r.getBoundingClientRect());
        const main = host.querySelector(".node[aria-label^=main]").getBoundingClientRect();
        const middle = main.left + main.width / 2;
        return [Math.max(...rects.map((r) => r.right)) - Math.min(...rects.map((r) => r.left)),
            rects.reduce((sum, r) => sum + r.width, 0), middle > place.left && middle < place.right];
    """)
    assert wide < boxes * 0.7 and seen


@pytest.mark.parametrize("profile", [python_app(), exact(), hostile(), nothing(), large(2000, 4)])
def test_any_profile_opens(browser: Chrome, tmp_path: Path, profile: HeapProfile) -> None:
    """Without a course, without an exit, with names that would end a script: in all its views, without an error."""
    open_page(browser, page_of(tmp_path, profile))
    browser.execute_script("""
        for (const by of ["line", "library", "function"]) {
            for (const mode of ["table", "graph", "flame"]) {
                document.querySelector(`.heap [data-by=${by}]`)?.click();
                document.querySelector(`.heap [data-mode=${mode}]`)?.click();
            }
        }
    """)
    assert browser.get_log("browser") == []  # type: ignore[no-untyped-call]


def test_without_a_script(browser: Chrome, tmp_path: Path) -> None:
    """The page holds the call sites and the flame graph of the peak; the script takes their place."""
    text = render([parse(family().data)], ["a"], [[shuffle(20)]])
    assert 'class="heap-live" hidden' in text and "<svg" in text and "library.cc:88" in text
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get(page_of(tmp_path, shuffle(20)).as_uri())
        assert find(browser, ".heap-static table").is_displayed() and find(browser, ".flame-static svg").is_displayed()
        assert not find(browser, ".heap-live").is_displayed()
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    open_page(browser, page_of(tmp_path, shuffle(20)))
    assert browser.find_elements(By.CSS_SELECTOR, ".heap-static") == []


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_every_screen(browser: Chrome, tmp_path: Path, width: int, scheme: str) -> None:
    """In none of its views does the page scroll sideways."""
    emulate(browser, width=width, scheme=scheme)
    open_page(browser, page_of(tmp_path, shuffle(20), hostile(), large(500, 12)))
    for mode in ("table", "graph", "flame"):
        browser.execute_script(
            "document.querySelectorAll('.heap [data-mode=' + arguments[0] + ']').forEach((one) => one.click())", mode
        )
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width, mode


def test_contrast(browser: Chrome, tmp_path: Path) -> None:
    """Light or dark, searched or not: the names in the boxes stand out by 4.5 to 1 at least."""
    for scheme in ("light", "dark"):
        emulate(browser, width=1280, scheme=scheme)
        open_page(browser, page_of(tmp_path, large(500, 2)))
        for word in ("", "class1"):
            worst = browser.execute_script("""
                const field = document.querySelector(".heap .search input");
                field.value = arguments[0];
                field.dispatchEvent(new Event("input"));
                const parse = (text) => text.match(/[\\d.]+/g).map(Number);
                const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
                    .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
                    .reduce((sum, v, at) => sum + v * [0.2126, 0.7152, 0.0722][at], 0);
                let worst = 99;
                for (const e of document.querySelectorAll(".box")) {
                    const style = getComputedStyle(e);
                    const pair = [light(parse(style.color)), light(parse(style.backgroundColor))].sort((a, b) => b - a);
                    worst = Math.min(worst, (pair[0] + 0.05) / (pair[1] + 0.05));
                }
                return worst;
            """, word)  # fmt: skip
            assert worst >= 4.5
