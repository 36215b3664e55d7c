"""Energy chains: what turns an architecture without prices into one with energies and areas."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace

from dse.architecture import AccessEnergy, Architecture, Compute, StorageLevel
from dse.components import aladdin, cacti, pat
from dse.errors import SpecError, unknown_name


class EnergyChain(ABC):
    """Prices architectures. Never compare results of two chains: the chain is part of a result."""

    #: what it is called on the command line and in results
    name: str
    #: one line for people
    summary: str

    def price(self, architecture: Architecture) -> Architecture:
        """Return the architecture with its energies (pJ) and areas (um^2) filled in.

        Raises:
            SpecError: a component lies outside what the chain knows.
        """
        return replace(
            architecture,
            levels=tuple(self._storage(level) for level in architecture.levels),
            compute=self._compute(architecture.compute),
        )

    @abstractmethod
    def _storage(self, level: StorageLevel) -> StorageLevel:
        """Return the level with its prices."""

    @abstractmethod
    def _compute(self, compute: Compute) -> Compute:
        """Return the compute with its prices."""


class PatChain(EnergyChain):
    """Timeloop's built-in energies; no areas."""

    name = "pat"
    summary = "Timeloop's built-in PAT energies, no areas"

    def _storage(self, level: StorageLevel) -> StorageLevel:
        if level.is_dram:
            access_pj = pat.dram_energy_pj(level.word_bits, level.block_size)
        else:
            if level.size_words is None:
                raise SpecError(f"level '{level.name}': has no size, so it has no energy")
            access_pj = pat.sram_energy_pj(
                level.size_words, level.word_bits, level.block_size, level.cluster_size
            )
        return replace(level, energy=AccessEnergy(access_pj, access_pj, access_pj))

    def _compute(self, compute: Compute) -> Compute:
        return replace(compute, energy_pj=pat.multiplier_energy_pj(compute.word_bits))


class DosaChain(PatChain):
    """What the DOSA authors priced Gemmini with: PAT storage, Aladdin MACs, CACTI areas at 40 nm.

    Areas: a level of one word is an Aladdin register, DRAM is free, every other level is a CACTI
    SRAM of ``word_bits * block_size`` bits per row. Buffers below 64 bytes count 1 um^2, as in
    the authors' tool chain.
    """

    name = "dosa"
    summary = "PAT storage energies, Aladdin MACs at 5 ns, CACTI areas at 40 nm"

    def _storage(self, level: StorageLevel) -> StorageLevel:
        return replace(super()._storage(level), area_um2=self._area_um2(level))

    def _area_um2(self, level: StorageLevel) -> float:
        if level.is_dram or level.size_words is None:
            return 0.0
        if level.size_words <= 1:
            return aladdin.register(level.word_bits).area_um2
        if level.size_words * level.word_bits < 64 * 8:
            return 1.0
        width_bits = level.word_bits * level.block_size
        rows = -(-level.size_words // level.block_size)
        try:
            return cacti.sram(width_bits, rows, level.ports, level.banks).area_um2
        except SpecError as error:
            raise SpecError(f"level '{level.name}': {error}") from error

    def _compute(self, compute: Compute) -> Compute:
        price = aladdin.int_mac(compute.word_bits)
        return replace(compute, energy_pj=price.energy_pj, area_um2=price.area_um2)


#: The chains by name.
CHAINS: dict[str, type[EnergyChain]] = {chain.name: chain for chain in (PatChain, DosaChain)}


def energy_chain(name: str) -> EnergyChain:
    """Return the chain of that name.

    Raises:
        SpecError: there is none; the message lists the choices.
    """
    if name not in CHAINS:
        raise SpecError(unknown_name("energy chain", name, CHAINS))
    return CHAINS[name]()
