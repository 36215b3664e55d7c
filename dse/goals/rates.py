"""Time and power, where there is a clock: what cycles and energies are in seconds and watts."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Throughput:
    """One inference, or one run of a layer, after the other.

    Attributes:
        clock_ns: period of the clock.
        seconds: duration of one.
        inferences_per_s: how many a second.
        energy_j: energy of one.
        power_w: energy over duration.
        tops: multiplications and additions, 10^12 a second; those of padding do not count.
        tops_per_w: the same over power, 10^12 a joule; None where it takes no energy.
    """

    clock_ns: float
    seconds: float
    inferences_per_s: float
    energy_j: float
    power_w: float
    tops: float
    tops_per_w: float | None

    @classmethod
    def of(cls, cycles: float, energy_pj: float, operations: int, clock_ns: float) -> Throughput:
        """Return the rates of so many cycles (more than 0), energy and operations."""
        delay_ns = cycles * clock_ns
        return cls(
            clock_ns=clock_ns,
            seconds=delay_ns * 1e-9,
            inferences_per_s=1e9 / delay_ns,
            energy_j=energy_pj * 1e-12,
            power_w=energy_pj / delay_ns * 1e-3,
            tops=operations / delay_ns * 1e-3,
            tops_per_w=operations / energy_pj if energy_pj else None,
        )

    def as_dict(self) -> dict[str, float | None]:
        """Return them as plain data."""
        return asdict(self)
