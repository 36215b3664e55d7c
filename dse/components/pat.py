"""Timeloop's built-in energy model (the public PAT): what it uses where no table is given.

Energies are pJ per vector access (one block of one instance); all areas are 0.
"""

from __future__ import annotations


def sram_energy_pj(
    size_words: int, word_bits: int, block_size: int = 1, cluster_size: int = 1
) -> float:
    """Energy of one access of a buffer, the same for reads, fills and updates.

    It grows linearly with the kilobytes of a cluster and with the width of the access.
    """
    width_bits = word_bits * block_size * cluster_size
    height = -(-size_words // block_size)
    kilobytes = width_bits * height / 8192
    return (1 + (5 / 99.5) * (kilobytes - 0.5)) * width_bits / 16 / cluster_size


def dram_energy_pj(word_bits: int, block_size: int = 1) -> float:
    """Energy of one access of a block of DRAM: 12.5 pJ per bit."""
    return 200 * word_bits * block_size / 16


def multiplier_energy_pj(word_bits: int) -> float:
    """Energy of one multiplication: 1 pJ for 16 bits, growing with the square of the width."""
    return (word_bits / 16) ** 2
