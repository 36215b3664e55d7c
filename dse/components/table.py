"""``energy=table``: CACTI tables for SRAM, Aladdin's for logic, published pJ per bit for DRAM."""

from __future__ import annotations

from dataclasses import replace

from dse.components import cacti, logic
from dse.components.base import EnergyChain
from dse.domain.architecture import AccessEnergy, Compute, StorageLevel
from dse.domain.technology import DRAM_PJ_PER_BIT, Technology
from dse.errors import SpecError, unknown_name

#: Classes of storage levels that the chain prices.
_SRAM = ("SRAM", "smartbuffer_SRAM")
_REGISTERS = ("regfile", "register", "smartbuffer_RF")
#: A point where the network fans out; it stores nothing and costs nothing.
_NO_STORAGE = "dummy_storage"
_STORAGE_CLASSES = ("DRAM", *_SRAM, *_REGISTERS, _NO_STORAGE)
_COMPUTE_CLASSES = ("intmac", "fpmac")


class TableChain(EnergyChain):
    """Prices from tables, at the template's technology node and clock period.

    A row of a buffer is ``word_bits * block_size`` bits wide and moves at once. SRAM is CACTI's,
    register files are registers with an address comparator per row, MACs are Aladdin's. Leakage
    is per cycle. Wires cost only where a level asks for them.
    """

    name = "table"
    prices_rows = True
    summary = "CACTI SRAM, Aladdin logic, pJ per bit of DRAM, at a given node and clock"

    def price_storage(self, level: StorageLevel, technology: Technology | None) -> StorageLevel:
        """See :meth:`dse.components.base.EnergyChain.price_storage`."""
        given = _required(technology)
        try:
            energy, area_um2 = _storage_price(level, given)
        except SpecError as error:
            raise SpecError(f"level '{level.name}': {error}") from error
        network = level.network
        if level.wires:
            network = replace(network, wire_energy_pj=logic.wire_pj_per_bit_mm())
        return replace(level, energy=energy, area_um2=area_um2, network=network)

    def price_compute(self, compute: Compute, technology: Technology | None) -> Compute:
        """See :meth:`dse.components.base.EnergyChain.price_compute`."""
        given = _required(technology)
        if compute.kind not in _COMPUTE_CLASSES:
            message = unknown_name("class", compute.kind, _COMPUTE_CLASSES)
            raise SpecError(f"compute '{compute.name}': {message}")
        mac = logic.int_mac if compute.kind == "intmac" else logic.fp_mac
        price = mac(compute.word_bits, given)
        return replace(compute, energy_pj=price.energy_pj, area_um2=price.area_um2)


def _storage_price(level: StorageLevel, technology: Technology) -> tuple[AccessEnergy, float]:
    """Return energies per vector access and the area of one instance."""
    width_bits = level.word_bits * level.block_size * level.cluster_size
    if level.is_dram:
        access_pj = DRAM_PJ_PER_BIT[technology.dram] * width_bits / level.cluster_size
        return AccessEnergy(access_pj, access_pj, access_pj), 0.0
    if level.kind == _NO_STORAGE:
        return AccessEnergy(), 0.0
    if level.kind not in _STORAGE_CLASSES:
        raise SpecError(unknown_name("class", level.kind, _STORAGE_CLASSES))
    if not level.size_words:
        raise SpecError("has no size, so it has no price")
    rows = -(-level.size_words // level.block_size)
    share = 1.0 / level.cluster_size
    if level.kind in _REGISTERS:
        price = logic.register_file(width_bits, rows, technology).times(share)
        return (
            AccessEnergy(price.energy_pj, price.energy_pj, price.energy_pj, price.leak_pj),
            price.area_um2,
        )
    made = cacti.scaled_sram(width_bits, rows, level.ports, level.banks, technology.node_nm)
    read_pj, write_pj = made.read_pj * share, made.write_pj * share
    # mW x ns = pJ
    leak_pj = made.leak_mw * technology.clock_ns * share
    return AccessEnergy(read_pj, write_pj, write_pj, leak_pj), made.area_um2 * share


def _required(technology: Technology | None) -> Technology:
    if technology is None:
        raise SpecError(
            "energy chain 'table' needs the technology: add 'technology: {node_nm: .., "
            "clock_ns: ..}' to the template, or choose another chain"
        )
    return technology
