"""Plain evaluations on machines that tell the prices of a range of chips apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dse.certify.hardware import Capacity, Chip
from dse.certify.verdict import Effort
from dse.domain.architecture import AccessEnergy, Architecture
from dse.domain.mapping import MappingBatch
from dse.domain.problem import Problem
from dse.evaluators.native import NativeEvaluator

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

#: Kinds of accesses, as :class:`dse.certify.hardware.Sizes` orders them.
_READ, _FILL, _UPDATE, _LEAK = range(4)


class UnitPrice(NamedTuple):
    """A price that depends on a capacity: of which accesses, and the least by its value."""

    capacity: int
    level: str
    energy: AccessEnergy  # 1 pJ for these kinds of accesses
    price: Floats  # (V,)


class RangePrices:
    """The least prices of a range of chips.

    Args:
        chips: the range.
        capacities: of the hardware.
        leaks: whether leakage counts.

    Attributes:
        alone: whether it is one chip, whose prices these are exactly.
        blocks: words of an access to each level for which the prices are: where chips differ, one
            word, which moves no more words than any block, at the price of a word.
    """

    def __init__(
        self, chips: Sequence[Chip], capacities: Sequence[Capacity], *, leaks: bool
    ) -> None:
        self.alone = len(chips) == 1
        self._chips, self._capacities, self._leaks = chips, capacities, leaks
        self._sized = {c.level for c in capacities}
        blocks = zip(*([x.block_size for x in c.architecture.levels] for c in chips), strict=True)
        self.blocks = [b[0] if len(set(b)) == 1 else 1 for b in blocks]

    def of_level(self, s: int) -> AccessEnergy:
        """Return the prices of a level; none where they depend on a capacity."""
        if s in self._sized:
            return AccessEnergy()
        levels = [c.architecture.levels[s] for c in self._chips]
        words = [x.block_size // self.blocks[s] for x in levels]

        def least(key: str) -> float:
            return float(
                min(getattr(x.energy, key) / n for x, n in zip(levels, words, strict=True))
            )

        return AccessEnergy(
            least("read_pj"),
            least("fill_pj"),
            least("update_pj"),
            min(x.energy.leak_pj for x in levels) if self._leaks else 0.0,
            levels[0].energy.address_generation_pj if self.alone else 0.0,
        )

    def units(self) -> list[UnitPrice]:
        """Return the prices that depend on capacities; kinds of accesses at one price together."""
        found = []
        for c, capacity in enumerate(self._capacities):
            s = capacity.level
            levels = [chip.architecture.levels[s] for chip in self._chips]
            tables = [
                chip.sizes[c].price_pj[:, :3] / (x.block_size // self.blocks[s])
                for chip, x in zip(self._chips, levels, strict=True)
            ]
            least, name = np.min(tables, axis=0), levels[0].name
            if not self.alone:
                unit = AccessEnergy(1.0, 1.0, 1.0)
                found.append(UnitPrice(c, name, unit, least.min(axis=1)))
                continue
            kinds: dict[bytes, list[int]] = {}
            for kind in (_READ, _FILL, _UPDATE):
                kinds.setdefault(least[:, kind].tobytes(), []).append(kind)
            for group in kinds.values():
                unit = AccessEnergy(*(float(k in group) for k in (_READ, _FILL, _UPDATE)))
                found.append(UnitPrice(c, name, unit, least[:, group[0]].copy()))
            leak = self._chips[0].sizes[c].price_pj[:, _LEAK]
            if self._leaks and (leak > 0.0).any():
                found.append(UnitPrice(c, name, AccessEnergy(leak_pj=1.0), leak.copy()))
        return found


class PlainEvaluation:
    """Evaluates mappings by the plain model, and counts them."""

    def __init__(self, timeloop_version: str, effort: Effort) -> None:
        self._evaluator = NativeEvaluator(timeloop_version)
        self._effort = effort

    def costs(
        self,
        machine: Architecture,
        units: Sequence[UnitPrice],
        problem: Problem,
        batch: MappingBatch,
    ) -> tuple[Flags, list[Floats]]:
        """Return which mappings fit; cycles, energy, and what each unit price alone comes to."""
        free = replace(
            machine,
            levels=tuple(replace(x, energy=AccessEnergy()) for x in machine.levels),
            compute=replace(machine.compute, energy_pj=0.0),
        )
        machines = [machine]
        for unit in units:
            level = replace(free.level(unit.level), energy=unit.energy)
            machines.append(free.with_levels(**{unit.level: level}))
        found = [self._evaluator.evaluate(m, problem, batch) for m in machines]
        self._effort.spend(mappings=len(batch) * len(machines))
        return found[0].valid, [found[0].cycles, *(m.energy_pj for m in found)]

    def fits(self, architecture: Architecture, problem: Problem, batch: MappingBatch) -> Flags:
        """Return which mappings fit."""
        self._effort.spend(mappings=len(batch))
        return self._evaluator.evaluate(architecture, problem, batch).valid

    def plain(
        self, architecture: Architecture, problem: Problem, batch: MappingBatch
    ) -> tuple[Floats, Floats]:
        """Return energy and cycles of the mappings that fit a design."""
        m = self._evaluator.evaluate(architecture, problem, batch)
        self._effort.spend(mappings=len(batch))
        return m.energy_pj[m.valid], m.cycles[m.valid]
