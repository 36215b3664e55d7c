"""What the page of a report shows of energies and of each layer, as plain values."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from dse.breakdown.energy import EnergyShare
from dse.explain.layer import ExplainedLayer
from dse.report.table import rates_rows
from dse.text import aligned
from dse.timeloop.write.figures import nest
from dse.timeloop.write.report import map_text, saved_rows

View = dict[str, Any]

#: Classes of the style sheet for what is no tensor's.
_KINDS = {"leakage": "cleak", "network": "cnet", "compute": "cmac"}
#: Colours of tensors, and of levels.
_COLORS = 6


def color(part: EnergyShare, tensors: Sequence[str]) -> str:
    """Return the class of what a part of the energy is drawn with."""
    if part.kind in _KINDS:
        return _KINDS[part.kind]
    return f"c{tensors.index(part.tensor or '') % _COLORS}"


def tensors_of(layers: Sequence[ExplainedLayer]) -> list[str]:
    """Return the names of all tensors of layers."""
    return list(dict.fromkeys(t for x in layers for t in x.evaluation.input.problem.tensors))


def energy_legend(layers: Sequence[ExplainedLayer]) -> list[tuple[str, str]]:
    """Return the classes of energies with what they stand for."""
    tensors = tensors_of(layers)
    kinds = {part.kind for layer in layers for part in layer.energy if part.energy_pj}
    named = [(f"c{i % _COLORS}", name) for i, name in enumerate(tensors)]
    return [*named, *((css, kind) for kind, css in _KINDS.items() if kind in kinds)]


def energy_by_place(layers: Sequence[ExplainedLayer], *, once: bool = False) -> list[View]:
    """Return energies by place, outermost first, each cut by tensor, leakage and so on.

    Layers count as often as the network runs them, or once.
    """
    tensors = tensors_of(layers)
    found: dict[str, dict[tuple[str, str], float]] = {}
    for layer in layers:
        for part in layer.energy:
            cells = found.setdefault(part.place, {})
            of = part.kind if part.kind in _KINDS else str(part.tensor)
            key = color(part, tensors), of
            cells[key] = cells.get(key, 0.0) + (1 if once else layer.count) * part.energy_pj
    total = sum(sum(cells.values()) for cells in found.values())
    whole = "the layer" if once else "all"
    most = max((sum(cells.values()) for cells in found.values()), default=0.0)
    rows = []
    for place, cells in reversed(found.items()):
        own = sum(cells.values())
        if not own and "<==>" in place:
            continue
        segments = [
            {
                "css": css,
                "width": _percent(pj, most),
                "tip": f"{place}, {of}: {pj / 1e6:,.4g} uJ, {share(pj, total)} of {whole}",
            }
            for (css, of), pj in cells.items()
            if pj
        ]
        rows.append(
            {
                "name": place,
                "segments": segments,
                "uj": f"{own / 1e6:,.3f}",
                "share": share(own, total),
            }
        )
    return rows


def _percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.3f}" if whole else "0"


def share(part: float, whole: float) -> str:
    """Return a share as text; a dash where there is no whole."""
    return f"{part / whole:.1%}" if whole else "-"


def layer_view(
    layer: ExplainedLayer, index: int, layers: Sequence[ExplainedLayer], prefix: str
) -> View:
    """Return everything that is shown of a layer.

    Args:
        layer: one of the layers.
        index: which.
        layers: all of the run.
        prefix: of its id on the page.
    """
    cycles = [x.count * x.stats.cycles for x in layers]
    energies = [x.count * x.stats.energy_pj for x in layers]
    return {
        "id": f"{prefix}-layer{index}",
        "index": index,
        "name": layer.name,
        "count": layer.count,
        "cycles": f"{layer.stats.cycles:,}",
        "cycles_share": share(cycles[index], sum(cycles)),
        "cycles_width": _percent(cycles[index], max(cycles)),
        "cycles_order": cycles[index],
        "energy_order": energies[index],
        "limited_by": layer.limited_by,
        "bound": layer.cycles.binding.bandwidth or ("idle" if layer.idle else "compute"),
        "utilization": f"{layer.utilization:.1%}",
        "uj": f"{layer.stats.energy_pj / 1e6:,.3f}",
        "energy_share": share(energies[index], sum(energies)),
        "segments": _segments(layer, max(energies)),
        "energy": energy_by_place([layer], once=True),
        **_cycles(layer),
        "fans": _fans(layer),
        "zeros": _zeros(layer),
        "rates": rates_rows(layer.rates, what="run"),
        "bounds": ", ".join(f"{d}={n}" for d, n in layer.evaluation.input.problem.bounds.items()),
        "nest": map_text(layer.evaluation),
        "tiling": list(_tiling(layer)),
        "levels": [
            (f"l{s % _COLORS}", level.name)
            for s, level in reversed(list(enumerate(layer.architecture.levels)))
        ],
    }


def limits_of_all(layers: Sequence[ExplainedLayer]) -> str:
    """Say by what the cycles of a network are limited, most of them first."""
    found: dict[str, float] = {}
    for layer in layers:
        found[layer.limit] = found.get(layer.limit, 0.0) + layer.count * layer.stats.cycles
    whole = sum(found.values())
    parts = sorted(found.items(), key=lambda item: -item[1])
    return "; ".join(f"{name}: {share(cycles, whole)}" for name, cycles in parts)


def _segments(layer: ExplainedLayer, most: float) -> list[View]:
    """Return the layer's energy by tensor, leakage and so on, relative to the largest layer's."""
    tensors = tensors_of([layer])
    found: dict[tuple[str, str], float] = {}
    for part in layer.energy:
        key = color(part, tensors), part.kind if part.kind in _KINDS else str(part.tensor)
        found[key] = found.get(key, 0.0) + part.energy_pj
    return [
        {
            "css": css,
            "width": _percent(layer.count * pj, most),
            "tip": f"{layer.name}, {of}: {pj / 1e6:,.4g} uJ, "
            f"{share(pj, layer.stats.energy_pj)} of the layer",
        }
        for (css, of), pj in found.items()
        if pj
    ]


def _cycles(layer: ExplainedLayer) -> View:
    """Return what the layer's cycles are made of."""
    found = layer.cycles
    limits = [
        {
            "name": limit.name,
            "cycles": f"{limit.needed:,.0f}",
            "width": _percent(limit.needed, found.binding.cycles),
            "binding": limit is found.binding,
            "words": ""
            if limit.demand is None
            else f"{limit.demand:.4g} of {limit.available:g} words/cycle",
        }
        for limit in found.in_order
    ]
    return {
        "limits": limits,
        "latency": f"{found.latency_cycles:,}" if found.latency_cycles else "",
        "slack": f"{found.slack:.3g}" if found.slack else "",
        "compute_share": f"{found.iterations / layer.stats.cycles:.1%}",
    }


def _fans(layer: ExplainedLayer) -> list[View]:
    """Return the spatial factors against the meshes."""
    problem = layer.evaluation.input.problem
    return [
        {
            "text": f"{f.used} of {f.mesh} below {f.level} along {f.axis}",
            "factors": " x ".join(f"{d} {n}" for d, n in f.factors.items()) or "nothing",
            "width": _percent(min(f.used, f.mesh), f.mesh),
            "why": f.why_idle(problem),
        }
        for f in layer.fans
    ]


def _zeros(layer: ExplainedLayer) -> View | None:
    """Return what becomes of computes and accesses of a sparse design."""
    fates = layer.fates
    if fates is None:
        return None
    whole = layer.stats.computes
    named = (
        ("done", "cmac", fates.random),
        ("gated", "cnet", fates.gated),
        ("skipped", "cleak", fates.skipped),
        ("not there", "cleak", fates.absent),
    )
    rows = [
        (level, tensor, form, *rest) for level, tensor, form, _, *rest in saved_rows(layer.stats)
    ]
    return {
        "computes": [
            {
                "name": name,
                "css": css,
                "width": _percent(count, whole),
                "count": f"{count:,}",
                "share": share(count, whole),
            }
            for name, css, count in named
        ],
        "accesses": "\n".join(aligned(rows, names=4)),
    }


def _tiling(layer: ExplainedLayer) -> Iterator[View]:
    """Yield every dimension cut into its factors, outermost level first, in space hatched."""
    problem, mapping = layer.evaluation.input.problem, layer.evaluation.mapping
    levels = layer.architecture.levels
    most = max(math.log2(n) for n in problem.bounds.values()) or 1.0
    for d, name in enumerate(problem.dimensions):
        if problem.bounds[name] == 1:
            continue
        segments = []
        for s in reversed(range(len(levels))):
            for loop in reversed(nest(mapping, s)):
                if loop.dimension != d or loop.end == 1:
                    continue
                where = f"in space along {loop.axis} below" if loop.axis else "in time at"
                segments.append(
                    {
                        "css": f"l{s % _COLORS}{' spatial' if loop.axis else ''}",
                        "grow": f"{math.log2(loop.end):.3f}",
                        "text": f"{loop.end}{loop.axis}",
                        "tip": f"{name}: {loop.end} {where} {levels[s].name}",
                    }
                )
        width = f"{100 * math.log2(problem.bounds[name]) / most:.2f}"
        yield {
            "name": name,
            "bound": problem.bounds[name],
            "segments": segments,
            "width": width,
        }
