"""The smallest hardware that mappings fit: mapping-first inference, exact (DOSA, section 4).

A network's hardware must hold the largest tile and the widest fan-out of any of its layers; the
smallest legal values of the template's variables that provide them are the design's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dse.domain.mapping import Mapping as LayerMapping
from dse.domain.problem import Problem
from dse.errors import SpecError
from dse.numeric import Floats, Ints
from dse.relaxed.resources import ALONG_X, ALONG_Y, WORDS, Resource, resources_of
from dse.space.template import ArchTemplate
from dse.space.variable import Values, Variable

#: Passes over all resources: raising one variable may take from another resource.
_PASSES = 8
#: Values of an inferred variable: all are listed.
MOST_VALUES = 1 << 20


@dataclass(frozen=True, eq=False)
class Demand:
    """What H networks need of each level, ``(H, L)``, levels from the inside.

    Attributes:
        words: the largest tile set of any layer, in one instance.
        width: the most children along X.
        height: the most children along Y.
    """

    words: Floats
    width: Floats
    height: Floats

    def of(self, resource: Resource) -> Floats:
        """Return what is needed of a resource, ``(H,)``."""
        table = {WORDS: self.words, ALONG_X: self.width, ALONG_Y: self.height}[resource.kind]
        return table[:, resource.level]


def demand_of(mappings: Sequence[LayerMapping], problems: Sequence[Problem]) -> Demand:
    """Return the demand of one network, ``(1, L)``: a mapping for each of its layers."""
    rows = [_used(m, p) for m, p in zip(mappings, problems, strict=True)]
    words, width, height = (np.max(part, axis=0)[None] for part in zip(*rows, strict=True))
    return Demand(words, width, height)


def _used(m: LayerMapping, problem: Problem) -> tuple[Floats, Floats, Floats]:
    levels = m.temporal.shape[0]
    extent = (m.temporal.astype(np.float64) * m.spatial).cumprod(axis=0)
    sides = 1.0 + np.einsum("tqd,ld->ltq", problem.projection, extent - 1.0)
    words = (sides.prod(axis=2) * m.keep).sum(axis=1)
    ordered = np.take_along_axis(m.spatial, m.spatial_permutation.astype(np.int64), axis=1)
    on_x = np.arange(m.spatial.shape[1]) < m.split.reshape(levels, 1)
    width = np.where(on_x, ordered, 1).prod(axis=1).astype(np.float64)
    height = np.where(on_x, 1, ordered).prod(axis=1).astype(np.float64)
    return words, width, height


class Sizing:
    """Finds the smallest values of a template's variables that meet a demand.

    Variables that no capacity or fan-out depends on, that stand for named choices, or that the
    mapspace's constraints mention, are not inferred: they keep the values that they are given.
    Where several variables could provide a resource, the one on which the fewest resources depend
    grows first.

    Args:
        template: the template.
        fixed: values that the user chose; they are not inferred.

    Attributes:
        inferred: the variables that are inferred.
        kept: the free variables that are not.
        resources: what levels have; what is needed of them is a :class:`Demand`.
        raisers: for each resource, the inferred variables that it grows with.
    """

    def __init__(self, template: ArchTemplate, fixed: Mapping[str, int] | None = None) -> None:
        self.template = template
        self.fixed = dict(fixed or {})
        self.resources = resources_of(template)
        used = {name for r in self.resources for name in r.names}
        tied = _constraint_names(template)
        free = [v for v in template.variables if v.name not in self.fixed]
        self.inferred: tuple[Variable, ...] = tuple(
            v for v in free if v.name in used and v.name not in tied and not v.choices
        )
        self.kept: tuple[Variable, ...] = tuple(v for v in free if v not in self.inferred)
        for v in self.inferred:
            if v.count > MOST_VALUES:
                raise SpecError(
                    f"template '{template.name}': variables.{v.name}: {v.count:,} values, expected "
                    f"at most {MOST_VALUES:,} where the smallest hardware is inferred; a larger "
                    "step helps"
                )
        self._legal = {
            v.name: np.array([v.value_at(i) for i in range(v.count)], np.float64)
            for v in self.inferred
        }
        self.raisers = tuple(self._raisers(r) for r in self.resources)

    def smallest(self, demand: Demand, base: Mapping[str, int]) -> tuple[Values, str]:
        """Return the values of all variables for one network, and what they cannot provide.

        Args:
            demand: of one network.
            base: values of the variables that are not inferred; others are ignored.

        Returns:
            The values, and an empty text; or the largest values that there are, and which
            resource is short by how much.
        """
        base_rows = {v.name: np.array([base[v.name]]) for v in self.kept}
        values, enough = self.smallest_of(demand, base_rows)
        chosen = {name: int(column[0]) for name, column in values.items()}
        if enough[0]:
            return chosen, ""
        for resource in self.resources:
            have = float(np.ravel(resource.amount(values))[0])
            need = float(demand.of(resource)[0])
            if have < need:
                return chosen, f"{need:g} {resource} are needed, at most {have:g} are possible"
        raise AssertionError("a demand that is met was said not to be")

    def smallest_of(
        self, demand: Demand, base: Mapping[str, npt.NDArray[np.integer]]
    ) -> tuple[dict[str, Ints], npt.NDArray[np.bool_]]:
        """Return the values of all variables for H networks, ``(H,)`` each.

        Args:
            demand: of H networks.
            base: ``(H,)`` values of the variables that are not inferred.

        Returns:
            The values by name, in the template's order, and ``(H,)`` whether they are enough.
            Requirements and budget of the template are for its ``build`` to check.
        """
        count = len(demand.words)
        index = {v.name: np.zeros(count, np.int64) for v in self.inferred}
        values = {name: np.full(count, float(value)) for name, value in self.fixed.items()}
        values |= {v.name: np.asarray(base[v.name], np.float64) for v in self.kept}
        values |= {v.name: np.full(count, self._legal[v.name][0]) for v in self.inferred}
        for _ in range(_PASSES):
            changed = False
            for resource, raisers in zip(self.resources, self.raisers, strict=True):
                need = demand.of(resource)
                for name in raisers:
                    short = resource.amount(values) < need
                    if not short.any():
                        break
                    changed |= self._raise(resource, name, need, short, values, index)
            if not changed:
                break
        enough = np.ones(count, np.bool_)
        for resource in self.resources:
            enough &= resource.amount(values) >= demand.of(resource)
        ordered = {v.name: values[v.name].astype(np.int64) for v in self.template.variables}
        return ordered, enough

    def _raise(
        self,
        resource: Resource,
        name: str,
        need: Floats,
        short: npt.NDArray[np.bool_],
        values: dict[str, Floats],
        index: dict[str, Ints],
    ) -> bool:
        """Raise a variable where a resource is short, as little as it takes; True if it moved."""
        legal = self._legal[name]
        low, high = index[name].copy(), np.full(len(need), len(legal) - 1)
        high[~short] = low[~short]
        while (low < high).any():
            middle = (low + high) // 2
            enough = resource.amount({**values, name: legal[middle]}) >= need
            high = np.where(enough, middle, high)
            low = np.where(enough, low, np.minimum(middle + 1, high))
        moved = bool((low != index[name]).any())
        index[name] = low
        values[name] = legal[low]
        return moved

    def _raisers(self, resource: Resource) -> tuple[str, ...]:
        middle = {v.name: v.value_at(v.count // 2) for v in self.template.variables} | self.fixed
        told = [
            v.name
            for v in self.inferred
            if v.name in resource.names
            and resource.amount({**middle, v.name: v.maximum})
            > resource.amount({**middle, v.name: v.minimum})
        ]
        return tuple(sorted(told, key=lambda name: sum(name in r.names for r in self.resources)))


def _constraint_names(template: ArchTemplate) -> frozenset[str]:
    """Return the variables that a template's mapspace depends on."""
    found: set[str] = set()
    names = {v.name for v in template.variables}
    for level in template.spec.storage:
        for loops in (level.constraints.temporal, level.constraints.spatial):
            for factors in (loops.factors, loops.max_factors, loops.min_factors):
                found |= names & factors.keys()
                found |= {name for value in factors.values() for name in value.names}
            found |= names & set(_listed(loops))
    return frozenset(found)


def _listed(loops: object) -> Iterable[str]:
    for key in ("dimensions", "permutation", "suffix", "x", "y"):
        yield from getattr(loops, key, None) or ()
