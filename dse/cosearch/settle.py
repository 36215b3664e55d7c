"""Settling designs: the best mappings on one hardware, by the exact model."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from dse.cosearch.frames import Frame, HardwareSpace
from dse.cosearch.goal import CoSearchGoal
from dse.cosearch.incumbents import Incumbents
from dse.cosearch.joint import Joint, JointChoices
from dse.cosearch.pool import Pool
from dse.cosearch.tables import LayerTables
from dse.domain.architecture import Architecture
from dse.domain.mapping import MappingBatch
from dse.errors import ProofError
from dse.goals.pareto import front_of_two
from dse.space.search_space import SearchSpace
from dse.space.variable import Values

#: Bounds are sums of many floats: what lies so close to the incumbent counts as equal.
TOLERANCE = 1e-12
#: Sizes around an incumbent that are tried.
_RATIOS = (0.25, 0.5, 0.7, 0.85, 0.93, 0.97, 0.99, 1.01, 1.03, 1.07, 1.15, 1.4, 2.0, 4.0)
#: Rows of all layers whose mappings are all compared by the model, on one hardware.
_CLOSE = 3000


#: Smallest and largest sizes.
_Span = tuple[tuple[int, ...], tuple[int, ...]]


class Settler(Incumbents):
    """Finds the best design on one hardware or another, and keeps the best of all.

    Attributes:
        designs: how many pieces of hardware were settled by the model.
    """

    def __init__(
        self, space: SearchSpace, goal: CoSearchGoal, hardware: HardwareSpace, tables: LayerTables
    ) -> None:
        super().__init__(space, goal)
        self._of_rows = JointChoices(space.workload, goal.of_rows)
        self._hardware, self._tables = hardware, tables
        self._settled: set[tuple[int, ...]] = set()
        self.designs = 0

    @property
    def cutoff(self) -> float:
        """Bounds from here on cannot improve the incumbent."""
        return self.value if self._goal.is_whole else self.value * (1.0 - TOLERANCE)

    def use(self, tables: LayerTables) -> None:
        """Take other tables of the same space; what was settled may hold something better now."""
        self._tables = tables
        self._settled.clear()

    def is_settled(self, number: int, point: tuple[int, ...]) -> bool:
        """Whether it is certain that a hardware holds nothing better than the incumbent."""
        return (number, *point) in self._settled

    def explore(self, number: int, point: tuple[int, ...], pool: Pool, whole: _Span | None) -> None:
        """Find the best choice on one hardware, and take it when the exact model says better.

        When it is, hardware around it is tried with the same rows: a good incumbent early on
        spares nodes.

        Args:
            number: of the frame.
            point: its sizes.
            pool: rows of the frame.
            whole: the box on whose hardware these rows are all that matter; None: they are not.
        """
        if self._attempt(number, point, pool, whole):
            tried = {point}  # since the last incumbent: what is predicted may not be possible
            while (better := self._step(number, point, pool)) is not None and better not in tried:
                point = better
                if self._attempt(number, point, pool, whole):
                    tried.clear()
                tried.add(point)

    def settle(self, number: int, point: tuple[int, ...], pool: Pool) -> None:
        """Find the best choice on one hardware alone.

        Args:
            number: of the frame.
            point: its sizes.
            pool: all rows of the frame.
        """
        self._attempt(number, point, pool, None)

    def _step(self, number: int, point: tuple[int, ...], pool: Pool) -> tuple[int, ...] | None:
        """Return the best of the sizes around a point where it beats the incumbent."""
        frame = self._hardware.frame(number)
        around = []
        for v, table in enumerate(frame.tables):
            for ratio in _RATIOS:
                index = round((point[v] + 1) * ratio) - 1
                index = max(min(index, len(table.bits) - 1), 0)
                if index != point[v]:
                    around.append((*point[:v], index, *point[v + 1 :]))
        around = list(dict.fromkeys(around))
        with ThreadPoolExecutor(self._tables.threads) as threads:
            found = list(threads.map(lambda moved: self._predict(frame, moved, pool), around))
        able = [one for one in found if one is not None]
        best = min(able, key=lambda one: one.value, default=None)
        if best is None or best.value >= self.value * (1.0 - 1e-9):
            return None
        return tuple(int(i) for i in pool.need(best.points))

    def _predict(self, frame: Frame, point: tuple[int, ...], pool: Pool) -> Joint | None:
        """Return the best choice on one hardware."""
        price = frame.price_at(point)
        if not np.isfinite(price).all():
            return None
        energy = pool.energy(price, np.array(point, np.int64))
        return self._of_rows.best(pool.points(self._of_rows, energy), self._area(frame, point))

    def _attempt(
        self, number: int, point: tuple[int, ...], pool: Pool, whole: _Span | None
    ) -> bool:
        """Settle one hardware by the exact model; return whether it is the new incumbent."""
        key = (number, *point)
        inside = whole is not None and all(
            low <= place <= high for low, place, high in zip(whole[0], point, whole[1], strict=True)
        )
        if key in self._settled:
            return False
        frame = self._hardware.frame(number)
        found = self._predict(frame, point, pool)
        architecture = None
        values = self._hardware.values(frame, point)
        if found is not None and found.bound < self.cutoff:
            architecture = self.build(values)
        if found is None or architecture is None:
            if inside:
                self._settled.add(key)
            return False
        self.designs += 1
        before = self.value
        self._offer(values, architecture, frame, [[int(r)] for r in found.points], pool)
        # rows may stand for mappings that the model prices a little higher, by its rounding: of
        # those that are still in question all mappings are compared
        choices = self._in_question(frame, point, pool)
        if sum(map(len, choices)) <= _CLOSE:
            certain = not all(choices)
            certain = certain or self._offer(values, architecture, frame, choices, pool)
            if inside and certain:
                self._settled.add(key)
        return self.value < before

    def _in_question(self, frame: Frame, point: tuple[int, ...], pool: Pool) -> list[list[int]]:
        """Return, by layer, the rows that may be in something better on one hardware."""
        energy = pool.energy(frame.price_at(point), np.array(point, np.int64))
        points = pool.points(self._of_rows, energy)
        known = self.incumbent.metrics if self.incumbent else None
        supports = self._of_rows.supports(points, known)
        useful = self._of_rows.useful(points, supports, self._area(frame, point), self.cutoff)
        # cycles alone do not tell what fits
        rows = np.flatnonzero(useful & np.isfinite(energy))
        layer = np.searchsorted(pool.first, rows, side="right") - 1
        parts = [rows[layer == n] for n in range(len(self._tables.layers))]
        if self._goal.settles_limits:
            # the best choice may lie anywhere above the hull, but not above a layer's own front
            cycles = pool.rows.cycles
            plain = energy - self._goal.leak_pj * cycles
            parts = [part[front_of_two(cycles[part], plain[part])] for part in parts]
        return [part.tolist() for part in parts]

    def _area(self, frame: Frame, point: tuple[int, ...]) -> float:
        return frame.least_area(point, point) if self._goal.needs_area else 0.0

    def _offer(
        self,
        values: Values,
        architecture: Architecture,
        frame: Frame,
        choices: Sequence[Sequence[int]],
        pool: Pool,
    ) -> bool:
        """Take the best of these rows' mappings, by the exact model, when it is better.

        Returns:
            Whether it is certain that none of them, and under limits none that they are a front
            of, is better than the incumbent.
        """
        found = []
        as_said = True
        for n, layer in enumerate(self._space.workload):
            table = self._tables.layers[n]
            numbers = pool.rows.index[choices[n]].tolist()
            batch = MappingBatch.of([table.mapping(frame, i) for i in numbers])
            m = self.evaluate(architecture, layer, batch)
            if not m.valid.all():
                raise ProofError(f"layer '{layer.name}': the model rejects a mapping of {values}")
            above = np.flatnonzero(m.cycles > pool.rows.cycles[choices[n]])
            as_said &= not len(above)
            others = [x for r in above if (x := table.variants(frame, numbers[r])) is not None]
            if others:
                batch = MappingBatch.concatenate([batch, *others])
                m = self.evaluate(architecture, layer, batch)
            found.append((batch, m))
        return self.offer(values, architecture, found) and (
            as_said or not self._goal.settles_limits
        )
