"""How long a browser takes to show a report: milliseconds in headless Chromium, median and range.

    python benchmarks/report_rendering.py [REPORT.html ...] [--repeats 9] [--width 1400]
        [--height 900] [--json FILE]

Without files, the reports of ResNet-50 on Eyeriss after 1,000 samples of ``random`` (10 designs)
and of ``lockstep`` (1,000 designs, so that all charts are full) are made first. Each load is the
first of a new browser with an empty profile. Times are since the navigation began, by the page's
own clock: first paint; the load event; the second frame after it, by which all charts are laid out
and drawn. ``on screen`` is by ours: until a picture of the window has come back, encoded. Exits
with 1 where a median of that is 2 s or more.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import dse
from dse.report.page import REPORT

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import browser  # of the tests

#: What stands in the table, in milliseconds.
TIMES = ("first paint", "load event", "drawn", "on screen")
_GOAL_MS = 2000
_TIMES = """
(async () => {
  const frame = () => new Promise(requestAnimationFrame);
  await frame();
  await frame();
  const drawn = performance.now();
  const paint = await new Promise(done => new PerformanceObserver(
    list => list.getEntriesByName("first-paint").forEach(entry => done(entry.startTime))
  ).observe({type: "paint", buffered: true}));
  return [paint, performance.getEntriesByType("navigation")[0].loadEventEnd, drawn];
})()
"""


def main() -> int:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("reports", nargs="*", type=Path, metavar="REPORT.html")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--width", type=int, default=1400)
    parser.add_argument("--height", type=int, default=900, help="5500 paints the whole page")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        reports = given.reports or [made(Path(folder), name) for name in ("random", "lockstep")]
        rows = [measured(report, given) for report in reports]
    sys.stdout.write(table(rows))
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    return 1 if any(median(row["on screen"]) >= _GOAL_MS for row in rows) else 0


def made(folder: Path, optimizer: str) -> Path:
    """Search, and return the report."""
    found = dse.run(
        arch="eyeriss", workload="resnet50", optimizer=optimizer, samples=1000,
        folder=folder / optimizer,
    )  # fmt: skip
    return found.folder / REPORT


def measured(report: Path, given: argparse.Namespace) -> dict[str, Any]:
    """Return the report's size, and the milliseconds of each of its loads by what they are of."""
    row: dict[str, Any] = {
        "report": f"{report.parent.name}/{report.name}",
        "bytes": report.stat().st_size,
        **{name: [] for name in TIMES},
    }
    for _ in range(given.repeats):
        with browser.page() as page:
            begin = time.perf_counter()
            page.open(report.resolve().as_uri(), given.width, given.height)
            times = page.run(_TIMES)
            page.ask("Page.captureScreenshot")
            times.append(1e3 * (time.perf_counter() - begin))
            row["elements"] = page.run("document.querySelectorAll('*').length")
            row["version"] = page.ask("Browser.getVersion")["product"]
        for name, value in zip(TIMES, times, strict=True):
            row[name].append(value)
    return row


def table(rows: list[dict[str, Any]]) -> str:
    """Return the rows as Markdown."""
    lines = [f"| report | KB | elements | {' | '.join(f'{name}, ms' for name in TIMES)} |"]
    lines.append("|---" * (3 + len(TIMES)) + "|")
    for row in rows:
        told = (f"{median(row[x]):.0f} ({min(row[x]):.0f} to {max(row[x]):.0f})" for x in TIMES)
        size = f"{row['bytes'] / 1e3:.0f} | {row['elements']:,}"
        lines.append(f"| {row['report']} | {size} | {' | '.join(told)} |")
    return "\n".join([*lines, f"\n{rows[0]['version']}\n"])


if __name__ == "__main__":
    raise SystemExit(main())
