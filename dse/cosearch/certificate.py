"""What a co-search proved, as plain data for ``result.json``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from dse.goals.certificate import gap_of
from dse.goals.mapspace_text import mapspace_text
from dse.state.codec import State
from dse.state.entries import CheckedEntries

#: Of a front: nothing dominates its points.
FRONT = "front"
#: Proven: nothing is better, the gap is rounding at most; stopped: something might be, by the gap;
#: infeasible: there is nothing; unsolved: the space is beyond the method, and nothing is claimed.
OPTIMAL, STOPPED, INFEASIBLE, UNSOLVED = "optimal", "stopped", "infeasible", "unsolved"


@dataclass(frozen=True)
class CoSearchCertificate:
    """The proof of a run.

    Attributes:
        status: one of the above.
        objective: what was minimised.
        value: of the best design, by the exact model; None where there is none.
        bound: no design of the space is below it.
        tolerance: relative; designs that near each other count as equal (rounding of sums).
        assumed: what the proof is about.
        reason: why the space was not solved.
        effort: nodes, classes of mappings, designs settled.
    """

    status: str
    objective: str
    value: float | None
    bound: float
    tolerance: float
    assumed: tuple[str, ...]
    reason: str = ""
    effort: dict[str, int] | None = None

    @property
    def gap(self) -> float | None:
        """How far, relative to the value, anything better could be."""
        if self.value is None or not math.isfinite(self.value):
            return None
        return gap_of(self.bound, self.value)

    def state_dict(self) -> dict[str, State]:
        """Return all of it as plain data, for a checkpoint."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @classmethod
    def of_state(cls, entries: CheckedEntries) -> CoSearchCertificate:
        """Return what :meth:`state_dict` gave; SpecError where it is not."""
        with entries:
            return cls(
                status=entries.text("status"),
                objective=entries.text("objective"),
                value=entries.maybe("value", entries.number),
                bound=entries.number("bound"),
                tolerance=entries.number("tolerance"),
                assumed=tuple(entries.items("assumed", str)),
                reason=entries.text("reason"),
                effort=entries.maybe("effort", entries.integers),
            )

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "status": self.status,
            "objective": self.objective,
            "value": self.value,
            "bound": self.bound if math.isfinite(self.bound) else None,
            "gap": self.gap,
            "tolerance": self.tolerance,
            "assumed": list(self.assumed),
            **({"reason": self.reason} if self.reason else {}),
            **({"effort": self.effort} if self.effort else {}),
        }


@dataclass(frozen=True)
class FrontCertificate:
    """What was proven of each point of a front.

    Attributes:
        objectives: what was traded.
        points: of each the sum that it makes least (``minimised``), within which limit
            (``limit``), its ``value``, the ``bound``, and what it is worth (``energy_pj``,
            ``cycles``, ``area_um2``).
        tolerance: relative, as in :class:`CoSearchCertificate`.
        assumed: what the proofs are about.
        effort: sums proven, sums that were not, and nodes of all.
    """

    objectives: tuple[str, ...]
    points: tuple[dict[str, State], ...]
    tolerance: float
    assumed: tuple[str, ...]
    effort: dict[str, int]

    def state_dict(self) -> dict[str, State]:
        """Return all of it as plain data, for a checkpoint."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @classmethod
    def of_state(cls, entries: CheckedEntries) -> FrontCertificate:
        """Return what :meth:`state_dict` gave; SpecError where it is not."""
        with entries:
            return cls(
                objectives=tuple(entries.items("objectives", str)),
                points=tuple(cls._point(one) for one in entries.each("points")),
                tolerance=entries.number("tolerance"),
                assumed=tuple(entries.items("assumed", str)),
                effort=entries.integers("effort"),
            )

    @staticmethod
    def _point(entries: CheckedEntries) -> dict[str, State]:
        with entries:
            told: dict[str, State] = {key: entries.text(key) for key in ("minimised", "limit")}
            numbers = ("value", "bound", "energy_pj", "cycles", "area_um2")
            return told | {key: entries.number(key) for key in numbers}

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "status": FRONT,
            "objectives": list(self.objectives),
            "tolerance": self.tolerance,
            "assumed": list(self.assumed),
            "points": list(self.points),
            "effort": self.effort,
        }


def gap_is_proven(proof: Mapping[str, Any]) -> bool:
    """Whether a search that was stopped, as plain data, had come to a bound."""
    return proof["status"] == STOPPED and proof["gap"] is not None and bool(proof["bound"])


def why_nothing_is_proven(proof: Mapping[str, Any]) -> str:
    """Return why there is neither an optimum nor a gap."""
    return proof.get("reason") or "the search was stopped before it had a bound"


def assumptions(
    timeloop_version: str, how: str, sizes: str = "", *, free: bool = False
) -> tuple[str, ...]:
    """Return what every proof is about.

    Args:
        timeloop_version: of the model.
        how: the mapspace was gone through.
        sizes: which paddings, where there are any.
        free: whether the template's constraints on loops are lifted.
    """
    return (
        f"mappings: {mapspace_text(free=free)}",
        "hardware: all values of the template's variables within its budget and requirements",
        f"model: native, Timeloop {timeloop_version}",
        f"mapspace: {how}",
        *([f"sizes: {sizes}"] if sizes else []),
    )
