"""Energy and area reference tables (ERT, ART), and who estimated each figure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from dse.domain.formula import Value
from dse.timeloop.read.tables import EnergyTable, read_art, read_ert
from dse.timeloop.yaml.io import load_texts

_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


@dataclass(frozen=True)
class EnergyPart:
    """What one primitive subcomponent adds to an action.

    Attributes:
        name: the subcomponent's, within its component; the component's own for a primitive.
        energy_pj: of one action of one of them.
        scale: how many such actions are counted: scales times the sizes of ranges.
        estimator: what priced it.
    """

    name: str
    action: str
    arguments: Mapping[str, Value]
    energy_pj: float
    scale: float
    estimator: str


@dataclass(frozen=True)
class ActionEnergy:
    """Energy of one action with one choice of its arguments."""

    name: str
    arguments: Mapping[str, Value]
    parts: tuple[EnergyPart, ...]

    @property
    def energy_pj(self) -> float:
        """The sum of the parts."""
        return sum(part.energy_pj * part.scale for part in self.parts)


@dataclass(frozen=True)
class AreaPart:
    """Area of one primitive subcomponent in um^2, and by how much it counts."""

    name: str
    area_um2: float
    scale: float
    estimator: str


@dataclass(frozen=True)
class ComponentTable:
    """Everything that is priced of one component; ``path`` is its name with its sub-trees."""

    path: str
    kind: str
    actions: tuple[ActionEnergy, ...]
    areas: tuple[AreaPart, ...]

    @property
    def area_um2(self) -> float:
        """The sum of the parts."""
        return sum(part.area_um2 * part.scale for part in self.areas)


@dataclass(frozen=True)
class ReferenceTables:
    """What Accelergy makes of an architecture: an ERT and an ART, with their estimators."""

    components: tuple[ComponentTable, ...]

    def summary(self) -> str:
        """Return how many components there are, and what estimated them, for people."""
        used = {p.estimator for c in self.components for a in c.actions for p in a.parts}
        named = [name.removeprefix("table: ") for name in used if name.startswith("table: ")]
        sources = ", ".join(sorted(named)) or "nothing to price"
        return f"{len(self.components)} components ({sources})"

    def energies(self) -> EnergyTable:
        """Return the energies as Timeloop reads them from the ERT."""
        return read_ert(load_texts([("ERT", self.ert_yaml())]).need("ERT", "the table"))

    def areas(self) -> dict[str, float]:
        """Return the areas as Timeloop reads them from the ART."""
        return read_art(load_texts([("ART", self.art_yaml())]).need("ART", "the table"))

    def ert_yaml(self) -> str:
        """Return ``ERT.yaml``: pJ per action."""
        tables = [
            {
                "name": c.path,
                "actions": [
                    {"name": a.name, "arguments": dict(a.arguments), "energy": a.energy_pj}
                    for a in c.actions
                ],
            }
            for c in self.components
        ]
        return _dump({"ERT": {"version": "0.4", "tables": tables}})

    def art_yaml(self) -> str:
        """Return ``ART.yaml``: um^2 per component."""
        tables = [{"name": c.path, "area": c.area_um2} for c in self.components]
        return _dump({"ART": {"version": "0.4", "tables": tables}})

    def ert_summary_yaml(self) -> str:
        """Return ``ERT_summary.yaml``: energies, and what estimated each primitive action."""
        summary = [
            {
                "name": c.path,
                "actions": [_spread(name, energies) for name, energies in _by_name(c.actions)],
                "primitive_estimation(s)": [_estimations(a) for a in _first_of_each(c.actions)],
            }
            for c in self.components
        ]
        return _dump({"ERT_summary": {"version": "0.4", "table_summary": summary}})

    def art_summary_yaml(self) -> str:
        """Return ``ART_summary.yaml``: areas, and what estimated each part."""
        summary = [
            {
                "name": c.path,
                "area": c.area_um2,
                "primitive_estimations": [
                    {
                        "name": part.name,
                        "area": part.area_um2,
                        "scale_area_by": part.scale,
                        "estimator": part.estimator,
                    }
                    for part in c.areas
                ],
            }
            for c in self.components
        ]
        return _dump({"ART_summary": {"version": "0.4", "table_summary": summary}})

    def files(self) -> dict[str, str]:
        """Return the four files' texts by the ends of their names."""
        return {
            "ERT.yaml": self.ert_yaml(),
            "ERT_summary.yaml": self.ert_summary_yaml(),
            "ART.yaml": self.art_yaml(),
            "ART_summary.yaml": self.art_summary_yaml(),
        }


def _by_name(actions: Iterable[ActionEnergy]) -> list[tuple[str, list[float]]]:
    found: dict[str, list[float]] = {}
    for action in actions:
        found.setdefault(action.name, []).append(action.energy_pj)
    return list(found.items())


def _spread(name: str, energies: list[float]) -> dict[str, Any]:
    if len(energies) == 1:
        return {"name": name, "energy": energies[0]}
    mean = sum(energies) / len(energies)
    return {
        "name": name,
        "average_energy": mean,
        "max_energy": max(energies),
        "min_energy": min(energies),
    }


def _first_of_each(actions: Iterable[ActionEnergy]) -> list[ActionEnergy]:
    """Return each action once: its most expensive choice of arguments."""
    found: dict[str, ActionEnergy] = {}
    for action in actions:
        if action.name not in found or action.energy_pj > found[action.name].energy_pj:
            found[action.name] = action
    return list(found.values())


def _estimations(action: ActionEnergy) -> dict[str, Any]:
    return {
        "action_name": action.name,
        "arguments": dict(action.arguments),
        "energy": action.energy_pj,
        "subaction_estimations": [
            {
                "subcomponent_name": part.name,
                "subaction_name": part.action,
                "energy": part.energy_pj,
                "scale_energy_by": part.scale,
                "estimator": part.estimator,
            }
            for part in action.parts
        ],
    }


def _dump(tree: dict[str, Any]) -> str:
    text: str = yaml.dump(tree, Dumper=_DUMPER, sort_keys=False, default_flow_style=None, width=100)
    return text
