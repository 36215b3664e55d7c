"""What hardware costs, as numbers that the twin is differentiated by.

A price list ``(L + 1, 11)`` holds, for each storage level from the inside, energies per word,
bandwidths and area; its last row is the compute.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dse.domain.architecture import Architecture, Compute, StorageLevel
from dse.numeric import Floats

#: ``(H, L + 1, 11)``: price lists of H pieces of hardware.
PriceList = Floats

#: Columns of a storage level: pJ per word read, filled, updated; pJ per address; pJ leaked per
#: cycle and instance; words per cycle and instance; instances over cluster_size; um^2 and bytes of
#: all instances.
(
    READ,
    FILL,
    UPDATE,
    ADDRESS,
    LEAK,
    READ_BANDWIDTH,
    WRITE_BANDWIDTH,
    SHARED_BANDWIDTH,
    CLUSTERS,
    AREA,
    BYTES,
) = range(11)
COLUMNS = 11
#: Columns of the compute's row: pJ per MAC; cycles added to every layer; MACs. Its area is in AREA.
MAC, LATENCY, INSTANCES = 0, 1, CLUSTERS


def price_list(architectures: Sequence[Architecture]) -> PriceList:
    """Return the price lists of priced architectures of one structure, ``(H, L + 1, 11)``.

    Energies per word are those per access over the words of one: a last access that is not full
    costs as much as a full one in the exact model, and its part here.
    """
    return np.array([_list(one) for one in architectures], np.float64)


def _list(architecture: Architecture) -> list[list[float]]:
    latency = float(sum(level.latency_cycles for level in architecture.levels))
    rows = [_level_row(level) for level in architecture.levels]
    return [*rows, _compute_row(architecture.compute, latency)]


def _level_row(level: StorageLevel) -> list[float]:
    """Return the row of a priced level."""
    energy = level.energy
    return [
        energy.read_pj / level.block_size,
        energy.fill_pj / level.block_size,
        energy.update_pj / level.block_size,
        energy.address_generation_pj,
        energy.leak_pj,
        level.read_bandwidth,
        level.write_bandwidth,
        level.shared_bandwidth,
        float(level.instances // level.cluster_size),
        level.area_um2 * level.instances,
        0.0 if level.is_dram else (level.size_words or 0) * level.word_bits * level.instances / 8,
    ]


def _compute_row(compute: Compute, latency: float) -> list[float]:
    """Return the row of the priced compute."""
    row = [0.0] * COLUMNS
    row[MAC], row[LATENCY] = compute.energy_pj, latency
    row[INSTANCES], row[AREA] = float(compute.instances), compute.area_um2 * compute.instances
    return row
