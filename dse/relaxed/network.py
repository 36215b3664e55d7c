"""Whole networks on the hardware that their mappings imply: the objective and its gradient.

As DOSA (Hong et al., MICRO 2023, section 4): the hardware is never a free variable, but at every
step the smallest that holds every layer's tiles; a buffer that grows for one layer costs all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dse.domain.architecture import Architecture
from dse.errors import SpecError
from dse.goals.meter import Meter
from dse.numeric import Floats, Ints
from dse.relaxed import prices as pr
from dse.relaxed.fit import Used
from dse.relaxed.latency import CorrectedCycles, Latency
from dse.relaxed.points import Points
from dse.relaxed.price_table import PriceTable
from dse.relaxed.prices import price_list
from dse.relaxed.relaxed_sizing import RelaxedSizing, Sized
from dse.relaxed.resources import ALONG_X, ALONG_Y, WORDS
from dse.relaxed.sizing import Sizing
from dse.relaxed.twin import Cost, Twin
from dse.space.search_space import SearchSpace

#: From energies and cycles of the variants of layers, ``(N, M)`` each, to their weights.
Mix = Callable[[Floats, Floats], Floats]

#: Powers of energy, cycles and area in each objective that has a gradient.
GOALS: dict[str, tuple[float, float, float]] = {
    "edp": (1.0, 1.0, 0.0),
    "energy": (1.0, 0.0, 0.0),
    "delay": (0.0, 1.0, 0.0),
    "area": (0.0, 0.0, 1.0),
    "adp": (0.0, 1.0, 1.0),
    "eadp": (1.0, 1.0, 1.0),
}


@dataclass(frozen=True, eq=False)
class NetworkValue:
    """What H networks are worth on the hardware that each implies.

    Attributes:
        loss: ``(H,)`` logarithm of the objective, plus penalties.
        energy_pj, cycles, area_um2: ``(H,)``.
        penalty: ``(H,)`` the part of the loss for what the hardware cannot provide.
        log_values: ``(H, V)`` logarithms of the inferred variables.
        temporal, spatial: ``(H N, L, D)`` d loss / d log factor; empty where not asked for.
    """

    loss: Floats
    energy_pj: Floats
    cycles: Floats
    area_um2: Floats
    penalty: Floats
    log_values: Floats
    temporal: Floats
    spatial: Floats


class RelaxedNetwork:
    """A workload's relaxed objective, with the hardware inferred.

    Args:
        space: template, workload, energy chain, objective and Timeloop version.
        base: values of the variables that are not inferred (see `Sizing`).
        meter: charged with every evaluation; None outside of a study.
        penalty: weight of the squared logarithm by which demands and budgets are exceeded.
        area_weight: the area's power in what is minimised, on top of the objective's own.
        latency: corrects the cycles; None: they are the native model's. Leakage stays that of the
            native cycles.

    Raises:
        SpecError: the objective has no gradient, or the template no hardware to infer.
    """

    def __init__(
        self,
        space: SearchSpace,
        base: Mapping[str, int],
        meter: Meter | None,
        *,
        penalty: float = 10.0,
        area_weight: float = 0.0,
        latency: Latency | None = None,
    ) -> None:
        if space.objective.name not in GOALS:
            raise SpecError(
                f"objective = {space.objective.name}: expected one of {', '.join(GOALS)} where "
                "its gradient is needed"
            )
        if space.workload.networks:
            raise SpecError(
                f"workload = {space.workload.name}: expected one network where its gradient is "
                "needed"
            )
        template = space.template
        self._template, self._latency = template, latency
        self._base = {**base, **space.fixed}
        self._machines: dict[tuple[int, ...], Architecture] = {}
        powers = GOALS[space.objective.name]
        self._powers = (*powers[:2], powers[2] + area_weight)
        self._strength = penalty
        self._counts = np.array([layer.count for layer in space.workload], np.float64)
        self.sizing = Sizing(template, space.fixed)
        self.relaxed = RelaxedSizing(self.sizing, base)
        self.prices = PriceTable(
            template, space.chain, self.sizing.inferred, {**base, **space.fixed}
        )
        problems = [layer.problem for layer in space.workload]
        self.twin = Twin(problems, len(template.level_names), space.timeloop_version, meter)
        budget = template.spec.budget
        self._limits = (
            (pr.AREA, template.max_area_um2),
            (pr.BYTES, budget.on_chip_bytes if budget else None),
            (pr.INSTANCES, budget.pes if budget else None),
        )

    def evaluate(
        self,
        points: Points,
        *,
        gradient: bool = True,
        variants: int = 1,
        mix: Mix | None = None,
    ) -> NetworkValue:
        """Evaluate H networks.

        Args:
            points: ``B = H N M``: the N layers of the first network in order, then the next's; M
                variants of a layer, with the same tiles, stand next to each other.
            gradient: whether derivatives are wanted, too.
            variants: M.
            mix: weighs the variants of a layer by their energies and cycles; None: equally.
        """
        layers = len(self._counts) * variants
        networks = len(points.problem) // layers
        used = self.twin.used(points)
        needs, where = self._needs(used, networks, layers)
        sized = self.relaxed(np.log(needs))
        prices, price_slopes = self.prices(sized.log_values)
        hardware = np.repeat(np.arange(networks), layers)
        cost = self.twin.cost(points, prices, hardware, gradient=gradient)
        told = self._corrected(points, cost, sized.log_values, hardware, gradient=gradient)
        weight = np.tile(np.repeat(self._counts, variants), networks)
        if variants > 1:
            weight = weight * self._weights(cost.energy_pj, told.cycles, variants, mix)
        energy = (cost.energy_pj * weight).reshape(networks, layers).sum(axis=1)
        cycles = (told.cycles * weight).reshape(networks, layers).sum(axis=1)
        area = prices[:, :, pr.AREA].sum(axis=1)
        by_price = np.zeros(prices.shape)
        penalty = self._strength * (sized.excess**2).sum(axis=1)
        penalty += self._budgets(prices, by_price)
        of_energy, of_cycles, of_area = self._powers
        loss = of_energy * np.log(energy) + of_cycles * np.log(cycles) + penalty
        if of_area:
            loss = loss + of_area * np.log(area)
            by_price[:, :, pr.AREA] += (of_area / area)[:, None]
        if not gradient:
            nothing = np.empty((0, *points.temporal.shape[1:]))
            return NetworkValue(
                loss, energy, cycles, area, penalty, sized.log_values, nothing, nothing
            )
        by_energy = weight * np.repeat(of_energy / energy, layers)
        by_cycles = weight * np.repeat(of_cycles / cycles, layers)
        by_native = by_cycles * told.by_native
        self._through_prices(cost, prices, hardware, by_energy, by_native, by_price)
        by_need = self._through_hardware(sized, price_slopes, by_price)
        temporal, spatial = self.twin.share_used(points, self._shares(by_need, where, used))
        e, c = by_energy[:, None, None], by_native[:, None, None]
        temporal += e * cost.energy_temporal + c * cost.cycles_temporal
        spatial += e * cost.energy_spatial + c * cost.cycles_spatial
        if self._latency is not None:
            temporal += by_cycles[:, None, None] * told.temporal
            spatial += by_cycles[:, None, None] * told.spatial
        return NetworkValue(
            loss, energy, cycles, area, penalty, sized.log_values, temporal, spatial
        )

    def priced(self, points: Points, architecture: Architecture) -> tuple[Floats, Floats]:
        """Return energies and cycles of B points on one piece of hardware."""
        cost = self.twin.cost(points, price_list([architecture]), gradient=False)
        if self._latency is None:
            return cost.energy_pj, cost.cycles
        index = np.zeros(len(cost.cycles), np.int64)
        told = self._latency(points, cost.cycles, [architecture], index, gradient=False)
        return cost.energy_pj, told.cycles

    def _corrected(
        self, points: Points, cost: Cost, log_values: Floats, index: Ints, *, gradient: bool
    ) -> CorrectedCycles:
        if self._latency is None:
            nothing = np.empty((0, *points.temporal.shape[1:]))
            return CorrectedCycles(cost.cycles, np.ones(len(cost.cycles)), nothing, nothing)
        machines = [self._machine(row) for row in log_values]
        return self._latency(points, cost.cycles, machines, index, gradient=gradient)

    def _machine(self, log_values: Floats) -> Architecture:
        """Return the legal hardware that is nearest to real-valued variables, ``(V,)``."""
        inferred = self.sizing.inferred
        key = tuple(v.nearest(float(x)) for v, x in zip(inferred, np.exp(log_values), strict=True))
        if key not in self._machines:
            values = dict(zip((v.name for v in inferred), key, strict=True))
            self._machines[key] = self._template.tree({**self._base, **values})
        return self._machines[key]

    @staticmethod
    def _weights(energy: Floats, cycles: Floats, variants: int, mix: Mix | None) -> Floats:
        """Return what each point counts among the variants of its layer, ``(B,)``."""
        if mix is None:
            return np.full(len(cycles), 1.0 / variants)
        shape = (-1, variants)
        return mix(energy.reshape(shape), cycles.reshape(shape)).reshape(-1)

    def _needs(
        self, used: Used, networks: int, layers: int
    ) -> tuple[Floats, npt.NDArray[np.int64]]:
        """Return the largest need of any layer, ``(H, J)``, and the point whose it is."""
        resources = self.sizing.resources
        needs = np.empty((networks, len(resources)))
        where = np.empty((networks, len(resources)), np.int64)
        start = np.arange(networks) * layers
        for j, resource in enumerate(resources):
            column = _column(used, resource.kind)[:, resource.level].reshape(networks, layers)
            largest = column.argmax(axis=1)
            needs[:, j] = column[np.arange(networks), largest]
            where[:, j] = start + largest
        return needs, where

    def _shares(self, by_need: Floats, where: npt.NDArray[np.int64], used: Used) -> Used:
        shares = Used(*(np.zeros(part.shape) for part in used))
        for j, resource in enumerate(self.sizing.resources):
            _column(shares, resource.kind)[where[:, j], resource.level] += by_need[:, j]
        return shares

    def _budgets(self, prices: Floats, by_price: Floats) -> Floats:
        """Return the penalties for what exceeds the budget; add their derivatives."""
        penalty = np.zeros(len(prices))
        for column, limit in self._limits:
            if limit is None:
                continue
            rows = slice(-1, None) if column == pr.INSTANCES else slice(None)
            if column == pr.BYTES:
                rows = slice(0, -1)
            total = prices[:, rows, column].sum(axis=1)
            over = np.maximum(np.log(total / limit), 0.0)
            penalty += self._strength * over**2
            by_price[:, rows, column] += (2 * self._strength * over / total)[:, None]
        return penalty

    def _through_hardware(self, sized: Sized, price_slopes: Floats, by_price: Floats) -> Floats:
        """Return the derivatives by the logarithms of needs, ``(H, J)``, from those by prices."""
        by_excess = 2 * self._strength * sized.excess
        by_value = np.einsum("hrc,hrcv->hv", by_price, price_slopes)
        by_value -= by_excess @ self.relaxed.relief
        by_need: Floats = by_excess + np.einsum("hv,hvj->hj", by_value, sized.slopes)
        return by_need

    @staticmethod
    def _through_prices(
        cost: Cost, prices: Floats, hardware: npt.NDArray[np.int64], by_energy: Floats,
        by_cycles: Floats, by_price: Floats,
    ) -> None:  # fmt: skip
        """Add the derivatives of energy and cycles by the prices."""
        np.add.at(by_price[:, :, :5], hardware, by_energy[:, None, None] * cost.energy_price)
        bound = np.flatnonzero(cost.bound_level >= 0)
        level, kind, h = cost.bound_level[bound], cost.bound_kind[bound], hardware[bound]
        latency = prices[h, -1, pr.LATENCY]
        slope = -(cost.cycles[bound] - latency) / prices[h, level, kind]
        leak = (cost.energy_price[bound, :-1, pr.LEAK] * prices[h, :-1, pr.LEAK]).sum(axis=1)
        leak /= cost.cycles[bound] - latency
        np.add.at(by_price, (h, level, kind), slope * (by_cycles[bound] + by_energy[bound] * leak))


def _column(used: Used, kind: str) -> Floats:
    return {WORDS: used.words, ALONG_X: used.width, ALONG_Y: used.height}[kind]
