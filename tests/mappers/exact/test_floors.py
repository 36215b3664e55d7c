"""What flows carry at least: no mapping reads less, neighbours that hand on windows included."""

from dataclasses import replace

import numpy as np
import pytest

from dse.domain.architecture import AccessEnergy, Architecture, Compute, StorageLevel
from dse.domain.constraints import LevelConstraint, LoopConstraint, SpatialConstraint
from dse.domain.problem import SHAPES, Problem
from dse.evaluators.native import NativeEvaluator
from dse.mappers.exact.layout import Layout
from dse.mappers.exact.pattern_floors import PatternFloors
from dse.mappers.exact.proof import patterns_of
from dse.mappers.exact.size_classes import SizeClasses
from dse.mappers.exact.sized_floors import SizedFloors
from dse.mapspace.sampling import sample_valid
from dse.mapspace.space import Mapspace
from dse.model import arrays as a

VERSIONS = ("4cf6d4c", "3.0.3")
NOTHING = AccessEnergy(0.0, 0.0, 0.0)


def window_problem(rng):
    """A convolution with loops along its windows, strides and dilations included."""
    shape = SHAPES[str(rng.choice(["cnn-layer", "depthwise-cnn-layer"]))]
    bounds = dict.fromkeys(shape.dimensions, 1)
    bounds["P"], bounds["R"] = int(rng.choice([4, 6, 8, 12])), int(rng.choice([2, 3, 4]))
    for d in set(shape.dimensions) - {"P", "R"}:
        bounds[d] = int(rng.choice([1, 1, 2, 3]))
    numbers = {name: int(rng.choice([1, 1, 2, 3])) for name in shape.coefficients}
    return Problem(shape, bounds, numbers)


def tree(rng, problem):
    """Three levels over the MACs, arrays below two of them; only inputs leave the lowest."""
    inner, outer = (
        (int(rng.choice([1, 2, 3, 4, 6])), int(rng.choice([1, 2, 3]))) for _ in range(2)
    )
    x, y = inner[0] * outer[0], inner[1] * outer[1]
    levels = (
        StorageLevel("low", size_words=4096, mesh_x=x, mesh_y=y, instances=x * y, energy=NOTHING),
        StorageLevel(
            "middle", size_words=4096, mesh_x=outer[0], mesh_y=outer[1],
            instances=outer[0] * outer[1], energy=NOTHING,
        ),
        StorageLevel("outer", kind="DRAM", energy=NOTHING),
    )  # fmt: skip
    others = tuple(t.name for t in problem.shape.data_spaces if t.name != "Inputs")
    constraints = {
        "low": LevelConstraint(keep=others, spatial=SpatialConstraint(dimensions=())),
        "middle": LevelConstraint(bypass=others),
        "outer": LevelConstraint(keep=("Inputs",), bypass=others),
    }
    return Architecture("tree", levels, Compute(mesh_x=x, mesh_y=y, instances=x * y)), constraints


def priced(architecture, level, kind):
    """The architecture where nothing costs but one kind of access to one level: 1 pJ a word."""
    levels = [
        replace(own, energy=replace(NOTHING, **{kind: 1.0})) if own.name == level else own
        for own in architecture.levels
    ]
    return replace(architecture, levels=tuple(levels))


@pytest.mark.parametrize("seed", range(12))
def test_no_mapping_moves_less_of_a_window_than_is_said_to_cross(seed):
    rng = np.random.default_rng(seed)
    problem = window_problem(rng)
    architecture, constraints = tree(rng, problem)
    space = Mapspace(problem, architecture, constraints)
    mappings = sample_valid(space, 3000, seed, 30_000).mappings
    inputs = problem.tensors.index("Inputs")
    layout = Layout(space, architecture, space.arrays.keep != 0, a.version_number(VERSIONS[0]))
    crossing = layout.tables.crossing[inputs]
    sides = [problem.bounds[d] for d in ("P", "Q")]
    assert crossing >= np.prod(sides)
    for number, level in enumerate(architecture.levels):
        kept = mappings.keep[number, inputs] != 0
        for kind, spared in (("read_pj", 0), ("fill_pj", level.instances)):
            if kind == "fill_pj" and level.name == "outer":
                continue
            some = kept
            if not some.any():
                continue
            batch = mappings.take(np.flatnonzero(some))
            costly = priced(architecture, level.name, kind)
            for version in VERSIONS:
                m = NativeEvaluator(version).evaluate(costly, problem, batch)
                moved = np.where(m.valid, m.energy_pj, np.inf)
                assert moved.min() >= crossing - spared


def random_prices(rng, architecture):
    """The tree with prices, blocks and bandwidths, and free ways to keep and bypass."""
    levels = [
        replace(
            own,
            energy=AccessEnergy(*rng.choice([0.5, 1.0, 8.0], 3), leak_pj=float(rng.choice([0, 1]))),
            block_size=int(rng.choice([1, 4])),
            shared_bandwidth=float(rng.choice([1.0, 8.0, np.inf])),
            read_bandwidth=float(rng.choice([0.5, 4.0, np.inf])),
            write_bandwidth=float(rng.choice([0.5, 4.0, np.inf])),
        )
        for own in architecture.levels
    ]
    return replace(architecture, levels=tuple(levels))


def freed(constraints):
    """The constraints without what is kept and bypassed."""
    return {
        name: replace(own, keep=(), bypass=()) if name != "outer" else LevelConstraint()
        for name, own in constraints.items()
    }


def resized(architecture, classes, places):
    """The architecture with one size of each class."""
    levels = list(architecture.levels)
    for one, place in zip(classes, places, strict=True):
        read, fill, update, leak = one.price_pj[place].tolist()
        levels[one.level] = replace(
            levels[one.level],
            size_words=int(one.words[place]),
            energy=AccessEnergy(read, fill, update, leak_pj=leak),
        )
    return replace(architecture, levels=tuple(levels))


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("version", VERSIONS)
def test_no_mapping_costs_less_than_its_sizes_say(seed, version):
    rng = np.random.default_rng(seed)
    problem = window_problem(rng)
    architecture, constraints = tree(rng, problem)
    constraints = freed(constraints)
    if seed % 2:  # tiles of both levels are the same: nothing runs between them
        constraints["middle"] = replace(
            constraints["middle"], temporal=LoopConstraint(dimensions=()),
            spatial=SpatialConstraint(dimensions=()),
        )  # fmt: skip
    architecture = random_prices(rng, architecture)
    classes = [
        SizeClasses(level, np.sort(rng.choice([2, 4, 9, 30, 4096], 3, replace=False)), prices, 0, 3)
        for level, prices in ((0, rng.uniform(0.5, 8.0, (3, 4))), (1, rng.uniform(0.5, 8, (3, 4))))
    ]
    least = [
        SizeClasses(o.level, o.words[-1:], o.price_pj.min(0, keepdims=True), 0, 1) for o in classes
    ]
    corner = resized(architecture, least, (0, 0))
    space = Mapspace(problem, corner, constraints)
    patterns = patterns_of(space)
    mappings = sample_valid(space, 4000, seed, 40_000).mappings
    multipliers = (0.0, 2.0, np.inf)
    known = SizedFloors(space, corner, a.version_number(version), patterns, classes)
    bounds = known.least(multipliers)
    compared = 0
    for places in np.ndindex(3, 3):
        real = resized(architecture, classes, places)
        m = NativeEvaluator(version).evaluate(real, problem, mappings)
        if not m.valid.any():
            continue
        energy, cycles = m.energy_pj[m.valid], m.cycles[m.valid]
        for bound, multiplier in zip(bounds[(slice(None), *places)], multipliers, strict=True):
            value = cycles if np.isinf(multiplier) else energy + multiplier * cycles
            assert value.min() >= bound * (1.0 - 1e-12)
            assert bound > 0.0
            compared += 1
    assert compared >= 3
    alone = [replace(own, begin=1, end=2) for own in classes]
    by_grid = SizedFloors(space, corner, a.version_number(version), patterns, alone, known)
    factors, values = by_grid.by_grid(multipliers)
    assert len(factors) == values.shape[1]
    # what transfers take beside the MACs is left out of it
    assert (values.min(axis=1) <= by_grid.least(multipliers)[:, 0, 0] * (1.0 + 1e-9)).all()


def test_tensors_that_different_levels_receive_cannot_all_cross_once():
    """Each of them could, by itself: with registers of one word no order of loops spares all."""
    problem = Problem(SHAPES["cnn-layer"], {**dict.fromkeys("RSQN", 1), "C": 16, "K": 16, "P": 16})
    levels = (
        StorageLevel("weights", size_words=1, energy=NOTHING),
        StorageLevel("sums", size_words=4, energy=NOTHING),
        StorageLevel("inputs", size_words=32, energy=NOTHING),
        StorageLevel("outer", kind="DRAM", energy=AccessEnergy(1.0, 1.0, 1.0)),
    )
    constraints = {
        "weights": LevelConstraint(keep=("Weights",), bypass=("Inputs", "Outputs")),
        "sums": LevelConstraint(keep=("Outputs",), bypass=("Inputs", "Weights")),
        "inputs": LevelConstraint(keep=("Inputs",), bypass=("Weights", "Outputs")),
    }
    architecture = Architecture("chain", levels, Compute())
    space = Mapspace(problem, architecture, constraints)
    floors = SizedFloors(space, architecture, a.version_number("4cf6d4c"), patterns_of(space), [])
    (bound,) = floors.least([0.0]).reshape(-1)
    mappings = sample_valid(space, 20_000, 0, 200_000).mappings
    m = NativeEvaluator("4cf6d4c").evaluate(architecture, problem, mappings)
    least = m.energy_pj[m.valid].min()
    assert bound <= least
    assert bound > 0.4 * least
    assert bound > 1.5 * 3 * 16 * 16  # all words of the three tensors, each once


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("version", VERSIONS)
def test_no_mapping_of_a_pattern_costs_less_than_its_floor(seed, version):
    rng = np.random.default_rng(seed)
    problem = window_problem(rng)
    architecture, constraints = tree(rng, problem)
    architecture, constraints = random_prices(rng, architecture), freed(constraints)
    space = Mapspace(problem, architecture, constraints)
    mappings = sample_valid(space, 3000, seed, 30_000).mappings
    m = NativeEvaluator(version).evaluate(architecture, problem, mappings)
    patterns = np.unique(mappings.keep, axis=2)
    all_ = [keep != 0 for keep in np.moveaxis(patterns, 2, 0)]
    known = PatternFloors(space, architecture, a.version_number(version), all_)
    floors = []
    for keep in all_:
        own = ((mappings.keep != 0) == keep[:, :, None]).all(axis=(0, 1)) & m.valid
        energy, cycles = m.energy_pj[own], m.cycles[own]
        for multiplier in (0.0, 2.0, np.inf):
            value = cycles if np.isinf(multiplier) else energy + multiplier * cycles
            assert value.min(initial=np.inf) >= known.least_of(keep, multiplier) * (1.0 - 1e-12)
        assert (energy * cycles).min(initial=np.inf) >= known.least_product_of(keep)
        floors.append(known.least_of(keep, 0.0))
    assert len(set(floors)) > 1
