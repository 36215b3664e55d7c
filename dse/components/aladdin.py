"""Integer MACs and registers at 40 nm and a clock period of 5 ns, as the Aladdin tables have them.

Adders grow linearly with the width and multipliers with its square, energy and area alike. The
accumulating adder is as wide as the multiplier.
"""

from __future__ import annotations

from typing import NamedTuple


class AladdinPrice(NamedTuple):
    """Energy of one action in pJ, area of one instance in um^2."""

    energy_pj: float
    area_um2: float


_ADDER_32 = AladdinPrice(0.0857, 179.0)
_MULTIPLIER_32 = AladdinPrice(8.63, 4600.0)
_REGISTER_BIT = AladdinPrice(0.0090, 5.98)

#: Accelergy rounds the energy of the 8-bit MAC to this value; DOSA's data were made with it.
_MAC_8_BIT_PJ = 0.5608


def int_mac(word_bits: int) -> AladdinPrice:
    """Price of an integer multiply-accumulate unit; 8 bit: 0.5608 pJ, 332.25 um^2."""
    share = _bits(word_bits) / 32
    square = share * share  # infinite where it overflows, which a power is not
    energy_pj = _ADDER_32.energy_pj * share + _MULTIPLIER_32.energy_pj * square
    area_um2 = _ADDER_32.area_um2 * share + _MULTIPLIER_32.area_um2 * square
    return AladdinPrice(_MAC_8_BIT_PJ if word_bits == 8 else energy_pj, area_um2)


def register(word_bits: int) -> AladdinPrice:
    """Price of a register of that width; the energy is that of one access."""
    bits = _bits(word_bits)
    return AladdinPrice(_REGISTER_BIT.energy_pj * bits, _REGISTER_BIT.area_um2 * bits)


def _bits(word_bits: int) -> float:
    """Return a width as a float; those beyond any price are one that is, too."""
    return float(min(word_bits, 2**1000))
