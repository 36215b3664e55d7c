"""What accesses to a buffer cost by its size, for the recheck."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from dse.certify.verdict import NotCoveredError
from dse.components.base import EnergyChain
from dse.components.chain import DosaChain, PatChain
from dse.domain.architecture import Architecture, StorageLevel
from dse.errors import ProofError, SpecError

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


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
        if type(self._chain) in (PatChain, DosaChain) and not self._areas:
            access = _pat_pj(words, level)
            price[:, :3] = access[:, None]
            price[:, 3] = 0.0
            price[words < 0], area[words >= 0] = math.inf, 0.0
            self._compare(level, tree, words, price)
            return price, area
        for i, size in enumerate(words.tolist()):
            if size >= 0:
                price[i], area[i] = self._one(level, tree, size)
        return price, area

    def _compare(self, level: StorageLevel, tree: Architecture, words: Ints, price: Floats) -> None:
        """Compare the formula with the chain at some sizes."""
        possible = np.flatnonzero(words >= 0)
        for i in {int(possible[0]), int(possible[len(possible) // 3]), int(possible[-1])}:
            expected, _ = self._one(level, tree, int(words[i]))
            # the chain may know no area, and so no such hardware, where the formula goes on
            if np.isfinite(expected).all() and not np.allclose(
                price[i], expected, rtol=1e-13, atol=0.0
            ):
                raise ProofError(
                    f"level '{level.name}' of {words[i]} words: {price[i]} pJ, but the energy "
                    f"chain '{self._chain.name}' says {expected}"
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
