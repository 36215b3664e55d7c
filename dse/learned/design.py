"""Inputs of Starlight: an encoding's columns, and sums of them that say what is loaded, and when.

All are natural logarithms of counts, or as the encoding has them. Factors of several levels add up
to the extents of a tile; the factors outside a level to how often it is visited; both to the words
that move if nothing is ever found again, as on machines that load every tile anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dse.errors import SpecError
from dse.numeric import Floats, Ints

#: Blocks that :class:`InputDesign` cannot do without.
NEEDED = ("problem", "mapping", "native")
#: Columns that compare with the hardware's nominal size.
_NOMINAL = ("native.utilization", "native.busy.")
_LN2 = float(np.log(2.0))


@dataclass(frozen=True, eq=False)
class InputDesign:
    """What Starlight makes of F features: D inputs and Q quantities.

    Attributes:
        names: of the inputs; the last is the side of the smallest array that the mapping fits.
        inputs: ``(F, D - 1)`` features to inputs.
        quantities: of the cycles' lower terms, ``(F, Q)``: features to logarithms.
        across: columns of the spatial factors.
    """

    names: tuple[str, ...]
    inputs: Floats
    quantities: Floats
    across: Ints

    @classmethod
    def of(cls, names: Sequence[str]) -> InputDesign:
        """Return the design for features of these names.

        Raises:
            SpecError: a block is missing.
        """
        for block in NEEDED:
            if not any(name.startswith(f"{block}.") for name in names):
                raise SpecError(f"features: block '{block}' is missing, which Starlight needs")
        place = {name: i for i, name in enumerate(names)}
        columns: list[tuple[str, list[int]]] = []
        for name in names:
            if not name.startswith(_NOMINAL):
                columns.append((name, [place[name]]))
        loops = [name.split(".")[2:] for name in names if name.startswith("mapping.temporal.")]
        levels = list(dict.fromkeys(level for level, _ in loops))
        dimensions = list(dict.fromkeys(d for _, d in loops))
        tensors = [n.rpartition(".")[2] for n in names if n.startswith(f"native.tile.{levels[0]}.")]

        def factors(kind: str, some: Sequence[str], d: str) -> list[int]:
            return [place[f"mapping.{kind}.{level}.{d}"] for level in some]

        terms: list[tuple[str, list[int]]] = [
            ("native.cycles", [place["native.cycles"]]),
            ("native.iterations", [place["native.iterations"]]),
            *((n, [place[n]]) for n in names if n.startswith(("native.fills.", "native.reads."))),
        ]
        for s, level in enumerate(levels[:-1]):
            inner, outer = levels[: s + 1], levels[s + 1 :]
            for d in dimensions:
                extent = [*factors("temporal", inner, d), *factors("spatial", inner, d)]
                columns.append((f"extent.{level}.{d}", extent))
            visits = [p for d in dimensions for p in factors("temporal", outer, d)]
            columns.append((f"visits.{level}", visits))
            terms.append((f"visits.{level}", visits))
            for t in tensors:
                moved = [place[f"native.tile.{level}.{t}"], *visits]
                columns.append((f"moved.{level}.{t}", moved))
                terms.append((f"moved.{level}.{t}", moved))
        across = [i for i, name in enumerate(names) if name.startswith("mapping.spatial.")]
        return cls(
            (*(name for name, _ in columns), "side"),
            _sums(columns, len(names)),
            _sums(terms, len(names)),
            np.array(across, np.int64),
        )

    def side(self, features: Floats) -> Floats:
        """Return ln of the smallest power of two that no spatial factor exceeds, ``(B,)``."""
        widest = features[:, self.across].max(axis=1)
        result: Floats = np.ceil(widest - 1e-9) * _LN2
        return result

    def expand(self, features: Floats) -> tuple[Floats, Floats]:
        """Return inputs ``(B, D)`` and quantities ``(B, Q)`` of ``(B, F)`` features."""
        from dse.learned.inference import product  # noqa: PLC0415 - compiled code

        inputs = np.column_stack([product(features, self.inputs), self.side(features)])
        return inputs, product(features, self.quantities)


def _sums(columns: Sequence[tuple[str, list[int]]], features: int) -> Floats:
    """Return the matrix that adds these features up; base-two logarithms become natural ones."""
    matrix: npt.NDArray[np.float64] = np.zeros((features, len(columns)))
    for j, (_, places) in enumerate(columns):
        for i in places:
            matrix[i, j] += _LN2
    return matrix
