"""Energy chains: what turns an architecture without prices into one with energies and areas."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dse.components import aladdin, cacti
from dse.components.accelergy import AccelergyChain
from dse.components.base import EnergyChain
from dse.components.ert import ErtChain
from dse.components.table import TableChain
from dse.domain.architecture import AccessEnergy, Compute, StorageLevel
from dse.domain.sparse import SparseDesign, SparseLevel
from dse.domain.technology import Technology
from dse.errors import SpecError, unknown_name
from dse.numeric import Floats, Ints
from dse.timeloop import pat

#: Of the areas in DOSA's prices; buffers of fewer bits are given an area that says nothing.
_NODE_NM = 40
_UNSIZED_BITS, _UNSIZED_UM2 = 64 * 8, 1.0


class PatChain(EnergyChain):
    """Timeloop's built-in energies; no areas."""

    name = "pat"
    summary = "Timeloop's built-in PAT energies, no areas"

    def price_storage(self, level: StorageLevel, technology: Technology | None) -> StorageLevel:  # noqa: ARG002
        """See :meth:`dse.components.base.EnergyChain.price_storage`."""
        if level.is_dram:
            access_pj = pat.dram_energy_pj(level.word_bits, level.block_size)
        else:
            if level.size_words is None:
                raise SpecError(f"level '{level.name}': has no size, so it has no energy")
            access_pj = pat.sram_energy_pj(
                level.size_words, level.word_bits, level.block_size, level.cluster_size
            )
        return replace(level, energy=AccessEnergy(access_pj, access_pj, access_pj))

    def price_sizes(
        self, level: StorageLevel, words: Ints, *, areas: bool
    ) -> tuple[Floats, Floats]:
        """Return what an on-chip level would cost with these sizes, up to rounding.

        Args:
            level: whose size does not matter.
            words: ``(V,)``.
            areas: whether to look up areas; 0 otherwise.

        Returns:
            Prices of a read, fill, update and cycle, ``(V, 4)``, in pJ, and areas, ``(V,)``, in
            um^2; both NaN where there is no price.
        """
        access = pat.sram_energies_pj(words, level.word_bits, level.block_size, level.cluster_size)
        area = self._areas_um2(level, words) if areas else np.zeros(len(words))
        prices = np.stack([access, access, access, np.zeros(len(words))], axis=1)
        prices[np.isnan(area)] = np.nan
        return prices, area

    def _areas_um2(self, level: StorageLevel, words: Ints) -> Floats:  # noqa: ARG002
        return np.zeros(len(words))

    def price_compute(self, compute: Compute, technology: Technology | None) -> Compute:  # noqa: ARG002
        """See :meth:`dse.components.base.EnergyChain.price_compute`."""
        return replace(compute, energy_pj=pat.multiplier_energy_pj(compute.word_bits))


class DosaChain(PatChain):
    """What the DOSA authors priced Gemmini with: PAT storage, Aladdin MACs, CACTI areas at 40 nm.

    Areas: a level of one word is an Aladdin register, DRAM is free, every other level is a CACTI
    SRAM of ``word_bits * block_size`` bits per row. Buffers below 64 bytes count 1 um^2, as in
    the authors' tool chain.
    """

    name = "dosa"
    summary = "PAT storage energies, Aladdin MACs at 5 ns, CACTI areas at 40 nm"

    def price_storage(self, level: StorageLevel, technology: Technology | None) -> StorageLevel:
        """See :meth:`dse.components.base.EnergyChain.price_storage`."""
        return replace(super().price_storage(level, technology), area_um2=self._area_um2(level))

    def _area_um2(self, level: StorageLevel) -> float:
        if level.is_dram or level.size_words is None:
            return 0.0
        if level.size_words <= 1:
            return aladdin.register(level.word_bits).area_um2
        if level.size_words * level.word_bits < _UNSIZED_BITS:
            return _UNSIZED_UM2
        width_bits = level.word_bits * level.block_size
        rows = -(-level.size_words // level.block_size)
        try:
            return cacti.sram(width_bits, rows, level.ports, level.banks, _NODE_NM).area_um2
        except SpecError as error:
            raise SpecError(f"level '{level.name}': {error}") from error

    def _areas_um2(self, level: StorageLevel, words: Ints) -> Floats:
        width_bits = level.word_bits * level.block_size
        rows = -(-words // level.block_size)
        found = cacti.areas_um2(width_bits, rows, level.ports, level.banks, _NODE_NM)
        found[words * level.word_bits < _UNSIZED_BITS] = _UNSIZED_UM2
        found[words <= 1] = aladdin.register(level.word_bits).area_um2
        return found

    def price_compute(self, compute: Compute, technology: Technology | None) -> Compute:  # noqa: ARG002
        """See :meth:`dse.components.base.EnergyChain.price_compute`."""
        price = aladdin.int_mac(compute.word_bits)
        return replace(compute, energy_pj=price.energy_pj, area_um2=price.area_um2)


class TemplateChain(EnergyChain):
    """The prices that stand in the template itself, as arithmetic over its variables or numbers."""

    name = "template"
    summary = "the energies and areas that the template gives"

    def price_storage(self, level: StorageLevel, technology: Technology | None) -> StorageLevel:  # noqa: ARG002
        """See :meth:`dse.components.base.EnergyChain.price_storage`."""
        return level

    def price_sparse(
        self,
        level: StorageLevel,  # noqa: ARG002
        own: SparseLevel,
        technology: Technology | None,  # noqa: ARG002
    ) -> tuple[dict[str, float], float]:
        """See :meth:`dse.components.base.EnergyChain.price_sparse`; the area has metadata in it."""
        return dict(own.energies_pj), 0.0

    def price_saved_computes(self, compute: Compute, design: SparseDesign) -> dict[str, float]:
        """See :meth:`dse.components.base.EnergyChain.price_saved_computes`."""
        return {**super().price_saved_computes(compute, design), **design.compute_energies_pj}

    def price_compute(self, compute: Compute, technology: Technology | None) -> Compute:  # noqa: ARG002
        """See :meth:`dse.components.base.EnergyChain.price_compute`."""
        return compute


#: The chains by name.
CHAINS: dict[str, type[EnergyChain]] = {
    chain.name: chain
    for chain in (TableChain, PatChain, DosaChain, TemplateChain, ErtChain, AccelergyChain)
}


def energy_chain(name: str) -> EnergyChain:
    """Return the chain of that name; ``ert:PATH`` reads Accelergy's tables from files.

    Raises:
        SpecError: there is none, the message lists the choices; or the files are wrong.
    """
    kind, _, argument = name.partition(":")
    if kind not in CHAINS:
        raise SpecError(unknown_name("energy chain", kind, CHAINS))
    chain = CHAINS[kind]
    if issubclass(chain, ErtChain):
        return chain.read(argument)
    if argument:
        raise SpecError(f"energy chain '{name}': only ert takes a path")
    return chain()


__all__ = ["CHAINS", "DosaChain", "EnergyChain", "PatChain", "TemplateChain", "energy_chain"]
