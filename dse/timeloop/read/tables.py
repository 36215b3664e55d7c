"""Reads Accelergy's tables: energy per action (ERT) and area (ART) by component name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from dse.domain.attribute import declared
from dse.timeloop.yaml.nodes import Entry

#: Arguments of an action, as text, and its pJ.
Variant = tuple[dict[str, str], float]


@dataclass(frozen=True)
class EnergyTable:
    """Energies of an ERT: for each component the tables that name it, in file order.

    Attributes:
        components: pJ by action; of several argument variants the largest.
        wire_pj: energy of a component called ``wire`` per bit and mm, if there is one.
        variants: of each component and action all variants, arguments and pJ; of several tables
            for one component the last one's.
    """

    components: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    wire_pj: float = 0.0
    variants: dict[str, dict[str, list[Variant]]] = field(default_factory=dict)

    def find(self, component: str, actions: Sequence[str]) -> float | None:
        """Return the energy of the first action that is there, in pJ; None when none is.

        Of several tables for one component, a later one overrides an earlier one.
        """
        found = None
        for table in self.components.get(component, []):
            for action in actions:
                if action in table:
                    found = table[action]
                    break
        return found

    def prices(self, component: str, part: type, timeloop_version: str) -> dict[str, float | None]:
        """Return what a part of the hardware declares with actions, by attribute; None: not given.

        Args:
            component: the name.
            part: the dataclass that declares.
            timeloop_version: decides which action prices what.
        """
        return {
            item.name: self.find(component, item.actions.of(timeloop_version))
            for item in declared(part)
            if item.actions is not None
        }


class PricedTables(Protocol):
    """An ERT and an ART that were made instead of read."""

    def energies(self) -> EnergyTable:
        """Return the energies."""
        ...

    def areas(self) -> dict[str, float]:
        """Return um^2 per instance by component name."""
        ...


#: Makes the ERT and ART of a whole input; None leaves the files' own, or the built-in energies.
TablesOf = Callable[[Entry], PricedTables | None]


def _component_name(path: str) -> str:
    """Return the component that a table's name stands for.

    The text behind the last dot, or, if the name ends in a range (``X[1..n]``), X.
    """
    dot, dots = path.rfind("."), path.rfind("..")
    if dots == -1 or dots != dot - 1:
        return path[dot + 1 :]
    # A range with one digit before the dots, as in X[1..n]: Timeloop cuts two characters.
    stem = path[: max(dots - 2, 0)]
    return stem[stem.rfind(".") + 1 :]


def read_ert(entry: Entry) -> EnergyTable:
    """Read an ``ERT`` of version 0.2, 0.3 or 0.4.

    Raises:
        SpecError: naming file, key and value.
    """
    version = entry.need("version", "0.2, 0.3 or 0.4")
    tables = entry.need("tables", "the energy tables")
    number = version.number()
    actions: dict[str, dict[str, list[Entry]]] = {}
    if number == 0.2:
        for path, table in tables.pairs():
            actions[path] = {
                name: action.items() if action.is_list else [action]
                for name, action in table.pairs()
            }
    elif number in (0.3, 0.4):
        for table in tables.items():
            path = table.need("name", "the component's name").text()
            by_name = actions.setdefault(path, {})
            for action in table.need("actions", "a list of actions").items():
                name = action.need("name", "the action's name").text()
                by_name.setdefault(name, []).append(action)
    else:
        raise version.fail("expected version 0.2, 0.3 or 0.4")
    components: dict[str, list[dict[str, float]]] = {}
    variants: dict[str, dict[str, list[Variant]]] = {}
    wire_pj = 0.0
    for path, by_name in actions.items():
        energies = {name: _largest(variants) for name, variants in by_name.items()}
        name = _component_name(path)
        if name in ("wire", "Wire"):
            if "transfer_random" not in energies:
                raise tables.refuse(f"component '{path}' has no action 'transfer_random'")
            # Timeloop keeps this one in single precision, and ignores a zero.
            wire_pj = float(np.float32(energies["transfer_random"])) or wire_pj
        else:
            components.setdefault(name, []).append(energies)
            variants[name] = {x: [_variant(v) for v in found] for x, found in by_name.items()}
    return EnergyTable(components, wire_pj, variants)


def _variant(entry: Entry) -> Variant:
    arguments, energy = entry.get("arguments"), entry.get("energy")
    given = {
        name: value.text()
        for name, value in (arguments.pairs() if arguments is not None else ())
        if value.is_scalar
    }
    return given, energy.number(0.0) if energy is not None else 0.0


def _largest(variants: list[Entry]) -> float:
    energies = [0.0]
    for variant in variants:
        energy = variant.get("energy")
        if energy is not None:
            energies.append(energy.number(0.0))
    return max(energies)


def read_art(entry: Entry) -> dict[str, float]:
    """Read an ``ART``: um^2 per instance by component name (single precision, as Timeloop)."""
    areas = {}
    entry.need("version", "0.2, 0.3 or 0.4")
    for table in entry.need("tables", "a list of area tables").items():
        area = table.need("area", "the area in um^2")
        name = _component_name(table.need("name", "the component's name").text())
        areas[name] = float(np.float32(min(area.number(0.0), 1e30)))
    return areas
