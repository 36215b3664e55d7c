"""SRAM beyond the table of CACTI runs: very wide rows, many banks, many ports.

The table of :mod:`dse.components.cacti` ends at 1024 bits, 4 banks and 2 ports. What lies beyond is
put together from what lies within, and the estimator's name says so.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from dse.components.cacti import Sram, scaled_sram
from dse.errors import SpecError

_WIDEST_BITS = 1024
_MOST_BANKS = 4
_MOST_PORTS = 2
#: Beyond these a figure would say nothing.
_LIMIT_BANKS, _LIMIT_PORTS = 1024, 16


def memory(
    width_bits: int, depth_rows: int, ports: int, banks: int, node_nm: float
) -> tuple[Sram, str]:
    """Return an SRAM as :func:`dse.components.cacti.scaled_sram` does, and what estimated it.

    Rows wider than 1024 bits are SRAMs side by side. Each doubling of the banks (of as many rows)
    beyond 4, and of the ports beyond 2, changes every quantity by the factor of the last doubling
    in the table. Of 4 banks foretold from 1 and 2, half lie within 0.8 and 1.2 of CACTI's read
    energy, all within 0.46 and 1.9.

    Raises:
        SpecError: the table does not reach that far, or more than 1024 banks or 16 ports.
    """
    if banks > _LIMIT_BANKS or ports > _LIMIT_PORTS:
        raise SpecError(
            f"SRAM of {banks} banks and {ports} ports, expected at most {_LIMIT_BANKS} and "
            f"{_LIMIT_PORTS}"
        )
    notes = []
    pieces = -(-width_bits // _WIDEST_BITS)
    if pieces > 1:
        notes.append(f"{pieces} side by side")
    if banks > _MOST_BANKS:
        notes.append("banks extrapolated")
    if ports > _MOST_PORTS:
        notes.append("ports extrapolated")
    rows = -(-depth_rows // banks)
    width = -(-width_bits // pieces)

    def of_ports(count: int) -> Sram:
        if banks <= _MOST_BANKS:
            return scaled_sram(width, depth_rows, count, banks, node_nm)

        def of_banks(number: int) -> Sram:
            return scaled_sram(width, rows * number, count, number, node_nm)

        made = 1 << (banks - 1).bit_length()
        many = _beyond(of_banks, _MOST_BANKS, made)
        # only the banks that were asked for leak
        return many._replace(leak_mw=many.leak_mw * banks / made)

    made = of_ports(ports) if ports <= _MOST_PORTS else _beyond(of_ports, _MOST_PORTS, ports)
    whole = Sram(*(value * pieces for value in made))
    return whole, f"table: CACTI SRAM{''.join(f', {note}' for note in notes)}"


def _beyond(of_count: Callable[[int], Sram], most: int, count: int) -> Sram:
    """Return an SRAM of more banks or ports than the table has, by its last doubling."""
    doublings = math.log2(count / most)
    half, full = of_count(most // 2), of_count(most)
    return Sram(*(b * (b / a) ** doublings for a, b in zip(half, full, strict=True)))
