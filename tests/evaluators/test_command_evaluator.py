"""The user's own simulator: asked and answering in JSON, watched, and never a silent score."""

import json
import sys

import numpy as np
import pytest
import yaml

from dse.domain.mapping import MappingBatch
from dse.errors import InvalidMapping, SpecError, ToolError
from dse.evaluators.command import CommandEvaluator, CommandSettings
from dse.evaluators.native import NativeEvaluator
from dse.mapspace import Mapspace, sample_valid
from dse.testing import tiny
from dse.timeloop.read.inputs import read_text

ANSWER = "import json, sys\nasked = json.load(open(sys.argv[1]))\n"
WRITE = "json.dump({}, open(sys.argv[2], 'w'))\n"


@pytest.fixture(autouse=True)
def _own_temporary_folder(tmp_path, monkeypatch):
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))


def simulator(folder, body, **settings):
    """Return an evaluator whose command runs a Python script of this body."""
    script = folder / "sim.py"
    script.write_text(ANSWER + body)
    command = f"{sys.executable} {script} {{input}} {{output}}"
    return CommandEvaluator(settings=CommandSettings(command=command, **settings))


def case():
    """Return hardware, a problem, and one valid mapping."""
    architecture, problem = tiny.hardware().architectures[0], tiny.problem()
    space = Mapspace(problem, architecture, tiny.template().constraints)
    return architecture, problem, sample_valid(space, 1, 1, 10_000).mappings


def test_it_is_asked_what_timeloop_would_be_asked(tmp_path):
    architecture, problem, mappings = case()
    copy = tmp_path / "copy.json"
    body = f"open({str(copy)!r}, 'w').write(json.dumps(asked))\n" + WRITE.format({"cycles": 1e9})
    metrics = simulator(tmp_path, body).evaluate(architecture, problem, mappings)
    assert metrics.cycles[0] == 1e9
    asked = json.loads(copy.read_text())
    assert set(asked) == {"architecture", "ERT", "ART", "problem", "mapping"}
    spec = read_text(yaml.safe_dump(asked))
    assert spec.problem == problem
    again = NativeEvaluator().evaluate(
        spec.architecture, spec.problem, MappingBatch.of([spec.mapping])
    )
    own = NativeEvaluator().evaluate(architecture, problem, mappings)
    assert again.cycles[0] == own.cycles[0]
    assert again.energy_pj[0] == pytest.approx(own.energy_pj[0], rel=1e-12)
    assert not list((tmp_path / "tmp").iterdir())


def test_what_it_does_not_say_is_the_native_models(tmp_path):
    architecture, problem, mappings = case()
    own = NativeEvaluator().evaluate(architecture, problem, mappings)
    cycles = int(4 * own.cycles[0])
    few = simulator(tmp_path, WRITE.format({"cycles": cycles}))
    metrics = few.evaluate(architecture, problem, mappings)
    assert metrics.energy_pj[0] == own.energy_pj[0]
    assert metrics.area_um2[0] == own.area_um2[0]
    expected = problem.macs / (cycles * architecture.compute.instances)
    assert metrics.utilization[0] == pytest.approx(expected, rel=1e-12)
    told = {"cycles": cycles, "energy_pj": 7.5, "utilization": 0.25, "area_um2": 3}
    metrics = simulator(tmp_path, WRITE.format(told)).evaluate(architecture, problem, mappings)
    assert [getattr(metrics, key)[0] for key in told] == list(told.values())


def test_it_may_reject_with_a_reason(tmp_path):
    architecture, problem, mappings = case()
    body = WRITE.format("{'valid': False, 'reason': 'no port left'}")
    back_end = simulator(tmp_path, body)
    assert not back_end.evaluate(architecture, problem, mappings).valid[0]
    assert back_end.explain(architecture, problem, mappings, 0).message == "no port left"
    with pytest.raises(InvalidMapping, match="no port left"):
        back_end.totals(architecture, problem, mappings[0])


def test_what_the_native_model_rejects_is_not_asked(tmp_path):
    architecture, problem, mappings = case()
    mapping = mappings[0]
    mapping.spatial[:] = 1000
    back_end = simulator(tmp_path, "sys.exit(9)\n")
    wrong = MappingBatch.of([mapping])
    assert not back_end.evaluate(architecture, problem, wrong).valid[0]
    own = NativeEvaluator().explain(architecture, problem, wrong, 0)
    assert back_end.explain(architecture, problem, wrong, 0) == own


WRONG = {
    "status": ("print('a clue'); sys.exit(3)\n", "ended with exit status 3"),
    "nothing": ("print('a clue')\n", "wrote no {output}"),
    "no json": ("open(sys.argv[2], 'w').write('cycles: 3')\n", "is not JSON"),
    "deep": ("open(sys.argv[2], 'w').write('[' * 100000)\n", "is not JSON"),
    "list": (WRITE.format([1]), "is a list, expected an object with 'cycles'"),
    "misspelt": (WRITE.format({"cycle": 3}), "did you mean 'cycles'"),
    "no cycles": (WRITE.format({"energy_pj": 3}), "lacks 'cycles'"),
    "text": (WRITE.format({"cycles": "many"}), 'cycles = "many", expected a number, more than 0'),
    "infinite": (WRITE.format("{'cycles': float('inf')}"), "cycles = Infinity, expected a number"),
    "huge": (WRITE.format("{'cycles': 10 ** 400}"), "cycles: 401 digits"),
    "negative": (WRITE.format({"cycles": 9, "energy_pj": -1}), "energy_pj = -1, expected"),
    "too quick": (WRITE.format({"cycles": 1e-6}), "MACs need more for"),
}


@pytest.mark.parametrize("name", WRONG)
def test_an_answer_that_is_none_is_an_error_and_never_a_score(tmp_path, name):
    body, said = WRONG[name]
    with pytest.raises(ToolError) as error:
        simulator(tmp_path, body).evaluate(*case())
    assert said in str(error.value)
    if "clue" in body:
        assert "it printed:\n  a clue" in str(error.value)


def test_a_simulator_that_hangs_is_ended(tmp_path):
    body = "import time; time.sleep(300)\n"
    with pytest.raises(ToolError, match="ran for more than"):
        simulator(tmp_path, body, timeout_s=0.5).evaluate(*case())
    skipped = simulator(tmp_path, body, timeout_s=0.5, on_error="skip").evaluate(*case())
    assert np.isnan(skipped.cycles).all()


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (None, "expected a command such as"),
        ("", "expected a command such as"),
        ("sim '{input} {output}", "No closing quotation"),
        ("cat {input}", "no {output} in it"),
        ("cat {output}", "no {input} in it"),
    ],
)
def test_a_command_that_is_none_is_refused(command, said):
    with pytest.raises(SpecError) as error:
        CommandEvaluator(settings=CommandSettings(command=command))
    assert said in str(error.value)


def test_a_program_that_is_missing_is_told_at_once():
    with pytest.raises(ToolError, match="'no-such-program' is no executable file"):
        CommandEvaluator(settings=CommandSettings(command="no-such-program {input} {output}"))


def test_files_are_named_from_where_dse_is_started(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sim.py").write_text(ANSWER + WRITE.format({"cycles": 12345678}))
    command = f"{sys.executable} sim.py {{input}} {{output}}"
    back_end = CommandEvaluator(settings=CommandSettings(command=command))
    assert back_end.evaluate(*case()).cycles[0] == 12345678
