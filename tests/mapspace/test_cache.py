"""The cache of mapspaces goes by values, and stays small however many designs ask it."""

import gc
import tracemalloc

from dse.domain.architecture import Architecture, Compute, StorageLevel
from dse.domain.constraints import LevelConstraint
from dse.domain.problem import SHAPES, Problem
from dse.mapspace.cache import MapspaceCache

PROBLEM = Problem(SHAPES["gemm"], {"M": 4, "N": 2, "K": 2})


def _architecture(bypass: str) -> Architecture:
    levels = (StorageLevel("Buffer", size_words=64), StorageLevel("DRAM", "DRAM"))
    own = {"Buffer": LevelConstraint(bypass=(bypass,))}
    return Architecture("a", levels, Compute("MACC"), None, own)


def test_equal_constraints_share_a_space_and_memory_stays_bounded():
    cache = MapspaceCache({})
    first = cache(PROBLEM, _architecture("A"))
    after = []
    tracemalloc.start()
    for n in range(2000):
        bypass = "AB"[n % 2]
        space = cache(PROBLEM, _architecture(bypass))
        assert space.constraints["Buffer"].bypass == (bypass,)
        if n % 2 == 0:
            assert space.arrays is first.arrays
        if n in (999, 1999):
            gc.collect()
            after.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert after[1] - after[0] < 100_000
