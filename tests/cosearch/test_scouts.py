"""When a proof asks its scout: the less often the longer it brings nothing better."""

from __future__ import annotations

from dse.cosearch.scouts import PacedScout
from dse.goals.design import Design

DESIGN = Design({"pes": 4})


def asked(paced: PacedScout, nodes: int, *, is_better: bool) -> list[bool]:
    """Whether it is asked at each of some nodes, where it is told the same each time."""
    found = []
    for _ in range(nodes):
        found.append(paced.is_due())
        if found[-1]:
            assert paced.ask() is DESIGN
            paced.tell(is_better=is_better)
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


def test_without_a_scout_none_is_due():
    paced = PacedScout(None)
    assert not paced.is_due()
    assert paced.ask() is None
