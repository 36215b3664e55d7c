"""Inputs of Starlight: an encoding's columns, and sums of them that say what is loaded, and when.

All are natural logarithms of counts, or as the encoding has them. Factors of several levels add up
to the extents of a tile; the factors outside a level to how often it is visited; both to the words
that move if nothing is ever found again, as on machines that load every tile anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dse.errors import SpecError
from dse.learned.predictor import Arrays
from dse.learned.weights import checked
from dse.numeric import Floats, Ints

#: Blocks that :class:`InputDesign` cannot do without.
NEEDED = ("problem", "mapping", "native")
#: Blocks that are another model's answer: a term of the cycles, and no input, so that nothing that
#: the encoder is trained on need be asked of that model, which is slower than the native one.
ANSWERS = ("cycles", "firesim")
#: Columns that compare with the hardware's nominal size.
_NOMINAL = ("native.utilization", "native.busy.")
_LN2 = float(np.log(2.0))


@dataclass(frozen=True, eq=False)
class Sums:
    """Sums of columns of features, base-two logarithms made natural ones.

    Attributes:
        places: columns, one sum's after another's.
        offsets: ``(S + 1,)`` where the columns of each sum begin.
    """

    places: Ints
    offsets: Ints

    @classmethod
    def of(cls, columns: Sequence[Sequence[int]]) -> Sums:
        """Return the sums of these columns."""
        places = [place for some in columns for place in some]
        ends = np.cumsum([len(some) for some in columns], dtype=np.int64)
        return cls(np.array(places, np.int64), np.concatenate([np.zeros(1, np.int64), ends]))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __call__(self, features: Floats) -> Floats:
        """Return the sums, ``(B, S)``, of ``(B, F)`` features."""
        from dse.learned.inference import sums  # noqa: PLC0415 - compiled code

        out = np.empty((len(features), len(self)))
        sums(features, self.places, self.offsets, out)
        out *= _LN2
        return out

    def arrays(self, name: str) -> dict[str, npt.NDArray[Any]]:
        """Return its arrays by name."""
        return {f"{name}.places": self.places, f"{name}.offsets": self.offsets}

    @classmethod
    def load(cls, arrays: Arrays, name: str, features: int) -> Sums:
        """Take it from arrays that may be anyone's; SpecError where they are none of so many."""
        places: Ints = checked(arrays, f"{name}.places", np.int64, (None,))
        offsets: Ints = checked(arrays, f"{name}.offsets", np.int64, (None,))
        if len(places) and not 0 <= places.min() <= places.max() < features:
            raise SpecError(f"weights: '{name}.places' are no columns of {features} features")
        ends = offsets[[0, -1]].tolist() if len(offsets) else []
        if ends != [0, len(places)] or (np.diff(offsets) < 0).any():
            raise SpecError(f"weights: '{name}.offsets' do not part {len(places)} places")
        return cls(places, offsets)


@dataclass(frozen=True, eq=False)
class InputDesign:
    """What Starlight makes of F features: D inputs and Q quantities.

    Attributes:
        names: of the inputs; the last is the side of the smallest array that the mapping fits.
        inputs: the others, of features.
        quantities: logarithms of the cycles' lower terms, of features.
        across: columns of the spatial factors.
    """

    names: tuple[str, ...]
    inputs: Sums
    quantities: Sums
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
            if not name.startswith(_NOMINAL) and name.partition(".")[0] not in ANSWERS:
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
            *((n, [place[n]]) for n in names if n.partition(".")[0] in ANSWERS),
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
            Sums.of([places for _, places in columns]),
            Sums.of([places for _, places in terms]),
            np.array(across, np.int64),
        )

    def side(self, features: Floats) -> Floats:
        """Return ln of the smallest power of two that no spatial factor exceeds, ``(B,)``."""
        widest = features[:, self.across].max(axis=1)
        result: Floats = np.ceil(widest - 1e-9) * _LN2
        return result

    def expand(self, features: Floats) -> tuple[Floats, Floats]:
        """Return inputs ``(B, D)`` and quantities ``(B, Q)`` of ``(B, F)`` features."""
        return np.column_stack([self.inputs(features), self.side(features)]), self.quantities(
            features
        )

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return its arrays by name."""
        return {
            **self.inputs.arrays("design.inputs"),
            **self.quantities.arrays("design.quantities"),
            "design.across": self.across,
        }

    @classmethod
    def load(cls, arrays: Arrays, names: Sequence[str], features: int) -> InputDesign:
        """Take it from arrays that may be anyone's.

        Raises:
            SpecError: they are not those of a design of these inputs and so many features.
        """
        across: Ints = checked(arrays, "design.across", np.int64, (None,))
        if not (len(across) and 0 <= across.min() <= across.max() < features):
            raise SpecError(f"weights: 'design.across' are no columns of {features} features")
        inputs = Sums.load(arrays, "design.inputs", features)
        if len(inputs) != len(names) - 1:
            raise SpecError(
                f"weights: 'design.inputs' are {len(inputs)}, expected {len(names) - 1}"
            )
        return cls(tuple(names), inputs, Sums.load(arrays, "design.quantities", features), across)
