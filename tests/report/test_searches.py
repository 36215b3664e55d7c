"""Comparisons over seeds: which runs are one search, at equal samples and time, and statistics."""

import json
import math

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from dse.errors import SpecError
from dse.report.comparable import warnings
from dse.report.compare import ComparisonTerms, compare, overall
from dse.report.compare_data import comparison_csv, comparison_json
from dse.report.compare_plot import plot_comparison
from dse.report.compare_text import comparison_text
from dse.report.course import SearchCourse
from dse.report.finished import FinishedRun
from dse.report.statistics import Contrast, Summary
from dse.report.varied import settings_of, varied
from dse.study.folder import TEMPLATE, WORKLOAD


def run(value, seed=0, *, bests=None, times=None, proven=None, **settings):
    """Return a run of these settings that ended at a value."""
    told = {
        "arch": "gemmini", "workload": "vgg16", "objective": "energy", "optimizer": "random",
        "energy": "dosa", "samples": 100, **settings, "seed": seed,
    }  # fmt: skip
    bests = bests or [(50, value)]
    return FinishedRun(
        folder=f"runs/{told['optimizer']}_{told['workload']}_{seed}",
        arch=told["arch"], workload=told["workload"], optimizer=told["optimizer"],
        energy=told["energy"], timeloop_version="4cf6d4c", objective=told["objective"],
        samples=told["samples"], seed=seed, value=value, cycles=1.0, energy_pj=value,
        area_um2=1.0, unit="pJ", settings=told, proven=proven,
        course=SearchCourse.of([*bests, (told["samples"], value)], times or []),
    )  # fmt: skip


def both(**settings):
    """Return three runs each of two optimizers, ga the better."""
    values = {"random": (10.0, 12.0, 20.0), "ga": (5.0, 6.0, 11.0)}
    return [
        run(value, seed, optimizer=name, **settings)
        for name, found in values.items()
        for seed, value in enumerate(found)
    ]


def test_medians_quartiles_and_the_test_are_those_of_scipy():
    (table,) = compare(both())
    assert table.varied == ("optimizer",)
    assert table.baseline.name == "optimizer=random"
    better, worse = table.rows
    assert better.search.name == "optimizer=ga"
    assert better.at_samples == Summary(6.0, 5.5, 8.5)
    assert worse.contrast is None
    told = better.contrast
    assert told.ratio == 0.5
    assert told.better == pytest.approx(8 / 9)
    assert told.p == mannwhitneyu([5, 6, 11], [10, 12, 20]).pvalue


@pytest.mark.parametrize("count", [1, 2, 5, 8])
def test_quartiles(count):
    values = np.random.default_rng(count).random(count)
    found = Summary.of(values)
    low, median, high = np.quantile(values, [0.25, 0.5, 0.75])
    assert (found.low, found.median, found.high) == pytest.approx((low, median, high))


def test_runs_that_found_nothing_come_last():
    found = Summary.of([1.0, 3.0, math.inf])
    assert (found.low, found.median, found.high) == (2.0, 3.0, math.inf)
    told = Contrast.of([1.0, 2.0], [3.0, math.inf])
    assert told.better == 1.0
    assert told.p == mannwhitneyu([1, 2], [3, 4]).pvalue
    assert math.isnan(told.ratio) or told.ratio == 0
    assert Contrast.of([1.0], [2.0]).p is None


def test_at_equal_samples_and_at_equal_time():
    slow = [
        run(1.0, s, optimizer="ga", samples=400, bests=[(100, 8.0), (300, 1.0)],
            times=[(100, 2.0), (400, 9.0)])
        for s in (0, 1)
    ]  # fmt: skip
    quick = [run(4.0, s, bests=[(20, 4.0)], times=[(100, 3.0)]) for s in (0, 1)]
    (table,) = compare([*slow, *quick])
    assert (table.samples, table.seconds) == (100, 3.0)
    rows = {row.search.labels["optimizer"]: row for row in table.rows}
    assert list(rows) == ["random", "ga"]
    assert rows["ga"].at_samples.median == 8.0
    assert rows["ga"].at_seconds.median == 8.0
    assert rows["ga"].end.median == 1.0
    assert table.budgets_differ
    assert warnings([table]) == [
        "the runs have different budgets (100, 400 samples): compared at 100"
    ]
    (table,) = compare([*slow, *quick], ComparisonTerms(samples=300, seconds=1.0))
    rows = {row.search.labels["optimizer"]: row for row in table.rows}
    assert rows["ga"].at_samples.median == 1.0
    assert rows["ga"].at_seconds.median == math.inf
    text = comparison_text([table])
    assert "at 300 samples and at 1.000 s" in text


def test_runs_without_times_have_no_equal_time():
    (table,) = compare([run(1.0, times=[(100, 1.0)]), run(2.0, 1)])
    assert table.seconds is None
    assert "equal time" not in comparison_text([table])


def test_a_search_that_ends_early_keeps_its_value():
    proof = run(2.0, optimizer="optimal", samples=3, bests=[(1, 5.0), (2, 2.0)], proven=2.0)
    (table,) = compare([*both(), proof])
    assert table.samples == 100
    first = table.rows[0]
    assert first.at_samples.median == 2.0
    # what it has proven is the optimum of all others on the same space
    assert [row.optimum for row in table.rows] == [2.0] * 3
    assert table.rows[1].to_optimum == 3.0
    assert "to optimum" in comparison_text([table])
    (table,) = compare([*both(energy="pat"), proof])
    assert [row.optimum for row in table.rows if row.search.labels["optimizer"] != "optimal"] == [
        *(None, None)
    ]


def test_workloads_and_objectives_have_tables_of_their_own():
    tables = compare([*both(), *both(workload="alexnet"), *both(objective="area")])
    assert [(t.of["workload"], t.of["objective"]) for t in tables] == [
        *(("vgg16", "energy"), ("alexnet", "energy"), ("vgg16", "area")),
    ]
    assert warnings(tables) == []
    (mean,) = overall(tables)
    assert mean.labels == {"optimizer": "ga"}
    assert mean.ratio == pytest.approx(0.5)
    assert "0.5000  optimizer=ga" in comparison_text(tables)


def test_architectures_share_a_table_unless_asked():
    runs = [*both(), *both(arch="eyeriss")]
    (table,) = compare(runs, ComparisonTerms(baseline="arch=eyeriss optimizer=random"))
    assert table.varied == ("arch", "optimizer")
    assert len(table.rows) == 4
    assert table.baseline.labels == {"arch": "eyeriss", "optimizer": "random"}
    assert len(compare(runs, ComparisonTerms(per=("arch",)))) == 2


def test_what_the_baseline_is_called():
    runs = both()
    assert compare(runs, ComparisonTerms(baseline="ga"))[0].baseline.name == "optimizer=ga"
    with pytest.raises(SpecError, match="--baseline naas: no search is called so; expected one of"):
        compare(runs, ComparisonTerms(baseline="naas"))
    with pytest.raises(SpecError, match="are called so, expected one"):
        compare([*runs, *both(arch="eyeriss")], ComparisonTerms(baseline="ga"))


def test_settings_that_others_imply_are_not_told():
    told = [
        {"optimizer": "ga", "optimizer.size": 3, "mapper": "x", "seed": 1},
        {"optimizer": "random", "mapper": "y", "seed": 2},
        {"optimizer": "ga", "optimizer.size": 4, "mapper": "x", "seed": 1},
    ]
    assert varied(told) == ["optimizer", "optimizer.size"]
    assert varied(told[:1]) == []


def test_unequal_settings_are_warned_of():
    runs = [
        run(1.0, optimizer="ga", constraints="area_mm2 < 4", n_jobs=2),
        run(2.0, n_jobs=1, **{"template.yaml": "a"}),
        run(2.0, n_jobs=1, **{"template.yaml": "a"}),
    ]
    told = warnings(compare(runs))
    assert "the runs have different constraints (-, area_mm2 < 4)" in told
    assert "the runs have different files that are called arch=gemmini" in told
    assert "the searches have different numbers of runs (1, 2)" in told
    assert "runs of optimizer=random have the same seed, so they count more than once" in told
    assert "the runs have different n_jobs (1; 2): times differ, too" in told


def test_data_of_it():
    tables = compare([*both(), run(None, 3)])
    told = json.loads(comparison_json(tables))
    assert [s["settings"] for s in told["tables"][0]["searches"]] == [
        *({"optimizer": "ga"}, {"optimizer": "random"}),
    ]
    assert told["tables"][0]["searches"][1]["feasible"] == 3
    lines = comparison_csv(tables).splitlines()
    assert lines[0].startswith("workload,objective,unit,samples,seconds,optimizer,runs,feasible")
    assert "at_samples_median,at_samples_q1,at_samples_q3" in lines[0]
    assert len(lines) == 3
    assert "3 of 4" in comparison_text(tables)


def test_curves_are_drawn_of_steps_with_bands(tmp_path):
    runs = [
        run(v, s, optimizer=o, bests=[(10, v + 5), (60, v)], times=[(30, 0.5), (100, 1.0 + s)],
            proven=None)
        for o, v in (("ga", 2.0), ("random", 4.0))
        for s in (0, 1, 2)
    ]  # fmt: skip
    proof = run(1.0, optimizer="optimal", bests=[(1, 1.0)], times=[(100, 0.1)], proven=1.0)
    path = tmp_path / "curves.svg"
    plot_comparison(compare([*runs, proof]), path)
    drawn = path.read_text()
    assert (
        drawn.count("<!-- proven optimum of this mapspace -->") == 2
    )  # over samples and over seconds
    for word in ("samples", "seconds", "ga", "random", "vgg16 on gemmini"):
        assert f"<!-- {word} -->" in drawn
    assert "FillBetweenPolyCollection" in drawn


def test_runs_from_before_a_setting_was_there_are_the_same_search(tmp_path):
    result = {"arch": "gemmini", "workload": "vgg16", "objective": {"name": "edp"}}
    folders = {name: tmp_path / name for name in ("before", "now", "free")}
    mapspace = {"before": {}, "now": {"free": False}, "free": {"free": True}}
    for name, folder in folders.items():
        folder.mkdir()
        content = {"arch": "gemmini", "workload": "vgg16", "mapspace": mapspace[name]}
        (folder / "config.yaml").write_text(json.dumps(content))
        (folder / TEMPLATE).write_text("name: gemmini")
        (folder / WORKLOAD).write_text("layers: [{name: a}]")
    before, now, free = (settings_of(folder, result) for folder in folders.values())
    assert varied([before, now]) == []
    assert varied([before, free]) == ["mapspace.free"]
