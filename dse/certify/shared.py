"""What rechecks of one space share, whatever is minimised: hardware, layers, their tiles."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from dse.certify.hardware import Chip, Hardware
from dse.certify.layers import Tiler
from dse.certify.objective import CheckedGoal
from dse.certify.places import Places
from dse.certify.sizes import sizes_of
from dse.certify.tiers import Tiers, most_of, tiers_of
from dse.certify.tiled_rows import TiledRows
from dse.certify.verdict import Effort
from dse.domain.problem import Problem
from dse.model.arrays import HEAD, version_number
from dse.space.search_space import SearchSpace

#: By layer of the network, the problems that it may be mapped as.
_SizesByLayer = tuple[tuple[Problem, ...], ...]


class SharedWork:
    """See the module; what one recheck has made is there for the next.

    Args:
        space: the space.
        goal: what is minimised first; others may follow that need areas as much as this one.
        effort: counts mappings.

    Attributes:
        hardware: of the space.
        sizes: by layer of the network, the problems that it may be mapped as.
        other: chips without one tile, with why they are none.

    Raises:
        NotCoveredError: there are too many chips, or sizes.
    """

    def __init__(self, space: SearchSpace, goal: CheckedGoal, effort: Effort) -> None:
        self.hardware = Hardware(space, goal)
        self.sizes = _sizes_of(self.hardware)
        self._kinds, self.other = _kinds(self.hardware, self.sizes)
        self._tiler, self._effort = Tiler(space.timeloop_version), effort
        self._tiled: dict[int, TiledRows] = {}

    @property
    def has_tiled(self) -> bool:
        """Whether some chips have one tile."""
        return bool(self._kinds)

    def tiled(self) -> Iterator[tuple[TiledRows, list[Chip]]]:
        """Yield the chips with one tile, by kind, with their rows."""
        for number, kind in enumerate(self._kinds):
            if number not in self._tiled:
                self._tiled[number] = self._rows(kind)
            yield self._tiled[number], kind.chips

    def _rows(self, kind: _Chips) -> TiledRows:
        version = self.hardware.space.timeloop_version
        layers = [
            self._tiler.layer(places, tiers)
            for places, tiers in zip(kind.layers, kind.tiers, strict=True)
        ]
        return TiledRows(
            layers, [len(some) for some in self.sizes], kind.most, self.hardware.capacities,
            version, self._effort,
            leaks=version_number(version) == HEAD and any(map(_leaks, kind.chips)),
        )  # fmt: skip


def _sizes_of(hardware: Hardware) -> _SizesByLayer:
    space = hardware.space
    known = {
        problem: sizes_of(problem, hardware.chips, space.padding)
        for problem in dict.fromkeys(layer.problem for layer in space.workload)
    }
    return tuple(known[layer.problem] for layer in space.workload)


@dataclass(frozen=True)
class _Chips:
    """Chips on which the layers, in every size, are of one form.

    Attributes:
        layers: what their mappings may do, on the first of them.
        tiers: who is who in each.
        most: the largest factors in space of each, by chip.
    """

    layers: tuple[Places, ...]
    tiers: tuple[Tiers, ...]
    most: dict[int, list[tuple[int, int]]]
    chips: list[Chip]


def _kinds(hardware: Hardware, sizes: _SizesByLayer) -> tuple[list[_Chips], list[tuple[Chip, str]]]:
    """Return the chips with one tile, by kind, and the others, with why they are none."""
    found: dict[tuple[Tiers, ...], _Chips] = {}
    other = []
    for chip in hardware.chips:
        known: dict[Problem, tuple[Places, Tiers | str]] = {}
        for problem in itertools.chain(*sizes):
            if problem not in known:
                places = Places(problem, chip.architecture)
                known[problem] = places, tiers_of(places)
        layers = [known[problem] for problem in itertools.chain(*sizes)]
        why = next((tiers for _, tiers in layers if isinstance(tiers, str)), None)
        if why is not None:
            other.append((chip, why))
            continue
        tiers = tuple(t for _, t in layers if isinstance(t, Tiers))
        kind = found.setdefault(tiers, _Chips(tuple(p for p, _ in layers), tiers, {}, []))
        kind.chips.append(chip)
        kind.most[id(chip)] = [most_of(p, t) for (p, _), t in zip(layers, tiers, strict=True)]
    return list(found.values()), other


def _leaks(chip: Chip) -> bool:
    """Whether anything on a chip costs energy by the cycle."""
    tables = (s.price_pj[:, 3] for s in chip.sizes)
    fixed = (level.energy.leak_pj for level in chip.architecture.levels)
    return any(fixed) or any((leak[np.isfinite(leak)] > 0).any() for leak in tables)
