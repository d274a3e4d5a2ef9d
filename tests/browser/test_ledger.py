"""Where the peak went, as a browser shows it in the report."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from selenium.webdriver import Chrome, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select
from tests.browser.conftest import emulate, open_page
from tests.ledgers import coarse, family, rich
from tests.streams import MIB

from hiwater.recording.model import Recording
from hiwater.views.report import render


def page_of(tmp_path: Path, *recordings: Recording) -> Path:
    path = tmp_path / "report.html"
    path.write_text(render(recordings, [f"{at}.hiw" for at in range(len(recordings))]), encoding="utf-8")
    return path


def find(browser: Chrome, css: str) -> WebElement:
    return browser.find_element(By.CSS_SELECTOR, css)


def shown(browser: Chrome, css: str) -> list[WebElement]:
    return [one for one in browser.find_elements(By.CSS_SELECTOR, css) if one.is_displayed()]


def test_the_rows_and_their_sum(browser: Chrome, tmp_path: Path) -> None:
    """Each row with its size and share; the foot says the sum, which is the peak of the card, to the byte."""
    open_page(browser, page_of(tmp_path, rich()))
    told = [row.text.replace("\n", " ") for row in shown(browser, ".ledger-of tbody tr")]
    assert "heap (brk) 45.0 21 % named by the kernel" in told
    assert "malloc arenas of threads (3) 24.0 11 % concluded" in told
    assert "wait4 in runner would add, inherited 637.0 not in the sum" in told
    assert "between the snapshot and the peak 2.4 1.1 % what is left" in told
    assert f"{210 * MIB:,} bytes" in find(browser, ".ledger-of tfoot").text
    assert find(browser, "[data-figure=peak_rss]").get_attribute("data-bytes") == str(210 * MIB)
    assert browser.get_log("browser") == []  # type: ignore[no-untyped-call]


def test_the_bars_are_as_wide_as_the_peak(browser: Chrome, tmp_path: Path) -> None:
    """Each begins where the one above ended, and the last ends where the peak does."""
    open_page(browser, page_of(tmp_path, rich()))
    bars = browser.execute_script("""
        const cell = document.querySelector(".ledger-of td.falls i").parentElement.getBoundingClientRect();
        const style = getComputedStyle(document.querySelector(".ledger-of td.falls"));
        const left = cell.left + parseFloat(style.paddingLeft);
        const width = cell.width - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
        return [...document.querySelectorAll(".ledger-of td.falls i")].map((bar) => {
            const box = bar.getBoundingClientRect();
            return [(box.left - left) / width, (box.right - left) / width];
        });
    """)
    assert bars[0][0] == pytest.approx(0, abs=0.01)
    assert bars[-1][1] == pytest.approx(1, abs=0.01)
    for (_, end), (begin, _) in pairwise(bars):
        assert begin == pytest.approx(end, abs=0.01)


def test_details_unfold(browser: Chrome, tmp_path: Path) -> None:
    """They are folded until asked for, with the mouse or the keyboard; the button says which."""
    open_page(browser, page_of(tmp_path, rich()))
    assert shown(browser, ".details tr") == []
    button = find(browser, ".fold")
    assert button.get_attribute("aria-expanded") == "false"
    button.click()
    assert button.get_attribute("aria-expanded") == "true"
    assert [row.text.split(" at ")[0] for row in shown(browser, ".details tr")] == [
        "50 % of 128.0 MiB",
        "all of 20.0 MiB",
        "31 smaller ones, 33 % of 3.0 MiB 1.0 0.5 %",
    ]
    button.send_keys(Keys.ENTER)
    assert shown(browser, ".details tr") == []
    for each in browser.find_elements(By.CSS_SELECTOR, ".fold"):
        assert find(browser, f"#{each.get_attribute('aria-controls')}").tag_name == "tbody"


def test_another_process_can_be_chosen(browser: Chrome, tmp_path: Path) -> None:
    """The one that peaked is shown; the others are in the list, the largest first."""
    open_page(browser, page_of(tmp_path, family()))
    choice = Select(find(browser, ".ledger select"))
    assert [option.text for option in choice.options] == [
        "boss, pid 4242: 60.0 MiB", "worker --id=1, pid 4243: 50.0 MiB", "worker --id=2, pid 4244: 50.0 MiB",
    ]  # fmt: skip
    assert [one.get_attribute("aria-label") for one in shown(browser, ".ledger-of")] == ["boss, pid 4242"]
    choice.select_by_index(1)
    assert [one.get_attribute("aria-label") for one in shown(browser, ".ledger-of")] == ["worker --id=1, pid 4243"]
    assert f"{50 * MIB:,} bytes" in shown(browser, ".ledger-of tfoot")[0].text


def test_the_tree_by_process(browser: Chrome, tmp_path: Path) -> None:
    """What each process held, less what several held, is the tree's peak of the card."""
    open_page(browser, page_of(tmp_path, family()))
    table = find(browser, ".ledger > .scroll table")
    assert "counted in more than one process -90.0" in table.text
    assert f"{121 * MIB:,} bytes" in table.text
    assert find(browser, "[data-figure=tree_peak]").get_attribute("data-bytes") == str(121 * MIB)


def test_without_mappings_and_without_a_script(browser: Chrome, tmp_path: Path) -> None:
    """A coarse ledger has its rows; and all is in the page before its script folds anything."""
    path = page_of(tmp_path, coarse())
    open_page(browser, path)
    assert [row.text.split(" ")[0] for row in shown(browser, ".ledger-of tbody tr")] == [
        "wait4", "anonymous", "pages", "shared", "between",
    ]  # fmt: skip
    text = render([family()], ["a"])
    assert "<select>" in text and 'aria-expanded="false"' not in text
    assert text.count('class="ledger-of"') == 3 and 'class="ledger-of" hidden' not in text


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_every_screen(browser: Chrome, tmp_path: Path, width: int, scheme: str) -> None:
    """With everything unfolded nothing scrolls sideways, not even the tables of the ledger."""
    emulate(browser, width=width, scheme=scheme)
    open_page(browser, page_of(tmp_path, rich(), family()))
    browser.execute_script("document.querySelectorAll('.fold').forEach((button) => button.click())")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    wide = browser.execute_script(
        "return [...document.querySelectorAll('.ledger .scroll')].filter((e) => e.scrollWidth > e.clientWidth).length"
    )
    assert wide == 0


def test_contrast(browser: Chrome, tmp_path: Path) -> None:
    """Light or dark, text stands out from what is behind it by 4.5 to 1 at least."""
    for scheme in ("light", "dark"):
        emulate(browser, width=1280, scheme=scheme)
        open_page(browser, page_of(tmp_path, rich()))
        worst = browser.execute_script("""
            const parse = (text) => text.match(/[\\d.]+/g).map(Number);
            const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
                .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
                .reduce((sum, v, at) => sum + v * [0.2126, 0.7152, 0.0722][at], 0);
            const behind = (e) => {
                for (; e; e = e.parentElement) {
                    const color = parse(getComputedStyle(e).backgroundColor);
                    if (color.length < 4 || color[3] > 0) return color;
                }
                return [255, 255, 255];
            };
            let worst = 99;
            for (const e of document.querySelectorAll(".ledger th, .ledger td, .ledger li, .ledger p, .ledger dt")) {
                const pair = [light(parse(getComputedStyle(e).color)), light(behind(e))].sort((a, b) => b - a);
                worst = Math.min(worst, (pair[0] + 0.05) / (pair[1] + 0.05));
            }
            return worst;
        """)
        assert worst >= 4.5
