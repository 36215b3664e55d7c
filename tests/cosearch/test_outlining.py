"""Boxes bounded without a search: their parts hold all hardware, and proofs end at the optimum."""

from __future__ import annotations

import itertools
import math
from contextlib import suppress

import numpy as np
import pytest
from cosearch_cases import brute_force, front, holds, random_box, random_member, space_of

from dse.cosearch import corners
from dse.cosearch.boxes import HardwareBoxes
from dse.cosearch.branching import Branching
from dse.cosearch.corner import corner_of
from dse.cosearch.corners import CornerSearch
from dse.cosearch.goal import CoSearchGoal
from dse.cosearch.layer_bounds import LayerBounds
from dse.cosearch.lines import Branch, Lines
from dse.cosearch.outlining import Outlining
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
    outlining = Outlining(
        hardware, branching, (bounds,), goal.needed, lambda node: node.lines[0].value
    )
    counts = [layer.count for layer in space.workload]
    rng = np.random.default_rng(3)
    compared = several = 0
    for _ in range(8):
        box = hardware.within_budget(random_box(hardware, rng))
        if box is None or box.is_single:
            continue
        node = Branch(box, (Lines(goal),))
        outlining.raise_lines(node, corner_of(hardware, box), [None])
        value = node.lines[0].value
        likely = hardware.values(random_member(box, rng))
        parts = outlining.parts(node, value, likely, frames_only=False)
        assert value > 0.0
        assert all(bound >= value for bound, _ in parts)
        several += len(parts) == 2
        for _ in range(6):
            member = random_member(box, rng)
            with suppress(SpecError):
                real = space.architecture(hardware.values(member))
                (bound,) = [bound for bound, part in parts if holds(part.box, member)]
                points = [front(space, real, layer.problem) for layer in space.workload]
                if not all(points):
                    continue
                least = min(
                    math.prod(
                        sum(n * point[i] for n, point in zip(counts, chosen, strict=True))
                        for i in range(2)
                    )
                    for chosen in itertools.product(*points)
                )
                assert bound <= least * (1 + 1e-12)
                compared += 1
    assert several > 2
    assert compared > 10


@pytest.mark.parametrize("case", ["naas dense", "naas conv"])
def test_a_proof_that_begins_without_searches_ends_at_the_optimum(
    case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corners, "_MANY_FRAMES", 1)
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
