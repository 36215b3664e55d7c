"""Reports of searches of networks: accuracy against EDP, whose accuracy, and what compares."""

import json

import pytest

import dse
from dse.cli.compare import main as compare
from dse.errors import SpecError
from dse.report.networks import AccuracyPoint, compared_points, front_points
from dse.report.page import report_html
from dse.report.reported import reported
from dse.report.table import result_text

SMALL = """
name: small
description: for tests
source: ours
variables:
  image: {min: 4, max: 8, step: 2, default: 8}
  expand: {values: [1, 2, 3], default: 2}
layers:
  - {name: a, P: image, Q: image, C: 4, K: 4 * expand}
  - {name: head, C: 4 * expand, K: 10}
"""
NSGA2 = {
    "name": "nsga2", "population": 6, "mappings_per_hardware": 20, "objectives": ["error", "edp"],
}  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Return run folders by predictor, all of one search."""
    here = tmp_path_factory.mktemp("runs")
    (here / "small.yaml").write_text(SMALL)
    lines = [f"{i},{e},{0.5 + 0.01 * i * e}" for i in (4, 6, 8) for e in (1, 2, 3)]
    found = {}
    for name, shift in (("one", 0), ("same", 0), ("other", 1)):
        table = here / f"{name}.csv"
        table.write_text("\n".join(["image,expand,accuracy", *lines[shift:]]) + "\n")
        found[name] = dse.run(
            arch="eyeriss", workload=here / "small.yaml", optimizer=NSGA2, samples=600,
            accuracy=f"table:{table}", folder=here / f"run_{name}", seed=len(name),
        )  # fmt: skip
    return found


def test_the_table_says_how_accurate_and_who_says_so(runs):
    told = result_text(runs["one"], color=False, ascii_only=True)
    assert "share of images (table:" in told
    assert "the space's own network on this hardware" in told
    assert told.count(", accuracy 0.6600") >= 1


def test_points_are_those_of_the_result(runs):
    result = runs["one"]
    content = json.loads((result.folder / "result.json").read_text())
    points = {p.name: p for p in compared_points(content)}
    _, own = result.own_design
    assert points["fixed network, baseline chip"] == AccuracyPoint(
        "fixed network, baseline chip", own.edp / 1e12, own.accuracy
    )
    assert points["network and chip searched"].accuracy == result.metrics.accuracy
    front = front_points(content)
    assert len(front) > 1
    assert [(p.edp, p.accuracy) for p in front] == sorted((p.edp, p.accuracy) for p in front)
    assert {p.accuracy for p in front} <= {m.metrics.accuracy for m in result.front_members}


def test_the_page_and_the_plot_show_them(runs):
    folder = runs["one"].folder
    page = report_html([reported(folder)])
    for told in (
        "accuracy, share of images against EDP",
        "fixed network, baseline chip",
        "fixed network, searched chip",
        "network and chip searched",
    ):
        assert told in page
    assert (folder / "front.png").read_bytes().startswith(b"\x89PNG")


def test_accuracies_of_equal_tables_compare_and_of_others_do_not(runs, capsys):
    folders = {name: str(result.folder) for name, result in runs.items()}
    assert compare([folders["one"], folders["same"]]) == 0
    capsys.readouterr()
    with pytest.raises(SpecError, match=r"accuracies of different predictors \(table .*; table "):
        compare([folders["one"], folders["other"]])
