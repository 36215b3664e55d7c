"""How the exact search numbers choices of spatial factors."""

import numpy as np
import pytest
from optimal_cases import HARDWARE, cases

from dse.domain.problem import SHAPES, Problem
from dse.mappers.exact.layout import Layout
from dse.mapspace.space import Mapspace
from dse.model import arrays as a


def laid_out(architecture, problem, constraints):
    space = Mapspace(problem, architecture, constraints)
    keep = space.arrays.keep != 0
    return Layout(space, architecture, keep, a.version_number("4cf6d4c"))


@pytest.mark.parametrize("template", sorted(HARDWARE))
def test_a_choice_of_factors_leads_to_the_grid_that_has_them(template):
    case = cases(template)[3]
    layout = laid_out(case.architecture, case.problem, case.constraints)
    factor, grids = layout.tables.factor, [0]
    for stage in layout.stages:
        if not stage.spatial:
            continue
        found = []
        for grid in grids:
            for v, vector in enumerate(stage.vectors):
                child = int(stage.child[grid]) + v
                expected = factor[grid].copy()
                expected[stage.level] = vector
                assert np.array_equal(factor[child], expected)
                found.append(child)
        assert len(set(found)) == len(grids) * len(stage.vectors)
        grids = found
    assert len(grids) > 1


def test_memory_grows_with_the_grids_and_not_with_their_choices_besides():
    case = cases("tpu_v1")[0]
    bounds = {"R": 3, "S": 3, "P": 16, "Q": 16, "C": 8, "K": 8, "N": 1}
    layout = laid_out(case.architecture, Problem(SHAPES["cnn-layer"], bounds), {})
    spatial = [stage for stage in layout.stages if stage.spatial]
    grids = len(layout.tables.fan)
    assert grids > 100_000
    assert max(len(stage.vectors) for stage in spatial) > 300
    assert sum(stage.child.nbytes for stage in spatial) == len(spatial) * grids * 8
