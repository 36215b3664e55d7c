"""A tensor that bypasses the outermost level is held on chip as a whole."""

import itertools

import numpy as np
import pytest

from dse.certify.places import Places
from dse.certify.verdict import NotCoveredError
from dse.domain.architecture import Architecture, Compute, StorageLevel
from dse.domain.constraints import LevelConstraint, LoopConstraint
from dse.domain.problem import SHAPES, Problem
from dse.errors import SpecError
from dse.mapspace.enumeration import enumerate_valid
from dse.mapspace.space import Mapspace

PROBLEM = Problem(SHAPES["gemm"], {"M": 4, "N": 2, "K": 6})
NAMES = ("RF", "GLB", "DRAM")


def machine(constraints):
    levels = (
        StorageLevel("RF", size_words=8),
        StorageLevel("GLB", size_words=64),
        StorageLevel("DRAM", kind="DRAM"),
    )
    return Architecture("one", levels, Compute(), constraints=constraints)


def rules(onchip="whole", **levels):
    outermost = LevelConstraint(bypass=("A",), keep=("B", "Z"), onchip=onchip)
    return {"DRAM": outermost, **levels}


def all_of(constraints):
    space = Mapspace(PROBLEM, machine(constraints))
    for batch in enumerate_valid(space, 1000):
        for b in range(len(batch)):
            yield batch[b]


def test_the_next_level_holds_all_of_it():
    dimensions = [PROBLEM.dimensions.index(d) for d in ("M", "K")]
    a = list(PROBLEM.tensors).index("A")
    count = 0
    for mapping in all_of(rules()):
        assert mapping.keep[1, a]
        assert (mapping.temporal[2, dimensions] == 1).all()
        count += 1
    assert count > 10


def test_it_is_all_that_timeloop_admits_but_for_partial_tiles():
    dimensions = [PROBLEM.dimensions.index(d) for d in ("M", "K")]
    a = list(PROBLEM.tensors).index("A")
    keep = LevelConstraint(keep=("A", "B", "Z"))

    def key(mapping):
        return mapping.temporal.tobytes(), mapping.keep.tobytes()

    whole = {key(m) for m in all_of(rules(GLB=keep))}
    free = {
        key(m)
        for m in all_of(rules("timeloop", GLB=keep))
        if m.keep[1, a] and (m.temporal[2, dimensions] == 1).all()
    }
    assert whole == free
    assert len({key(m) for m in all_of(rules("timeloop", GLB=keep))}) > len(free)


def test_a_level_that_bypasses_it_passes_the_duty_on():
    a = list(PROBLEM.tensors).index("A")
    space = Mapspace(PROBLEM, machine(rules(GLB=LevelConstraint(bypass=("A",)))))
    assert space.arrays.keep[0, a] == 1
    m = PROBLEM.dimensions.index("M")
    batches = list(itertools.islice(enumerate_valid(space, 100), 5))
    assert not batches  # 24 words do not fit into 8
    assert {s.level for s in space.slots[m]} == {0, 1, 2}
    assert all(s.fixed == 1 for s in space.slots[m] if s.level > 0)


def test_constraints_that_contradict_it_leave_no_mapping_and_say_why():
    glb = LevelConstraint(temporal=LoopConstraint(factors={"M": 2}))
    outermost = LevelConstraint(bypass=("A",), temporal=LoopConstraint(factors={"M": 2}))
    assert Mapspace(PROBLEM, machine(rules(GLB=glb))).infeasible is None
    told = Mapspace(PROBLEM, machine({"DRAM": outermost})).infeasible
    assert told == (
        "A bypasses DRAM, so GLB has to hold all of it, but DRAM has a temporal factor of M"
    )


def test_the_certifier_says_that_it_does_not_cover_it():
    with pytest.raises(NotCoveredError, match="A bypasses DRAM, and is to be held on chip"):
        Places(PROBLEM, machine(rules()))
    Places(PROBLEM, machine(rules("timeloop")))


def test_an_unknown_rule_is_refused():
    with pytest.raises(SpecError, match="unknown onchip 'all'"):
        LevelConstraint(onchip="all")


def test_nothing_changes_where_the_outermost_level_keeps_all():
    free = Mapspace(PROBLEM, machine({}))
    same = Mapspace(PROBLEM, machine({"DRAM": LevelConstraint(onchip="timeloop")}))
    assert np.array_equal(free.arrays.keep, same.arrays.keep)
    assert free.size == same.size
