"""Every evaluator passes the conformance kit, wrapped ones and those with external tools too."""

from dataclasses import replace

import gemmini_cases
import numpy as np
import pytest
import timeloop_stub
from pytimeloop_stub import stub as pytimeloop_stub

from dse.errors import DseError
from dse.evaluators.base import Evaluator
from dse.evaluators.memo import MemoEvaluator
from dse.evaluators.metered import MeteredEvaluator
from dse.evaluators.native import NativeEvaluator
from dse.goals.meter import Meter
from dse.goals.metrics import Metrics
from dse.plugins import plugins
from dse.testing import EvaluatorConformance, ToolConformance


class TestNative(EvaluatorConformance):
    evaluator = "native"


class TestMemo(EvaluatorConformance):
    evaluator = "native"

    def make(self, n_jobs=1):
        return MemoEvaluator(super().make(n_jobs))


class TestMemoThatForgets(TestMemo):
    def make(self, n_jobs=1):
        return MemoEvaluator(EvaluatorConformance.make(self, n_jobs), capacity=5)


class TestMetered(EvaluatorConformance):
    evaluator = "native"

    def make(self, n_jobs=1):
        return MeteredEvaluator(super().make(n_jobs), Meter(None, 1))


class TestTimeloop(ToolConformance):
    evaluator = "timeloop"
    count = 8

    @pytest.fixture(autouse=True)
    def _stubs(self, tmp_path, monkeypatch):
        (tmp_path / "tmp").mkdir()
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
        hardware, problem, mappings = self.case()
        cases = [(a, problem, mappings[b]) for a in hardware.architectures for b in range(8)]
        self.settings = {"binary": str(timeloop_stub.answering(tmp_path / "good", cases))}
        self.broken = {"binary": str(timeloop_stub.stub(tmp_path / "bad", "exit 3"))}
        self.missing = {"binary": str(tmp_path / "none")}


class TestCycles(EvaluatorConformance):
    evaluator = "cycles"

    def case(self):
        return gemmini_cases.case(self.count)


@gemmini_cases.needs_verilator
class TestRtl(EvaluatorConformance):
    evaluator = "rtl"
    count = 3

    def case(self):
        return gemmini_cases.case(self.count)


class TestCommand(ToolConformance):
    evaluator = "command"
    count = 6

    @pytest.fixture(autouse=True)
    def _scripts(self, tmp_path, monkeypatch):
        (tmp_path / "tmp").mkdir()
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
        good, bad = tmp_path / "good.sh", tmp_path / "bad.sh"
        # how long it takes depends on the mapping, as its text has another length
        good.write_text('printf \'{"cycles": %d0000}\' "$(wc -c < "$1")" > "$2"\n')
        bad.write_text("exit 3\n")
        self.settings = {"command": f"sh {good} {{input}} {{output}}"}
        self.broken = {"command": f"sh {bad} {{input}} {{output}}"}
        self.missing = {"command": f"{tmp_path}/none {{input}} {{output}}"}


class TestPyTimeloop(ToolConformance):
    evaluator = "pytimeloop"
    count = 8

    @pytest.fixture(autouse=True)
    def _stubs(self, tmp_path, monkeypatch):
        (tmp_path / "tmp").mkdir()
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
        self.settings = {"python": pytimeloop_stub(tmp_path / "bin")}
        self.broken = {"python": pytimeloop_stub(tmp_path / "bin", "exit")}
        self.missing = {"python": str(tmp_path / "none")}


def test_every_builtin_has_a_conformance_test():
    classes = [c for c in globals().values() if isinstance(c, type)]
    tested = {c.evaluator for c in classes if hasattr(c, "evaluator")}
    builtin = {n for n, p in plugins("evaluator").items() if p.distribution == "dse-accel"}
    assert builtin <= {*tested, "learned", "recorded"}  # in tests/learned: they need files


class Faulty(NativeEvaluator):
    """The native evaluator with one fault."""

    def __init__(self, fault):
        super().__init__()
        self.fault, self.asked = fault, 0

    def evaluate_batch(self, hardware, problem, mappings, hardware_index):
        index = np.zeros_like(hardware_index) if self.fault == "hardware" else hardware_index
        m = super().evaluate_batch(hardware, problem, mappings, index)
        self.asked += 1
        match self.fault:
            case "scored":
                return replace(m, energy_pj=np.where(m.valid, m.energy_pj, 0.0))
            case "thousands":
                return replace(m, cycles=m.cycles * 1000)
            case "area":
                return replace(m, area_um2=m.energy_pj)
            case "memory":
                return replace(m, energy_pj=m.energy_pj + self.asked)
            case "batch":
                return replace(m, energy_pj=m.energy_pj + len(m))
            case "changes":
                mappings.temporal[:] = 1
            case "short":
                return replace(m, valid=m.valid[1:])
        return m

    def explain_one(self, *given):
        return None if self.fault == "silent" else super().explain_one(*given)


CATCHES = {
    "hardware": "every_mapping_runs_on_its_own_hardware",
    "scored": "metrics_are_whole",
    "thousands": "metrics_are_in_their_units",
    "area": "metrics_are_in_their_units",
    "memory": "equal_questions_have_equal_answers",
    "batch": "batches_may_be_split",
    "changes": "mappings_stay_as_they_are",
    "silent": "what_is_rejected_has_a_reason",
}


@pytest.mark.parametrize("fault", CATCHES)
def test_the_kit_catches(fault):
    kit = TestNative()
    kit.make = lambda n_jobs=1: Faulty(fault)
    with pytest.raises(AssertionError):
        getattr(kit, f"test_{CATCHES[fault]}")()


def test_metrics_of_another_number_of_mappings_are_an_error():
    kit = TestNative()
    hardware, problem, mappings = kit.case()
    with pytest.raises(DseError, match=r"Faulty.evaluate_batch: metrics of 23 mappings, expected"):
        Faulty("short").evaluate(hardware.architectures[0], problem, mappings)


def test_a_back_end_needs_one_method_only():
    class Least(Evaluator):
        """Accepts what has no spatial factors."""

        def evaluate_batch(self, hardware, problem, mappings, hardware_index):
            valid = (mappings.spatial == 1).all(axis=(0, 1))
            return Metrics(valid, *(np.where(valid, 1.0, np.nan) for _ in range(4)))

    hardware, problem, mappings = TestNative().case()
    least = Least()
    valid = least.evaluate(hardware.architectures[0], problem, mappings).valid
    assert 0 < valid.sum() < len(valid)
    for b, fits in enumerate(valid):
        reason = least.explain(hardware.architectures[0], problem, mappings, b)
        assert reason is None if fits else reason.message == "Least gives no reason"
