"""What a template file may hold, as pydantic models; unknown keys are refused with the nearest."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from dse.errors import SpecError
from dse.expression import Expression
from dse.files import refuse_unknown_keys
from dse.mapspace.constraints import LevelConstraint, LoopConstraint, SpatialConstraint


class Strict(BaseModel):
    """A mapping of keys that refuses those it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, given: Any) -> Any:  # noqa: ANN401
        refuse_unknown_keys({f.alias or name for name, f in cls.model_fields.items()}, given)
        return given


def _expression(value: Any) -> Expression:  # noqa: ANN401
    if isinstance(value, Expression):
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError(f"{value!r} is neither a number nor arithmetic")
    try:
        return Expression(value)
    except SpecError as error:
        raise ValueError(str(error)) from error


Arithmetic = Annotated[Expression, BeforeValidator(_expression)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]*$", max_length=64)]
VariableName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=64)]
Names = tuple[str, ...]
_ONE = Expression(1)


class VariableSpec(Strict):
    """A design variable: integers from ``min`` to ``max`` in steps of ``step``."""

    min: int = Field(ge=0, le=2**40)
    max: int = Field(ge=0, le=2**40)
    step: int = Field(default=1, ge=1)
    sampling: Literal["uniform", "powers_of_two"] = "uniform"
    unit: str = ""
    description: str = ""

    @model_validator(mode="after")
    def _ordered(self) -> VariableSpec:
        if self.max < self.min:
            raise ValueError(f"max = {self.max} lies below min = {self.min}")
        if self.sampling == "powers_of_two":
            if self.min < 1 or 1 << (self.max.bit_length() - 1) < self.min:
                raise ValueError(
                    f"no power of two lies between min = {self.min} and max = {self.max}"
                )
            if self.step != 1:
                raise ValueError("sampling powers_of_two needs step = 1")
        return self


class TemporalSpec(Strict):
    """Constraints on temporal loops; see :class:`dse.mapspace.constraints.LoopConstraint`."""

    dimensions: Names | None = None
    factors: dict[str, Annotated[int, Field(ge=0)]] = {}
    max_factors: dict[str, Annotated[int, Field(ge=1)]] = {}
    permutation: Names | None = None


class SpatialSpec(TemporalSpec):
    """Constraints on spatial loops: who may run along X and along Y."""

    x: Names | None = None
    y: Names | None = None


class ConstraintSpec(Strict):
    """Constraints of one level; see :class:`dse.mapspace.constraints.LevelConstraint`."""

    keep: Names = ()
    bypass: Names = ()
    temporal: TemporalSpec = TemporalSpec()
    spatial: SpatialSpec = SpatialSpec()
    no_temporal_reuse: Names = ()
    no_multicast: Names = ()
    no_link_transfer: Names = ()

    @model_validator(mode="after")
    def _not_both(self) -> ConstraintSpec:
        both = set(self.keep) & set(self.bypass)
        if both:
            raise ValueError(f"tensor '{min(both)}' is both kept and bypassed")
        return self

    def build(self) -> LevelConstraint:
        """Return the constraint that the mapspace reads."""
        return LevelConstraint(
            keep=self.keep,
            bypass=self.bypass,
            temporal=LoopConstraint(**dict(self.temporal)),
            spatial=SpatialConstraint(**dict(self.spatial)),
            no_temporal_reuse=self.no_temporal_reuse,
            no_multicast=self.no_multicast,
            no_link_transfer=self.no_link_transfer,
        )


class LevelSpec(Strict):
    """One storage level; numbers may be arithmetic over the variables."""

    name: Name
    class_: str = Field(alias="class", default="SRAM")
    word_bits: Arithmetic = Expression(16)
    size_words: Arithmetic | None = None
    mesh_x: Arithmetic = _ONE
    mesh_y: Arithmetic = _ONE
    block_size: Arithmetic = _ONE
    cluster_size: Arithmetic = _ONE
    multiple_buffering: Arithmetic = _ONE
    min_utilization: Arithmetic = Expression(0)
    read_bandwidth: Arithmetic | None = None
    write_bandwidth: Arithmetic | None = None
    shared_bandwidth: Arithmetic | None = None
    network_word_bits: int | None = Field(default=None, ge=1)
    ports: Arithmetic = _ONE
    banks: Arithmetic = _ONE
    constraints: ConstraintSpec = ConstraintSpec()


class ComputeSpec(Strict):
    """The MACs below the innermost storage level."""

    name: Name = "MACC"
    class_: str = Field(alias="class", default="intmac")
    word_bits: Arithmetic = Expression(16)
    mesh_x: Arithmetic = _ONE
    mesh_y: Arithmetic = _ONE


class BudgetSpec(Strict):
    """What a design may cost."""

    area_um2: float = Field(gt=0)


class TemplateSpec(Strict):
    """A whole template file."""

    name: Name
    description: str = ""
    source: str = ""
    energy: str = "pat"
    variables: dict[VariableName, VariableSpec] = {}
    storage: Annotated[tuple[LevelSpec, ...], Field(min_length=1)]
    compute: ComputeSpec
    budget: BudgetSpec | None = None
