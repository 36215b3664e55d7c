"""Latency beside the native model's: what a descent follows the gradient of, if it is given one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from dse.domain.architecture import Architecture
from dse.numeric import Floats, Ints
from dse.relaxed.points import Points


@dataclass(frozen=True, eq=False)
class CorrectedCycles:
    """Cycles of B points, and their derivatives.

    Attributes:
        cycles: ``(B,)``.
        by_native: ``(B,)`` d cycles / d native cycles.
        temporal, spatial: ``(B, L, D)`` d cycles / d log factor where the native cycles stay; empty
            where no derivatives were asked for.
    """

    cycles: Floats
    by_native: Floats
    temporal: Floats
    spatial: Floats


class Latency(Protocol):
    """Corrects the native model's cycles; the hardware counts as a constant."""

    def __call__(
        self,
        points: Points,
        native_cycles: Floats,
        hardware: Sequence[Architecture],
        index: Ints,
        *,
        gradient: bool,
    ) -> CorrectedCycles:
        """Return the cycles of B points.

        Args:
            points: B relaxed mappings.
            native_cycles: ``(B,)`` of the twin.
            hardware: H architectures.
            index: ``(B,)`` which of them each point runs on.
            gradient: whether derivatives are wanted, too.
        """
