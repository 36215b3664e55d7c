"""All choices of one mapping per layer under limits, on one piece of hardware, layer by layer.

Under limits the best choice may lie above the lower hull, where no line tells of it. Layers are
joined one after the other; of the choices so far only those go on that no other is better than in
both energy and cycles, and that may still become something below the claim within the limits.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from dse.certify.choices import Aim, ChoiceTotals, Line
from dse.certify.reach import highest
from dse.certify.verdict import NotCoveredError

Floats = npt.NDArray[np.float64]

#: Choices of some layers that are looked at at a time.
_MOST_CHOICES = 30_000_000


def choices_below(
    claim: float, aim: Aim, layers: Sequence[tuple[Floats, Floats]], lines: Sequence[Line]
) -> Iterator[ChoiceTotals]:
    """Yield choices below the claim and within widened borders; none: there is no such choice.

    Args:
        claim: above all that is looked for; infinite: whatever there is.
        aim: its borders are met by less energy and fewer cycles, always.
        layers: energy and cycles of each layer's mappings, times how often it is run.
        lines: whose slopes tell what may still be reached.

    Raises:
        NotCoveredError: there are too many.
    """
    fronts = sorted((_front(*layer) for layer in layers), key=lambda front: len(front[0]))
    slopes = [(1.0, 0.0), (0.0, 1.0), *((b.energy, b.cycles) for b in aim.borders)]
    slopes += [(line.x, line.y) for line in lines]
    x, y = np.array(list(dict.fromkeys(slopes))).T
    least = [np.min(np.multiply.outer(x, e) + np.multiply.outer(y, t), axis=1) for e, t in fronts]
    rest = np.cumsum([np.zeros(len(x)), *least[::-1]], axis=0)[::-1]
    most = highest(claim, aim, x, y, rest[0])
    energy = cycles = np.zeros(1)
    for number, (own_energy, own_cycles) in enumerate(fronts):
        if len(energy) * len(own_energy) > _MOST_CHOICES:
            raise NotCoveredError(
                f"more than {_MOST_CHOICES:,} choices of mappings on one hardware, under limits"
            )
        energy = np.add.outer(energy, own_energy).ravel()
        cycles = np.add.outer(cycles, own_cycles).ravel()
        kept = np.ones(len(energy), np.bool_)
        for k in range(len(x)):
            kept &= x[k] * energy + y[k] * cycles + rest[number + 1, k] <= most[k]
        energy, cycles = _front(energy[kept], cycles[kept])
    for totals in map(ChoiceTotals, energy.tolist(), cycles.tolist()):
        if aim.worth(totals) < claim and all(
            a * totals.energy + b * totals.cycles <= allowed
            for a, b, allowed in (border.widened for border in aim.borders)
        ):
            yield totals


def _front(energy: Floats, cycles: Floats) -> tuple[Floats, Floats]:
    """Return the points that none is better than in both, by growing energy."""
    order = np.lexsort((cycles, energy))
    energy, cycles = energy[order], cycles[order]
    before = np.minimum.accumulate(np.concatenate([[math.inf], cycles]))[:-1]
    kept = cycles < before
    return energy[kept], cycles[kept]
