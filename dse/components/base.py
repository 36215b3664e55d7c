"""The contract of an energy chain: what prices an architecture."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from pathlib import Path

from dse.domain.architecture import Architecture, Compute, StorageLevel
from dse.domain.sparse import STORAGE_ACTIONS, SparseDesign, SparseLevel
from dse.domain.technology import Technology


class EnergyChain(ABC):
    """Prices architectures. Never compare results of two chains: the chain is part of a result."""

    #: what it is called on the command line and in results
    name: str
    #: one line for people
    summary: str
    #: whether prices depend on sizes and widths, or stand in a table for one hardware
    follows_sizes: bool = True
    #: whether of the size of a level only the number of its rows of ``block_size`` words counts
    prices_rows: bool = False
    #: files outside of the package that its prices are read from
    files: tuple[Path, ...] = ()

    def price(self, architecture: Architecture) -> Architecture:
        """Return the architecture with its energies (pJ) and areas (um^2) filled in.

        Raises:
            SpecError: a component lies outside what the chain knows.
        """
        technology = architecture.technology
        priced = replace(
            architecture,
            levels=tuple(self.price_storage(level, technology) for level in architecture.levels),
            compute=self.price_compute(architecture.compute, technology),
        )
        return priced if priced.sparse is None else self._with_sparse(priced, priced.sparse)

    def _with_sparse(self, architecture: Architecture, design: SparseDesign) -> Architecture:
        """Return a priced architecture with the prices of what is sparse of it."""
        technology, pairs = architecture.technology, []
        for level, own in zip(architecture.levels, design.levels, strict=True):
            actions, area_um2 = self.price_sparse(level, own, technology)
            plain = {
                "random_read": level.energy.read_pj,
                "random_fill": level.energy.fill_pj,
                "random_update": level.energy.update_pj,
            }
            energies = {**dict.fromkeys(STORAGE_ACTIONS, 0.0), **actions, **plain}
            larger = replace(level, area_um2=level.area_um2 + area_um2)
            pairs.append((larger, replace(own, energies_pj=energies)))
        saved = self.price_saved_computes(architecture.compute, design)
        energies = {"random": architecture.compute.energy_pj, **saved}
        levels, sparse = zip(*pairs, strict=True)
        made = replace(design, levels=sparse, compute_energies_pj=energies)
        return replace(architecture, levels=levels, sparse=made)

    @abstractmethod
    def price_storage(self, level: StorageLevel, technology: Technology | None) -> StorageLevel:
        """Return the level with its prices."""

    def price_sparse(
        self, level: StorageLevel, own: SparseLevel, technology: Technology | None
    ) -> tuple[dict[str, float], float]:
        """Return what metadata costs: energies by `STORAGE_ACTIONS`, and area in um^2.

        Metadata stands in a memory of its own beside the words, of the same class. An access that
        is gated or skipped costs nothing, as does what these actions do not name.

        Args:
            level: with the prices of words.
            own: what is sparse of it.
            technology: as for the level.
        """
        metadata = own.metadata
        if not metadata.width_bits or not (metadata.depth or level.is_dram):
            return {}, 0.0
        rows = replace(
            level,
            name=f"{level.name} metadata",
            word_bits=metadata.width_bits,
            block_size=1,
            size_words=None if level.is_dram else metadata.depth,
        )
        priced = self.price_storage(rows, technology)
        energies = {
            "random_metadata_read": priced.energy.read_pj,
            "random_metadata_fill": priced.energy.fill_pj,
            "random_metadata_update": priced.energy.update_pj,
        }
        return energies, priced.area_um2

    def price_saved_computes(self, compute: Compute, design: SparseDesign) -> dict[str, float]:  # noqa: ARG002 - for subclasses
        """Return what a computation costs that is gated or skipped: nothing."""
        return {"gated": 0.0, "skipped": 0.0}

    @abstractmethod
    def price_compute(self, compute: Compute, technology: Technology | None) -> Compute:
        """Return the compute with its prices."""
