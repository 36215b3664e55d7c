"""What a run published: the claims of ``result.json``.

Everything is read from what people are given, nothing from a checkpoint: that is what a
certificate is believed for.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dse.cosearch.certificate import FRONT, INFEASIBLE, OPTIMAL, STOPPED
from dse.errors import SpecError
from dse.space.variable import Values
from dse.study import folder as run_folder


@dataclass(frozen=True)
class Claim:
    """What a result claims.

    Attributes:
        status: of the certificate.
        reason: why it claims nothing.
        value, bound: of the certificate; zero where it claims nothing, infinite where it claims
            that there is no design, and where it is of a front.
        gap: that it states; None where it does not.
        content: of ``result.json``.
    """

    status: str
    reason: str
    value: float
    bound: float
    gap: float | None
    content: dict[str, Any]

    @property
    def claims(self) -> bool:
        """Whether there is anything to check."""
        return self.status in (OPTIMAL, STOPPED, INFEASIBLE, FRONT)

    @property
    def is_infeasible(self) -> bool:
        """Whether it claims that there is no design."""
        return self.status == INFEASIBLE

    @property
    def is_front(self) -> bool:
        """Whether it is of a front."""
        return self.status == FRONT

    @classmethod
    def read(cls, folder: Path) -> Claim:
        """Read a run folder's result.

        Raises:
            SpecError: there is none, it has no certificate, or no numbers where they should be.
        """
        path = folder / run_folder.RESULT
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            reason = f"cannot be read ({error.strerror}); has the run ended?"
            raise SpecError(f"{path}: {reason}") from error
        except (ValueError, RecursionError) as error:
            raise SpecError(f"{path}: not JSON: {error}") from error
        certificate = content.get("certificate") if isinstance(content, dict) else None
        if not isinstance(certificate, dict):
            raise SpecError(f"{path}: has no certificate; expected a run with optimizer=optimal")
        status = str(certificate.get("status"))
        without = content.get("status") == "infeasible"
        if (without and status == INFEASIBLE) or (status == FRONT and not without):
            return cls(status, "", math.inf, math.inf, None, content)
        if without or status == INFEASIBLE:
            raise SpecError(f"{path}: holds no design, and certificate.status = {status!r}")
        if status not in (OPTIMAL, STOPPED):
            return cls(status, str(certificate.get("reason", "")), 0.0, 0.0, None, content)
        value = _number(path, "certificate.value", certificate.get("value"))
        bound = _number(path, "certificate.bound", certificate.get("bound"))
        stated = certificate.get("gap")
        gap = None if stated is None else _number(path, "certificate.gap", stated)
        return cls(status, "", value, bound, gap, content)

    @staticmethod
    def finite(number: float) -> float | None:
        """Return a number as JSON has it: none where there is no design."""
        return number if math.isfinite(number) else None

    def part(self, *keys: str) -> Any:  # noqa: ANN401 - whatever the file holds
        """Return a part of the result; None where there is none."""
        found: Any = self.content
        for key in keys:
            found = found.get(key) if isinstance(found, dict) else None
        return found


def _number(path: Path, key: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise SpecError(f"{path}: {key} = {value!r}, expected a number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not (math.isfinite(number) and number >= 0.0):
        raise SpecError(f"{path}: {key} = {number}, expected a finite number of at least 0")
    return number


def best_values(folder: Path, claim: Claim) -> Values:
    """Return the best design's hardware; SpecError where the result has none."""
    values = claim.part("best", "values")
    if not isinstance(values, dict) or not all(isinstance(v, int) for v in values.values()):
        raise SpecError(
            f"{folder / run_folder.RESULT}: best.values = {values!r}, expected integers"
        )
    return dict(values)
