"""Constraints of a mapspace: what each level of an architecture may do.

The words are those of Timeloop's mapper constraints: per storage level, which tensors are kept
or bypassed, which dimensions may have temporal and spatial factors and how large, which factors
are fixed, and which permutations are. What is not constrained is free.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dse.errors import SpecError


@dataclass(frozen=True)
class LoopConstraint:
    """Constraints on the temporal loops of a level, or on its spatial loops.

    Attributes:
        dimensions: dimensions that may have a factor above 1; None = all.
        factors: fixed factors by dimension (0 = the whole problem bound).
        max_factors: largest factor by dimension.
        permutation: loop order, **innermost first**. Listed dimensions are fixed as the inner
            loops in this order; when all dimensions that may have a factor are listed, the
            order is fixed. None = free.
    """

    dimensions: tuple[str, ...] | None = None
    factors: Mapping[str, int] = field(default_factory=dict)
    max_factors: Mapping[str, int] = field(default_factory=dict)
    permutation: tuple[str, ...] | None = None


@dataclass(frozen=True)
class SpatialConstraint(LoopConstraint):
    """Constraints on spatial loops: ``x`` and ``y`` list who may run along which axis.

    A dimension in both may take either. None = all of ``dimensions`` (on an axis with fan-out).
    """

    x: tuple[str, ...] | None = None
    y: tuple[str, ...] | None = None


@dataclass(frozen=True)
class LevelConstraint:
    """Constraints of one storage level.

    ``keep`` and ``bypass`` name tensors; a tensor in neither is free to be kept or bypassed
    (the outermost level keeps it). The three ``no_`` directives name tensors too.
    """

    keep: tuple[str, ...] = ()
    bypass: tuple[str, ...] = ()
    temporal: LoopConstraint = field(default_factory=LoopConstraint)
    spatial: SpatialConstraint = field(default_factory=SpatialConstraint)
    no_temporal_reuse: tuple[str, ...] = ()
    no_multicast: tuple[str, ...] = ()
    no_link_transfer: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        both = set(self.keep) & set(self.bypass)
        if both:
            raise SpecError(f"constraint: tensor '{min(both)}' is both kept and bypassed")


#: Constraints of a whole architecture, by storage-level name; a level that is absent is free.
Constraints = Mapping[str, LevelConstraint]
