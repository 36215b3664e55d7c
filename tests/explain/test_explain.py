"""``explain``: what it says of a run adds up to what the run said, and its changes are exact."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

import dse
from dse.cli import main
from dse.cli.explained import energy_text
from dse.domain.architecture import Architecture
from dse.errors import SpecError
from dse.explain.changes import Change, changes
from dse.explain.layer import energy_table
from dse.explain.run import ExplainedRun, explained_run
from dse.model import evaluate_one
from dse.study.result import RunResult


@pytest.fixture(scope="module")
def result(tmp_path_factory) -> RunResult:
    return dse.run(arch="eyeriss", workload="alexnet", optimizer="random", samples=60, seed=1,
                   folder=str(tmp_path_factory.mktemp("runs") / "a"))  # fmt: skip


def test_a_layer_goes_by_its_aliases_too(result, run, capsys):
    assert run.layer("_outputs_210") is run.layer("fc6")
    said = []
    for name in ("_outputs_210", "fc6"):
        assert main(["explain", str(result.folder), name, "--samples", "0"]) == 0
        said.append(capsys.readouterr().out)
    assert said[0] == said[1]
    assert said[0].startswith("fc6")


@pytest.fixture(scope="module")
def run(result) -> ExplainedRun:
    return explained_run(result.folder)


def test_a_run_explained_is_the_run(result, run):
    assert [layer.name for layer in run.layers] == [x.name for x in result.metrics.layers]
    for layer, own in zip(run.layers, result.metrics.layers, strict=True):
        assert layer.stats.cycles == own.cycles
        assert layer.stats.energy_pj == own.energy_pj
        assert layer.utilization == pytest.approx(own.utilization)
        assert layer.rates == result.rates_of(own)
    assert energy_table(run.layers).total_pj == pytest.approx(result.metrics.energy_pj)
    assert run.architecture == result.architecture


def test_leakage_and_compute_have_columns_and_everything_adds_up(run):
    table = energy_table([replace(run.layers[0], count=1)])
    assert table.columns == ("Weights", "Inputs", "Outputs", "leakage", "compute")
    assert table.total_pj == pytest.approx(run.layers[0].stats.energy_pj)
    lines = energy_text(table).splitlines()
    assert lines[-2].split()[-1] == f"{run.layers[0].stats.energy_uj:,.3f}"


def test_changes_are_by_one(run):
    found = {x.what: x for x in changes(run.architecture) if isinstance(x, Change)}
    level = run.architecture.level("shared_glb")
    fan = run.architecture.fanout(run.architecture.level_index("shared_glb"))
    wider = _only(found, "shared_glb: one more PE column")
    taller = _only(found, "shared_glb: one more PE row")
    assert wider.compute.instances == (fan[0] + 1) * fan[1]
    assert taller.compute.instances == fan[0] * (fan[1] + 1)
    assert taller.level("psum_spad").instances == taller.compute.instances
    assert taller.level("shared_glb") == level
    double = _only(found, "shared_glb: double the size")
    assert double.level("shared_glb").size_words == 2 * (level.size_words or 0)
    dram = _only(found, "DRAM: one more word a cycle (shared)")
    assert (
        dram.level("DRAM").shared_bandwidth == run.architecture.level("DRAM").shared_bandwidth + 1
    )


def _only(found: dict[str, Change], start: str) -> Architecture:
    (one,) = (change for what, change in found.items() if what.startswith(start))
    return one.architecture


def test_what_a_change_buys_is_what_the_model_says_of_it(run):
    layer = run.layers[1]
    own, *others = run.what_if([layer], samples=300)
    assert own.what == "as it is"
    assert own.as_mapped is not None
    assert own.mapped_again is not None
    assert own.mapped_again.edp <= own.as_mapped.edp
    built = [x for x in changes(run.architecture) if isinstance(x, Change)]
    assert [x.what for x in others] == [x.what for x in built]
    for outcome, change in zip(others, built, strict=True):
        priced = run.space.chain.price(change.architecture)
        spec = layer.evaluation.input
        stats = evaluate_one(priced, spec.problem, layer.evaluation.mapping)
        assert outcome.as_mapped is not None
        assert outcome.as_mapped.cycles == layer.count * stats.cycles
        assert outcome.as_mapped.energy_pj == layer.count * stats.energy_pj
        assert outcome.area_um2 == priced.area_um2
        assert outcome.mapped_again is not None
        assert outcome.mapped_again.edp <= outcome.as_mapped.edp


def test_neighbours_are_a_step_away(run):
    found = run.neighbours()
    assert {x.variable for x in found} == {v.name for v in run.space.free}
    for one in found:
        values = {**run.values, one.variable: int(one.after)}
        if one.as_mapped is None:
            assert one.reason
            continue
        architecture = run.space.architecture(values)
        assert one.area_um2 == architecture.area_um2
        stats = [
            evaluate_one(architecture, x.evaluation.input.problem, x.evaluation.mapping)
            for x in run.layers
        ]
        counts = [layer.count for layer in run.layers]
        assert one.as_mapped.cycles == sum(n * s.cycles for n, s in zip(counts, stats, strict=True))


def test_the_command_tells_of_a_run_and_of_a_layer(result, run, capsys):
    assert main(["explain", str(result.folder)]) == 0
    out = capsys.readouterr().out
    total = f"{result.metrics.cycles:,.0f}"
    assert f"{total}" in next(x for x in out.splitlines() if x.startswith("total (x count)"))
    for layer in run.layers:
        line = next(x for x in out.splitlines() if x.startswith(f"{layer.name} "))
        assert layer.limited_by in line
    assert main(["explain", str(result.folder), run.layers[0].name, "--samples", "0"]) == 0
    out = capsys.readouterr().out
    assert "<- binding" in out
    assert "leakage" in out
    assert "PEs compute in" in out


def test_what_limits_a_layer_says_how_many_pes_are_busy(run):
    told = set()
    for layer in run.layers:
        macs = layer.architecture.compute.instances
        busy = math.prod(fan.used for fan in layer.fans)
        assert math.prod(fan.mesh for fan in layer.fans) == macs
        if layer.cycles.binding.bandwidth:
            assert layer.limited_by == layer.limit == layer.cycles.binding.name
        elif busy == macs:
            assert layer.limited_by == layer.limit == "compute, all PEs busy"
        else:
            assert layer.limit == "compute with idle PEs"
            assert layer.limited_by == f"compute, {busy:,} of {macs:,} PEs busy"
            told.add(layer.name)
    assert told


def test_the_command_gives_json(result, run, capsys):
    assert main(["explain", str(result.folder), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["schema"] == "dse.explain/1"
    assert len(found["layers"]) == len(run.layers)
    assert found["changes"][0]["as_mapped"]["energy_pj"] == pytest.approx(result.metrics.energy_pj)
    for layer in found["layers"]:
        assert sum(part["energy_pj"] for part in layer["energy"]) == pytest.approx(
            layer["energy_pj"]
        )


def test_the_command_takes_timeloops_files(result, run, capsys):
    best = result.folder / "best"
    layer = run.layers[0]
    files = [best / "arch.yaml", best / "ERT.yaml", best / "ART.yaml"]
    files += [best / f"{layer.name}.problem.yaml", best / f"{layer.name}.mapping.yaml"]
    assert main(["explain", *map(str, files)]) == 0
    assert (
        f"{layer.stats.cycles:,} cycles, limited by {layer.limited_by}" in capsys.readouterr().out
    )
    assert main(["explain", *map(str, files), "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["layers"]
    assert found["energy_pj"] == pytest.approx(layer.stats.energy_pj)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["no/such/run"], "'no/such/run' is neither a run folder nor a file"),
        (["{run}", "convl"], "unknown layer 'convl'"),
        (["{run}", "conv1", "conv2"], "explain takes one layer of a run, not 2"),
        (["{run}", "--energy", "pat"], "--energy: it goes with Timeloop's files"),
        (["{run}", "--samples", "-1"], "--samples -1, expected 0 or more"),
        (["{run}/best/arch.yaml", "--samples", "5"], "--samples: Timeloop's files"),
        (["{run}/best"], "result.json: cannot be read"),
    ],
)
def test_bad_words_are_one_clear_line(result, capsys, words, told):
    code = main(["explain", *(word.format(run=result.folder) for word in words)])
    err = capsys.readouterr().err
    assert code == 2
    assert told in err
    assert err.count("\n") == 1


def test_a_run_without_a_design_has_nothing_to_explain(result, tmp_path):
    content = json.loads((result.folder / "result.json").read_text())
    for name in ("config.yaml", "template.yaml", "workload.yaml"):
        (tmp_path / name).write_bytes((result.folder / name).read_bytes())
    (tmp_path / "result.json").write_text(json.dumps({**content, "status": "infeasible"}))
    with pytest.raises(SpecError, match="nothing to explain"):
        explained_run(tmp_path)
