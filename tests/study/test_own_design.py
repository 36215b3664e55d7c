"""A run tells what the template's own design is worth with the mapper effort of the best one."""

import json

import pytest

import dse
from dse.components.chain import energy_chain
from dse.domain.mapping import MappingBatch
from dse.evaluators.native import NativeEvaluator
from dse.report.table import result_text
from dse.space import catalog

OWN = {"pe_dim": 16, "scratchpad_kb": 128, "accumulator_kb": 32}


def run(tmp_path, **settings):
    given = {"arch": "gemmini", "workload": "dosa_bert", "samples": 40, "folder": tmp_path / "run"}
    given |= {"optimizer": "random"}
    return dse.run(**given | settings)


def test_own_design_is_mapped_with_the_effort_of_the_best(tmp_path):
    result = run(tmp_path)
    design, metrics = result.own_design
    assert design.values == OWN
    assert design.mapping_samples == result.design.mapping_samples
    hardware = energy_chain("dosa").price(catalog.template("gemmini").build(OWN))
    for layer, mapping, told in zip(result.workload, design.mappings, metrics.layers, strict=True):
        exact = NativeEvaluator().evaluate(hardware, layer.problem, MappingBatch.of([mapping]))
        assert (told.cycles, told.energy_pj) == (exact.cycles[0], exact.energy_pj[0])
    written = json.loads((tmp_path / "run" / "result.json").read_text())["own_design"]
    assert written["edp_pj_cycles"] == metrics.edp
    assert f"{metrics.edp / result.metrics.edp:.3g}x the best's" in result_text(result)


def test_a_slow_evaluator_is_asked_for_a_tenth_of_the_budget_at_most(tmp_path):
    result = run(tmp_path, evaluator="cycles", samples=5)
    assert result.design.mapping_samples == 1
    assert result.own_design is None
    random = {"name": "random", "mappings_per_hardware": 4}
    result = run(tmp_path / "more", evaluator="cycles", samples=40, optimizer=random)
    design, _ = result.own_design
    assert design.mapping_samples == 4


def test_it_is_the_same_for_any_threads(tmp_path):
    one, two = (run(tmp_path / str(n), n_jobs=n) for n in (1, 2))
    assert one.own_design == two.own_design


@pytest.mark.parametrize(
    "settings",
    [
        {"variables": {"pe_dim": 8}},
        {"variables": OWN},
        {"arch": "without defaults"},
    ],
    ids=["outside the space", "the best itself", "no own design"],
)
def test_there_is_nothing_to_compare_with(tmp_path, settings):
    if "arch" in settings:
        text = catalog.find("arch", "gemmini").read_text()
        settings = {"arch": tmp_path / "bare.yaml"}
        settings["arch"].write_text(text.replace("default: 128,", ""))
    result = run(tmp_path, **settings)
    assert result.own_design is None
    assert "own_design" not in result.as_dict()
    assert "own design" not in result_text(result)


def test_an_own_design_over_the_budget_says_why(tmp_path):
    template = tmp_path / "tight.yaml"
    text = catalog.find("arch", "gemmini").read_text().replace("default: 16, ", "default: 128,")
    template.write_text(text + "budget: {area_um2: 4.0e6}\n")
    result = run(tmp_path, arch=template)
    design, metrics = result.own_design
    assert design.values == {**OWN, "pe_dim": 128}
    assert not metrics.valid
    assert "exceeds the budget of 4e+06 um^2" in metrics.reason
    assert metrics.reason in result_text(result)
    assert result.as_dict()["own_design"]["reason"] == metrics.reason
