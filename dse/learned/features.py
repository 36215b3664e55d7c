"""The features of an encoding: which there are, in which unit, and by which transform.

Names have the form ``block.item`` or ``block.item.LEVEL.DIMENSION``. All transforms are those of
one mapping alone; scaling to a training set is the predictors' affair.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from dse.domain.problem import Problem
from dse.errors import SpecError, unknown_name

#: What ``features=`` may name, and what each block is.
BLOCKS = {
    "hardware": "sizes, bandwidths, instances and widths of the levels and the MACs",
    "problem": "dimensions, coefficients, operations and sizes of the tensors",
    "mapping": "factors in time and space, orders, and what is kept where",
    "native": "the native model's cycles, and the words that every level moves",
    "energy": "the native model's energy; the prices must be those of the training rows",
    "cycles": "cycles of the cycle model of our own accelerator (templates like gemmini)",
    "firesim": "cycles of the model of Gemmini on FireSim (DOSA's recorded rows)",
    "raw": "DOSA's own features: array, kilobytes, factors, places of loops, the problem",
}
DEFAULT_BLOCKS = ("hardware", "problem", "mapping", "native")
RAW_BLOCKS = ("raw",)


@dataclass(frozen=True)
class FeatureNames:
    """Names of what the features stand for; what a problem lacks has features of 0.

    So one encoding serves problems of several shapes whose dimensions have the same meaning, such
    as convolutions with and without groups.

    Attributes:
        levels: of storage, from the inside.
        dimensions, coefficients, tensors: of all problems.
    """

    levels: tuple[str, ...]
    dimensions: tuple[str, ...]
    coefficients: tuple[str, ...]
    tensors: tuple[str, ...]

    @classmethod
    def of(cls, levels: Sequence[str], problems: Sequence[Problem]) -> FeatureNames:
        """Return the structure of these levels and of all problems together."""

        def union(*names: Sequence[str]) -> tuple[str, ...]:
            return tuple(dict.fromkeys(name for some in names for name in some))

        return cls(
            tuple(levels),
            union(*(p.dimensions for p in problems)),
            union(*(tuple(p.coefficients) for p in problems)),
            union(*(p.tensors for p in problems)),
        )

    def check(self, level_names: Sequence[str], problem: Problem) -> None:
        """Refuse what the features have no place for.

        Raises:
            SpecError: other levels, or a dimension, coefficient or tensor of another name.
        """
        if tuple(level_names) != self.levels:
            raise SpecError(
                f"levels {', '.join(level_names)}: expected those of the encoding, "
                f"{', '.join(self.levels)}"
            )
        for kind, names, known in (
            ("dimension", problem.dimensions, self.dimensions),
            ("coefficient", tuple(problem.coefficients), self.coefficients),
            ("tensor", problem.tensors, self.tensors),
        ):
            for name in names:
                if name not in known:
                    raise SpecError(f"problem: {unknown_name(kind, name, known)} in the encoding")


@dataclass(frozen=True)
class Feature:
    """One column of an encoding.

    Attributes:
        unit: of the quantity before it is transformed; "" for what has none.
        transform: how the quantity x becomes the feature, such as ``log2 x``.
        meaning: what the quantity is.
    """

    name: str
    unit: str
    transform: str
    meaning: str


def features_of(structure: FeatureNames, blocks: Sequence[str]) -> tuple[Feature, ...]:
    """Return the columns of an encoding in their order.

    Raises:
        SpecError: a block is unknown, stands twice, or there is none.
    """
    for name in blocks:
        if name not in BLOCKS:
            raise SpecError(unknown_name("block of features", name, BLOCKS))
    if not blocks or len(set(blocks)) != len(blocks):
        raise SpecError(f"features = {', '.join(blocks)}: expected different blocks, one at least")
    return tuple(f for block in blocks for f in _LISTS[block](structure))


_LOG, _LOG1, _SAME, _INVERSE = "log2 x", "log2(1 + x)", "x", "1 / x"


def _hardware(s: FeatureNames) -> Iterator[Feature]:
    for level in s.levels:
        at = f"hardware.{{}}.{level}"
        yield Feature(at.format("size"), "words", _LOG1, "usable capacity; 0: unlimited")
        for kind in ("read", "write", "shared"):
            name = at.format(f"{kind}_bandwidth")
            yield Feature(name, "words/cycle", _INVERSE, f"{kind} bandwidth of an instance")
        yield Feature(at.format("instances"), "", _LOG, "instances in the accelerator")
        yield Feature(at.format("mesh_x"), "", _LOG, "instances along X")
        yield Feature(at.format("word_bits"), "bits", _LOG, "width of a word")
    yield Feature("hardware.macs", "", _LOG, "MACs in the accelerator")
    yield Feature("hardware.macs_x", "", _LOG, "MACs along X")
    yield Feature("hardware.mac_bits", "bits", _LOG, "width of an operand")


def _problem(s: FeatureNames) -> Iterator[Feature]:
    for name in s.dimensions:
        yield Feature(f"problem.size.{name}", "", _LOG, "bound of the dimension")
    for name in s.coefficients:
        yield Feature(f"problem.{name}", "", _LOG1, "absolute value of the coefficient")
    yield Feature("problem.macs", "", _LOG, "operations")
    for name in s.tensors:
        yield Feature(f"problem.words.{name}", "words", _LOG, "size of the tensor")


def _mapping(s: FeatureNames) -> Iterator[Feature]:
    for kind, meaning in (
        ("temporal", "temporal factor"),
        ("spatial", "spatial factor"),
        ("inside", "iterations of the level's loops inside this one; 1 where there is no loop"),
    ):
        for level, d in product(s.levels, s.dimensions):
            yield Feature(f"mapping.{kind}.{level}.{d}", "", _LOG, meaning)
    for axis, level in product("xy", s.levels):
        yield Feature(f"mapping.fanout_{axis}.{level}", "", _LOG, f"fan-out along {axis.upper()}")
    for level, t in product(s.levels, s.tensors):
        yield Feature(f"mapping.keep.{level}.{t}", "", _SAME, "1 where the level keeps the tensor")


def _native(s: FeatureNames) -> Iterator[Feature]:
    yield Feature("native.cycles", "cycles", _LOG, "cycles of the native model")
    yield Feature("native.utilization", "", _LOG, "share of the MACs' cycles that is used")
    yield Feature("native.iterations", "cycles", _LOG, "all temporal factors: cycles of the MACs")
    for level, t in product(s.levels, s.tensors):
        yield Feature(f"native.tile.{level}.{t}", "words", _LOG1, "tile that the level keeps")
    for kind, meaning in (
        ("fills", "words that one instance takes in; windows that overlap are loaded anew"),
        ("reads", "words that one instance hands on to what is inside, or takes back from there"),
    ):
        for level, t in product(s.levels, s.tensors):
            yield Feature(f"native.{kind}.{level}.{t}", "words", _LOG1, meaning)
    for level in s.levels:
        yield Feature(f"native.used.{level}", "words", _LOG1, "tiles of all tensors together")
    for level in s.levels:
        yield Feature(
            f"native.busy.{level}", "cycles", _LOG1, "cycles that its bandwidth makes of the words"
        )


def _energy(_: FeatureNames) -> Iterator[Feature]:
    yield Feature("energy.total", "pJ", _LOG1, "energy of the native model")


def _cycles(_: FeatureNames) -> Iterator[Feature]:
    yield Feature("cycles.total", "cycles", _LOG, "cycles of the cycle model")


def _firesim(_: FeatureNames) -> Iterator[Feature]:
    yield Feature("firesim.total", "cycles", _LOG, "cycles of the model of Gemmini on FireSim")


def _raw(s: FeatureNames) -> Iterator[Feature]:
    yield Feature("raw.pe_dim", "", _SAME, "MACs along X")
    for level in s.levels:
        yield Feature(
            f"raw.kilobytes.{level}", "KB", _SAME,
            "capacity of all instances; 0: unlimited, or a single word each",
        )  # fmt: skip
    for kind, meaning in (
        ("spatial", "spatial factor"),
        ("temporal", "temporal factor"),
        ("place", "place of the loop within its level, innermost 1; 0 where there is no loop"),
    ):
        for level, d in product(s.levels, s.dimensions):
            yield Feature(f"raw.{kind}.{level}.{d}", "", _SAME, meaning)
    for name in (*s.dimensions, *s.coefficients):
        yield Feature(f"raw.{name}", "", _SAME, "bound or coefficient of the problem")


_LISTS = {
    "hardware": _hardware,
    "problem": _problem,
    "mapping": _mapping,
    "native": _native,
    "energy": _energy,
    "cycles": _cycles,
    "firesim": _firesim,
    "raw": _raw,
}
