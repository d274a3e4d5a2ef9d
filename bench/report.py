"""The report of a long recording: how long it takes to write, how large it is, how fast it opens, and that it has the
one sample that stands out.

    python bench/report.py                      a million samples of 50 processes
    python bench/report.py --samples 100000 --processes 500

Executed from the root of a checkout, with hiwater installed; the browser part takes selenium, Chromium and its driver.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.timelines import SPIKE_MIB, long_one

from hiwater.recording.reader import load
from hiwater.views.report import render

READY = "return document.documentElement.dataset.ready"
OPENED = "return performance.getEntriesByType('navigation')[0].loadEventEnd"
DRAWN = """
  const chart = document.querySelector(".chart canvas"), context = chart.getContext("2d");
  const data = context.getImageData(0, 0, chart.width, chart.height).data, rows = [];
  for (let x = 0; x < chart.width; x++)
    for (let y = 0; y < chart.height; y++) {
      const at = 4 * (y * chart.width + x);
      if (data[at] === 0x3f && data[at + 1] === 0x78 && data[at + 2] === 0xc4) { rows.push([y, x]); break; }
    }
  rows.sort((one, other) => one[0] - other[0]);
  return [rows[0], rows[Math.floor(rows.length / 2)], chart.height];
"""
"""The highest pixel of the first process, the one in the middle of all columns, and the height of the chart."""


def write(path: Path, samples: int, processes: int, rounds: int) -> Path:
    """Writes the recording and its page; prints what that took."""
    path.write_bytes(long_one(samples, processes))
    print(f"recording: {samples} samples, {processes} processes, {path.stat().st_size / 1e6:.1f} MB, uncompressed")
    page = path.with_suffix(".html")
    for _ in range(rounds):
        wall, cpu = time.perf_counter(), time.process_time()
        page.write_text(render([load(path)], [path.name]), encoding="utf-8")
        print(f"written in {time.perf_counter() - wall:.2f} s, {time.process_time() - cpu:.2f} s of CPU time")
    print(f"page: {page.stat().st_size / 1e6:.2f} MB (at most 3)")
    return page


def look(page: Path, profile: Path, rounds: int) -> bool:
    """Opens it; prints how long until its script has run, and whether the spike is there."""
    browser, driver = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
    if browser is None or driver is None:
        print("no Chromium with its driver: not opened")
        return True
    from selenium.webdriver import Chrome, ChromeOptions
    from selenium.webdriver.chrome.service import Service

    options = ChromeOptions()
    options.binary_location = browser
    for option in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1280,1000"):
        options.add_argument(option)
    options.add_argument(f"--user-data-dir={profile}")
    chrome = Chrome(options=options, service=Service(driver))
    try:
        for _ in range(rounds):
            chrome.get(page.as_uri())
            assert chrome.execute_script(READY) == "yes"
            print(f"opened, drawn and usable after {chrome.execute_script(OPENED) / 1000:.2f} s (at most 2)")
        legend = chrome.execute_script("return document.querySelector('.legend button').textContent")
        # Its usual size is a few MiB out of 1500: one column of pixels has to stand far above the others.
        (top, column), (usual, _), height = chrome.execute_script(DRAWN)
        there = f"{SPIKE_MIB}.0 MiB" in legend and usual - top > height // 8
        print(f"one sample of {SPIKE_MIB} MiB: {'drawn' if there else 'LOST'}, in column {column} of the picture")
        return there
    finally:
        chrome.quit()


def main() -> int:
    """Status 1 if the spike was lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=1_000_000)
    parser.add_argument("--processes", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    print(f"Linux {platform.release()}, {os.cpu_count()} CPUs, Python {platform.python_version()}")
    with tempfile.TemporaryDirectory(prefix="hiwater-bench-") as folder:
        page = write(Path(folder) / "long.hiw", args.samples, args.processes, args.rounds)
        return 0 if look(page, Path(folder) / "profile", args.rounds) else 1


if __name__ == "__main__":
    sys.exit(main())
