"""Reports of one evaluation: a short summary, JSON, and Timeloop's map file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from itertools import groupby
from typing import Any

from dse.breakdown.energy import energy_parts
from dse.breakdown.zeros import saved_accesses
from dse.model.stats import Stats
from dse.sparse.stats import SparseStats
from dse.text import aligned
from dse.timeloop.evaluate import Evaluation
from dse.timeloop.write.figures import nest

#: Version of the JSON's layout, raised when a key changes its name or meaning.
_JSON_SCHEMA = "dse.model/1"


def stats_json(evaluation: Evaluation) -> dict[str, Any]:
    """Return everything the model says, ready for JSON.

    Keys: ``schema``, ``timeloop_version``; ``cycles``, ``energy_pj``, ``energy_pj_per_compute``,
    ``edp_joule_cycles``, ``area_um2``, ``utilization`` (a fraction), ``computes``,
    ``compute_energy_pj``; ``levels`` by name, innermost first, each with ``cycles``,
    ``slowdown``, ``area_um2`` and ``leak_energy_pj`` of all its instances, and ``tensors`` by
    name with counts and ``energy_pj`` per instance (without address generation and leakage);
    ``networks`` by ``OUTER <==> INNER`` and tensor, per instance of the outer level. Of a sparse
    design also ``sparse_computes``, and for each tensor what `SparseTensorStats` has.
    """
    stats = evaluation.stats
    return {
        "schema": _JSON_SCHEMA,
        "timeloop_version": evaluation.input.timeloop_version,
        **asdict(stats),
        "energy_pj_per_compute": stats.energy_pj_per_compute,
        "edp_joule_cycles": stats.edp,
    }


def summary_text(evaluation: Evaluation) -> str:
    """Return a table of levels, and networks that cost energy, and the totals.

    What a level leaks stands in a row below that of its accesses; all rows add up to the total.
    """
    stats = evaluation.stats
    parts = list(energy_parts(evaluation.input.architecture, stats))
    rows = [("level", "cycles", "energy uJ", "pJ/compute", "share")]
    for place, of_place in groupby(parts, key=lambda part: part.place):
        own = list(of_place)
        leaked = sum(part.energy_pj for part in own if part.kind == "leakage")
        rest = sum(part.energy_pj for part in own if part.kind != "leakage")
        level = stats.levels.get(place)
        if level is not None or rest or own[0].kind == "compute":
            cycles = f"{level.cycles:,}" if level is not None else ""
            rows.append((place, cycles, *_shares(rest, stats)))
        if leaked:
            rows.append((f"{place} leakage", "", *_shares(leaked, stats)))
    total = (f"{stats.cycles:,}", f"{stats.energy_uj:,.4f}", f"{stats.energy_pj_per_compute:.4f}")
    rows.append(("total", *total, ""))
    head, *lines = aligned(rows)
    rule = "-" * len(head)
    totals = [
        f"cycles       {stats.cycles:,}",
        f"energy       {stats.energy_uj:,.4f} uJ",
        f"EDP          {stats.edp:.6g} J x cycle",
        f"utilization  {stats.utilization:.2%}",
        f"computes     {stats.computes:,}{_computed(stats)}",
        f"area         {stats.area_um2 / 1e6:.6g} mm^2"
        if stats.area_um2
        else "area         not given (no ART)",
    ]
    if isinstance(stats, SparseStats):
        totals += ["", *aligned(saved_rows(stats), names=5)]
    return "\n".join([head, rule, *lines[:-1], rule, lines[-1], "", *totals]) + "\n"


def _computed(stats: Stats) -> str:
    """Say what becomes of the computes of a sparse design."""
    if not isinstance(stats, SparseStats):
        return ""
    own = stats.sparse_computes
    return f", of which {own.random:,} happen, {own.gated:,} are gated, {own.skipped:,} skipped"


def saved_rows(stats: Stats) -> list[tuple[str, ...]]:
    """Return a table of what becomes of the accesses of one instance of every level.

    Its head is the first row; the first five columns are names.
    """
    head = ("one instance", "tensor", "format", "density", "access")
    rows: list[tuple[str, ...]] = [(*head, "words", "gated", "skipped")]
    for (place, tensor), found in groupby(saved_accesses(stats), lambda x: (x.level, x.tensor)):
        about: tuple[str, ...] = ()
        for own in found:
            named = (place, tensor, own.storage_format, f"{own.density:.4g}")
            about = ("",) * len(named) if about else named
            counts = (f"{own.words:,}", f"{own.gated:,}", f"{own.skipped:,}")
            rows.append((*about, own.access, *counts))
    return rows


def _shares(energy_pj: float, stats: Stats) -> tuple[str, str, str]:
    share = energy_pj / stats.energy_pj if stats.energy_pj else 0.0
    return f"{energy_pj / 1e6:,.4f}", f"{energy_pj / stats.computes:.4f}", f"{share:.1%}"


def energies_pj(evaluation: Evaluation) -> Iterator[tuple[str, float]]:
    """Yield (name, pJ) of the compute, the storage levels and the networks; the sum is the total.

    A storage level's energy includes its address generation and leakage.
    """
    parts = energy_parts(evaluation.input.architecture, evaluation.stats)
    for place, of_place in groupby(parts, key=lambda part: part.place):
        # a tensor's accesses and addresses first, as Timeloop adds
        by_tensor = groupby(of_place, key=lambda part: part.tensor)
        yield place, sum(sum(part.energy_pj for part in own) for _, own in by_tensor)


def map_text(evaluation: Evaluation) -> str:
    """Return the loop nest as ``timeloop-model.map.txt`` shows it, outermost loop first."""
    stats, problem = evaluation.stats, evaluation.input.problem
    mapping = evaluation.mapping
    lines: list[str] = []
    depth = 0
    for s in reversed(range(len(stats.levels))):
        name = evaluation.input.architecture.levels[s].name
        tensors = stats.levels[name].tensors
        kept = [
            f"{t}:{tensors[t].tile_words} ({tensors[t].utilized_capacity}) "
            for i, t in enumerate(problem.tensors)
            if mapping.keep[s, i]
        ]
        header = f"{name} [ {''.join(kept)}] "
        lines.append(header)
        shown = list(loops(evaluation, s))
        if not shown and s > 0:
            continue  # levels without loops share the next level's rule
        lines.append("-" * (len(header) - 1))
        for text in shown:
            lines.append(f"| {'  ' * depth}{text}")
            depth += 1
        if s > 0:
            lines.append("")
    lines.append(f"| {'  ' * depth}<< Compute >>")
    return "\n".join(lines) + "\n"


def loops(evaluation: Evaluation, s: int) -> Iterator[str]:
    """Yield the loops of one level, outermost first, those of one iteration left out."""
    dimensions = evaluation.input.problem.dimensions
    for loop in reversed(nest(evaluation.mapping, s)):
        if loop.end > 1:
            bound = f"{loop.end}" if loop.end == loop.remainder else f"{loop.end},{loop.remainder}"
            axis = f" (Spatial-{loop.axis})" if loop.axis else ""
            yield f"for {dimensions[loop.dimension]} in [0:{bound}){axis}"
