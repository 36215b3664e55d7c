"""Which open box comes next: plunges lead to incumbents, and end no proof."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dse.cosearch.boxes import Box
from dse.cosearch.branches import OpenBranches
from dse.cosearch.lines import Branch


def branch(frames: int, *, all_sizes: bool) -> Branch:
    return Branch(Box((np.arange(frames),), (0,), (9,)), (), all_sizes)


BOXES = st.lists(
    st.tuples(st.floats(0.0, 10.0), st.integers(1, 9), st.booleans()), min_size=1, max_size=12
)


@given(BOXES, st.one_of(st.floats(0.1, 12.0), st.just(math.inf)))
def test_all_boxes_below_the_cutoff_are_taken_and_no_others(boxes, cutoff):
    """A stale box, whose bound an incumbent has passed, does not hide the others."""
    open_ = OpenBranches()
    for bound, frames, all_sizes in boxes:
        open_.push(bound, branch(frames, all_sizes=all_sizes))
    taken = []
    while (found := open_.take(cutoff)) is not None:
        taken.append(found[0])
    assert sorted(taken) == sorted(bound for bound, _, _ in boxes if bound < cutoff)
    assert open_.least >= cutoff


def test_every_other_box_is_a_plunge_where_the_gap_is_wide():
    open_ = OpenBranches()
    for bound, frames in ((1.0, 8), (2.0, 4), (3.0, 2), (9.5, 1)):
        open_.push(bound, branch(frames, all_sizes=True))
    open_.push(1.5, branch(1, all_sizes=False))
    assert [open_.take(9.0)[0] for _ in range(4)] == [1.0, 3.0, 1.5, 2.0]
    assert open_.take(9.0) is None


def test_a_dive_goes_on_from_the_least_box_to_what_is_to_be_followed():
    open_ = OpenBranches()
    open_.dives = True
    open_.push(1.0, branch(8, all_sizes=True))
    open_.push(1.2, branch(7, all_sizes=True))
    assert open_.take(9.0)[1].box.frames == 8
    assert open_.plunges
    open_.push(5.0, branch(4, all_sizes=True), follow=True)
    open_.push(1.1, branch(3, all_sizes=True))
    assert open_.take(9.0)[0] == 5.0
    # nothing was pushed to be followed, nor has the cutoff fallen: the next dive waits
    assert open_.take(9.0)[0] == 1.1
    assert not open_.plunges
    assert open_.take(9.0)[0] == 1.2
    assert open_.plunges
    assert open_.take(9.0) is None
