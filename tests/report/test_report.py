"""The report: one page that loads nothing, says what the result says, and runs nobody's names."""

from __future__ import annotations

import json
import math
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser

import pytest

import dse
from dse.cli import main
from dse.report.charts import Axis, Series, chart, compact
from dse.report.layer_views import limits_of_all
from dse.report.page import REPORT, report_html
from dse.report.reported import reported
from dse.report.views import run_view
from dse.study.result import RunResult

VOID = {"meta", "br", "img", "input", "link", "hr", "line", "circle", "path", "rect"}
HOSTILE = ('<script>alert("1")</script>', "\"><img src=x onerror='alert(2)'>", "{{ 7*7 }}{% raw %}")
#: Elements and attributes by which a page can load or run something.
LOADS = {"src", "href", "action", "data", "srcset", "poster", "formaction", "xlink:href"}


class Page(HTMLParser):
    """Reads a page; notes what is not well-formed, what it loads, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.faults: list[str] = []
        self.loads: list[str] = []
        self.handlers: list[str] = []
        self.ids: list[str] = []
        self.scripts = 0
        self.images = 0
        self.text = ""
        self.tips: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.scripts += tag == "script"
        self.images += tag == "img"
        self.loads += [str(v) for k, v in attrs if k in LOADS]
        self.handlers += [k for k, _ in attrs if k.startswith("on")]
        self.ids += [str(v) for k, v in attrs if k == "id"]
        self.tips += [str(v) for k, v in attrs if k == "data-tip"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag in VOID:
            return
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}> at {self.getpos()}")

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("script", "style"):
            self.text += data


def searched(folder, **settings) -> RunResult:
    workload = folder / "net.yaml"
    layers = [
        {"name": name, "P": 14, "Q": 14, "C": 32, "K": 16 << i, "R": 3, "S": 3, "count": i + 1}
        for i, name in enumerate(HOSTILE)
    ]
    network = {"name": "net", "shape": "cnn-layer", "layers": layers}
    workload.write_text(json.dumps(network))
    return dse.run(arch="gemmini", workload=workload, optimizer="random", samples=40,
                   folder=str(folder / "run"), **settings)  # fmt: skip


@pytest.fixture(scope="module")
def result(tmp_path_factory) -> RunResult:
    return searched(tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def page(result) -> Page:
    return Page((result.folder / REPORT).read_text(encoding="utf-8"))


def test_a_run_leaves_a_whole_page_that_loads_nothing(result, page):
    text = (result.folder / REPORT).read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>")
    assert len(text.encode()) < 3e6
    assert page.faults == []
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))
    assert all(link.startswith("#") and link[1:] in page.ids for link in page.loads)
    assert not re.search(r"https?:|@import|url\(|fetch\(|XMLHttpRequest|//[a-z]", text)


def test_what_bounds_the_trust_in_a_result_is_said(result, page):
    run = reported(result.folder)
    best = [x["best"] for x in run.designs if "best" in x]
    last = run.designs[[x.get("best") for x in run.designs].index(best[-1])]["samples"]
    assert f"The best design was found after {last:,} of {result.samples:,} samples" in page.text
    assert ("still getting better" in page.text) == (last > 0.9 * result.samples)
    different = {tuple(x["values"].items()) for x in run.designs}
    assert f"{len(different):,} different pieces of hardware" in page.text
    assert f"python -m dse validate {result.folder} compares" in page.text
    assert f"{result.own_design[1].cycles:,.0f} cycles" in page.text


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (["/a/dse/__main__.py", "run", "seed=range(0,2)"], "python -m dse run 'seed=range(0,2)'"),
        (["/venv/bin/dse", "run"], "python -m dse run"),
        (["mine.py", "a b"], "python mine.py 'a b'"),
        ([], ""),
    ],
)
def test_the_command_that_started_a_run_starts_it_again(result, words, command):
    run = replace(reported(result.folder), environment={"command": words})
    assert run.command == command


def test_limits_of_all_layers_are_shares_of_the_cycles(result):
    layers = reported(result.folder).explained.layers
    told = dict(part.rsplit(": ", 1) for part in limits_of_all(layers).split("; "))
    found = [float(value.rstrip("%")) for value in told.values()]
    assert sum(found) == pytest.approx(100, abs=0.3)
    assert found == sorted(found, reverse=True)
    assert all(("compute" in name) or ("bandwidth" in name) for name in told)


def test_the_changes_that_gain_most_come_first(result):
    run = reported(result.folder)
    rows = run_view(run, 0)["changes"]
    own = run.changes[0].as_mapped.edp
    ratios = [c.as_mapped.edp / own for c in run.changes[1:] if c.as_mapped]
    best = min(run.changes[1:], key=lambda c: c.as_mapped.edp if c.as_mapped else math.inf)
    assert rows[0]["what"] == best.what
    assert [row["gains"] is None for row in rows] == sorted(row["gains"] is None for row in rows)
    if min(ratios) < 1:
        assert f"{best.what}: by {1 - min(ratios):.3%}" in run_view(run, 0)["most_gained"]


def test_names_are_text_and_nothing_else(page):
    assert page.scripts == 1  # our own
    assert page.images == 0
    assert page.handlers == []
    for name in HOSTILE:
        assert name in page.text
        assert any(name in tip for tip in page.tips)


def test_numbers_are_those_of_the_result(result, page):
    told = json.loads((result.folder / "result.json").read_text())
    best = told["best"]
    for shown in (
        f"{best['cycles']:,.0f}",
        f"{best['energy_pj'] / 1e6:,.2f}",
        f"{best['area_um2'] / 1e6:.4f}",
        f"{best['power_w']:.4g}",
        f"{best['inferences_per_s']:.4g}",
        f"{best['tops_per_w']:.4g}",
        f"{best['utilization']:.1%}",
        f"{told['objective']['value'] / 1e12:.4g}",
    ):
        assert shown in page.text
    for layer in best["layers"]:
        assert f"{layer['cycles']:,.0f} cycles: limited by" in page.text
        assert f"{layer['energy_pj'] / 1e6:,.3f} uJ" in page.text
        assert f"{layer['utilization']:.1%} utilization" in page.text
    for name, label in best["labels"].items():
        assert f"{name} = {label}" in page.text
    best_tips = [tip for tip in page.tips if tip.startswith("best ")]
    assert f"best {told['objective']['value'] / 1e12:.6g} after" in best_tips[-1]


def test_the_page_of_a_folder_is_the_page_of_its_run(result):
    assert report_html([reported(result.folder)]) == (result.folder / REPORT).read_text()


def test_hostile_names_reproduce_nothing_but_text_on_the_page_of_several(result, tmp_path):
    other = searched(tmp_path, seed=1)
    page = Page(report_html([reported(result.folder), reported(other.folder)], HOSTILE))
    assert page.faults == []
    assert page.scripts == 1
    assert page.handlers == []
    assert len(page.ids) == len(set(page.ids))
    ranked = sorted((result.value, other.value))
    assert f"{ranked[1] / ranked[0]:.4g}" in page.text
    assert "random, seed 0 (run)" in page.text
    assert "random, seed 1 (run)" in page.text


def test_the_command_writes_where_it_is_told(result, tmp_path, capsys):
    out = tmp_path / "page.html"
    assert main(["report", str(result.folder), "-o", str(out), "--samples", "50"]) == 0
    assert capsys.readouterr().out == f"{out}\n"
    assert "finds with 50 mappings a layer" in out.read_text()


def test_run_names_it_last_or_leaves_it(tmp_path, capsys):
    words = ["run", "arch=gemmini", "workload=vgg16_conv1_1", "samples=10", "-q"]
    assert main([*words, f"folder={tmp_path / 'a'}"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == f"report    {tmp_path / 'a' / REPORT}"
    assert (tmp_path / "a" / REPORT).exists()
    assert main([*words, f"folder={tmp_path / 'b'}", "report=false", "--json"]) == 0
    assert "report" not in json.loads(capsys.readouterr().out)
    assert not (tmp_path / "b" / REPORT).exists()
    journals = [(tmp_path / x / "journal.jsonl").read_bytes() for x in "ab"]
    assert journals[0] == journals[1]


@pytest.fixture
def copy(result, tmp_path):
    return shutil.copytree(result.folder, tmp_path / "copy")


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("journal.jsonl", None, "there is no journal.jsonl, so there is no search to report"),
        ("journal.jsonl", "{}\n", "has no checksums"),
        ("result.json", None, "result.json: cannot be read"),
        ("result.json", "{", "result.json: not JSON"),
        ("result.json", '{"schema": "dse.result", "status": "infeasible"}', "nothing to explain"),
        ("config.yaml", None, "there is no config.yaml"),
        ("best/arch.yaml", None, "best: holds no design"),
        ("env.json", "{", "env.json: not JSON"),
    ],
)
def test_what_is_missing_is_one_clear_line(copy, capsys, name, content, told):
    if content is None:
        (copy / name).unlink()
    else:
        (copy / name).write_text(content)
    assert main(["report", str(copy)]) == 2
    err = capsys.readouterr().err
    assert told in err
    assert err.count("\n") == 1


def test_a_changed_mapping_is_noticed(copy, capsys):
    told = json.loads((copy / "result.json").read_text())
    told["best"]["cycles"] += 1
    (copy / "result.json").write_text(json.dumps(told))
    assert main(["report", str(copy)]) == 2
    assert "do not add up to the cycles and the energy" in capsys.readouterr().err


def test_charts_hold_their_points():
    drawn = str(
        chart("t", Axis("x", log=True), Axis("y"), [Series("s", [(1, 2), (1000, 4)], ["<a>", "b"])])
    )
    assert drawn.count("<circle") == 2
    assert 'data-tip="&lt;a&gt;"' in drawn
    for x, y in re.findall(r'cx="([\d.]+)" cy="([\d.]+)"', drawn):
        assert 52 <= float(x) <= 370
        assert 10 <= float(y) <= 214
    single = str(chart("t", Axis("x"), Axis("y"), [Series("s", [(0.0, 0.0)])]))
    assert "nan" not in single
    assert str(chart("t", Axis("x"), Axis("y"), [Series("s", [])])).endswith("</svg></figure>")


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (950, "950"), (12_340, "12.3k"), (2.5e9, "2.5G"), (1e18, "1.0e18")],
)
def test_numbers_of_axes_are_short(value, text):
    assert compact(value) == text
