"""What a template file may hold, as pydantic models; unknown keys are refused with the nearest."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    create_model,
    field_validator,
    model_validator,
)

from dse.domain.architecture import AccessEnergy, Compute, Network, StorageLevel
from dse.domain.attribute import LARGEST_PRICE, Attribute, declared, is_price
from dse.domain.constraints import LevelConstraint, LoopConstraint, SpatialConstraint
from dse.domain.expression import Expression
from dse.domain.padding import Padding
from dse.domain.sparse import STORAGE_ACTIONS, MetadataStorage, SparseLevel
from dse.domain.technology import DRAM_PJ_PER_BIT
from dse.errors import SpecError, unknown_name
from dse.files import refuse_unknown_keys
from dse.space.rules import Names, Relation, Resolver


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
_SpecModel = TypeVar("_SpecModel", bound=Strict)


def _sparse_action(name: str) -> str:
    if name not in SPARSE_ACTIONS:
        raise ValueError(unknown_name("action", name, SPARSE_ACTIONS))
    return name


#: What storage does beside the plain accesses, whose prices have keys of their own.
SPARSE_ACTIONS = tuple(x for x in STORAGE_ACTIONS if not x.startswith("random_") or "meta" in x)
SparseAction = Annotated[str, AfterValidator(_sparse_action)]


class VariableSpec(Strict):
    """A design variable: a range with steps, a list of ``values``, or named ``choices``.

    A choice that stands for several dimensions is given with them: ``{C: [C, G], K: [K]}``.
    """

    min: int | None = Field(default=None, ge=0, le=2**40)
    max: int | None = Field(default=None, ge=0, le=2**40)
    step: int = Field(default=1, ge=1)
    values: tuple[Annotated[int, Field(ge=0, le=2**40)], ...] | None = Field(
        default=None, min_length=1, max_length=10_000
    )
    choices: (
        Annotated[tuple[Name, ...], Field(min_length=1, max_length=1000)]
        | Annotated[dict[Name, Names], Field(min_length=1, max_length=1000)]
        | None
    ) = None
    default: int | str | None = None
    sampling: Literal["uniform", "powers_of_two"] = "uniform"
    unit: str = ""
    description: str = ""

    @model_validator(mode="after")
    def _one_kind(self) -> VariableSpec:
        ranged = self.min is not None or self.max is not None
        if ranged + (self.values is not None) + (self.choices is not None) != 1:
            raise ValueError("expected either min and max, or values, or choices")
        listed: tuple[object, ...] | None = self.values
        if self.choices is not None:
            listed = tuple(self.choices)
        if listed is None:
            self._check_range()
        elif self.step != 1 or self.sampling != "uniform":
            raise ValueError("step and sampling go with min and max only")
        elif len(set(listed)) != len(listed):
            raise ValueError("a value stands twice")
        if self.values is not None and list(self.values) != sorted(self.values):
            raise ValueError("values: expected growing order")
        return self

    def _check_range(self) -> None:
        if self.min is None or self.max is None:
            raise ValueError("expected both min and max")
        if self.max < self.min:
            raise ValueError(f"max = {self.max} lies below min = {self.min}")
        if self.sampling == "powers_of_two":
            if self.min < 1 or 1 << (self.max.bit_length() - 1) < self.min:
                raise ValueError(
                    f"no power of two lies between min = {self.min} and max = {self.max}"
                )
            if self.step != 1:
                raise ValueError("sampling powers_of_two needs step = 1")


class TemporalSpec(Strict):
    """Constraints on temporal loops; see :class:`dse.domain.constraints.LoopConstraint`.

    Wherever a dimension is named, a variable with ``choices`` may stand for it, and the factors
    may be arithmetic over the variables.
    """

    dimensions: Names | None = None
    factors: dict[str, Arithmetic] = {}
    max_factors: dict[str, Arithmetic] = {}
    min_factors: dict[str, Arithmetic] = {}
    permutation: Names | None = None
    suffix: Names = ()

    def arguments(self, resolve: Resolver) -> dict[str, Any]:
        """Return the arguments of a loop constraint for the variables' values."""
        return {
            "dimensions": resolve.names(self.dimensions),
            "factors": resolve.numbers(self.factors, least=0),
            "max_factors": resolve.numbers(self.max_factors, least=1),
            "min_factors": resolve.numbers(self.min_factors, least=1),
            "permutation": resolve.names(self.permutation),
            "suffix": resolve.names(self.suffix) or (),
        }


class SpatialSpec(TemporalSpec):
    """Constraints on spatial loops: who may run along X and along Y."""

    x: Names | None = None
    y: Names | None = None


class ConstraintSpec(Strict):
    """Constraints of one level; see :class:`dse.domain.constraints.LevelConstraint`.

    Attributes:
        optional: tensors whose keep or bypass here is a choice of the dataflow, which
            ``mapspace.free`` lifts; of all others it is a fact of the hardware.
    """

    keep: Names = ()
    bypass: Names = ()
    optional: Names = ()
    temporal: TemporalSpec = TemporalSpec()
    spatial: SpatialSpec = SpatialSpec()
    no_temporal_reuse: Names = ()
    no_multicast: Names = ()
    no_link_transfer: Names = ()
    min_parallelism: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    onchip: Literal["whole", "timeloop"] = "whole"

    @model_validator(mode="after")
    def _not_both(self) -> ConstraintSpec:
        both = set(self.keep) & set(self.bypass)
        if both:
            raise ValueError(f"tensor '{min(both)}' is both kept and bypassed")
        open_already = set(self.optional) - {*self.keep, *self.bypass}
        if open_already:
            raise ValueError(
                f"optional: tensor '{min(open_already)}' is neither kept nor bypassed, so it is "
                "free already"
            )
        return self

    def build(self, resolve: Resolver) -> LevelConstraint:
        """Return the constraint that the mapspace reads.

        Raises:
            SpecError: a factor has no value, or one that is not possible.
        """
        spatial = self.spatial
        return LevelConstraint(
            keep=self.keep,
            bypass=self.bypass,
            temporal=LoopConstraint(**self.temporal.arguments(resolve)),
            spatial=SpatialConstraint(
                **spatial.arguments(resolve),
                x=resolve.names(spatial.x),
                y=resolve.names(spatial.y),
            ),
            no_temporal_reuse=self.no_temporal_reuse,
            no_multicast=self.no_multicast,
            no_link_transfer=self.no_link_transfer,
            min_parallelism=self.min_parallelism,
            onchip=self.onchip,
        )


def _relation(value: Any) -> Relation:  # noqa: ANN401
    if isinstance(value, Relation):
        return value
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not a comparison")
    try:
        return Relation.parse(value)
    except SpecError as error:
        raise ValueError(str(error)) from error


def _with_attributes(*parts: type) -> Callable[[type[_SpecModel]], type[_SpecModel]]:
    """Give a model the keys of what parts of the hardware declare for templates."""
    known = [item for part in parts for item in declared(part)]
    keys: dict[str, Any] = {x.template: _key(x) for x in known if x.template is not None}

    def extended(model: type[_SpecModel]) -> type[_SpecModel]:
        return create_model(
            model.__name__,
            __base__=model,
            __module__=model.__module__,
            __doc__=model.__doc__,
            **keys,
        )

    return extended


def _key(item: Attribute) -> tuple[Any, Any]:
    """Return type and default of an attribute's key; None is the default that has no number."""
    if item.kind is bool:
        return item.kind, item.default
    optional = item.default is None or not math.isfinite(item.default)
    default = None if optional else item.default
    if item.arithmetic:
        kind: Any = Arithmetic
        default = None if optional else Expression(item.default)
    else:
        kind = Annotated[item.kind, Field(ge=item.at_least, gt=item.above, le=item.at_most)]
    return (kind | None if optional else kind), default


class _PartSpec(Strict):
    """A part of the hardware: numbers are :class:`Expression` where they may be arithmetic."""

    if TYPE_CHECKING:

        def __getattr__(self, key: str) -> Any:  # noqa: ANN401
            """Return what the file gives of an attribute that is declared in `dse.domain`."""


_Picojoules = Annotated[float, Field(ge=0, le=LARGEST_PRICE)]


@_with_attributes(StorageLevel, AccessEnergy, Network, MetadataStorage, SparseLevel)
class LevelSpec(_PartSpec):
    """One storage level; numbers may be arithmetic over the variables.

    Attributes:
        sparse_pj: energies of what is gated, skipped or metadata, by `STORAGE_ACTIONS`.
    """

    name: Name
    class_: str = Field(alias="class", default="SRAM")
    constraints: ConstraintSpec = ConstraintSpec()
    sparse_pj: dict[SparseAction, _Picojoules] = {}


@_with_attributes(Compute)
class ComputeSpec(_PartSpec):
    """The MACs below the innermost storage level.

    Attributes:
        sparse_pj: energies of operations that are gated or skipped.
    """

    name: Name = "MACC"
    class_: str = Field(alias="class", default="intmac")
    sparse_pj: dict[Annotated[str, Field(pattern="^(gated|skipped)$")], _Picojoules] = {}


#: What energy chains fill in: a template gives it with ``energy: template`` only.
CHAIN_PRICES = frozenset(
    x.template
    for part in (StorageLevel, AccessEnergy, Compute)
    for x in declared(part)
    if is_price(x) and x.template
) | {"sparse_pj"}


class TechnologySpec(Strict):
    """What the energy chain ``table`` needs to know; see `dse.domain.technology`."""

    node_nm: Arithmetic
    clock_ns: Arithmetic
    dram: str = "LPDDR4"

    @field_validator("dram")
    @classmethod
    def _known(cls, dram: str) -> str:
        if dram not in DRAM_PJ_PER_BIT:
            raise ValueError(unknown_name("DRAM", dram, DRAM_PJ_PER_BIT))
        return dram


class BudgetSpec(Strict):
    """What a design may use.

    Attributes:
        area_um2: of the whole chip.
        pes: MAC units.
        on_chip_bytes: all storage but DRAM, all instances.
        noc_words_per_cycle: what the outermost on-chip level delivers.
    """

    area_um2: float | None = Field(default=None, gt=0)
    pes: int | None = Field(default=None, ge=1)
    on_chip_bytes: int | None = Field(default=None, ge=1)
    noc_words_per_cycle: float | None = Field(default=None, gt=0)


class MapspaceSpec(Strict):
    """Which mappings are searched unless the settings say otherwise.

    Attributes:
        padding: as in ``mapspace.padding``; see `dse.mapspace.padding.Padding`.
    """

    padding: str | None = None

    @field_validator("padding", mode="before")
    @classmethod
    def _known(cls, padding: object) -> object:
        try:
            return None if padding is None else Padding.parse(str(padding)).text
        except SpecError as error:
            raise ValueError(str(error)) from error


class TemplateSpec(Strict):
    """A whole template file.

    Attributes:
        derived: names for arithmetic over the variables and the derived names before.
        sparse_optimizations: formats and savings, as in Timeloop's files.
    """

    name: Name
    description: str = ""
    source: str = ""
    energy: str = "table"
    technology: TechnologySpec | None = None
    variables: dict[VariableName, VariableSpec] = {}
    derived: dict[VariableName, Arithmetic] = {}
    storage: Annotated[tuple[LevelSpec, ...], Field(min_length=1)]
    compute: ComputeSpec
    budget: BudgetSpec | None = None
    mapspace: MapspaceSpec = MapspaceSpec()
    sparse_optimizations: dict[str, Any] | None = None
    require: tuple[Annotated[Relation, BeforeValidator(_relation)], ...] = ()

    @model_validator(mode="after")
    def _priced(self) -> TemplateSpec:
        if self.energy == "table" and self.technology is None:
            raise ValueError("energy = table needs 'technology: {node_nm: .., clock_ns: ..}'")
        if self.energy != "template":
            for part in (*self.storage, self.compute):
                given = sorted(part.model_fields_set & CHAIN_PRICES)
                if given:
                    raise ValueError(
                        f"{part.name}.{given[0]}: the energy chain '{self.energy}' prices it; "
                        "expected energy: template beside prices"
                    )
        return self
