"""The certifier's own reading of constraints against the mapspace's."""

from __future__ import annotations

import numpy as np
import pytest
from certify_spaces import designs, random_recipe, size_of

from dse.certify.every import EveryMapping
from dse.certify.places import Places
from dse.domain.mapping import Mapping, MappingBatch
from dse.evaluators.native import NativeEvaluator
from dse.mapspace.enumeration import enumerate_valid
from dse.mapspace.space import Mapspace


def loops(mapping: Mapping) -> tuple[object, ...]:
    """What tells mappings apart: factors, the order of loops, axes, keeps."""
    levels, dims = mapping.temporal.shape
    order = tuple(
        tuple(int(d) for d in mapping.permutation[s] if mapping.temporal[s, d] > 1)
        for s in range(levels)
    )
    on_y = tuple(
        int(d)
        for s in range(levels)
        for p, d in enumerate(mapping.spatial_permutation[s])
        if p >= mapping.split[s] and mapping.spatial[s, d] > 1
    )
    return (
        mapping.temporal.tobytes(), mapping.spatial.tobytes(), order, on_y, mapping.keep.tobytes(),
        dims,
    )  # fmt: skip


def each(batches: list[MappingBatch]) -> list[Mapping]:
    return [batch[i] for batch in batches for i in range(len(batch))]


@pytest.mark.parametrize("seed", range(40))
def test_all_mappings_are_those_of_the_mapspace(seed: int) -> None:
    rng = np.random.default_rng(seed)
    while True:
        space = random_recipe(rng).space()
        if size_of(space) < 20_000 and (first := next(designs(space), None)) is not None:
            break
    architecture = first[1]
    evaluator = NativeEvaluator(space.timeloop_version)
    for layer in space.workload:
        problem = layer.problem
        places = Places(problem, architecture)

        def fits(batch: MappingBatch, problem=problem) -> np.ndarray:
            return evaluator.evaluate(architecture, problem, batch).valid

        own = each(list(EveryMapping(places).batches(fits)))
        theirs = each(list(enumerate_valid(Mapspace(problem, architecture), 4096)))
        assert len({loops(m) for m in own}) == len(own)
        assert {loops(m) for m in own} == {loops(m) for m in theirs}
        for mapping in (*own[:50], *theirs[:50]):
            assert places.why_not(mapping) is None


@pytest.mark.parametrize("seed", range(40))
def test_mappings_outside_of_the_mapspace_are_named(seed: int) -> None:
    """A change to a mapping of the space is refused unless it leads to another of its mappings."""
    rng = np.random.default_rng(seed)
    while True:
        space = random_recipe(rng).space()
        if size_of(space) < 20_000 and (first := next(designs(space), None)) is not None:
            break
    architecture, problem = first[1], space.workload.layers[0].problem
    places = Places(problem, architecture)

    def all_fit(batch: MappingBatch) -> np.ndarray:
        return np.ones(len(batch), np.bool_)

    known = each(list(EveryMapping(places).batches(all_fit)))
    inside = {loops(m) for m in known}
    refused = 0
    for _ in range(60):
        mapping = known[int(rng.integers(len(known)))]
        s, t = (int(rng.integers(n)) for n in mapping.keep.shape)
        d, e = (int(i) for i in rng.integers(0, mapping.temporal.shape[1], 2))
        kind = int(rng.integers(4))
        if kind == 0:  # a factor elsewhere
            to = int(rng.integers(len(architecture.levels)))
            mapping.temporal[to, d] *= mapping.temporal[s, d]
            if to != s:
                mapping.temporal[s, d] = 1
        elif kind == 1:  # in space instead of in time
            mapping.spatial[s, d] *= mapping.temporal[s, d]
            mapping.temporal[s, d] = 1
        elif kind == 2:
            mapping.keep[s, t] = ~mapping.keep[s, t]
        else:
            order = mapping.permutation[s].tolist()
            i, j = order.index(d), order.index(e)
            order[i], order[j] = order[j], order[i]
            mapping.permutation[s] = order
        assert (places.why_not(mapping) is None) == (loops(mapping) in inside)
        refused += loops(mapping) not in inside
    assert refused
