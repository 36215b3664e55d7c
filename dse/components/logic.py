"""Adders, multipliers, MACs, registers and register files, from Accelergy's Aladdin tables.

The tables are at 40 nm, one row per clock period: slower circuits are smaller and cheaper, and
leak longer in a cycle. A period is rounded up to the next row. Adders grow linearly with the
width, multipliers with its square, energy and area alike. Other nodes are scaled as
:mod:`dse.domain.technology` says.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from dse.domain.technology import Technology, logic_area_scale, logic_energy_scale
from dse.errors import SpecError


class LogicPrice(NamedTuple):
    """Energy of one action in pJ, leakage in pJ per cycle, area of one instance in um^2."""

    energy_pj: float
    leak_pj: float
    area_um2: float

    def times(self, share: float) -> LogicPrice:
        """Return the price of that many (or that part of) instances."""
        return LogicPrice(*(value * share for value in self))

    def plus(self, other: LogicPrice) -> LogicPrice:
        """Return the price of both together."""
        return LogicPrice(*(a + b for a, b in zip(self, other, strict=True)))


#: By clock period in ns, at 40 nm: pJ per action, pJ leaked per cycle, um^2; 32 bits wide.
_ByClock = dict[float, LogicPrice]

_INT_ADDER: _ByClock = {
    0.5: LogicPrice(0.142, 0.0016, 379),
    1: LogicPrice(0.210, 0.0023, 278),
    2: LogicPrice(0.0858, 0.0048, 179),
    5: LogicPrice(0.0857, 0.0119, 179),
    10: LogicPrice(0.0853, 0.0238, 179),
}
_INT_MULTIPLIER: _ByClock = {
    0.5: LogicPrice(18.94, 0.15, 8340),
    1: LogicPrice(12.68, 0.08, 6350),
    2: LogicPrice(9.55, 0.10, 5140),
    5: LogicPrice(8.63, 0.24, 4600),
    10: LogicPrice(8.80, 0.48, 4600),
}
_REGISTER_BIT: _ByClock = {
    1: LogicPrice(0.0090, 7e-5, 5.98),
    2: LogicPrice(0.00901, 1.5e-4, 5.98),
    5: LogicPrice(0.0090, 3.7e-4, 5.98),
    10: LogicPrice(0.00554, 7.4e-4, 5.98),
}
_COMPARATOR: _ByClock = {
    0.5: LogicPrice(0.03052, 1.4e-5, 71.5),
    1: LogicPrice(0.02947, 2.5e-5, 71),
    2: LogicPrice(0.02897, 4.8e-5, 70),
    5: LogicPrice(0.02902, 1.2e-4, 70),
    10: LogicPrice(0.02898, 2.4e-4, 70),
}
_FP32_ADDER: _ByClock = {
    1: LogicPrice(16.679, 0.159, 4360),
    2: LogicPrice(11.026, 0.129, 3010),
    5: LogicPrice(7.928, 0.228, 2060),
    10: LogicPrice(7.701, 0.458, 2060),
}
# the areas are the adder's: so the tables have it
_FP32_MULTIPLIER: _ByClock = {
    1: LogicPrice(35.3, 0.360, 4360),
    2: LogicPrice(29.7, 0.357, 3010),
    5: LogicPrice(24.4, 0.632, 2060),
    10: LogicPrice(26.6, 1.343, 2060),
}
_FP64_ADDER: _ByClock = {
    0.5: LogicPrice(20.55, 0.264, 12900),
    1: LogicPrice(43.75, 0.40, 9880),
    2: LogicPrice(26.15, 0.27, 6130),
    5: LogicPrice(23.27, 0.526, 5120),
    10: LogicPrice(17.78, 0.905, 3990),
}
_FP64_MULTIPLIER: _ByClock = {
    0.5: LogicPrice(69.77, 0.527, 28600),
    1: LogicPrice(113.8, 0.829, 8970),
    2: LogicPrice(103.9, 1.17, 6150),
    5: LogicPrice(92.94, 2.10, 4910),
    10: LogicPrice(86.57, 3.70, 5420),
}

#: of 32 bits
_COUNTER: _ByClock = {
    0.5: LogicPrice(0.2751, 2.2e-4, 584),
    1: LogicPrice(0.2507, 3.2e-4, 495.5),
    2: LogicPrice(0.2146, 1.9e-4, 259),
    5: LogicPrice(0.2063, 4.1e-4, 250.5),
    10: LogicPrice(0.2068, 6.4e-4, 214.5),
}
#: of one bit
_BITWISE: _ByClock = {
    1: LogicPrice(0.0181, 0.001, 50.4),
    2: LogicPrice(0.0180, 0.001, 50.4),
    5: LogicPrice(0.0180, 0.003, 50.4),
    10: LogicPrice(0.0180, 0.006, 50.4),
}
#: from one input to four outputs of 32 bits
_CROSSBAR: _ByClock = {
    2: LogicPrice(0.6804, 3.2e-4, 569.5),
    5: LogicPrice(0.6822, 8e-4, 569.5),
    10: LogicPrice(0.6811, 1.6e-3, 569.5),
}

#: pF of a wire per um, a fifth of it switched at 1 V
_WIRE_PF_PER_UM = 1.627e-3
_WIRE_ACTIVITY = 0.2


def int_adder(bits: float, technology: Technology) -> LogicPrice:
    """Price of an integer adder."""
    return _priced(_INT_ADDER, technology).times(_width(bits) / 32)


def int_multiplier(bits: float, technology: Technology) -> LogicPrice:
    """Price of an integer multiplier of two words of ``bits``."""
    return _priced(_INT_MULTIPLIER, technology).times((_width(bits) / 32) ** 2)


def int_mac(bits: float, technology: Technology) -> LogicPrice:
    """Price of an integer multiply-accumulate; the adder is as wide as the multiplier."""
    return int_multiplier(bits, technology).plus(int_adder(bits, technology))


def fp_adder(bits: float, technology: Technology) -> LogicPrice:
    """Price of a floating-point adder of ``bits`` of exponent and mantissa."""
    rows, widest = (_FP32_ADDER, 32) if _width(bits) <= 32 else (_FP64_ADDER, 64)
    return _priced(rows, technology).times(bits / widest)


def fp_multiplier(bits: float, technology: Technology) -> LogicPrice:
    """Price of a floating-point multiplier of ``bits`` of exponent and mantissa."""
    rows, widest = (_FP32_MULTIPLIER, 32) if _width(bits) <= 32 else (_FP64_MULTIPLIER, 64)
    return _priced(rows, technology).times((bits / widest) ** 2)


def fp_mac(word_bits: int, technology: Technology) -> LogicPrice:
    """Price of a floating-point multiply-accumulate of words of ``word_bits``.

    Half precision and bfloat16 count 15 bits of exponent and mantissa; 32 and 64 bits count
    whole, as the tables do.
    """
    bits = word_bits if word_bits in (32, 64) else _width(word_bits) - 1
    return fp_multiplier(bits, technology).plus(fp_adder(bits, technology))


def register(bits: float, technology: Technology) -> LogicPrice:
    """Price of a register; the energy is that of one access."""
    return _priced(_REGISTER_BIT, technology).times(_width(bits))


def comparator(bits: float, technology: Technology) -> LogicPrice:
    """Price of a comparator of two words of ``bits``."""
    return _priced(_COMPARATOR, technology).times(_width(bits) / 32)


def counter(bits: float, technology: Technology) -> LogicPrice:
    """Price of a counter."""
    return _priced(_COUNTER, technology).times(_width(bits) / 32)


def bitwise(bits: float, technology: Technology) -> LogicPrice:
    """Price of gates that combine two words bit by bit."""
    return _priced(_BITWISE, technology).times(_width(bits))


def crossbar(inputs: float, outputs: float, bits: float, technology: Technology) -> LogicPrice:
    """Price of a crossbar of words of ``bits``."""
    share = _width(inputs) * _width(outputs) / 4 * _width(bits) / 32
    return _priced(_CROSSBAR, technology).times(share)


def register_file(bits: int, depth: int, technology: Technology) -> LogicPrice:
    """Price of ``depth`` registers of which one is accessed; each row compares its address."""
    if depth < 1:
        raise SpecError(f"register file of {depth} rows, expected at least 1")
    row = register(bits, technology)
    compare = _priced(_COMPARATOR, technology).times(math.ceil(math.log2(depth)) / 32 * depth)
    return LogicPrice(row.energy_pj, row.leak_pj * depth, row.area_um2 * depth).plus(compare)


def wire_pj_per_bit_mm() -> float:
    """Energy to move one bit over one mm of wire, in pJ; it does not depend on the node."""
    return _WIRE_ACTIVITY * _WIRE_PF_PER_UM * 1000.0


def _priced(rows: _ByClock, technology: Technology) -> LogicPrice:
    """Return the row for the clock period, scaled to the node."""
    periods = sorted(rows)
    fitting = [period for period in periods if period >= technology.clock_ns * (1 - 1e-9)]
    # slower than the last row: the same circuit, which leaks longer
    row = rows[fitting[0] if fitting else periods[-1]]
    slower = 1.0 if fitting else technology.clock_ns / periods[-1]
    if technology.clock_ns < 0.5 * (1 - 1e-9):
        raise SpecError(f"clock of {technology.clock_ns:g} ns: the tables begin at 0.5 ns")
    energy = logic_energy_scale(technology.node_nm)
    area = logic_area_scale(technology.node_nm)
    return LogicPrice(row.energy_pj * energy, row.leak_pj * slower * energy, row.area_um2 * area)


def _width(bits: float) -> float:
    if not bits > 0:
        raise SpecError(f"a width of {bits} bits, expected more than 0")
    return bits
