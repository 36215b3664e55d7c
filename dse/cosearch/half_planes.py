"""Limits on what mappings decide, as half-planes of energy and cycles."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dse.domain.linear import CONSTANT, linear_form
from dse.errors import SpecError
from dse.goals.limits import Limit
from dse.numeric import Floats

#: What mappings decide, as multiples of energy in pJ and of cycles.
OF_MAPPINGS = {"energy_pj": (1.0, 0.0), "energy_uj": (1e-6, 0.0), "cycles": (0.0, 1.0)}
_POWER = "power_w"


@dataclass(frozen=True)
class HalfPlane:
    """``energy`` x energy in pJ + ``cycles`` x cycles <= ``most``."""

    energy: float
    cycles: float
    most: float
    source: str

    def excess(self, energy: Floats, cycles: Floats) -> Floats:
        """Return by how much points miss it, ``(B,)``; what rounding may have done is no miss."""
        part, other = self.energy * energy, self.cycles * cycles
        slack = 1e-12 * (np.abs(part) + np.abs(other) + abs(self.most))
        missed: Floats = part + other - self.most - slack
        return missed

    @property
    def is_upper(self) -> bool:
        """Whether less energy and fewer cycles always meet it, too."""
        return self.energy >= 0.0 and self.cycles >= 0.0


def half_plane(limit: Limit, clock_ns: float | None) -> HalfPlane:
    """Return the half-plane of a limit; strict comparisons have their border in it.

    Args:
        limit: on energy, cycles, or, where the clock is known, duration and power.
        clock_ns: period of the clock; None: it is not known, or not the same of all hardware.

    Raises:
        SpecError: the limit is none.
    """
    left, right = linear_form(limit.left), linear_form(limit.right)
    known = dict(OF_MAPPINGS)
    if clock_ns is not None:
        known |= {"delay_ns": (0.0, clock_ns), "seconds": (0.0, 1e-9 * clock_ns)}
        if left == {_POWER: 1.0} and right is not None and set(right) <= {CONSTANT}:
            # energy over duration, in pJ / ns = mW, times the duration
            known[_POWER] = (1e-3 / clock_ns, 0.0)
            right = {"cycles": right.get(CONSTANT, 0.0)}
    if left is None or right is None or not {*left, *right} <= {*known, CONSTANT}:
        raise SpecError(
            f"optimizer=optimal: constraint '{limit.source}', expected one on the area, pes, "
            "on_chip_bytes or noc_words_per_cycle, one that compares sums of multiples of "
            f"{', '.join(known)}, or power_w with a number, where the clock is known"
        )
    sign = 1.0 if limit.sign.startswith("<") else -1.0
    energy = cycles = 0.0
    for name, (of_energy, of_cycles) in known.items():
        weight = sign * (left.get(name, 0.0) - right.get(name, 0.0))
        energy += weight * of_energy
        cycles += weight * of_cycles
    most = sign * (right.get(CONSTANT, 0.0) - left.get(CONSTANT, 0.0))
    if not math.isfinite(energy + cycles + most):
        raise SpecError(f"constraint '{limit.source}': a number in it is too large")
    return HalfPlane(energy, cycles, most, limit.source)
