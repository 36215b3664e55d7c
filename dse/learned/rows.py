"""Rows: recorded cycles of mappings, grouped by problem so that they are encoded in batches."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dse.domain.architecture import Architecture, HardwareBatch
from dse.domain.mapping import Mapping, MappingBatch
from dse.domain.problem import Problem
from dse.errors import SpecError
from dse.evaluators.base import Index
from dse.goals.metrics import Metrics
from dse.learned.encoding import Encoding
from dse.learned.features import FeatureNames
from dse.numeric import Floats, Ints


@dataclass(frozen=True, eq=False)
class RowGroup:
    """Rows of one problem.

    Attributes:
        mappings: b mappings.
        index: ``(b,)`` which of the hardware each runs on.
        at: ``(b,)`` which rows of the table they are.
    """

    problem: Problem
    hardware: HardwareBatch
    mappings: MappingBatch
    index: Index
    at: npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class RowTable:
    """Rows as features and targets, ready to learn from; N rows, F features.

    Attributes:
        names: of the features.
        features: ``(N, F)``.
        ln_cycles: ``(N,)`` natural logarithm of the recorded cycles.
        ln_native: ``(N,)`` the same of the native model's.
        energy_pj: ``(N,)`` of the native model.
        layer: ``(N,)`` number of the problem.
    """

    names: tuple[str, ...]
    features: Floats
    ln_cycles: Floats
    ln_native: Floats
    energy_pj: Floats
    layer: Ints

    def __len__(self) -> int:
        return len(self.ln_cycles)

    def take(self, rows: npt.NDArray[np.integer] | npt.NDArray[np.bool_]) -> RowTable:
        """Return some of the rows."""
        return RowTable(
            self.names,
            *(self.features[rows], self.ln_cycles[rows], self.ln_native[rows]),
            *(self.energy_pj[rows], self.layer[rows]),
        )


def joined(parts: Sequence[RowTable]) -> RowTable:
    """Return tables of the same features, one at least, one after the other."""
    return RowTable(
        parts[0].names,
        np.concatenate([part.features for part in parts]),
        np.concatenate([part.ln_cycles for part in parts]),
        np.concatenate([part.ln_native for part in parts]),
        np.concatenate([part.energy_pj for part in parts]),
        np.concatenate([part.layer for part in parts]),
    )


@dataclass(frozen=True, eq=False)
class RecordedRows:
    """A table of recorded answers.

    Attributes:
        source: file or folder, for messages.
        digest: SHA-256 of the data, hexadecimal.
        timeloop_version: of the native model that stands beside them.
        groups: the rows by problem.
        cycles: ``(N,)`` recorded.
        places: where each row stands, such as ``rows.jsonl, line 3``.
        layers: name of each row's layer; "" where the data have none.
    """

    source: str
    digest: str
    timeloop_version: str
    groups: tuple[RowGroup, ...]
    cycles: Floats
    places: tuple[str, ...]
    layers: tuple[str, ...]

    @classmethod
    def of(
        cls,
        source: str,
        digest: str,
        timeloop_version: str,
        rows: Sequence[Row],
    ) -> RecordedRows:
        """Group single rows.

        Raises:
            SpecError: there are none, a row's cycles are no count, its factors do not make up its
                problem, or architectures differ in their levels.
        """
        if not rows:
            raise SpecError(f"{source}: has no rows")
        levels = rows[0].architecture.levels
        members: dict[Problem, list[int]] = defaultdict(list)
        for number, row in enumerate(rows):
            row.check([level.name for level in levels])
            members[row.problem].append(number)
        groups = []
        for problem, numbers in members.items():
            machines: dict[Architecture, int] = {}
            index = [machines.setdefault(rows[n].architecture, len(machines)) for n in numbers]
            groups.append(
                RowGroup(
                    problem,
                    HardwareBatch(tuple(machines)),
                    MappingBatch.of([rows[n].mapping for n in numbers]),
                    np.array(index, np.int32),
                    np.array(numbers, np.intp),
                )
            )
        return cls(
            *(source, digest, timeloop_version, tuple(groups)),
            np.array([row.cycles for row in rows], np.float64),
            tuple(row.place for row in rows),
            tuple(row.layer for row in rows),
        )

    def __len__(self) -> int:
        return len(self.cycles)

    @property
    def structure(self) -> FeatureNames:
        """Names of the levels, and of the dimensions, coefficients and tensors of all problems."""
        levels = self.groups[0].hardware.level_names
        return FeatureNames.of(levels, [group.problem for group in self.groups])

    def encoded(self, encoding: Encoding, n_jobs: int = 1) -> RowTable:
        """Return all rows as features and targets.

        Raises:
            SpecError: the native model rejects a row's mapping, or as `Encoding.encode` does.
        """
        count = len(self)
        features = np.empty((count, len(encoding.names)))
        layer = np.empty(count, np.int64)
        parts, places = [], []
        for number, group in enumerate(self.groups):
            found = encoding.encode(
                *(group.hardware, group.problem, group.mappings, group.index, n_jobs)
            )
            if not found.valid.all():
                wrong = int(group.at[int(np.argmin(found.valid))])
                raise SpecError(
                    f"{self.places[wrong]}: the mapping is rejected by the native model"
                )
            features[group.at], layer[group.at] = found.features, number
            parts.append(found.native)
            places.append(group.at)
        order = np.argsort(np.concatenate(places))
        native = Metrics.concatenate(parts).take(order)
        return RowTable(
            encoding.names,
            features,
            np.log(self.cycles),
            np.log(native.cycles),
            native.energy_pj,
            layer,
        )


@dataclass(frozen=True, eq=False)
class Row:
    """One recorded answer.

    Attributes:
        architecture: with prices.
        cycles: recorded.
        place: file and line, for messages.
        layer: name of the problem in its network, if it is known.
    """

    architecture: Architecture
    problem: Problem
    mapping: Mapping
    cycles: float
    place: str
    layer: str = ""

    def check(self, levels: Sequence[str]) -> None:
        """Refuse what is no answer for hardware of these levels.

        Raises:
            SpecError: naming file, line, key and value.
        """
        if not (np.isfinite(self.cycles) and self.cycles >= 1):
            raise SpecError(f"{self.place}: cycles = {self.cycles}, expected a count of at least 1")
        own = [level.name for level in self.architecture.levels]
        if own != list(levels):
            raise SpecError(
                f"{self.place}: levels {', '.join(own)}; expected those of the rows before, "
                f"{', '.join(levels)}"
            )
        mapping, dimensions = self.mapping, self.problem.dimensions
        wanted = (len(levels), len(dimensions), len(self.problem.tensors))
        found = (*mapping.temporal.shape, mapping.keep.shape[1])
        if found != wanted:
            raise SpecError(
                f"{self.place}: mapping of {found} levels, dimensions and tensors, "
                f"expected {wanted}"
            )
        made = np.prod(mapping.temporal.astype(float) * mapping.spatial, axis=0)
        for name, product, bound in zip(dimensions, made, self.problem.sizes, strict=True):
            if product != bound:
                raise SpecError(
                    f"{self.place}: mapping: factors of {name} make {product:g}, expected {bound}"
                )
