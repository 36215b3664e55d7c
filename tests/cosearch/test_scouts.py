"""When a proof asks its scout: the less often the longer it brings nothing better."""

from __future__ import annotations

from dse.cosearch.scouts import PacedScout
from dse.goals.design import Design

DESIGN = Design({"pes": 4})


def asked(paced: PacedScout, nodes: int, *, is_better: bool, is_new: bool = False) -> list[bool]:
    """Whether it is asked at each of some nodes, where it is told the same each time."""
    found = []
    for _ in range(nodes):
        found.append(paced.is_due())
        if found[-1]:
            assert paced.ask() is DESIGN
            paced.tell(is_better=is_better, is_new=is_new)
    return found


def test_a_scout_that_brings_something_is_asked_at_every_node():
    calls: list[int] = []
    paced = PacedScout(lambda samples: calls.append(samples) or DESIGN)
    assert asked(paced, 5, is_better=True) == [True] * 5
    assert len(calls) == 5
    assert min(calls) > 0


def test_a_scout_that_brings_nothing_is_asked_at_every_other_node():
    paced = PacedScout(lambda _: DESIGN)
    assert asked(paced, 6, is_better=False) == [True, False, True, False, True, False]
    assert asked(paced, 2, is_better=True) == [True, True]


def test_where_boxes_take_long_a_scout_is_asked_ever_more_rarely():
    paced = PacedScout(lambda _: DESIGN)
    paced.take_time()
    found = asked(paced, 200, is_better=False)
    calls = [node for node, due in enumerate(found) if due]
    apart = [later - before for before, later in zip(calls, calls[1:], strict=False)]
    assert apart[:6] == [2, 4, 8, 16, 32, 32]
    asked(paced, 32, is_better=True)
    assert sum(asked(paced, 64, is_better=True)) > 20


def test_new_hardware_is_worth_asking_again_only_where_boxes_take_long():
    paced = PacedScout(lambda _: DESIGN)
    assert asked(paced, 4, is_better=False, is_new=True) == [True, False, True, False]
    paced.take_time()
    assert asked(paced, 8, is_better=False, is_new=True)[-4:] == [True] * 4


def test_without_a_scout_none_is_due():
    paced = PacedScout(None)
    assert not paced.is_due()
    assert paced.ask() is None
