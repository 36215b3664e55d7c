"""Every built-in mapper passes the conformance kit; the searches' operators and the optimum."""

import sys

import numpy as np
import pytest

from dse.components.chain import energy_chain
from dse.domain.architecture import HardwareBatch
from dse.domain.mapping import MappingBatch
from dse.domain.problem import SHAPES, Problem
from dse.errors import SpecError
from dse.evaluators.native import NativeEvaluator
from dse.goals.objective import objective
from dse.mappers.exhaustive import ExhaustiveMapper, ExhaustiveSettings
from dse.mappers.gamma import GammaMapper, GammaSettings
from dse.mappers.ground import Ground, Seeds
from dse.mappers.timeloop import TimeloopMapper, TimeloopMapperSettings
from dse.mapspace.enumeration import enumerate_valid, tilings
from dse.mapspace.move_table import KINDS
from dse.mapspace.space import Mapspace
from dse.plugins import plugins
from dse.space import catalog
from dse.testing import MapperConformance

pytestmark = pytest.mark.slow

TINY = Problem(SHAPES["gemm"], {"M": 4, "N": 6, "K": 4})


class TestRandom(MapperConformance):
    mapper = "random"


class TestHillclimb(MapperConformance):
    mapper = "hillclimb"


class TestAnneal(MapperConformance):
    mapper = "anneal"


class TestGamma(MapperConformance):
    mapper = "gamma"
    settings = {"population": 20}


class TestCma(MapperConformance):
    mapper = "cma"


class TestCmaAsInThePaper(MapperConformance):
    mapper = "cma"
    settings = {"legality": "resample", "covariance": "full", "encoding": "index", "population": 9}


class TestExhaustive(MapperConformance):
    mapper = "exhaustive"
    settings = {"limit": 5000}


class TestOptimal(MapperConformance):
    mapper = "optimal"
    settings = {"seeding": 100}


class TestPublished(MapperConformance):
    mapper = "bo_dosa"
    settings = {"candidates": 50}

    @pytest.fixture(autouse=True)
    def _libraries(self):
        pytest.importorskip("sklearn")


def test_every_builtin_has_a_conformance_test():
    classes = [c for c in vars(sys.modules[__name__]).values() if isinstance(c, type)]
    tested = {
        c.mapper for c in classes if issubclass(c, MapperConformance) and hasattr(c, "mapper")
    }
    builtin = {n for n, p in plugins("mapper").items() if p.distribution == "dse-accel"}
    # the external tool has no budget in mappings, and tests of its own
    assert builtin - {"timeloop"} <= tested


def _architecture(name, values=None):
    template = catalog.template(name)
    return energy_chain(template.energy).price(template.build(values or template.defaults))


@pytest.fixture(scope="module")
def gemmini():
    return _architecture("gemmini", {"pe_dim": 4, "scratchpad_kb": 1, "accumulator_kb": 1})


def _keys(mappings):
    """Mappings as hashable values, loops of one iteration left out of the orders."""
    result = []
    for b in range(len(mappings)):
        m = mappings[b]
        orders = tuple(
            tuple(int(d) for d in row if m.temporal[s, d] > 1)
            for s, row in enumerate(m.permutation)
        )
        axes = tuple(
            frozenset(int(d) for d in row[: m.split[s]] if m.spatial[s, d] > 1)
            for s, row in enumerate(m.spatial_permutation)
        )
        result.append((m.temporal.tobytes(), m.spatial.tobytes(), orders, axes, m.keep.tobytes()))
    return result


@pytest.mark.parametrize("name", ["gemmini", "free"])
def test_enumeration_lists_every_different_mapping_once(gemmini, name):
    """What the sampler can draw is what the enumeration lists."""
    problem = Problem(SHAPES["gemm"], {"M": 2, "N": 3, "K": 2}) if name == "free" else TINY
    space = Mapspace(problem, gemmini, {} if name == "free" else None)
    listed = [key for batch in enumerate_valid(space, 1000) for key in _keys(batch)]
    assert len(listed) == len(set(listed))
    drawn = Ground(space, {}, 100).sample(3000, 1)
    assert set(_keys(drawn)) <= set(listed)
    assert NativeEvaluator().evaluate(gemmini, problem, drawn).valid.all()


def test_chunks_and_strides_cover_the_same_space(gemmini):
    space = Mapspace(TINY, gemmini)
    whole = {key for batch in enumerate_valid(space, 100_000) for key in _keys(batch)}
    small = [key for batch in enumerate_valid(space, 7) for key in _keys(batch)]
    parts = [
        key
        for start in range(3)
        for batch in enumerate_valid(space, 1000, start=start, stride=3)
        for key in _keys(batch)
    ]
    assert len(small) == len(parts) == len(whole)
    assert set(small) == set(parts) == whole
    assert tilings(space) >= 1


def test_gamma_finds_the_optimum_of_a_small_space(gemmini):
    """Exhaustive search and the genetic algorithm agree."""
    evaluator, goal = NativeEvaluator(), objective("edp")
    hardware = HardwareBatch.of(gemmini)
    problem = Problem(SHAPES["gemm"], {"M": 16, "N": 16, "K": 16})
    every = ExhaustiveMapper(evaluator, {}, goal, ExhaustiveSettings())
    every.space_of = Mapspace
    gamma = GammaMapper(evaluator, {}, goal, GammaSettings())
    best = every.map(hardware, problem, np.array([10_000_000]), 0).metrics.edp[0]
    assert gamma.map(hardware, problem, np.array([3000]), 0).metrics.edp[0] == best


def test_exhaustive_refuses_large_spaces_without_a_limit():
    architecture = _architecture("eyeriss")
    mapper = ExhaustiveMapper(NativeEvaluator(), {}, objective("edp"), ExhaustiveSettings())
    layer = catalog.workload("vgg16").layers[1]
    with pytest.raises(SpecError, match=r"mapper\.limit"):
        mapper.map(HardwareBatch.of(architecture), layer.problem, np.array([10]), 0)


@pytest.mark.parametrize("arch", ["eyeriss", "simba"])
@pytest.mark.parametrize("kind", KINDS)
def test_steps_stay_in_the_space_and_fit(arch, kind):
    """Every kind of step, alone, leads to valid mappings that multiply out to the bounds."""
    architecture = _architecture(arch)
    problem = catalog.workload("resnet50").layers[2].problem
    space = Mapspace(problem, architecture)
    ground = Ground(space, {kind: 1.0}, 10_000)
    if not ground.can_step:
        pytest.skip(f"{arch} has no {kind} steps")
    seeds = Seeds(1, 0)
    here = ground.sample(64, seeds())
    for _ in range(5):
        there, fits = ground.step(here, 0.3, seeds(), 8)
        assert NativeEvaluator().evaluate(architecture, problem, there).valid.all()
        product = there.temporal.prod(axis=0) * there.spatial.prod(axis=0)
        assert (product == problem.sizes[:, None]).all()
        same = [a == b for a, b in zip(_keys(here), _keys(there), strict=True)]
        assert not any(same[b] for b in np.flatnonzero(~fits & ~np.array(same)))
        here = there
    assert fits.any()


def test_children_mix_their_parents():
    """Without mutation, each dimension's factors come whole from one parent or the other."""
    architecture = _architecture("simba")
    problem = catalog.workload("resnet50").layers[2].problem
    ground = Ground(Mapspace(problem, architecture), {}, 10_000)
    parents = ground.sample(2, 3)
    rates = np.array([1.0, 0.0, 1.0])
    children = ground.breed(parents, np.array([1.0, 2.0]), rates, 100, 5)
    assert len(children) == 100
    for d in range(len(problem.dimensions)):
        column = np.concatenate([children.temporal[:, d], children.spatial[:, d]])
        choices = np.concatenate([parents.temporal[:, d], parents.spatial[:, d]])
        assert all(any((c == p).all() for p in choices.T) for c in column.T)


def test_neighbours_differ_and_fit():
    architecture = _architecture("eyeriss")
    problem = catalog.workload("resnet50").layers[2].problem
    ground = Ground(Mapspace(problem, architecture), dict.fromkeys(KINDS, 1.0), 10_000)
    here = ground.sample(1, 9)
    around = ground.neighbours(here, 0, 1)
    assert len(around) > 20
    assert NativeEvaluator().evaluate(architecture, problem, around).valid.all()
    both = MappingBatch.concatenate([here, around])
    assert _keys(both)[0] not in _keys(both)[1:] or len(set(_keys(both))) > 1


def test_a_tournament_that_is_too_large_is_named(capsys):
    from dse.cli import main

    layer = "layer=dosa_bert/attention_values"
    words = ["map", "arch=gemmini", layer, "mapper=gamma", "samples=10"]
    assert main([*words, "mapper.tournament=9"]) == 2
    assert "mapper.tournament = 9, expected at most 8" in capsys.readouterr().err


@pytest.mark.parametrize("goal", ["energy_pj + 0*cycles", "adp"])
def test_timeloops_mapper_says_where_it_cannot_minimise_the_objective(goal, caplog):
    settings = TimeloopMapperSettings(binary="/bin/true")
    TimeloopMapper(NativeEvaluator(), {}, objective(goal), settings)
    assert ("it looks for the least EDP" in caplog.text) == (goal != "adp")
