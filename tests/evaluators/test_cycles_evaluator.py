"""The back ends of true cycles: energies of the native model, cycles of our accelerator's RTL."""

import json
from dataclasses import replace

import numpy as np
import pytest
from gemmini_cases import case, needs_verilator

from dse.cli import main
from dse.cycles.hardware import Machine, Memory
from dse.cycles.lower import lower
from dse.cycles.model import cycles
from dse.domain.mapping import MappingBatch
from dse.errors import SpecError, ToolError
from dse.evaluators.cycles import CyclesEvaluator, MemorySettings
from dse.evaluators.native import NativeEvaluator
from dse.evaluators.rtl import RtlEvaluator, RtlSettings
from dse.mapspace import Mapspace, sample_valid
from dse.testing import tiny
from dse.tools import verilator


def test_all_but_the_cycles_are_the_native_models():
    hardware, problem, mappings = case(20, (2,))
    native = NativeEvaluator().evaluate(hardware, problem, mappings)
    found = CyclesEvaluator().evaluate(hardware, problem, mappings)
    machine = Machine.of(hardware.architectures[0], Memory(bytes_per_cycle=8))
    expected = [cycles(lower(problem, mappings[b], machine)).total for b in range(20)]
    assert found.cycles.tolist() == expected
    assert np.array_equal(found.energy_pj, native.energy_pj)
    assert np.array_equal(found.area_um2, native.area_um2)
    done = native.utilization * native.cycles
    assert np.allclose(found.utilization * found.cycles, done, rtol=1e-12)
    assert (found.cycles != native.cycles).any()


def test_the_memory_is_what_the_settings_say():
    hardware, problem, mappings = case(5, (2,))
    fast, slow = (
        CyclesEvaluator(settings=MemorySettings(latency_cycles=x, bytes_per_cycle=y))
        for x, y in ((1, 16), (500, 4))
    )
    a, b = (e.evaluate(hardware, problem, mappings).cycles for e in (fast, slow))
    assert (a < b).all()
    near = CyclesEvaluator(settings=MemorySettings(500, 4, cache_kb=4, cache_latency_cycles=2))
    assert (near.evaluate(hardware, problem, mappings).cycles < b).all()
    for wrong, said in (
        (MemorySettings(bytes_per_cycle=3), "bytes_per_cycle = 3, expected"),
        (MemorySettings(cache_kb=-1), "cache: kilobytes = -1, expected"),
        (MemorySettings(cache_kb=8, cache_line_bytes=32), "line_bytes = 32, expected at least"),
    ):
        with pytest.raises(SpecError, match=said):
            CyclesEvaluator(settings=wrong).evaluate(hardware, problem, mappings)


def test_what_the_native_model_rejects_is_rejected_with_its_reason():
    hardware, problem, mappings = case(1, (2,))
    whole = np.ones_like(mappings[0].temporal)
    whole[0] = problem.sizes  # all of it in registers of one word
    big = replace(mappings[0], temporal=whole, spatial=np.ones_like(whole))
    evaluator = CyclesEvaluator()
    assert not evaluator.evaluate(hardware, problem, MappingBatch.of([big])).valid[0]
    found = evaluator.explain(hardware.architectures[0], problem, MappingBatch.of([big]), 0)
    assert found.resource == "capacity"


def test_other_templates_are_refused():
    with pytest.raises(SpecError, match="as in the template 'gemmini'"):
        architecture = tiny.hardware().architectures[0]
        problem = tiny.problem()
        space = Mapspace(problem, architecture, tiny.template().constraints)
        mappings = sample_valid(space, 1, 1, 10**6).mappings
        CyclesEvaluator().evaluate(architecture, problem, mappings)


def test_a_missing_tool_is_told_at_once(monkeypatch, tmp_path):
    monkeypatch.setenv("DSE_VERILATOR", str(tmp_path / "none"))
    with pytest.raises(ToolError, match="DSE_VERILATOR names"):
        RtlEvaluator()


@needs_verilator
def test_wrong_outputs_are_an_error_and_never_a_score(monkeypatch):
    hardware, problem, mappings = case(1, (2,))
    real = verilator.simulate

    def wrong(*args, **kwargs):
        (run,) = real(*args, **kwargs)
        outputs = run.outputs.copy()
        outputs.flat[0] ^= 1
        return [verilator.RtlRun(run.cycles, outputs)]

    monkeypatch.setattr(verilator, "simulate", wrong)
    with pytest.raises(ToolError, match="differ from numpy's"):
        RtlEvaluator().evaluate(hardware, problem, mappings)
    unchecked = RtlEvaluator(settings=RtlSettings(check=False))
    expected = CyclesEvaluator().evaluate(hardware, problem, mappings).cycles
    assert unchecked.evaluate(hardware, problem, mappings).cycles.tolist() == expected.tolist()


def test_a_job_that_does_not_end_is_an_error(monkeypatch):
    monkeypatch.setattr(verilator, "find", lambda: None)
    monkeypatch.setattr(
        verilator, "simulate", lambda *_, **__: [verilator.RtlRun(None, np.zeros(0, np.int8))]
    )
    hardware, problem, mappings = case(1, (2,))
    with pytest.raises(ToolError, match="had not ended after"):
        RtlEvaluator().evaluate(hardware, problem, mappings)


NET = "name: net\nshape: cnn-layer\nlayers: [{name: a, R: 3, P: 6, Q: 4, C: 8, K: 12, count: 3}]\n"


@pytest.fixture
def run_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.yaml").write_text(NET, encoding="utf-8")
    words = ["run", "arch=gemmini", "workload=net.yaml", "evaluator=cycles", "variables.pe_dim=4"]
    more = [
        "optimizer=random",
        "evaluator.latency_cycles=50",
        "samples=40",
        "folder=R",
        "n_jobs=1",
        "-q",
    ]
    assert main([*words, *more]) == 0
    return tmp_path / "R"


def test_a_run_says_whose_cycles_it_has_and_is_compared_with_its_like(
    run_folder, capsys, monkeypatch
):
    words = ["run", "arch=gemmini", "workload=net.yaml", "variables.pe_dim=4", "samples=40"]
    words.append("optimizer=random")
    assert main([*words, "folder=N", "n_jobs=1", "-q"]) == 0
    capsys.readouterr()
    with monkeypatch.context() as m:
        m.setattr("dse.certify.known.find", None)  # optima are known of Timeloop's model
        assert main([*words, "evaluator=cycles", "folder=C", "n_jobs=1", "-q"]) == 0
    assert "evaluator cycles, timeloop 4cf6d4c" in capsys.readouterr().out
    assert main(["compare", "R", "N"]) == 0
    assert "different models (Timeloop, evaluator cycles)" in capsys.readouterr().err


def test_a_layer_mapped_on_true_cycles_says_so(run_folder, capsys):
    capsys.readouterr()
    words = ["map", "arch=gemmini", "layer=net.yaml/a", "evaluator=cycles", "variables.pe_dim=4"]
    assert main([*words, "samples=40", "folder=M", "n_jobs=1", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    measured = told["measured"]
    assert told["objective"]["value"] == measured["cycles"] * measured["energy_pj"]
    assert measured["cycles"] != told["stats"]["cycles"]
    assert main([*words, "samples=40", "folder=M2", "n_jobs=1"]) == 0
    out = capsys.readouterr().out
    assert f"cycles: {measured['cycles']:,.0f} cycles" in out
    assert "the tables are of Timeloop's model" in out


def test_a_proof_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["run", "arch=gemmini", "workload=alexnet", "evaluator=cycles", "optimizer=optimal"]
    assert main([*words, "folder=P", "-q"]) == 2
    assert "its proof is for Timeloop's model" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["cycles", pytest.param("rtl", marks=needs_verilator)])
def test_the_latencies_of_a_design_side_by_side(run_folder, capsys, name):
    capsys.readouterr()
    assert main(["validate", f"evaluator={name}", str(run_folder), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    (layer,) = told["layers"]
    best = json.loads((run_folder / "result.json").read_text(encoding="utf-8"))["best"]
    model = layer["model"]
    assert (layer["name"], layer["count"]) == ("a", 3)
    assert model["total"] == best["layers"][0]["cycles"]  # with the run's own latency
    assert sum(value for key, value in model.items() if key != "total") == model["total"]
    assert layer["energy_pj"] == pytest.approx(best["layers"][0]["energy_pj"], rel=1e-9)
    assert layer["rtl"] == (model["total"] if name == "rtl" else None)
    assert told["agree"]
    assert main(["validate", f"evaluator={name}", str(run_folder)]) == 0
    out = capsys.readouterr().out
    assert f"{3 * model['total']:,}" in out
    assert ("RTL       equals the cycle model on 1 of 1 layers" in out) == (name == "rtl")
    for other in (
        ["evaluator.latency_cycles=51", "evaluator.burst_bytes=16"],
        ["evaluator.cache_kb=16", "evaluator.cache_latency_cycles=5"],
    ):
        assert main(["validate", f"evaluator={name}", str(run_folder), *other, "--json"]) == 0
        (layer,) = json.loads(capsys.readouterr().out)["layers"]
        assert layer["model"]["total"] != model["total"]
        assert layer["rtl"] == (layer["model"]["total"] if name == "rtl" else None)


@needs_verilator
def test_the_settings_of_a_run_on_rtl_are_those_of_the_cycle_model_too(run_folder, capsys):
    words = ["run", "arch=gemmini", "workload=net.yaml", "evaluator=rtl", "variables.pe_dim=4"]
    more = ["evaluator.latency_cycles=50", "evaluator.check=false", "samples=2", "folder=L", "-q"]
    more += ["optimizer=random", "optimizer.mappings_per_hardware=1"]
    assert main([*words, *more, "n_jobs=1"]) == 0
    capsys.readouterr()
    best = json.loads((run_folder.parent / "L/result.json").read_text(encoding="utf-8"))["best"]
    assert main(["validate", "evaluator=cycles", "L", "--json"]) == 0
    (layer,) = json.loads(capsys.readouterr().out)["layers"]
    assert layer["model"]["total"] == best["layers"][0]["cycles"]
    assert main(["validate", "evaluator=cycles", "L", "evaluator.check=true"]) == 2
    assert "unknown setting 'evaluator.check'" in capsys.readouterr().err


@needs_verilator
def test_a_program_has_the_memory_that_the_settings_say():
    hardware, problem, mappings = case(1, (2,))
    with pytest.raises(ToolError):
        RtlEvaluator(settings=RtlSettings(memory_gb=1e-4)).evaluate(hardware, problem, mappings)


def test_a_layer_without_files_is_missed(run_folder, capsys):
    (run_folder / "best" / "a.mapping.yaml").unlink()
    assert main(["validate", "evaluator=cycles", str(run_folder)]) == 2
    assert "a.mapping.yaml" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["evaluator=native", "R"], "unknown evaluator 'native' (choices: cycles, rtl)"),
        (["evaluator=cycles"], "takes one run folder"),
        (["evaluator=cycles", "R", "samples=3"], "samples=3: expected evaluator.NAME=VALUE"),
        (["evaluator=cycles", "R", "evaluator.latency=3"], "did you mean"),
        (["evaluator=cycles", "R", "evaluator.in_flight=x"], "in_flight"),
    ],
)
def test_what_validate_does_not_take_is_named(run_folder, capsys, words, said):
    capsys.readouterr()
    assert main(["validate", *words]) == 2
    assert said in capsys.readouterr().err
