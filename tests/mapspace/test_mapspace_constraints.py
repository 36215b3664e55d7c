"""Constraints restrict a mapspace, and every search in it, to exactly what they admit.

What they admit is decided here by looking at every mapping of the free mapspace.
"""

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from dse.certify.every import EveryMapping
from dse.certify.places import Places
from dse.certify.verdict import NotCoveredError
from dse.domain.architecture import AccessEnergy, Architecture, Compute, HardwareBatch, StorageLevel
from dse.domain.constraints import LevelConstraint, LoopConstraint, SpatialConstraint
from dse.domain.mapping import MappingBatch
from dse.domain.problem import SHAPES, Problem
from dse.errors import SpecError
from dse.evaluators.native import NativeEvaluator
from dse.goals.objective import objective
from dse.mappers.cma import CmaMapper, CmaSettings
from dse.mappers.ground import Ground
from dse.mappers.optimal import OptimalMapper, OptimalMapperSettings
from dse.mapspace.enumeration import enumerate_valid
from dse.mapspace.move_table import KINDS
from dse.mapspace.moves import random_neighbors, round_factors
from dse.mapspace.smallest import smallest
from dse.mapspace.space import Mapspace

DIMENSIONS = "MNK"
_SLOW = settings(
    max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)


def machine(inner_words=24, middle_words=64):
    """Three levels; below the middle one, four inner ones along X and two along Y."""
    energy = AccessEnergy(1.0, 1.0, 1.0)
    inner = StorageLevel(
        "inner", size_words=inner_words, mesh_x=4, mesh_y=2, instances=8, energy=energy
    )
    middle = StorageLevel("middle", size_words=middle_words, energy=AccessEnergy(5.0, 5.0, 5.0))
    outer = StorageLevel("outer", kind="DRAM", energy=AccessEnergy(50.0, 50.0, 50.0))
    compute = Compute(mesh_x=4, mesh_y=2, instances=8, energy_pj=0.5)
    return Architecture("small", (inner, middle, outer), compute)


KEPT = {name: LevelConstraint(keep=("A", "B", "Z")) for name in ("inner", "middle", "outer")}


@st.composite
def loop_constraints(draw, kind, bounds):
    """Any mix of limits, fixed factors and ends of the order."""
    some = st.lists(st.sampled_from(DIMENSIONS), max_size=2, unique=True)
    number = st.sampled_from([1, 2, 2, 3, 4])
    content = {}
    if draw(st.booleans()):
        content["min_factors"] = {d: draw(number) for d in draw(some)}
    if draw(st.booleans()):
        content["max_factors"] = {d: draw(number) for d in draw(some)}
    if draw(st.integers(0, 4)) == 0:
        content["factors"] = {d: draw(st.sampled_from([0, 1, 2])) for d in draw(some)[:1]}
    if draw(st.integers(0, 4)) == 0:
        content["dimensions"] = tuple(draw(some))
    ends = draw(st.permutations(DIMENSIONS))
    inside, outside = draw(st.integers(0, 2)), draw(st.integers(0, 1))
    content["permutation"] = tuple(ends[:inside])
    content["suffix"] = tuple(ends[inside : inside + outside])
    return kind(**content)


@st.composite
def spaces(draw, parallelism=True):
    """A small matrix product, and constraints on every level."""
    sizes = st.sampled_from([1, 2, 3, 4, 6])
    problem = Problem(SHAPES["gemm"], {d: draw(sizes) for d in DIMENSIONS})
    assume(problem.macs <= 72)
    constraints = dict(KEPT)
    for name in constraints:
        spatial = SpatialConstraint()
        if name == "middle":
            spatial = draw(loop_constraints(SpatialConstraint, problem.bounds))
        constraints[name] = LevelConstraint(
            keep=("A", "B", "Z"),
            temporal=draw(loop_constraints(LoopConstraint, problem.bounds)),
            spatial=spatial,
        )
    if parallelism and draw(st.booleans()):
        least = draw(st.sampled_from([0.1, 0.25, 0.3, 0.5]))
        constraints["inner"] = LevelConstraint(
            keep=("A", "B", "Z"), temporal=constraints["inner"].temporal, min_parallelism=least
        )
    return problem, constraints


def loops(m):
    """What tells mappings apart, loops of one iteration left out."""
    orders = tuple(
        tuple(int(d) for d in row if m.temporal[s, d] > 1) for s, row in enumerate(m.permutation)
    )
    along_x = tuple(
        frozenset(int(d) for d in row[: m.split[s]] if m.spatial[s, d] > 1)
        for s, row in enumerate(m.spatial_permutation)
    )
    return m.temporal.tobytes(), m.spatial.tobytes(), orders, along_x


def each(batches):
    return [batch[i] for batch in batches for i in range(len(batch))]


def admitted(m, problem, constraints):
    """Whether constraints admit a mapping: read off their definition."""
    used = 1
    for s, level in enumerate(machine().levels):
        c = constraints[level.name]
        used *= int(np.prod(m.spatial[s]))
        for rule, row in ((c.temporal, m.temporal[s]), (c.spatial, m.spatial[s])):
            for d, name in enumerate(problem.dimensions):
                factor = int(row[d])
                fixed = rule.factors.get(name)
                if fixed is not None and factor != (fixed or problem.bounds[name]):
                    return False
                barred = rule.dimensions is not None and name not in rule.dimensions
                if barred and fixed is None and factor != 1:
                    return False
                if not rule.min_factors.get(name, 1) <= factor <= rule.max_factors.get(name, 99):
                    return False
        order = [problem.dimensions[d] for d in m.permutation[s] if m.temporal[s, d] > 1]
        first = [d for d in c.temporal.permutation or () if d in order]
        last = [d for d in c.temporal.suffix if d in order]
        if order[: len(first)] != first or order[len(order) - len(last) :] != last:
            return False
    return used / 8 >= constraints["inner"].min_parallelism


def admitted_of_all(problem, constraints, architecture):
    free = Mapspace(problem, architecture, KEPT)
    return {
        loops(m): m
        for m in each(enumerate_valid(free, 1 << 14))
        if admitted(m, problem, constraints)
    }


@_SLOW
@given(spaces(), st.integers(0, 2**31))
def test_searches_reach_what_is_admitted_and_nothing_else(case, seed):
    problem, constraints = case
    architecture = machine()
    wanted = admitted_of_all(problem, constraints, architecture)
    space = Mapspace(problem, architecture, constraints)
    listed = each(enumerate_valid(space, 1 << 14))
    assert len(listed) == len(wanted)
    assert {loops(m) for m in listed} == set(wanted)
    if not wanted:
        return
    ground = Ground(space, dict.fromkeys(KINDS, 1.0), 2000)
    drawn = ground.sample(60, seed)
    assume(len(drawn))
    assert {loops(m) for m in each([drawn])} <= set(wanted)
    rates = np.array([0.5, 0.5, 2.0])
    bred = ground.breed(drawn, np.arange(len(drawn), dtype=np.float64), rates, 60, seed)
    stepped = ground.step(drawn, 0.5, seed, 20)[0]
    around = ground.neighbours(drawn, 0, seed)
    assert {loops(m) for m in each([bred, stepped, around])} <= set(wanted)
    for _ in range(5):
        drawn = random_neighbors(space, drawn, seed)
        fits = NativeEvaluator().evaluate(architecture, problem, drawn).valid
        assert {loops(m) for m, ok in zip(each([drawn]), fits, strict=True) if ok} <= set(wanted)


@_SLOW
@given(spaces(parallelism=False), st.integers(0, 2**31))
def test_rounding_and_vectors_stay_inside(case, seed):
    problem, constraints = case
    architecture = machine(10**6, 10**6)
    space = Mapspace(problem, architecture, constraints)
    found = smallest(space)
    assert (found is None) == bool(space.infeasible)
    if found is None:
        return
    assert admitted(found, problem, constraints)
    rng = np.random.default_rng(seed)
    shape = (*space.arrays.order.shape, 20)
    rounded = round_factors(space, rng.uniform(1, 6, shape), rng.uniform(1, 4, shape))
    assert all(admitted(m, problem, constraints) for m in each([rounded]))
    cma = CmaMapper(NativeEvaluator(), constraints, objective("edp"), CmaSettings())
    best = cma.map(HardwareBatch.of(architecture), problem, np.array([60], np.int64), 0)
    assert best.mappings[0] is None or admitted(best.mappings[0], problem, constraints)


@settings(_SLOW, max_examples=15)
@given(spaces(), st.sampled_from(["edp", "energy", "delay"]))
def test_the_optimum_is_that_of_what_is_admitted(case, goal):
    problem, constraints = case
    architecture = machine(8, 24)
    wanted = list(admitted_of_all(problem, constraints, architecture).values())
    values = np.array([np.inf])
    if wanted:
        metrics = NativeEvaluator().evaluate(architecture, problem, MappingBatch.of(wanted))
        values = objective(goal).rank(metrics)
    mapper = OptimalMapper(
        NativeEvaluator(),
        constraints,
        objective(goal),
        OptimalMapperSettings(threads=1, seeding=20),
    )
    found = mapper.map(HardwareBatch.of(architecture), problem, np.array([200], np.int64), 0)
    (certificate,), (mapping,) = found.certificates, found.mappings
    if mapping is not None:
        assert admitted(mapping, problem, constraints)
    asks = Mapspace(problem, architecture, constraints).arrays.least_parallel > 1
    if asks and not Mapspace(problem, architecture, constraints).infeasible:
        assert certificate.bound is None
        assert "least parallelism" in certificate.assumed
        return
    assert certificate.value == pytest.approx(float(values.min()), rel=1e-11)
    assert certificate.optimal or not wanted


@_SLOW
@given(spaces())
def test_the_certifiers_own_reading_agrees(case):
    problem, constraints = case
    architecture = machine()
    space = Mapspace(problem, architecture, constraints)
    bound = Architecture(
        architecture.name, architecture.levels, architecture.compute, constraints=constraints
    )
    if constraints["inner"].min_parallelism:
        with pytest.raises(NotCoveredError, match="least parallelism"):
            Places(problem, bound)
        return
    places = Places(problem, bound)

    def fits(batch):
        return NativeEvaluator().evaluate(architecture, problem, batch).valid

    own = each(list(EveryMapping(places).batches(fits)))
    assert {loops(m) for m in own} == {loops(m) for m in each(enumerate_valid(space, 1 << 14))}
    for m in each(enumerate_valid(Mapspace(problem, architecture, KEPT), 1 << 14))[:200]:
        assert (places.why_not(m) is None) == admitted(m, problem, constraints)


def test_what_cannot_be_held_is_refused_by_name():
    problem = Problem(SHAPES["gemm"], {"M": 4, "N": 4, "K": 4})
    constraints = {**KEPT, "inner": LevelConstraint(min_parallelism=0.5)}
    cma = CmaMapper(NativeEvaluator(), constraints, objective("edp"), CmaSettings())
    with pytest.raises(SpecError, match="min_parallelism"):
        cma.map(HardwareBatch.of(machine()), problem, np.array([60], np.int64), 0)
    with pytest.raises(SpecError, match="min_parallelism = 2"):
        LevelConstraint(min_parallelism=2)
    with pytest.raises(SpecError, match="'M' is both in the permutation and its suffix"):
        LoopConstraint(permutation=("M",), suffix=("M",))


def test_a_least_factor_that_nothing_divides_leaves_no_mapping():
    problem = Problem(SHAPES["gemm"], {"M": 4, "N": 3, "K": 4})
    constraints = {
        "inner": LevelConstraint(
            temporal=LoopConstraint(min_factors={"N": 2}, max_factors={"N": 2})
        )
    }
    assert "dimension N = 3 cannot be split" in str(
        Mapspace(problem, machine(), constraints).infeasible
    )
