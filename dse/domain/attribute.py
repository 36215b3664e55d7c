"""Attributes of the hardware, each declared once: a field of a dataclass with what is known of it.

The declarations stand in :mod:`dse.domain.architecture`. From them follow the checks of bounds, the
keys of templates, Timeloop's files in both directions, the arrays that the model reads, ``python -m
dse show attributes``, and the table in ``docs/templates.md``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from functools import cache
from types import NoneType
from typing import Any, get_args, get_type_hints

from dse.errors import SpecError

#: The largest energy or area: sums of them stay finite.
LARGEST_PRICE = 1e100


@dataclass(frozen=True)
class Keys:
    """How Timeloop's files spell an attribute of a component.

    Attributes:
        read: the keys that carry it, first hit wins; one with underscores is found with hyphens,
            too.
        flat: the keys written for ``timeloop-model``: what 3.0.3 knows with hyphens only has
            hyphens (4cf6d4c converts them); two where no one spelling suits both versions; none
            where the writer itself decides.
        nodes: the key written into timeloopfe's nodes; None where others of the node imply it.
        always: whether flat files hold it at its default, too.
    """

    read: tuple[str, ...]
    flat: tuple[str, ...]
    nodes: str | None
    always: bool


def keys(
    *read: str, flat: str | tuple[str, ...] = "", nodes: str | None = "", always: bool = False
) -> Keys:
    """Return spellings; what is written is the first of ``read`` unless something else is given."""
    if isinstance(flat, str):
        flat = (flat or read[0],)
    return Keys(read, flat, read[0] if nodes == "" else nodes, always)


@dataclass(frozen=True)
class Actions:
    """Which actions of an energy table (ERT) price an attribute; the first hit wins.

    Attributes:
        head: of version 4cf6d4c.
        v3_0_3: of version 3.0.3.
        written: the one that is written, which prices the attribute in every version.
    """

    head: tuple[str, ...]
    v3_0_3: tuple[str, ...]
    written: str

    def of(self, timeloop_version: str) -> tuple[str, ...]:
        """Return the actions that a version of Timeloop looks for."""
        return self.head if timeloop_version == "4cf6d4c" else self.v3_0_3


def actions(*head: str, v3_0_3: tuple[str, ...] = (), written: str = "") -> Actions:
    """Return actions; unless given, the versions agree and the first one is written."""
    return Actions(head, v3_0_3 or head, written or head[0])


@dataclass(frozen=True)
class Attribute:
    """What is known of one attribute.

    Attributes:
        name: of the dataclass's field.
        kind: ``int``, ``float`` or ``bool``; one whose default is None may be None.
        at_least, above, at_most: bounds of numbers.
        template: its key in templates; None where they cannot set it.
        arithmetic: whether templates may give a number as arithmetic over their variables.
        timeloop: its spellings in Timeloop's files; None where they do not have it.
        array: the field of :class:`dse.domain.architecture.HardwareArrays` that holds it; None
            where the model does not read it.
    """

    name: str
    kind: type
    default: Any
    meaning: str
    unit: str
    at_least: float | None
    above: float | None
    at_most: float | None
    template: str | None
    arithmetic: bool
    timeloop: Keys | Actions | None
    array: str | None

    @property
    def keys(self) -> Keys | None:
        """Its keys in Timeloop's components, if it has any."""
        return self.timeloop if isinstance(self.timeloop, Keys) else None

    @property
    def actions(self) -> Actions | None:
        """Its actions in energy tables, if it has any."""
        return self.timeloop if isinstance(self.timeloop, Actions) else None

    def numbers(self, parts: Iterable[object]) -> list[Any]:
        """Return the values in parts, for an array; -1 stands for None."""
        values = [getattr(part, self.name) for part in parts]
        return [-1 if v is None else v for v in values] if self.default is None else values

    def allows(self, value: float) -> bool:
        """Whether a number lies within the bounds; NaN lies within none."""
        return (
            (self.at_least is None or value >= self.at_least)
            and (self.above is None or value > self.above)
            and (self.at_most is None or value <= self.at_most)
        )

    @property
    def expected(self) -> str:
        """The bounds in words; empty where there are none."""
        if self.above is not None:
            return f"more than {self.above:g}"
        if self.at_least is None:
            return ""
        if self.at_most is None:
            return f"at least {self.at_least:g}"
        return f"{self.at_least:g} to {self.at_most:g}".replace("e+", "e")


def attribute(
    default: Any,  # noqa: ANN401 - as dataclasses.field
    meaning: str,
    unit: str = "",
    *,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    template: str | None = "",
    arithmetic: bool = True,
    timeloop: Keys | Actions | None = None,
    array: str | None = None,
) -> Any:  # noqa: ANN401
    """Declare an attribute; returns a dataclass field.

    The arguments are those of :class:`Attribute`; unless ``template`` is given, templates know it
    by the field's name. A bound ``at_most`` goes with ``at_least``.
    """
    known = Attribute(
        *("", NoneType, default, meaning, unit, at_least, above, at_most),
        *(template, arithmetic, timeloop, array),
    )
    return field(default=default, metadata={"attribute": known})


def price(
    default: float | None,
    meaning: str,
    unit: str,
    *,
    timeloop: Keys | Actions | None = None,
    array: str | None = None,
) -> Any:  # noqa: ANN401
    """Declare an energy or area: bounded so that sums stay finite; see `is_price`."""
    return attribute(
        *(default, meaning, unit),
        at_least=0,
        at_most=LARGEST_PRICE,
        timeloop=timeloop,
        array=array,
    )


def is_price(item: Attribute) -> bool:
    """Whether an attribute is an energy or area, which an energy chain fills in."""
    return item.at_most == LARGEST_PRICE


def declared(part: object) -> tuple[Attribute, ...]:
    """Return the attributes that a dataclass, or that of an instance, declares, in order."""
    return _declared(part if isinstance(part, type) else type(part))


@cache
def _declared(part: Any) -> tuple[Attribute, ...]:  # noqa: ANN401 - a type
    hints = get_type_hints(part)
    found = []
    for item in fields(part):
        known: Attribute | None = item.metadata.get("attribute")
        if known is not None:
            hint = hints[item.name]
            kind = next(k for k in get_args(hint) or (hint,) if k is not NoneType)
            key = item.name if known.template == "" else known.template
            found.append(replace(known, name=item.name, kind=kind, template=key))
    return tuple(found)


def check(part: object, where: str) -> None:
    """Check what a part of the hardware declares.

    Raises:
        SpecError: a value is out of bounds; ``where`` names the part.
    """
    for item in declared(part):
        value = getattr(part, item.name)
        if value is not None and not item.allows(value):
            raise SpecError(f"{where}: {item.name} = {value}, expected {item.expected}")
