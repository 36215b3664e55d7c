"""What a mapper says where it found no mapping."""

import pytest

from dse.domain.architecture import Architecture, Compute, StorageLevel
from dse.domain.constraints import LevelConstraint, LoopConstraint, SpatialConstraint
from dse.domain.problem import SHAPES, Problem
from dse.evaluators.native import NativeEvaluator
from dse.goals.objective import objective
from dse.mappers.random import RandomMapper, RandomMapperSettings

PROBLEM = Problem(SHAPES["gemm"], {"M": 4, "N": 6, "K": 4})


@pytest.mark.parametrize(
    ("constraint", "said"),
    [
        (
            LevelConstraint(spatial=SpatialConstraint(factors={"N": 4}, max_factors={"M": 1})),
            "no mapping: dimension N = 6 cannot be split over the levels under the constraints: "
            "N=4 spatial at buffer",
        ),
        (
            LevelConstraint(keep=("A", "B"), temporal=LoopConstraint(factors={"K": 4, "N": 6})),
            "even with the smallest tiles, couldn't map level buffer: mapped tile size",
        ),
        (LevelConstraint(min_parallelism=0.75), "that uses 6 of 8 MACs, as constraints ask"),
        (LevelConstraint(), "though there are some: let the mapper draw more"),
    ],
)
def test_the_resource_or_constraint_is_named(constraint, said):
    buffer = StorageLevel("buffer", size_words=16)
    dram = StorageLevel("dram", kind="DRAM")
    machine = Architecture("one", (buffer, dram), Compute(mesh_x=8, instances=8))
    mapper = RandomMapper(
        NativeEvaluator(), {"buffer": constraint}, objective("edp"), RandomMapperSettings()
    )
    assert said in mapper.why_unmapped(PROBLEM, machine)
