"""What accesses to a buffer cost by its size, for the recheck."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from dse.certify.areas import areas_by_dosa
from dse.certify.verdict import NotCoveredError
from dse.components.base import EnergyChain
from dse.components.chain import DosaChain, PatChain
from dse.domain.architecture import Architecture, StorageLevel
from dse.errors import ProofError, SpecError

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

#: Parts of the sizes of a level, at whose ends formulas are compared with the chain.
_COMPARED = 7
#: Areas are the same by two ways of interpolating up to so much, relatively.
_SAME = 1e-12


class Pricer:
    """Prices levels of many sizes by an energy chain.

    Args:
        chain: that of the run.
        areas: whether areas matter.
    """

    def __init__(self, chain: EnergyChain, *, areas: bool) -> None:
        self._chain, self._areas = chain, areas
        self._known: dict[tuple[object, ...], tuple[Floats, float]] = {}

    def of(self, level: StorageLevel, tree: Architecture, words: Ints) -> tuple[Floats, Floats]:
        """Return prices ``(V, 4)`` and the area ``(V,)`` of one instance at these sizes.

        Both are infinite where there is no such hardware.
        """
        price, area = np.full((len(words), 4), math.inf), np.full(len(words), math.inf)
        kind = type(self._chain)
        if kind is DosaChain or (kind is PatChain and not self._areas):
            access = _pat_pj(words, level)
            price[:, :3] = access[:, None]
            price[:, 3] = 0.0
            area[:] = areas_by_dosa(words, level) if self._areas else 0.0
            none = (words < 0) | np.isinf(area)
            price[none], area[none] = math.inf, math.inf
            self._compare(level, tree, words, price, area)
            return price, area
        for i, size in enumerate(words.tolist()):
            if size >= 0:
                price[i], area[i] = self._one(level, tree, size)
        return price, area

    def _compare(
        self, level: StorageLevel, tree: Architecture, words: Ints, price: Floats, area: Floats
    ) -> None:
        """Compare the formulas with the chain at some sizes."""
        possible = np.flatnonzero(words >= 0)
        last = len(possible) - 1
        for i in {int(possible[last * k // _COMPARED]) for k in range(_COMPARED + 1)}:
            expected, expected_area = self._one(level, tree, int(words[i]))
            there = bool(np.isfinite(expected).all())
            if self._areas:
                same = there == bool(np.isfinite(area[i])) and (
                    not there or math.isclose(area[i], expected_area, rel_tol=_SAME)
                )
            else:  # the chain may know no area, and so no such hardware, where the formula goes on
                same = True
            if there:
                same = same and np.allclose(price[i], expected, rtol=1e-13, atol=0.0)
            if not same:
                raise ProofError(
                    f"level '{level.name}' of {words[i]} words: {price[i]} pJ, {area[i]} um^2, but "
                    f"the energy chain '{self._chain.name}' says {expected}, {expected_area}"
                )

    def _one(self, level: StorageLevel, tree: Architecture, size: int) -> tuple[Floats, float]:
        key = (replace(level, mesh_x=1, mesh_y=1, instances=1, cluster_size=1), level.cluster_size)
        known = (*key, tree.technology, size)
        if known not in self._known:
            try:
                alone = replace(tree, levels=(replace(level, size_words=size),))
                made = self._chain.price(alone).levels[0]
            except SpecError:
                self._known[known] = (np.full(4, math.inf), math.inf)
            else:
                e = made.energy
                if e.address_generation_pj or made.network != level.network:
                    raise NotCoveredError(
                        f"the size of level '{level.name}' has a say in more than its accesses"
                    )
                row = np.array([e.read_pj, e.fill_pj, e.update_pj, e.leak_pj])
                self._known[known] = (row, made.area_um2)
        return self._known[known]


def _pat_pj(words: Ints, level: StorageLevel) -> Floats:
    """Timeloop's built-in energy of an SRAM access, from section 10 of docs/timeloop-rules.md."""
    width = level.word_bits * level.block_size * level.cluster_size
    kilobytes = width * np.ceil(words / level.block_size) / 8192.0
    access: Floats = (1.0 + (5.0 / 99.5) * (kilobytes - 0.5)) * width / 16.0 / level.cluster_size
    return np.where(words == 0, 0.0, access)
