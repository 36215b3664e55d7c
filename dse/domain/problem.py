"""The workload side of the domain: problem shapes, problems, layers, workloads.

A problem is Timeloop's: a nest of dimensions with bounds, and data spaces (tensors) whose
coordinates are affine projections of the dimensions. Convolution with stride and dilation,
grouped and depthwise convolution, GEMM, batched matmul and attention are all instances of it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import numpy.typing as npt

from dse.errors import SpecError, unknown_name

if TYPE_CHECKING:
    from dse.domain.density import Density

#: The largest bound or coefficient: factors have 32 bits, as in Timeloop.
LARGEST = 2**31 - 1


@dataclass(frozen=True)
class Term:
    """One summand of a projection: a dimension, times a named coefficient (or 1)."""

    dimension: str
    coefficient: str | None = None


@dataclass(frozen=True)
class DataSpace:
    """A tensor: one projection row (a sum of terms) per rank.

    ``read_write`` marks outputs: partial sums are read back, updated and reduced.
    """

    name: str
    projection: tuple[tuple[Term, ...], ...]
    read_write: bool = False

    @property
    def dimensions(self) -> frozenset[str]:
        """The dimensions that move it."""
        return frozenset(term.dimension for row in self.projection for term in row)


@dataclass(frozen=True)
class Shape:
    """A problem without sizes: dimensions, coefficients with their defaults, data spaces.

    Raises:
        SpecError: a projection names an unknown dimension or coefficient, a dimension stands
            twice in one row, or a name occurs twice.
    """

    name: str
    dimensions: tuple[str, ...]
    data_spaces: tuple[DataSpace, ...]
    coefficients: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.dimensions or not self.data_spaces:
            raise SpecError(f"shape '{self.name}': needs at least one dimension and one data space")
        for kind, names in (
            ("dimension", self.dimensions),
            ("data space", tuple(s.name for s in self.data_spaces)),
        ):
            twice = {n for n in names if names.count(n) > 1}
            if twice:
                raise SpecError(f"shape '{self.name}': {kind} '{min(twice)}' is declared twice")
        for space in self.data_spaces:
            for row in space.projection:
                self._check_row(space, row)

    def _check_row(self, space: DataSpace, row: tuple[Term, ...]) -> None:
        where = f"shape '{self.name}', data space '{space.name}'"
        for term in row:
            if term.dimension not in self.dimensions:
                raise SpecError(
                    f"{where}: projection names dimension '{term.dimension}', "
                    f"expected one of {', '.join(self.dimensions)}"
                )
            if term.coefficient is not None and term.coefficient not in self.coefficients:
                raise SpecError(
                    f"{where}: projection names coefficient '{term.coefficient}', "
                    f"expected one of {', '.join(self.coefficients) or '(none declared)'}"
                )
        named = [term.dimension for term in row]
        if len(set(named)) != len(named):
            raise SpecError(f"{where}: a dimension stands twice in the row {named}")

    def __hash__(self) -> int:
        return hash((self.name, self.dimensions, self.data_spaces))


@dataclass(frozen=True)
class Problem:
    """A shape with sizes: the bound of every dimension, the value of every coefficient.

    Attributes:
        densities: of tensors that have zeros; they count on sparse designs only.

    Raises:
        SpecError: a bound or coefficient is missing, unknown, no integer or beyond :data:`LARGEST`;
            a bound is below 1; a density is of no tensor.
    """

    shape: Shape
    bounds: Mapping[str, int]
    coefficients: Mapping[str, int] = field(default_factory=dict)
    densities: Mapping[str, Density] = field(default_factory=dict)

    def __post_init__(self) -> None:
        dimensions = set(self.shape.dimensions)
        for name in self.bounds.keys() - dimensions:
            raise SpecError(f"problem: unknown dimension '{name}', expected {sorted(dimensions)}")
        for name in dimensions - self.bounds.keys():
            raise SpecError(f"problem: dimension '{name}' has no bound")
        unknown = self.coefficients.keys() - self.shape.coefficients.keys()
        if unknown:
            raise SpecError(
                f"problem: unknown coefficient '{min(unknown)}', "
                f"expected {sorted(self.shape.coefficients)}"
            )
        object.__setattr__(self, "bounds", {d: self.bounds[d] for d in self.shape.dimensions})
        object.__setattr__(self, "coefficients", {**self.shape.coefficients, **self.coefficients})
        for name in self.densities:
            if name not in self.tensors:
                raise SpecError(f"densities: {unknown_name('tensor', name, self.tensors)}")
        for name, value in self.bounds.items():
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise SpecError(f"problem: {name} = {value!r}, expected an integer of at least 1")
            if value > LARGEST:
                raise SpecError(f"problem: {name} = {value}, expected at most {LARGEST}")
        for name, value in self.coefficients.items():
            if isinstance(value, bool) or not isinstance(value, int):
                raise SpecError(f"problem: {name} = {value!r}, expected an integer")
            if abs(value) > LARGEST:
                raise SpecError(f"problem: {name} = {value}, expected at most {LARGEST}")
        if any(self.tensor_size(t) >= 2**62 for t in range(len(self.shape.data_spaces))):
            raise SpecError("problem: a data space has more than 2^62 elements")
        if self.macs >= 2**62:
            raise SpecError("problem: more than 2^62 operations")

    @property
    def dimensions(self) -> tuple[str, ...]:
        """Dimension names in declaration order."""
        return self.shape.dimensions

    @cached_property
    def tensors(self) -> tuple[str, ...]:
        """Data-space names in declaration order."""
        return tuple(space.name for space in self.shape.data_spaces)

    @cached_property
    def sizes(self) -> npt.NDArray[np.int64]:
        """Bounds as an array ``(D,)``."""
        return np.array([self.bounds[d] for d in self.dimensions], dtype=np.int64)

    @cached_property
    def projection(self) -> npt.NDArray[np.int64]:
        """Numeric projections ``(T, Q, D)``: coefficient of dimension d in row q of tensor t.

        Rows beyond a tensor's rank are zero.
        """
        spaces = self.shape.data_spaces
        rank = max((len(space.projection) for space in spaces), default=1)
        table = np.zeros((len(spaces), max(rank, 1), len(self.dimensions)), dtype=np.int64)
        for t, space in enumerate(spaces):
            for q, row in enumerate(space.projection):
                for term in row:
                    value = 1 if term.coefficient is None else self.coefficients[term.coefficient]
                    table[t, q, self.dimensions.index(term.dimension)] = value
        return table

    @cached_property
    def read_write(self) -> npt.NDArray[np.bool_]:
        """``(T,)``: which tensors are read-write (outputs)."""
        return np.array([space.read_write for space in self.shape.data_spaces], dtype=np.bool_)

    def with_densities(self, densities: Mapping[str, Density]) -> Problem:
        """Return the problem with these densities in place of its own."""
        return self if densities == self.densities else replace(self, densities=densities)

    @property
    def macs(self) -> int:
        """Number of scalar operations: the product of all bounds."""
        return math.prod(self.bounds.values())

    def tensor_size(self, t: int) -> int:
        """Words in the axis-aligned box around tensor ``t`` (strides count the holes)."""
        size = 1
        for row in self.shape.data_spaces[t].projection:
            size *= 1 + sum(
                abs(1 if x.coefficient is None else self.coefficients[x.coefficient])
                * (self.bounds[x.dimension] - 1)
                for x in row
            )
        return size

    @cached_property
    def _hash(self) -> int:
        numbers = tuple(self.bounds.items()), tuple(self.coefficients.items())
        return hash((self.shape, *numbers, frozenset(self.densities.items())))

    def __hash__(self) -> int:
        return self._hash


#: Whose the words of a layer's second operand are: the layer's ``own`` parameters, ``shared``
#: with a layer that counts them, or ``none``: an activation, as in attention.
Weights = Literal["own", "shared", "none"]


#: Bits of an element, by tensor; of tensors of which they are known.
Precision = tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Layer:
    """One problem of a workload and how often it occurs in the network.

    Attributes:
        precision: what the network computes with. It is kept with the layer; words are as wide as
            the architecture says, whatever it is.
        aliases: what else it may be called, such as names that it had before.
    """

    name: str
    problem: Problem
    count: int = 1
    weights: Weights = "own"
    precision: Precision = ()
    aliases: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if isinstance(self.count, bool) or not isinstance(self.count, int) or self.count < 1:
            raise SpecError(
                f"layer '{self.name}': count = {self.count!r}, expected an integer of at least 1"
            )
        if self.weights not in get_args(Weights):
            raise SpecError(
                f"layer '{self.name}': weights = {self.weights!r}, expected own, shared or none"
            )
        for tensor, bits in self.precision:
            if tensor not in self.problem.tensors:
                raise SpecError(
                    f"layer '{self.name}': precision: unknown tensor '{tensor}', expected one of "
                    f"{', '.join(self.problem.tensors)}"
                )
            if isinstance(bits, bool) or not isinstance(bits, int) or not 1 <= bits <= 1024:
                raise SpecError(
                    f"layer '{self.name}': precision: {tensor} = {bits!r}, expected 1 to 1024 bits"
                )

    def of_network(self, network: str) -> Layer:
        """Return the layer as it is called among several networks: ``network/layer``."""
        aliases = tuple(f"{network}/{alias}" for alias in self.aliases)
        return replace(self, name=f"{network}/{self.name}", aliases=aliases)

    @property
    def weight_words(self) -> int:
        """Parameters of all its occurrences; 0 where they are not its own."""
        if self.weights != "own":
            return 0
        names = [t for t in ("Weights", "B") if t in self.problem.tensors]
        if not names:
            return 0
        return self.count * self.problem.tensor_size(self.problem.tensors.index(names[0]))


@dataclass(frozen=True)
class Workload:
    """A network: its unique layers with counts. Or several networks, that hardware is to serve.

    Attributes:
        networks: of several networks, each by itself; ``layers`` are those of all, in order.
    """

    name: str
    layers: tuple[Layer, ...]
    networks: tuple[Workload, ...] = ()

    @classmethod
    def of_networks(cls, networks: Sequence[Workload]) -> Workload:
        """Join networks; layers are called ``network/layer``.

        Raises:
            SpecError: two networks have one name.
        """
        apart = tuple(
            replace(n, layers=tuple(x.of_network(n.name) for x in n.layers)) for n in networks
        )
        layers = tuple(layer for network in apart for layer in network)
        return cls("+".join(network.name for network in networks), layers, apart)

    def __post_init__(self) -> None:
        if not self.layers:
            raise SpecError(f"workload '{self.name}': has no layers")
        names = [name for layer in self.layers for name in (layer.name, *layer.aliases)]
        for name in names:
            if not 0 < len(name) <= 100 or not name.isprintable():
                told = f"layer name {name[:40]!r}, expected 1 to 100 printable characters"
                raise SpecError(f"workload '{self.name}': {told}")
        ((name, times),) = Counter(names).most_common(1)
        if times > 1:
            told = f"layer '{name}' is declared twice, as name or alias"
            raise SpecError(f"workload '{self.name}': {told}")

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self.layers)

    def layer(self, name: str) -> Layer:
        """Return the layer of that name or alias.

        Raises:
            SpecError: there is none.
        """
        for layer in self.layers:
            if name in (layer.name, *layer.aliases):
                return layer
        known = [layer.name for layer in self.layers]
        raise SpecError(f"workload '{self.name}': {unknown_name('layer', name, known)}")

    @property
    def is_sparse(self) -> bool:
        """Whether some layer has a tensor of which a density is given."""
        return any(layer.problem.densities for layer in self.layers)

    def dense(self) -> Workload:
        """Return the workload without densities."""
        layers = (replace(x, problem=x.problem.with_densities({})) for x in self.layers)
        networks = tuple(network.dense() for network in self.networks)
        return replace(self, layers=tuple(layers), networks=networks)

    @property
    def macs(self) -> int:
        """Operations of the whole network, every layer weighed with its count."""
        return sum(layer.count * layer.problem.macs for layer in self.layers)

    @property
    def weight_words(self) -> int:
        """Parameters of the layers: no biases, normalisations and embeddings."""
        return sum(layer.weight_words for layer in self.layers)


def _space(name: str, rows: str, *, read_write: bool = False) -> DataSpace:
    """Build a data space from a short form: rows split by ``,``, terms by ``+``, ``dim*coef``."""
    projection = []
    for row in rows.split(","):
        terms = []
        for text in row.split("+"):
            dimension, _, coefficient = text.strip().partition("*")
            terms.append(Term(dimension, coefficient or None))
        projection.append(tuple(terms))
    return DataSpace(name, tuple(projection), read_write)


_STRIDES = {"Wstride": 1, "Hstride": 1, "Wdilation": 1, "Hdilation": 1}
_WINDOW = "R*Wdilation + P*Wstride, S*Hdilation + Q*Hstride"

#: Shapes that a problem file or a workload may call by name.
SHAPES: dict[str, Shape] = {
    shape.name: shape
    for shape in (
        Shape(
            "cnn-layer",
            ("R", "S", "P", "Q", "C", "K", "N"),
            (
                _space("Weights", "C, K, R, S"),
                _space("Inputs", f"N, C, {_WINDOW}"),
                _space("Outputs", "N, K, Q, P", read_write=True),
            ),
            _STRIDES,
        ),
        Shape(
            "grouped-cnn-layer",
            ("R", "S", "P", "Q", "C", "K", "G", "N"),
            (
                _space("Weights", "G, C, K, R, S"),
                _space("Inputs", f"N, G, C, {_WINDOW}"),
                _space("Outputs", "N, G, K, Q, P", read_write=True),
            ),
            _STRIDES,
        ),
        Shape(
            "depthwise-cnn-layer",
            ("R", "S", "P", "Q", "G", "N"),
            (
                _space("Weights", "G, R, S"),
                _space("Inputs", f"N, G, {_WINDOW}"),
                _space("Outputs", "N, G, Q, P", read_write=True),
            ),
            _STRIDES,
        ),
        Shape(
            "gemm",
            ("M", "N", "K"),
            (
                _space("A", "M, K"),
                _space("B", "N, K"),
                _space("Z", "M, N", read_write=True),
            ),
        ),
        Shape(
            "batched-gemm",
            ("H", "M", "N", "K"),
            (
                _space("A", "H, M, K"),
                _space("B", "H, N, K"),
                _space("Z", "H, M, N", read_write=True),
            ),
        ),
    )
}
