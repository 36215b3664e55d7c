"""A known optimum: what is kept of it, where it is from, and what contradicts it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dse.errors import ProofError, SpecError
from dse.goals.certificate import times
from dse.goals.mapspace_text import OPTIMUM

#: Values of one optimum differ by no more than so much, relatively: the slack of two proofs.
SAME = 1e-10


@dataclass(frozen=True)
class Provenance:
    """Where an entry comes from.

    Attributes:
        run: the folder of the run.
        date: when it was certified.
        version: of the package that certified it.
        certified: the second argument, in a few words.
    """

    run: str
    date: str
    version: str
    certified: str

    def text(self) -> str:
        """Return it for people."""
        return f"{self.run}, certified on {self.date} by version {self.version}"


@dataclass(frozen=True)
class Known:
    """A known optimum.

    Attributes:
        key: hash of the contents that it belongs to.
        arch, workload, objective, energy, timeloop_version, constraints: what they were called.
        value: of the best design there is.
        values: its hardware.
        source: where it comes from.
        prices: digest of what hardware of the space costs, by `dse.certify.content.prices_of`;
            empty in entries by versions that kept none.
    """

    key: str
    arch: str
    workload: str
    objective: str
    energy: str
    timeloop_version: str
    constraints: str
    value: float
    values: dict[str, int]
    source: Provenance
    prices: str = ""

    def text(self, unit: str = "") -> str:
        """Return it for people."""
        if self.objective == "edp":
            return f"{OPTIMUM}, EDP {self.value / 1e12:.6g} J x cycle"
        return f"{OPTIMUM}, {self.objective} {self.value:.6g} {unit}".rstrip()

    def factor(self, value: float) -> float:
        """Return how far above it a value is."""
        return times(value, self.value)

    def check(self, value: float, where: str) -> None:
        """Check that a design of the same space is no better.

        Args:
            value: of the design.
            where: the design is from.

        Raises:
            ProofError: it is; names both sources.
        """
        if value < self.value * (1.0 - SAME):
            raise ProofError(
                f"{where}: {self.objective} = {value!r} lies below {self.value!r}, the known "
                f"optimum of this space ({self.source.text()}); one of the two is wrong"
            )


class _StrictRecord(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class _SourceEntry(_StrictRecord):
    run: str
    date: str
    version: str
    certified: str


class _StoredOptimum(_StrictRecord):
    """An entry as it stands in a file."""

    key: str
    arch: str
    workload: str
    objective: str
    energy: str
    timeloop_version: str
    constraints: str
    value: float = Field(gt=0.0)
    values: dict[str, int]
    source: _SourceEntry
    prices: str = ""


def provenance_of(given: Any, where: str) -> Provenance:  # noqa: ANN401 - as it stands in a file
    """Return where an entry comes from, of plain data; SpecError where it is not that."""
    return Provenance(**_checked(_SourceEntry, given, where))


def entry_of(given: Any, where: str) -> Known:  # noqa: ANN401 - as it stands in a file
    """Return an entry of plain data, as `dataclasses.asdict` gives it.

    Args:
        given: what stands in a file.
        where: what errors call it, up to the key.

    Raises:
        SpecError: it is no entry; names the key.
    """
    checked = _checked(_StoredOptimum, given, where)
    return Known(**{**checked, "source": Provenance(**dict(checked["source"]))})


def _checked(kind: type[_StrictRecord], given: Any, where: str) -> dict[str, Any]:  # noqa: ANN401
    try:
        return dict(kind.model_validate(given))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise SpecError(f"{where}{key}: {first['msg']}") from error
