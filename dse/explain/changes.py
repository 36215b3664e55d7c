"""What one more of each resource would buy: a PE row or column, double the KB, a word a cycle."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dse.domain.architecture import UNLIMITED, Architecture, StorageLevel
from dse.domain.mapping import Mapping
from dse.domain.padding import mapped_problem
from dse.domain.problem import Problem
from dse.errors import DseError, SpecError
from dse.explain.layer import ExplainedLayer

Price = Callable[[Architecture], Architecture]
#: Finds a mapping of a problem on other hardware; None: there is none.
Remap = Callable[[Problem, Architecture], Mapping | None]


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


@dataclass(frozen=True)
class Outcome:
    """What a change is worth.

    Attributes:
        what: the change; ``as it is`` of none.
        area_um2: of the changed hardware; None where there is none.
        as_mapped: with the mappings as they are; None: they do not fit.
        mapped_again: with the better of these and what a search found; None: none was asked for,
            or nothing fits.
        reason: why there is no worth.
    """

    what: str
    area_um2: float | None
    as_mapped: Worth | None
    mapped_again: Worth | None = None
    reason: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        worths = {"as_mapped": self.as_mapped, "mapped_again": self.mapped_again}
        return {
            "change": self.what,
            "area_um2": self.area_um2,
            **{
                name: None
                if worth is None
                else {"cycles": worth.cycles, "energy_pj": worth.energy_pj, "edp": worth.edp}
                for name, worth in worths.items()
            },
            **({"reason": self.reason} if self.reason else {}),
        }


def changes(architecture: Architecture) -> Iterator[Change | Outcome]:
    """Yield all changes by one; what cannot be built as an outcome with the reason."""
    for s, level in reversed(list(enumerate(architecture.levels))):
        for axis, name, fan in zip("xy", ("column", "row"), architecture.fanout(s), strict=True):
            if fan > 1:
                what = f"{level.name}: one more PE {name} below it, {fan} -> {fan + 1}"
                yield _built(what, lambda s=s, a=axis, n=fan: _widened(architecture, s, a, n))
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
    layers: Sequence[ExplainedLayer], price: Price, remap: Remap | None = None
) -> list[Outcome]:
    """Return what every change is worth on layers of one architecture, as it is first.

    Args:
        layers: as they are mapped.
        price: fills in the prices of changed hardware.
        remap: also maps the layers anew, on the hardware as it is, too, so that what mapping
            alone gains is not taken for what a change buys.
    """
    architecture = layers[0].architecture
    own = Outcome("as it is", architecture.area_um2, worth(layers))
    found = [_again(own, layers, architecture, remap) if remap else own]
    for change in changes(architecture):
        if isinstance(change, Outcome):
            found.append(change)
            continue
        try:
            priced = price(change.architecture)
        except SpecError as error:
            found.append(Outcome(change.what, None, None, None, str(error)))
            continue
        outcome = _as_mapped(change.what, layers, priced)
        found.append(_again(outcome, layers, priced, remap) if remap else outcome)
    return found


def worth(layers: Sequence[ExplainedLayer]) -> Worth:
    """Return the totals of layers as they are mapped."""
    return Worth(
        float(sum(x.count * x.stats.cycles for x in layers)),
        sum(x.count * x.stats.energy_pj for x in layers),
    )


def _as_mapped(what: str, layers: Sequence[ExplainedLayer], architecture: Architecture) -> Outcome:
    moved, reasons = moved_to(layers, architecture)
    whole = [layer for layer in moved if layer is not None]
    total = worth(whole) if len(whole) == len(layers) else None
    return Outcome(what, architecture.area_um2, total, None, "; ".join(reasons[:1]))


def moved_to(
    layers: Sequence[ExplainedLayer], architecture: Architecture
) -> tuple[list[ExplainedLayer | None], list[str]]:
    """Return the layers with their mappings on other hardware, and why some do not fit there."""
    moved: list[ExplainedLayer | None] = []
    reasons = []
    for layer in layers:
        spec = layer.evaluation.input
        try:
            moved.append(
                ExplainedLayer.of(
                    *(layer.name, layer.count, layer.problem, architecture, spec.problem),
                    *(layer.evaluation.mapping, spec.timeloop_version),
                )
            )
        except DseError as error:
            moved.append(None)
            reasons.append(f"{layer.name}: {error}")
    return moved, reasons


def _again(
    outcome: Outcome,
    layers: Sequence[ExplainedLayer],
    architecture: Architecture,
    remap: Remap,
) -> Outcome:
    """Return the outcome with the better of the mappings as they are and new ones."""
    moved, _ = moved_to(layers, architecture)
    best = []
    for layer, kept in zip(layers, moved, strict=True):
        mapping = remap(layer.problem, architecture)
        candidates = [kept] if kept is not None else []
        if mapping is not None:
            mapped = mapped_problem(layer.problem, mapping)
            version = layer.evaluation.input.timeloop_version
            candidates.append(
                ExplainedLayer.of(
                    *(layer.name, layer.count, layer.problem, architecture, mapped, mapping),
                    version,
                )
            )
        if not candidates:
            return outcome
        best.append(min(candidates, key=lambda x: x.stats.edp))
    return replace(outcome, mapped_again=worth(best))


def _with(
    architecture: Architecture, level: StorageLevel, what: str, **changed: object
) -> Change | Outcome:
    def build() -> Architecture:
        other: StorageLevel = replace(level, **changed)  # type: ignore[arg-type]
        return architecture.with_levels(**{level.name: other})

    return _built(what, build)


def _built(what: str, build: Callable[[], Architecture]) -> Change | Outcome:
    try:
        return Change(what, build())
    except SpecError as error:
        return Outcome(what, None, None, None, str(error))


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
