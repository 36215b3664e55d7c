"""Limits on energy and cycles as half-planes, read a second time."""

from __future__ import annotations

from typing import NamedTuple

from dse.certify.verdict import NotCoveredError
from dse.domain.linear import CONSTANT, linear_form
from dse.goals.limits import Limit

#: What rounding may have done to a limit, relatively.
_SLACK = 1e-12


class Border(NamedTuple):
    """``energy`` x pJ + ``cycles`` x cycles <= ``most``, and the limit that says so."""

    energy: float
    cycles: float
    most: float
    source: str

    @property
    def is_upper(self) -> bool:
        """Whether less energy and fewer cycles always meet it, too."""
        return self.energy >= 0.0 and self.cycles >= 0.0

    @property
    def widened(self) -> tuple[float, float, float]:
        """Its numbers, so that no rounding of sums of at least 0 leaves a design outside."""
        energy, cycles = (x - _SLACK * abs(x) for x in (self.energy, self.cycles))
        return energy, cycles, self.most + _SLACK * abs(self.most)


def border(limit: Limit, clock_ns: float | None) -> Border:
    """Return the half-plane of a limit, its edge included.

    Args:
        limit: on energy, cycles, duration or power.
        clock_ns: period of the clock; None: it is not known, or depends on the hardware.

    Raises:
        NotCoveredError: the limit is none.
    """
    units = {"energy_pj": (1.0, 0.0), "energy_uj": (1e-6, 0.0), "cycles": (0.0, 1.0)}
    sides = [linear_form(limit.left), linear_form(limit.right)]
    if clock_ns is not None:
        units |= {"delay_ns": (0.0, clock_ns), "seconds": (0.0, 1e-9 * clock_ns)}
        power, number = sides
        if power == {"power_w": 1.0} and number is not None and number.keys() <= {CONSTANT}:
            # pJ / ns are mW; both sides times the duration
            units["power_w"] = (1e-3 / clock_ns, 0.0)
            sides[1] = {"cycles": number.get(CONSTANT, 0.0)}
    sign = 1.0 if limit.sign in ("<", "<=") else -1.0
    energy = cycles = most = 0.0
    for side, toward in zip(sides, (sign, -sign), strict=True):
        if side is None or not side.keys() <= {*units, CONSTANT}:
            raise NotCoveredError(
                f"constraint '{limit.source}'; covered are those on the area, on resources, and "
                f"on sums of multiples of {', '.join(units)}"
            )
        for name, weight in side.items():
            if name == CONSTANT:
                most -= toward * weight
            else:
                energy += toward * weight * units[name][0]
                cycles += toward * weight * units[name][1]
    return Border(energy, cycles, most, limit.source)
