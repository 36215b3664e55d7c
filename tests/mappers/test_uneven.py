"""Uneven mappings: counts, what fits, the optimum, all against the literal simulator."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from comparison import VERSIONS, examples
from hypothesis import given
from hypothesis import strategies as st
from optimal_cases import Case, every_mapping, proved
from simulator import OutsideTimeloopError, level_slowdown, simulate

from dse.domain.architecture import (
    AccessEnergy,
    Architecture,
    Compute,
    HardwareBatch,
    Network,
    StorageLevel,
)
from dse.domain.constraints import LevelConstraint, LoopConstraint
from dse.domain.mapping import Mapping, MappingBatch
from dse.domain.padding import NO_PADDING
from dse.domain.problem import SHAPES, Problem
from dse.domain.uneven import divided
from dse.errors import InvalidMapping, SpecError
from dse.evaluators.native import NativeEvaluator
from dse.goals.objective import objectives
from dse.mappers.exhaustive import ExhaustiveMapper, ExhaustiveSettings
from dse.mappers.optimal import OptimalMapper, OptimalMapperSettings
from dse.mapspace.sampling import sample_any, sample_valid
from dse.mapspace.space import Mapspace
from dse.model import evaluate_one
from dse.timeloop.write.inputs import architecture_yaml

GEMM = Problem(SHAPES["gemm"], {"M": 2, "N": 4, "K": 3})
CONV = Problem(
    SHAPES["cnn-layer"],
    {"R": 3, "S": 1, "P": 4, "Q": 1, "C": 2, "K": 2, "N": 1},
    {"Wstride": 2},
)


def machine(size=14, bandwidth=math.inf, *, registers=True, priced_network=False):
    """The buffer keeps all tensors, with two registers below it, or a single MAC."""
    network = Network(
        hop_energy_pj=0.25, router_energy_pj=0.5, ingress_energy_pj=0.125, fill_latency_cycles=3
    )
    levels = [
        StorageLevel(
            "Buffer",
            size_words=size,
            block_size=2,
            read_bandwidth=bandwidth,
            shared_bandwidth=2 * bandwidth,
            energy=AccessEnergy(1.5, 2.25, 2.5, 0.0625, 0.03125),
            network=network if priced_network else Network(fill_latency_cycles=3),
            area_um2=7.0,
        ),
        StorageLevel("DRAM", kind="DRAM", energy=AccessEnergy(64.0, 80.0, 80.0)),
    ]
    if registers:
        own = StorageLevel(
            "Registers", size_words=2, mesh_x=2, instances=2, energy=AccessEnergy(0.25, 0.25, 0.5)
        )
        levels.insert(0, own)
    macs = 2 if registers else 1
    mac = Compute(mesh_x=macs, instances=macs, energy_pj=1.0, area_um2=3.0)
    return Architecture("machine", tuple(levels), mac)


def rules(problem, registers=True):
    """The buffer keeps all tensors, the registers the first one; spatial loops are free."""
    first, *others = problem.tensors
    found = {"Buffer": LevelConstraint(keep=problem.tensors)}
    if registers:
        loops = LoopConstraint(dimensions=())
        found["Registers"] = LevelConstraint((first,), tuple(others), loops)
    return found


def split(architecture, problem, **kinds):
    return divided(architecture, problem, rules(problem, **kinds), ("Buffer",))


def judged(architecture, problem, mapping, version="4cf6d4c"):
    """Cycles and energy by the simulator and what parts of a buffer share; None: does not fit."""
    try:
        found = simulate(architecture.undivided, problem, mapping, version)
    except (InvalidMapping, OutsideTimeloopError):
        return None
    steps = math.prod(mapping.temporal.reshape(-1).tolist())
    busy = steps
    for name in {level.part_of or level.name for level in architecture.levels}:
        own = [x.name for x in architecture.levels if name in (x.name, x.part_of)]
        # in the order of the tensors, each of which is at one of the parts
        tensors = [found.levels[part].tensors[t] for t in problem.tensors for part in own]
        level = architecture.level(name)
        if level.size_words is not None:
            usable = math.floor(level.size_words / level.multiple_buffering)
            if sum(x.utilized_capacity for x in tensors) > usable:
                return None
        counts = [(x.reads, x.fills, x.updates) for x in tensors]
        busy = max(busy, math.ceil(steps / level_slowdown(level, counts, steps)))
    leak = sum(x.leak_energy_pj for x in found.levels.values())
    old = found.cycles - sum(x.latency_cycles for x in architecture.levels)
    return found.cycles - old + busy, found.energy_pj - leak + leak / old * busy


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("problem", [GEMM, CONV], ids=["gemm", "conv"])
def test_parts_count_as_the_simulator_and_share_one_buffer(problem, version):
    fitting = judged_unfit = slowed = 0
    for architecture in split(machine(bandwidth=0.5), problem).architectures:
        space = Mapspace(problem, architecture)
        batch = sample_any(space, 24, 5, 10_000).mappings
        fits = sample_valid(space, 24, 7, 100_000).mappings
        batch = MappingBatch.concatenate([batch, fits])
        found = NativeEvaluator(version).evaluate(architecture, problem, batch)
        assert found.valid[24:].all()
        for b in range(len(batch)):
            want = judged(architecture, problem, batch[b], version)
            assert found.valid[b] == (want is not None)
            if want is None:
                judged_unfit += 1
                with pytest.raises(InvalidMapping, match="Buffer|Registers"):
                    evaluate_one(architecture, problem, batch[b], version)
                continue
            fitting += 1
            assert found.cycles[b] == want[0]
            assert found.energy_pj[b] == pytest.approx(want[1], rel=1e-12)
            one = evaluate_one(architecture, problem, batch[b], version)
            assert (one.cycles, one.energy_pj) == (found.cycles[b], found.energy_pj[b])
            apart = evaluate_one(architecture.undivided, problem, batch[b], version)
            slowed += one.cycles > apart.cycles
    assert fitting > 100
    assert judged_unfit > 10
    assert slowed > 10


@examples(60)
@given(st.data())
def test_all_loops_at_the_inmost_part_are_an_even_mapping(data):
    problem = data.draw(st.sampled_from([GEMM, CONV]))
    priced = data.draw(st.booleans())
    whole = machine(data.draw(st.sampled_from([10, 20, 40])), 0.75, priced_network=priced)
    version = data.draw(st.sampled_from(VERSIONS))
    space = Mapspace(problem, whole, rules(problem))
    mapping = sample_any(space, 1, data.draw(st.integers(0, 10**6)), 1000).mappings[0]
    batch = split(whole, problem)
    architecture = data.draw(st.sampled_from(batch.architectures))
    parts = [i for i, x in enumerate(architecture.levels) if x.name.startswith("Buffer")]
    at = parts[0]
    other = Mapping.trivial(len(architecture.levels), len(problem.dimensions), 3)
    rows = [s for s in range(len(architecture.levels)) if s not in parts[1:]]
    for name in ("temporal", "spatial", "permutation", "spatial_permutation", "split", "keep"):
        getattr(other, name)[rows] = getattr(mapping, name)
    for part in parts:
        own = architecture.constraints[architecture.levels[part].name]
        other.keep[part] = [t in own.keep for t in problem.tensors]
    try:
        want = evaluate_one(whole, problem, mapping, version)
    except InvalidMapping:
        with pytest.raises(InvalidMapping):
            evaluate_one(architecture, problem, other, version)
        return
    got = evaluate_one(architecture, problem, other, version)
    assert (got.cycles, got.energy_pj) == (want.cycles, want.energy_pj)
    assert (got.area_um2, got.utilization) == (want.area_um2, want.utilization)
    for name in ("Registers", "DRAM"):
        assert got.levels[name] == want.levels[name]
    buffer = want.levels["Buffer"]
    assert got.levels["Buffer"].cycles == buffer.cycles
    assert got.levels["Buffer"].leak_energy_pj == buffer.leak_energy_pj
    for part in parts:
        name = architecture.levels[part].name
        (tensor,) = architecture.constraints[name].keep
        assert got.levels[name].tensors[tensor] == buffer.tensors[tensor]
    below = got.networks["Buffer <==> Registers"]
    for tensor, net in want.networks["Buffer <==> Registers"].items():
        assert below[tensor].energy_pj == net.energy_pj
    assert at == 1


def every_uneven_mapping(architecture, problem):
    """Yield all mappings on one order of parts, listed from nothing but the bounds."""
    levels, dimensions = len(architecture.levels), problem.dimensions
    keep = np.zeros((levels, 3), np.bool_)
    for s, level in enumerate(architecture.levels):
        own = architecture.constraints.get(level.name, LevelConstraint(keep=problem.tensors))
        keep[s] = [t in own.keep for t in problem.tensors]

    def factorizations(bound, places):
        if places == 1:
            yield (bound,)
            return
        for factor in range(1, bound + 1):
            if bound % factor == 0:
                for rest in factorizations(bound // factor, places - 1):
                    yield (factor, *rest)

    choices = [list(factorizations(problem.bounds[d], levels)) for d in dimensions]
    for factors in itertools.product(*choices):
        table = np.array(factors, np.int32).T
        orders = []
        for s in range(levels):
            loops = [d for d in range(len(dimensions)) if table[s, d] > 1]
            rest = [d for d in range(len(dimensions)) if table[s, d] == 1]
            orders.append([[*some, *rest] for some in itertools.permutations(loops)])
        for order in itertools.product(*orders):
            mapping = Mapping.trivial(levels, len(dimensions), 3)
            yield replace(mapping, temporal=table, permutation=np.array(order, np.int8), keep=keep)


@pytest.fixture(scope="module")
def least():
    """Least EDP and energy, even and uneven, of a small product, by listing all its mappings."""
    problem = Problem(SHAPES["gemm"], {"M": 3, "N": 3, "K": 2})
    whole = machine(9, 0.75, registers=False)
    found = {}
    for architecture in split(whole, problem, registers=False).architectures:
        for mapping in every_uneven_mapping(architecture, problem):
            value = judged(architecture, problem, mapping)
            if value is None:
                continue
            even = (mapping.temporal[1:3] == 1).all()
            for name, one in (("edp", value[0] * value[1]), ("energy", value[1])):
                for key in [(name, "uneven"), *([(name, "even")] if even else [])]:
                    found[key] = min(found.get(key, math.inf), one)
    return problem, whole, found


@pytest.mark.parametrize("goal", ["edp", "energy"])
def test_the_optimum_is_the_least_of_all_uneven_mappings(least, goal):
    problem, whole, values = least
    assert values[goal, "uneven"] < values[goal, "even"]
    objective = objectives()[goal]
    batch = split(whole, problem, registers=False)
    exact = OptimalMapper(NativeEvaluator(), {}, objective, OptimalMapperSettings(threads=1))
    _, found = exact.map_best(batch, problem, 600, 0, NO_PADDING)
    (proof,) = found.certificates
    assert proof.optimal
    assert proof.value == pytest.approx(values[goal, "uneven"], rel=1e-12)
    assert "uneven mappings at Buffer" in proof.assumed
    listing = ExhaustiveMapper(NativeEvaluator(), {}, objective, ExhaustiveSettings())
    _, listed = listing.map_best(batch, problem, 600_000, 0, NO_PADDING)
    assert objective.rank(listed.metrics)[0] == pytest.approx(proof.value, rel=1e-12)
    even = HardwareBatch.of(replace(whole, constraints=rules(problem, registers=False)))
    _, best = exact.map_best(even, problem, 600, 0, NO_PADDING)
    assert best.certificates[0].optimal
    assert objective.rank(best.metrics)[0] == pytest.approx(values[goal, "even"], rel=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("problem", "size", "bandwidth"),
    [
        (Problem(SHAPES["gemm"], {"M": 4, "N": 2, "K": 3}), 12, math.inf),
        (Problem(SHAPES["gemm"], {"M": 2, "N": 4, "K": 2}), 11, 0.75),
        (CONV, 24, 1.0),
    ],
)
def test_the_optimum_is_the_least_that_is_listed(problem, size, bandwidth):
    for architecture in split(machine(size, bandwidth), problem).architectures[::2]:
        case = Case("uneven", architecture, architecture.constraints, problem)
        least, _ = every_mapping(case)
        for goal, value in least.items():
            (proof,) = proved(case, goal, 300).certificates
            assert proof.bound <= value * (1 + 1e-11)
            assert proof.value >= value * (1 - 1e-11)
            if proof.optimal:
                assert proof.value == pytest.approx(value, rel=1e-11)


@pytest.mark.slow
def test_mappers_find_the_optimum_with_the_order_of_the_tensors():
    from dse.plugins import plugins  # noqa: PLC0415

    problem = Problem(SHAPES["gemm"], {"M": 2, "N": 3, "K": 2})
    batch = split(machine(12), problem)
    objective = objectives()["edp"]
    least = None
    for name in ("optimal", "random", "hillclimb", "anneal", "gamma", "cma"):
        chosen = plugins("mapper")[name]
        mapper = chosen.factory(NativeEvaluator(), {}, objective, chosen.settings_type())
        which, found = mapper.map_best(batch, problem, 3000, 0, NO_PADDING)
        mapping = found.mappings[0]
        value = float(objective.rank(found.metrics)[0])
        want = judged(batch.architectures[which], problem, mapping)
        assert value == pytest.approx(want[0] * want[1], rel=1e-12)
        least = value if least is None else least
        assert value >= least * (1 - 1e-12)
        own = Mapspace(problem, batch.architectures[which]).arrays.keep
        assert (mapping.keep == (own == 1)).all()


def test_timeloops_files_do_not_say_parts():
    architecture = split(machine(), GEMM).architectures[0]
    with pytest.raises(SpecError, match="'Buffer': .* several levels are parts of one buffer"):
        architecture_yaml(architecture)
    assert "Buffer_3" in architecture_yaml(architecture.undivided)
