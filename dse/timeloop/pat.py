"""Timeloop's built-in energy model (the public PAT), used where no energy table speaks.

Energies are in the units that Timeloop prints as pJ; all built-in areas are zero.
"""

from __future__ import annotations

import numpy as np

from dse.numeric import Floats, Ints


def sram_energy_pj(size_words: int, word_bits: int, block_size: int, cluster_size: int) -> float:
    """Energy of one vector access of one instance of an SRAM cluster.

    A line through two published points (1 at 0.5 KB, 6 at 100 KB, for 16 bits), scaled with the
    width of the access.

    Args:
        size_words: capacity of one instance; 0 costs nothing.
        word_bits: bits per word.
        block_size: words per access.
        cluster_size: instances that share the access.
    """
    if size_words == 0:
        return 0.0
    width = word_bits * block_size * cluster_size
    height = -(-size_words // block_size)
    kilobytes = float(width * height) / (8 * 1024)
    slope = (6.0 - 1.0) / (100.0 - 0.5)
    per_16_bits = slope * (kilobytes - 0.5) + 1.0
    return per_16_bits * width / 16 / cluster_size


def sram_energies_pj(
    size_words: Ints, word_bits: int, block_size: int, cluster_size: int
) -> Floats:
    """Return :func:`sram_energy_pj` of many sizes, ``(V,)``, in the same steps."""
    width = word_bits * block_size * cluster_size
    kilobytes = (width * -(-size_words // block_size)).astype(np.float64) / (8 * 1024)
    per_16_bits = (6.0 - 1.0) / (100.0 - 0.5) * (kilobytes - 0.5) + 1.0
    return np.where(size_words == 0, 0.0, per_16_bits * width / 16 / cluster_size)


def dram_energy_pj(word_bits: int, block_size: int) -> float:
    """Energy of one vector access of DRAM: 200 per 16 bits."""
    return 200.0 * (word_bits * block_size) / 16


def multiplier_energy_pj(word_bits: int) -> float:
    """Energy of one multiplication of two words, 1 at 16 bits."""
    return (word_bits / 16.0) * (word_bits / 16.0)
