"""How dense a tensor is: which share of its words is not 0, and where these are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dse.errors import SpecError, unknown_name

Distribution = Literal["fixed_structured", "hypergeometric", "banded"]
DISTRIBUTIONS: tuple[Distribution, ...] = ("fixed_structured", "hypergeometric", "banded")


@dataclass(frozen=True)
class Density:
    """A tensor's density.

    Attributes:
        distribution: of the words that are not 0.
        density: their share, 0 to 1; not used by ``banded``.
        band_width: of ``banded``: diagonals beside the main one, to either side.

    Raises:
        SpecError: a value is out of bounds.
    """

    distribution: Distribution = "fixed_structured"
    density: float = 1.0
    band_width: int = 0

    def __post_init__(self) -> None:
        if self.distribution not in DISTRIBUTIONS:
            raise SpecError(unknown_name("distribution", self.distribution, DISTRIBUTIONS))
        if not 0.0 <= self.density <= 1.0:
            raise SpecError(f"density = {self.density}, expected a number from 0 to 1")
        if not 0 <= self.band_width < 2**31:
            raise SpecError(f"band_width = {self.band_width}, expected an integer from 0 to 2^31")

    def name(self, timeloop_version: str) -> str:
        """Return what a version of Timeloop calls it."""
        if self.distribution == "banded":
            return f"banded-{self.band_width}"
        return self.distribution.replace("_", "_" if timeloop_version == "4cf6d4c" else "-")
