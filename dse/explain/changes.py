"""What one more of each resource would buy: a PE row or column, double the KB, a word a cycle."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from dse.domain.architecture import UNLIMITED, Architecture, HardwareBatch, StorageLevel
from dse.domain.mapping import MappingBatch
from dse.domain.padding import Padding
from dse.errors import DseError, SpecError
from dse.evaluators.native import NativeEvaluator
from dse.explain.layer import ExplainedLayer
from dse.goals.metrics import Metrics
from dse.mappers.base import Mapper
from dse.timeloop.evaluate import evaluated

Pricing = Callable[[Architecture], Architecture]


@dataclass(frozen=True)
class Change:
    """Hardware with one more of something, without prices yet.

    Attributes:
        what: in words, as in ``shared_glb: one more PE column, 14 -> 15``.
        architecture: with it.
    """

    what: str
    architecture: Architecture


@dataclass(frozen=True)
class Worth:
    """Totals over layers, each as often as the network runs it."""

    cycles: float
    energy_pj: float

    @property
    def edp(self) -> float:
        """Energy-delay product, pJ x cycle."""
        return self.energy_pj * self.cycles

    def as_dict(self) -> dict[str, float]:
        """Return it as plain data."""
        return {"cycles": self.cycles, "energy_pj": self.energy_pj, "edp_pj_cycles": self.edp}


@dataclass(frozen=True, kw_only=True)
class HardwareOutcome:
    """What other hardware is worth.

    Attributes:
        area_um2: None where there is no such hardware.
        as_mapped: with the mappings as they are; None: some do not fit, or there is no hardware.
        mapped_again: with the better of these and what a search found; None: none was asked for,
            or nothing fits.
        reason: why there is no worth.
    """

    area_um2: float | None = None
    as_mapped: Worth | None = None
    mapped_again: Worth | None = None
    reason: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "area_um2": self.area_um2,
            "as_mapped": self.as_mapped.as_dict() if self.as_mapped else None,
            "mapped_again": self.mapped_again.as_dict() if self.mapped_again else None,
            **({"reason": self.reason} if self.reason else {}),
        }


@dataclass(frozen=True)
class ChangeOutcome(HardwareOutcome):
    """What a change is worth.

    Attributes:
        what: the change; ``as it is`` of none.
    """

    what: str

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {"change": self.what, **super().as_dict()}


def changes(architecture: Architecture) -> Iterator[Change | ChangeOutcome]:
    """Yield all changes by one; what cannot be built as an outcome with the reason."""
    for s, level in reversed(list(enumerate(architecture.levels))):
        for axis, name, fan in zip("xy", ("column", "row"), architecture.fanout(s), strict=True):
            if fan > 1:
                what = f"{level.name}: one more PE {name} below it, {fan} -> {fan + 1}"
                yield _built(what, partial(_widened, architecture, s, axis, fan))
        if level.size_words is not None:
            what = f"{level.name}: double the size, {_size(level)}"
            yield _with(architecture, level, what, size_words=2 * level.size_words)
        for kind in ("read", "write", "shared"):
            words = getattr(level, f"{kind}_bandwidth")
            if words != UNLIMITED:
                what = f"{level.name}: one more word a cycle ({kind}), {words:g} -> {words + 1:g}"
                yield _with(architecture, level, what, **{f"{kind}_bandwidth": words + 1})


def _size(level: StorageLevel) -> str:
    """Return the size of an instance, and twice that."""
    words = level.size_words or 0
    kilobytes = words * level.word_bits / 8192
    if kilobytes < 1:
        return f"{words} -> {2 * words} words"
    return f"{kilobytes:.4g} -> {2 * kilobytes:.4g} KB"


def what_if(
    layers: Sequence[ExplainedLayer], price: Pricing, remapper: Remapper | None = None
) -> list[ChangeOutcome]:
    """Return what every change is worth on layers of one architecture, as it is first.

    Args:
        layers: as they are mapped.
        price: fills in the prices of changed hardware.
        remapper: also maps the layers anew, on the hardware as it is, too, so that what mapping
            alone gains is not taken for what a change buys.
    """
    found: list[ChangeOutcome] = []
    built: list[Change] = [Change("as it is", layers[0].architecture)]
    places: list[int] = [0]
    for place, change in enumerate(changes(layers[0].architecture), start=1):
        if isinstance(change, ChangeOutcome):
            found.append(change)
            continue
        try:
            built.append(Change(change.what, price(change.architecture)))
        except SpecError as error:
            found.append(ChangeOutcome(change.what, reason=str(error)))
            continue
        places.append(place)
    outcomes = outcomes_on(layers, [change.architecture for change in built], remapper)
    for place, change, one in zip(places, built, outcomes, strict=True):
        found.insert(place, ChangeOutcome(change.what, **vars(one)))
    return found


def outcomes_on(
    layers: Sequence[ExplainedLayer],
    hardware: Sequence[Architecture],
    remapper: Remapper | None = None,
) -> list[HardwareOutcome]:
    """Return what layers are worth on each of several architectures of one structure."""
    batch = None if any(one.singly for one in hardware) else HardwareBatch(tuple(hardware))
    kept, again = _WorthSums(len(hardware)), _WorthSums(len(hardware))
    told: list[list[str]] = [[] for _ in hardware]
    for layer in layers:
        if batch is None or not layer.evaluation.mapping.is_perfect:
            metrics, reasons = _one_by_one(layer, hardware)
        else:
            metrics, reasons = _evaluated(layer, batch)
        kept.add(layer, metrics)
        for of_one, reason in zip(told, reasons, strict=True):
            of_one.extend([reason] if reason else [])
        if remapper is not None:
            assert batch is not None  # mappers know no others
            again.add(layer, remapper.better(layer, batch, metrics))
    second = again.worths if remapper is not None else [None] * len(hardware)
    return [
        HardwareOutcome(
            area_um2=one.area_um2,
            as_mapped=first,
            mapped_again=new,
            reason=_summed_up(reasons, len(layers)),
        )
        for one, first, new, reasons in zip(hardware, kept.worths, second, told, strict=True)
    ]


def _summed_up(reasons: Sequence[str], layers: int) -> str:
    """Say why layers do not fit: the first of them, and how many there are."""
    if not reasons:
        return ""
    first = reasons[0].replace("ERROR: ", "")
    return first if layers == 1 else f"{len(reasons)} of {layers} layers do not fit: {first}"


class _WorthSums:
    """Sums over layers on each of several architectures; NaN where one does not fit."""

    def __init__(self, count: int) -> None:
        self._cycles = np.zeros(count)
        self._energy_pj = np.zeros(count)

    def add(self, layer: ExplainedLayer, metrics: Metrics) -> None:
        """Add a layer, as often as the network runs it."""
        self._cycles += layer.count * metrics.cycles
        self._energy_pj += layer.count * metrics.energy_pj

    @property
    def worths(self) -> list[Worth | None]:
        """What all layers are worth together."""
        pairs = zip(self._cycles.tolist(), self._energy_pj.tolist(), strict=True)
        return [None if math.isnan(c) else Worth(c, e) for c, e in pairs]


@dataclass(frozen=True)
class Remapper:
    """Maps layers anew.

    Attributes:
        mapper: that does.
        samples: mappings that it may evaluate for a layer on one hardware.
        padding: how far dimensions may be padded.
    """

    mapper: Mapper[Any]
    samples: int
    padding: Padding

    def better(self, layer: ExplainedLayer, hardware: HardwareBatch, kept: Metrics) -> Metrics:
        """Return the better of a layer's mapping as it is and a new one, on each hardware."""
        budget = np.full(len(hardware), self.samples, np.int64)
        found = self.mapper.map_padded(hardware, layer.problem, budget, 0, self.padding).metrics
        ranks = [
            [self.mapper.rank(m.take(np.array([h])), layer.problem, one)[0] for m in (kept, found)]
            for h, one in enumerate(hardware.architectures)
        ]
        new = np.array([after < before for before, after in ranks])
        both = Metrics.concatenate([kept, found])
        return both.take(np.arange(len(hardware)) + len(hardware) * new)


def _evaluated(layer: ExplainedLayer, hardware: HardwareBatch) -> tuple[Metrics, list[str]]:
    """Return the metrics of a layer's mapping on each hardware, and why it does not fit there."""
    spec = layer.evaluation.input
    evaluator = NativeEvaluator(spec.timeloop_version)
    batch = MappingBatch.of([layer.evaluation.mapping] * len(hardware))
    index = np.arange(len(hardware), dtype=np.int32)
    metrics = evaluator.evaluate(hardware, spec.problem, batch, index)
    reasons = []
    for one, valid in zip(hardware.architectures, metrics.valid, strict=True):
        found = None if valid else evaluator.explain(one, spec.problem, batch, 0)
        reasons.append(f"{layer.name}: {found.message}" if found else "")
    return metrics, reasons


def _one_by_one(
    layer: ExplainedLayer, hardware: Sequence[Architecture]
) -> tuple[Metrics, list[str]]:
    """Evaluate what batches do not hold: imperfect factors, declared networks and the like."""
    spec, parts, reasons = layer.evaluation.input, [], []
    for one in hardware:
        try:
            stats = evaluated(replace(spec, architecture=one), layer.evaluation.mapping).stats
        except DseError as error:
            parts.append(Metrics.rejected(1))
            reasons.append(f"{layer.name}: {error}")
            continue
        numbers = (stats.cycles, stats.energy_pj, stats.utilization, stats.area_um2)
        parts.append(Metrics(np.ones(1, np.bool_), *(np.array([float(x)]) for x in numbers)))
        reasons.append("")
    return Metrics.concatenate(parts), reasons


def _with(
    architecture: Architecture, level: StorageLevel, what: str, **changed: object
) -> Change | ChangeOutcome:
    def build() -> Architecture:
        other: StorageLevel = replace(level, **changed)  # type: ignore[arg-type]
        return architecture.with_levels(**{level.name: other})

    return _built(what, build)


def _built(what: str, build: Callable[[], Architecture]) -> Change | ChangeOutcome:
    try:
        return Change(what, build())
    except SpecError as error:
        return ChangeOutcome(what, reason=str(error))


def _widened(architecture: Architecture, s: int, axis: str, fan: int) -> Architecture:
    """Return the architecture with one more instance of what is below level ``s`` along an axis."""
    key = f"mesh_{axis}"

    def wider(part: Any) -> Any:  # noqa: ANN401 - a level or the compute
        mesh = {"mesh_x": part.mesh_x, "mesh_y": part.mesh_y}
        mesh[key] = mesh[key] // fan * (fan + 1)
        return replace(part, **mesh, instances=mesh["mesh_x"] * mesh["mesh_y"])

    levels = tuple(
        wider(level) if index < s else level for index, level in enumerate(architecture.levels)
    )
    return replace(architecture, levels=levels, compute=wider(architecture.compute))
