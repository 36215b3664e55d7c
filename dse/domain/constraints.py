"""Constraints of a mapspace: what each level of an architecture may do.

The words are those of Timeloop's mapper constraints: per storage level, which tensors are kept
or bypassed, which dimensions may have temporal and spatial factors and how large or small, which
factors are fixed, and which permutations are. What is not constrained is free.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from dse.domain.problem import SHAPES, Problem
from dse.errors import SpecError, unknown_name

#: What a tensor that bypasses the outermost level asks of the next one; see `LevelConstraint`.
ONCHIP = ("whole", "timeloop")


@dataclass(frozen=True)
class LoopConstraint:
    """Constraints on the temporal loops of a level, or on its spatial loops.

    Attributes:
        dimensions: dimensions that may have a factor above 1; None = all.
        factors: fixed factors by dimension (0 = the whole problem bound).
        max_factors: largest factor by dimension.
        min_factors: smallest factor by dimension. Limits hold for fixed factors, too: one outside
            them leaves no mapping.
        permutation: loop order, **innermost first**. Listed dimensions are fixed as the inner
            loops in this order; when all dimensions that may have a factor are listed, the
            order is fixed. None = free.
        suffix: dimensions whose loops are the outermost of the level, in this order, innermost
            first; those neither here nor in ``permutation`` have any order in between.
    """

    dimensions: tuple[str, ...] | None = None
    factors: Mapping[str, int] = field(default_factory=dict)
    max_factors: Mapping[str, int] = field(default_factory=dict)
    min_factors: Mapping[str, int] = field(default_factory=dict)
    permutation: tuple[str, ...] | None = None
    suffix: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        twice = set(self.permutation or ()) & set(self.suffix)
        if twice:
            raise SpecError(
                f"constraint: dimension '{min(twice)}' is both in the permutation and its suffix"
            )


@dataclass(frozen=True)
class SpatialConstraint(LoopConstraint):
    """Constraints on spatial loops: ``x`` and ``y`` list who may run along which axis.

    A dimension in both may take either. None = all of ``dimensions`` (on an axis with fan-out).
    ``most_along`` is how many dimensions may run along X, and along Y, at a time; None = all. Only
    bounds of several pieces of hardware together know it.
    """

    x: tuple[str, ...] | None = None
    y: tuple[str, ...] | None = None
    most_along: tuple[int | None, int | None] = (None, None)


@dataclass(frozen=True)
class LevelConstraint:
    """Constraints of one storage level.

    ``keep`` and ``bypass`` name tensors; a tensor in neither is free to be kept or bypassed
    (the outermost level keeps it). The three ``no_`` directives name tensors too.
    ``min_parallelism`` is the least share of all MACs, in 0..1, that the spatial factors of all
    levels together must use; it speaks of the whole mapping, whichever level it stands at.
    ``onchip``, of the outermost level, says what a tensor that bypasses it asks of the next level
    inside that keeps it: ``whole``, to hold all of the tensor, as there is nowhere else for it to
    be; ``timeloop``, no more than Timeloop does, which is any tile.
    """

    keep: tuple[str, ...] = ()
    bypass: tuple[str, ...] = ()
    temporal: LoopConstraint = field(default_factory=LoopConstraint)
    spatial: SpatialConstraint = field(default_factory=SpatialConstraint)
    no_temporal_reuse: tuple[str, ...] = ()
    no_multicast: tuple[str, ...] = ()
    no_link_transfer: tuple[str, ...] = ()
    min_parallelism: float = 0.0
    onchip: str = "whole"

    def __post_init__(self) -> None:
        if self.onchip not in ONCHIP:
            raise SpecError("constraint: " + unknown_name("onchip", self.onchip, ONCHIP))
        both = set(self.keep) & set(self.bypass)
        if both:
            raise SpecError(f"constraint: tensor '{min(both)}' is both kept and bypassed")
        if not 0.0 <= self.min_parallelism <= 1.0:
            raise SpecError(
                f"constraint: min_parallelism = {self.min_parallelism}, expected 0 to 1"
            )


#: Constraints of a whole architecture, by storage-level name; a level that is absent is free.
Constraints = Mapping[str, LevelConstraint]

#: What of a level's constraints is the hardware's: which tensors have storage there, and what its
#: network cannot do. All else is which loops run where, a choice of the mapping.
PHYSICAL = ("keep", "bypass", "no_temporal_reuse", "no_multicast", "no_link_transfer", "onchip")


def of_hardware(constraints: Constraints) -> dict[str, LevelConstraint]:
    """Return what is left of constraints where loops are free; see `PHYSICAL`."""
    return {
        level: LevelConstraint(**{key: getattr(rules, key) for key in PHYSICAL})
        for level, rules in constraints.items()
    }


#: Dimensions of the convolutional shapes. Constraints written in their words hold for every
#: layer: a dimension that a problem has not is one that it runs once.
_CONVOLUTION = frozenset("RSPQCKGN")
#: A matrix product in the words of a 1 x 1 convolution: rows are pixels, inner products channels.
_AS_GEMM = {"P": "M", "K": "N", "C": "K", "Inputs": "A", "Weights": "B", "Outputs": "Z"}
_AS_BATCHED_GEMM = {**_AS_GEMM, "G": "H"}


@dataclass(frozen=True)
class Translator:
    """From the words of convolutions to those of a problem.

    Attributes:
        renamed: names that stand for others.
        dropped: dimensions that the problem runs once.
    """

    renamed: Mapping[str, str]
    dropped: frozenset[str]

    def __call__(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return the problem's own names."""
        return tuple(self.renamed.get(name, name) for name in names if name not in self.dropped)


def translator(problem: Problem, tensors: Collection[str]) -> Translator:
    """Return what makes names of convolutions those of a problem.

    Dimensions of convolutions that the problem lacks are dropped; for the built-in matrix
    products, ``tensors`` Weights, Inputs and Outputs are renamed to theirs, and dimensions with
    them. Other names stay.
    """
    if tensors and set(tensors) <= {"Weights", "Inputs", "Outputs"}:
        for name, words in (("gemm", _AS_GEMM), ("batched-gemm", _AS_BATCHED_GEMM)):
            if problem.shape == SHAPES[name]:
                return Translator(words, _CONVOLUTION - words.keys())
    return Translator({}, _CONVOLUTION - {*problem.dimensions, *problem.tensors})


def for_problem(constraints: Constraints, problem: Problem) -> Constraints:
    """Return the constraints in the words of the problem; see `translator`.

    The mapspace refuses names that it does not know.
    """
    named = {t for c in constraints.values() for key in _TENSOR_LISTS for t in getattr(c, key)}
    translate = translator(problem, named)
    renamed, dropped = translate.renamed, translate.dropped
    if not renamed and not dropped:
        return constraints

    def factors(of: Mapping[str, int]) -> dict[str, int]:
        return {renamed.get(k, k): v for k, v in of.items() if k not in dropped}

    def optional(names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        return None if names is None else translate(names)

    def loops(of: LoopConstraint) -> dict[str, object]:
        return {
            "dimensions": optional(of.dimensions),
            "factors": factors(of.factors),
            "max_factors": factors(of.max_factors),
            "min_factors": factors(of.min_factors),
            "permutation": optional(of.permutation),
            "suffix": translate(of.suffix),
        }

    return {
        level: replace(
            c,
            **{key: translate(getattr(c, key)) for key in _TENSOR_LISTS},  # type: ignore[arg-type]
            temporal=LoopConstraint(**loops(c.temporal)),  # type: ignore[arg-type]
            spatial=SpatialConstraint(
                **loops(c.spatial),  # type: ignore[arg-type]
                x=optional(c.spatial.x),
                y=optional(c.spatial.y),
                most_along=c.spatial.most_along,
            ),
        )
        for level, c in constraints.items()
    }


_TENSOR_LISTS = ("keep", "bypass", "no_temporal_reuse", "no_multicast", "no_link_transfer")


def held_on_chip(
    constraints: Constraints, problem: Problem, levels: Sequence[str]
) -> tuple[Constraints, str | None]:
    """Return the constraints with what `LevelConstraint.onchip` asks for made explicit.

    A tensor that bypasses the outermost level is kept at the next level inside that may keep it,
    and no level outside that one has temporal loops over the tensor's dimensions.

    Args:
        constraints: in the words of the problem.
        problem: the problem.
        levels: names of the storage levels, from the inside out.

    Returns:
        The constraints, and why they leave no mapping; None: they leave some.
    """
    outermost = constraints.get(levels[-1], LevelConstraint())
    if outermost.onchip != "whole" or not outermost.bypass:
        return constraints, None
    found = dict(constraints)
    moved_by = {space.name: space.dimensions for space in problem.shape.data_spaces}
    for tensor in outermost.bypass:
        holders = [n for n in levels[-2::-1] if tensor not in _of(found, n).bypass]
        if not holders:
            continue  # kept nowhere, which the model refuses
        holder = holders[0]
        dimensions = sorted(moved_by[tensor])
        rules = _of(found, holder)
        if tensor not in rules.keep:
            found[holder] = replace(rules, keep=(*rules.keep, tensor))
        for name in levels[levels.index(holder) + 1 :]:
            rules = _of(found, name)
            for dimension in dimensions:
                given = rules.temporal.factors.get(dimension, 1) or problem.bounds[dimension]
                least = rules.temporal.min_factors.get(dimension, 1)
                if max(given, least) > 1:
                    return found, (
                        f"{tensor} bypasses {levels[-1]}, so {holder} has to hold all of it, but "
                        f"{name} has a temporal factor of {dimension}"
                    )
            ones = dict.fromkeys(dimensions, 1)
            loops = replace(rules.temporal, factors={**rules.temporal.factors, **ones})
            found[name] = replace(rules, temporal=loops)
    return found, None


def _of(constraints: Constraints, level: str) -> LevelConstraint:
    return constraints.get(level, LevelConstraint())
