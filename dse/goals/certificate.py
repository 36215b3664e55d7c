"""What a search can prove of the best that it found."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

#: A smaller relative gap is rounding: energies are added in different orders.
OPTIMAL_WITHIN = 1e-11


@dataclass(frozen=True)
class Certificate:
    """What a mapper can prove of the mapping that it found.

    Attributes:
        value: of the objective, by the mapper's evaluator.
        bound: no mapping of the mapspace has a lower value under the native model; None where
            nothing is known.
        assumed: what the bound holds for.
        nodes: partial mappings that were looked at.
        complete: whether the search came to its end, or a limit stopped it.
    """

    value: float
    bound: float | None
    assumed: str
    nodes: int
    complete: bool

    @property
    def gap(self) -> float | None:
        """How far the value may lie above the optimum, relative to the value; None: unknown."""
        if self.bound is None or not np.isfinite(self.value):
            return None
        return gap_of(self.bound, self.value)

    @property
    def optimal(self) -> bool:
        """Whether nothing better exists, up to the last digits of float sums."""
        return self.gap is not None and self.gap <= OPTIMAL_WITHIN

    @classmethod
    def of_all(cls, proofs: Sequence[Certificate]) -> Certificate:
        """Return what proofs of several problems, one after the other, prove of all together.

        Each knew the best value of those before it. Problems that have no mapping at all bound
        nothing; one of which nothing is known leaves nothing known of all.
        """
        if len(proofs) == 1:
            return proofs[0]
        some = [p for p in proofs if p.bound is not None or not p.complete]
        if not some:
            return proofs[0]
        unknown = [p for p in some if p.bound is None]
        bounds = [p.bound for p in some if p.bound is not None]
        value = min(p.value for p in some)
        return cls(
            value,
            None if unknown else min(value, *bounds),
            (unknown or some)[0].assumed,
            sum(p.nodes for p in proofs),
            all(p.complete for p in proofs),
        )

    def found(self, value: float) -> Certificate:
        """Return the certificate once a mapping of that value is known, too."""
        bound = None if self.bound is None else min(self.bound, value)
        return replace(self, value=min(self.value, value), bound=bound)

    def as_dict(self) -> dict[str, Any]:
        """Return the certificate as plain data."""
        return {
            "optimal": self.optimal,
            "gap": self.gap,
            "bound": self.bound if self.bound is not None and np.isfinite(self.bound) else None,
            "assumed": self.assumed,
            "nodes": self.nodes,
            "complete": self.complete,
        }


def gap_of(bound: float, value: float) -> float:
    """Return how far below a value, relative to it, a bound leaves room; objectives are not < 0."""
    return max(0.0, 1.0 - bound / value) if value > 0.0 else 0.0


def times(value: float, reference: float) -> float:
    """Return how many times a reference a value is; objectives may be 0, and 0 is 1 x 0."""
    if reference:
        return value / reference
    return math.inf if value else 1.0
