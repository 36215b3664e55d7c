"""Every built-in optimizer passes the conformance kit and meets its golden result."""

import json
import sys
from pathlib import Path

import pytest

import dse
from dse.plugins import plugins
from dse.testing import OptimizerConformance

pytestmark = pytest.mark.slow

GOLDEN = Path(__file__).parent / "golden.json"


#: Optimizers that need the extra `learned`.
LEARNED = ("bo", "bo_dosa", "polaris", "spotlight")


class LearnedConformance(OptimizerConformance):
    """The conformance kit, where the extra is installed."""

    __test__ = False

    def __init_subclass__(cls) -> None:
        cls.__test__ = True

    @pytest.fixture(autouse=True)
    def _libraries(self):
        for name in ("botorch", "gpytorch", "sklearn"):
            pytest.importorskip(name)


class TestRandom(OptimizerConformance):
    optimizer = "random"
    settings = {"mappings_per_hardware": 5}


class TestAuto(OptimizerConformance):
    optimizer = "auto"
    settings = {"mappings": 500}


class TestAutoWithoutProof(OptimizerConformance):
    optimizer = "auto"
    settings = {"nodes": 1, "mappings": 1}


class TestGenetic(OptimizerConformance):
    optimizer = "ga"
    settings = {"mappings_per_hardware": 2, "population": 4, "norm_designs": 5}


class TestGeneticWithOptions(OptimizerConformance):
    optimizer = "ga"
    settings = {
        "mappings_per_hardware": 2,
        "population": 6,
        "crossover": 0.8,
        "creep": 0.5,
        "selection": "tournament",
        "adaptive": True,
        "niche": 1,
        "loss": "objective",
    }


class TestLockstep(OptimizerConformance):
    optimizer = "lockstep"
    settings = {"batch": 6, "population": 4, "trial": 12, "polish": 12}


class TestOptimal(OptimizerConformance):
    optimizer = "optimal"
    settings = {"mappings": 500}


class TestNaas(OptimizerConformance):
    optimizer = "naas"
    settings = {"mappings_per_hardware": 3, "population": 5}


class TestNsga2(OptimizerConformance):
    optimizer = "nsga2"
    settings = {"mappings_per_hardware": 2, "population": 4}


class TestDosa(OptimizerConformance):
    optimizer = "dosa"
    settings = {"steps": 12, "round_every": 5}


class TestDosaWithOptions(OptimizerConformance):
    optimizer = "dosa"
    settings = {
        "steps": 6,
        "round_every": 3,
        "ordering": "gumbel",
        "variables": "linear",
        "learning_rate": 0.05,
        "area_weight": 0.1,
    }


class TestBayesian(LearnedConformance):
    optimizer = "bo"
    settings = {"mappings_per_hardware": 4, "batch": 2, "candidates": 40, "warmup": 3}


class TestBayesianByThompson(LearnedConformance):
    optimizer = "bo"
    settings = {
        "mappings_per_hardware": 5,
        "acquisition": "thompson",
        "batch": 3,
        "candidates": 40,
        "refine": 0.0,
        "explore": 0.2,
    }


class TestBayesianOfSeveral(LearnedConformance):
    optimizer = "bo"
    settings = {
        "mappings_per_hardware": 6,
        "objectives": ["energy", "delay"],
        "batch": 3,
        "candidates": 20,
    }


class TestSpotlight(LearnedConformance):
    optimizer = "spotlight"
    settings = {"mappings_per_hardware": 3, "batch": 5, "candidates": 50}


class TestPublishedBayesian(LearnedConformance):
    optimizer = "bo_dosa"
    settings = {"mappings_per_hardware": 4, "training": 10, "trials": 3}


class TestPolaris(LearnedConformance):
    optimizer = "polaris"
    settings = {"pretrain": 100, "warmup": 2, "batch": 2, "search": 12}
    samples = 6


def test_every_builtin_has_a_conformance_test():
    tested = {
        c.optimizer
        for c in vars(sys.modules[__name__]).values()
        if isinstance(c, type) and issubclass(c, OptimizerConformance) and hasattr(c, "optimizer")
    }
    builtin = {n for n, p in plugins("optimizer").items() if p.distribution == "dse-accel"}
    assert builtin <= tested


@pytest.mark.parametrize("name", sorted({*plugins("optimizer")} - {*LEARNED}))
def test_golden_result(name, tmp_path):
    """An optimizer without a committed baseline fails here.

    Those that need PyTorch or scikit-learn have none: their sums are the machine's.
    """
    golden = json.loads(GOLDEN.read_text())
    result = dse.run(
        arch="gemmini",
        workload="dosa_bert",
        optimizer=name,
        samples=200,
        seed=0,
        folder=str(tmp_path / "run"),
    )
    assert {
        "values": result.design.values,
        "cycles": result.metrics.cycles,
        "energy_pj": pytest.approx(result.metrics.energy_pj, rel=1e-12),
    } == golden[name]
