"""Designs as points: the unit cube for distances between them, and features for linear models."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dse.domain.architecture import Architecture
from dse.errors import SpecError
from dse.numeric import Floats
from dse.space.search_space import SearchSpace
from dse.space.variable import Values, Variable

#: Ranges whose ends are so far apart are of sizes: what counts is the ratio.
_LOG_RATIO = 8


def is_multiplicative(variable: Variable) -> bool:
    """Whether ratios of its values count rather than differences."""
    if variable.choices or variable.minimum < 1:
        return False
    if variable.sampling == "powers_of_two":
        return True
    return variable.maximum >= _LOG_RATIO * variable.minimum


class CubeEncoding:
    """Values of the free variables in the unit cube.

    A number takes one column, from 0 at its least value to 1 at its largest, in logarithms where
    :func:`is_multiplicative` says so. A choice takes one column per alternative, of which one is
    ``1/sqrt(2)`` and the others 0: any two are a distance of 1 apart.

    Attributes:
        variables: those that are encoded, in order.
        groups: ``(C,)`` the number of the variable that each column belongs to.
    """

    def __init__(self, space: SearchSpace) -> None:
        self.variables = tuple(v for v in space.free if v.count > 1)
        widths = [v.count if v.choices else 1 for v in self.variables]
        self.groups: npt.NDArray[np.int64] = np.repeat(np.arange(len(widths)), widths)

    def points(self, designs: Sequence[Values]) -> Floats:
        """Return the points of designs, ``(N, C)``."""
        columns = [np.empty((len(designs), 0))]
        for variable in self.variables:
            values = np.array([design[variable.name] for design in designs], np.int64)
            if variable.choices:
                columns.append((values[:, None] == np.arange(variable.count)) / math.sqrt(2))
            else:
                columns.append(position(variable, values)[:, None])
        return np.concatenate(columns, axis=1)


def value_at(variable: Variable, place: float) -> int:
    """Return the legal value nearest to a place from 0 to 1; choices take equal parts."""
    if variable.choices:
        return min(int(place * variable.count), variable.count - 1)
    low, high = float(variable.minimum), float(variable.maximum)
    if is_multiplicative(variable):
        return nearest(variable, low * (high / low) ** place)
    return nearest(variable, low + place * (high - low))


def nearest(variable: Variable, wanted: float) -> int:
    """Return the legal value nearest to a number."""
    if variable.values:
        return min(variable.values, key=lambda value: abs(value - wanted))
    index = round((wanted - variable.minimum) / variable.step)
    return variable.value_at(min(max(index, 0), variable.count - 1))


def position(variable: Variable, values: npt.NDArray[np.int64]) -> Floats:
    """Return the places of values of a number from 0, the least, to 1, the largest."""
    low, high = float(variable.minimum), float(variable.maximum)
    place = values.astype(np.float64)
    if is_multiplicative(variable):
        low, high, place = math.log(low), math.log(high), np.log(place)
    return (place - low) / (high - low)


#: What :class:`DomainEncoding` says of hardware, after Spotlight (HPCA 2023); its SIMD lanes and
#: bits of a word are here the words of a cycle and the bits of a MAC.
DOMAIN_FEATURES = (
    "macs: multipliers of the array",
    "columns: width of the array",
    "on_chip: buffers, all levels and instances together, in 32 KB",
    "outer_bandwidth: words per cycle that the outermost buffer reads",
    "memory_bandwidth: words per cycle of the memory",
    "bits: width of a MAC's operands",
)


class DomainEncoding:
    """Hardware as an architect sums it up: :data:`DOMAIN_FEATURES`, one column each, not scaled.

    Attributes:
        groups: ``(6,)`` each column is its own group.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        self.groups: npt.NDArray[np.int64] = np.arange(len(DOMAIN_FEATURES))
        self._known: dict[tuple[tuple[str, int], ...], Floats] = {}

    def points(self, designs: Sequence[Values]) -> Floats:
        """Return the features of designs, ``(N, 6)``; NaN where a tree cannot be built."""
        return np.array([self._features(design) for design in designs]).reshape(-1, 6)

    def _features(self, values: Values) -> Floats:
        key = tuple(values.items())
        if key not in self._known:
            try:
                self._known[key] = _features_of(self._space.template.tree(values))
            except SpecError:
                self._known[key] = np.full(len(DOMAIN_FEATURES), np.nan)
        return self._known[key]


def _features_of(architecture: Architecture) -> Floats:
    buffers = [level for level in architecture.levels if not level.is_dram]
    compute, memory = architecture.compute, architecture.levels[-1]
    sizes = [(x.size_words or 0) * x.word_bits * x.instances / 8 for x in buffers]
    outer = buffers[-1] if buffers else memory
    numbers = (
        compute.instances,
        compute.mesh_x,
        sum(sizes) / 32768,
        min(outer.read_bandwidth, outer.shared_bandwidth),
        min(memory.read_bandwidth, memory.shared_bandwidth),
        compute.word_bits,
    )
    # an unlimited bandwidth is no number that a line could be fitted to
    return np.array([x if math.isfinite(x) else 0.0 for x in numbers], np.float64)
