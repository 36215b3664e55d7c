"""The report for everybody: what axe-core finds on it, in headless Chromium."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import browser
import pytest

import dse
from dse.report.page import report_html
from dse.report.reported import reported_result

pytestmark = pytest.mark.slow


def _axe() -> Path | None:
    """Return the path of axe.min.js: what ``DSE_AXE`` names, or where Node finds it."""
    if named := os.environ.get("DSE_AXE"):
        return Path(named)
    if shutil.which("node") is None:
        return None
    words = ["node", "-p", "require.resolve('axe-core/axe.min.js')"]
    found = subprocess.run(words, capture_output=True, text=True, check=False)
    return None if found.returncode else Path(found.stdout.strip())


AXE = _axe()
SIZES = [(width, scheme) for width in (360, 1400) for scheme in ("light", "dark")]
OPEN_ALL = "document.querySelectorAll('details').forEach(d => { d.open = true; })"
FINDINGS = """
axe.run().then(found => found.violations.map(
  v => [v.impact, v.id, v.help, v.nodes.map(n => n.html.slice(0, 200))]))
"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The page of one run, and that of two beside each other."""
    folder = tmp_path_factory.mktemp("accessibility")
    runs = [
        dse.run(arch=arch, workload="dosa_bert", optimizer=optimizer, samples=40,
                folder=folder / arch, report=False)
        for arch, optimizer in (("gemmini", "lockstep"), ("eyeriss", "random"))
    ]  # fmt: skip
    told = [reported_result(run) for run in runs]
    pages = {"one": report_html(told[1:]), "two": report_html(told, ["why not to compare them"])}
    paths = {name: folder / f"{name}.html" for name in pages}
    for name, text in pages.items():
        paths[name].write_text(text, encoding="utf-8")
    return paths


@pytest.mark.skipif(browser.chromium() is None, reason="Chromium is not installed (DSE_CHROMIUM)")
@pytest.mark.skipif(AXE is None, reason="axe-core is not installed (npm; DSE_AXE)")
@pytest.mark.parametrize("name", ["one", "two"])
def test_nothing_serious_stands_in_anybodys_way(pages, name):
    axe = AXE.read_text(encoding="utf-8")
    with browser.page() as page:
        for width, scheme in SIZES:
            page.open(pages[name].as_uri(), width, scheme=scheme)
            page.run(OPEN_ALL)
            page.run(f"{axe}; null")
            found = page.run(FINDINGS)
            grave = [one for one in found if one[0] in ("serious", "critical")]
            assert grave == [], (width, scheme)


@pytest.mark.skipif(browser.chromium() is None, reason="Chromium is not installed (DSE_CHROMIUM)")
@pytest.mark.skipif(AXE is None, reason="axe-core is not installed (npm; DSE_AXE)")
def test_what_is_wrong_is_found(tmp_path):
    bad = tmp_path / "bad.html"
    bad.write_text("<!doctype html><title>t</title><p style='color:#999'>pale</p><button></button>")
    with browser.page() as page:
        page.open(bad.as_uri(), 360)
        page.run(f"{AXE.read_text(encoding='utf-8')}; null")
        impacts = {one[1]: one[0] for one in page.run(FINDINGS)}
    assert impacts["button-name"] == "critical"
    assert impacts["color-contrast"] == "serious"


@pytest.mark.skipif(browser.chromium() is None, reason="Chromium is not installed (DSE_CHROMIUM)")
@pytest.mark.parametrize("name", ["one", "two"])
def test_nothing_is_wider_than_the_screen(pages, name):
    with browser.page() as page:
        for width, _ in SIZES[::2]:
            page.open(pages[name].as_uri(), width)
            page.run(OPEN_ALL)
            assert page.run("document.documentElement.scrollWidth") <= width
