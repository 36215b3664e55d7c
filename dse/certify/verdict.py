"""What a recheck can end with: it holds, it is refuted, or it is beyond the argument."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Decision(StrEnum):
    """Whether a claim is true."""

    CERTIFIED = "certified"
    REFUTED = "refuted"
    UNDECIDED = "not decided"


@dataclass(frozen=True)
class Verdict:
    """What the recheck of a bound found.

    Attributes:
        outcome: whether nothing lies below the claim.
        boxes: parts of the hardware that were looked at.
        mappings: mappings evaluated.
        how: the argument in a few words.
        reason: what is better, or what is not covered.
    """

    outcome: Decision
    boxes: int
    mappings: int
    how: str
    reason: str = ""


class RefutedError(Exception):
    """Something lies below the claim; the message says what."""


class NotCoveredError(Exception):
    """The argument does not reach so far; the message says what it does not cover."""


#: What a recheck evaluates at most, unless told otherwise: minutes of work.
MOST_MAPPINGS = 3_000_000_000


@dataclass
class Effort:
    """What a recheck has looked at, and up to where it goes on."""

    boxes: int = 0
    mappings: int = 0
    most_boxes: int = 2_000_000
    most_mappings: int = MOST_MAPPINGS

    def spend(self, *, boxes: int = 0, mappings: int = 0) -> None:
        """Count; raise NotCoveredError beyond the limits."""
        self.boxes += boxes
        self.mappings += mappings
        if self.boxes > self.most_boxes:
            raise NotCoveredError(f"more than {self.most_boxes:,} boxes of hardware")
        if self.mappings > self.most_mappings:
            raise NotCoveredError(f"more than {self.most_mappings:,} mappings to evaluate")
