"""Boxes bounded without a search: their parts hold all hardware, and proofs end at the optimum."""

from __future__ import annotations

import itertools
import math
from contextlib import suppress

import numpy as np
import pytest
from cosearch_cases import brute_force, front, holds, random_box, random_member, space_of

from dse.cosearch.boxes import HardwareBoxes
from dse.cosearch.branching import Branching
from dse.cosearch.corners import CornerSearch
from dse.cosearch.goal import CoSearchGoal
from dse.cosearch.layer_bounds import LayerBounds
from dse.cosearch.lines import Branch, Lines
from dse.cosearch.outlining import Outlining
from dse.cosearch.size_ranges import ranges_of
from dse.errors import SpecError
from dse.goals.limits import limits

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("case", ["naas dense", "naas conv", "naas columns", "eyeriss conv"])
def test_parts_hold_all_hardware_once_and_none_of_it_is_better_than_their_bound(case: str) -> None:
    space = space_of(case)
    goal = CoSearchGoal.of(space.objective, limits(""), None)
    hardware = HardwareBoxes(space, areas=False)
    bounds = LayerBounds(space, space.workload, 1)
    branching = Branching(hardware, (bounds,))
    outlining = Outlining(hardware, branching, (bounds,), goal)
    counts = [layer.count for layer in space.workload]
    rng = np.random.default_rng(3)
    compared = several = 0
    for number in range(10):
        box = hardware.within_budget(random_box(hardware, rng))
        if box is None or box.is_single:
            continue
        cutoff = math.inf
        if number % 2:  # a little more than what nothing lies below
            known = outlining.outline(Branch(box, (Lines(goal),)), [None], 0.0, math.inf)
            cutoff = known.value * 1.1 if known else math.inf
        found = outlining.outline(Branch(box, (Lines(goal),)), [None], 0.0, cutoff)
        if found is None:
            continue
        assert found.value >= found.node.lines[0].value * (1 - 1e-6) > 0.0
        parts = outlining.parts(found, 0.0, cutoff)
        several += len(parts) >= 2
        for _ in range(6):
            member = random_member(box, rng)
            real = None
            with suppress(SpecError):
                real = space.architecture(hardware.values(member))
            points = [front(space, real, layer.problem) if real else [] for layer in space.workload]
            if not all(points):
                continue
            least = min(
                math.prod(
                    sum(n * point[i] for n, point in zip(counts, chosen, strict=True))
                    for i in range(2)
                )
                for chosen in itertools.product(*points)
            )
            if least >= cutoff:
                continue
            assert holds(found.node.box, member)
            assert not parts or sum(holds(part.box, member) for part in parts) == 1
            assert found.value <= least * (1 + 1e-12)
            compared += 1
    assert several > 2
    assert compared > 10


def test_sizes_that_are_not_wanted_are_cut_off() -> None:
    space = space_of("eyeriss conv")
    hardware = HardwareBoxes(space, areas=False)
    (box, *_) = hardware.roots()
    ranges = ranges_of(hardware, box)
    wanted = np.zeros_like(ranges.able)
    last = tuple(count - 1 for count in wanted.shape)
    wanted[last] = True
    cut = ranges.within(box, wanted)
    assert cut.low == tuple(int(first[-1]) for first in ranges.first)
    assert cut.high == box.high
    assert ranges.within(box, np.ones_like(wanted)).low == box.low
    for own, classes in zip(ranges.classes, ranges.at(last), strict=True):
        assert classes.words is own.words
        assert (classes.begin, classes.end) == (len(own.words) - 1, len(own.words))


@pytest.mark.parametrize("case", ["naas dense", "naas conv"])
def test_a_proof_that_begins_without_searches_ends_at_the_optimum(
    case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LayerBounds, "is_heavy", lambda *_: True)
    space = space_of(case)
    search = CornerSearch(space, CoSearchGoal.of(space.objective, limits(""), None))
    least = 0.0
    for _ in search.run():
        assert search.bound >= least
        least = search.bound
    assert search.finished
    assert search.incumbent is not None
    assert search.incumbent.value == pytest.approx(brute_force(space)["edp"], rel=1e-12)
    assert search.bound == pytest.approx(search.incumbent.value, rel=search.tolerance)
