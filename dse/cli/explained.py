"""An explained run or layer as text for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from dse.cli.columns import table
from dse.explain.changes import ChangeOutcome, Worth
from dse.explain.layer import EnergyCells, ExplainedLayer, energy_table
from dse.explain.run import ExplainedRun
from dse.report.table import rates_rows
from dse.report.units import percent
from dse.timeloop.write.report import map_text, saved_rows


def run_text(run: ExplainedRun, outcomes: Sequence[ChangeOutcome], samples: int) -> str:
    """Return what limits each layer of a run, its energy, and what more hardware would buy."""
    values = {v.name: v.label(run.values[v.name]) for v in run.space.template.variables}
    whole = sum(layer.count * layer.stats.cycles for layer in run.layers)
    rows = [("layer", "limited by", "count", "cycles", "of all", "utilis.", "uJ", "of all")]
    pj = sum(layer.count * layer.stats.energy_pj for layer in run.layers)
    for layer in run.layers:
        cycles, energy_pj = layer.count * layer.stats.cycles, layer.count * layer.stats.energy_pj
        rows.append(
            (
                layer.name,
                layer.limited_by,
                str(layer.count),
                f"{layer.stats.cycles:,}",
                f"{cycles / whole:.1%}",
                f"{layer.utilization:.1%}",
                f"{layer.stats.energy_pj / 1e6:,.2f}",
                f"{energy_pj / pj:.1%}" if pj else "-",
            )
        )
    count = str(sum(layer.count for layer in run.layers))
    rows.append(("total (x count)", "", count, f"{whole:,}", "", "", f"{pj / 1e6:,.2f}", ""))
    idle = [(layer.name, "; ".join(layer.idle)) for layer in run.layers if layer.idle]
    parts = [
        f"{run.name}  {'  '.join(f'{k}={v}' for k, v in values.items())}\n",
        table(rows, names=2),
        *(["idle PEs\n" + "".join(f"  {n}: {why}\n" for n, why in idle)] if idle else []),
        "energy, all layers x count\n" + energy_text(energy_table(run.layers)),
        *zeros_text(run.layers),
        changes_text(outcomes, samples),
        "a layer in full: python -m dse explain RUN LAYER\n",
    ]
    return "\n".join(parts)


def layer_text(layer: ExplainedLayer, outcomes: Sequence[ChangeOutcome], samples: int) -> str:
    """Return everything that is known of one layer."""
    cycles, stats = layer.cycles, layer.stats
    rows = [("by itself", "needs cycles", "words/iteration", "words/cycle", "")]
    for limit in cycles.in_order:
        rows.append(
            (
                limit.name,
                f"{limit.needed:,.0f}",
                "" if limit.demand is None else f"{limit.demand:.4g}",
                "" if limit.available is None else f"{limit.available:g}",
                "<- binding" if limit is cycles.binding else "",
            )
        )
    latency = f", and {cycles.latency_cycles:,} of latency" if cycles.latency_cycles else ""
    said = f"{stats.cycles:,} cycles, limited by {layer.limited_by}{latency}"
    if cycles.slack:
        said += f"; without that limit {cycles.slack:.3g}x fewer"
    problem = layer.evaluation.input.problem
    spread = [
        f"  {f.used} of {f.mesh} below {f.level} along {f.axis}"
        f" ({', '.join(f'{d} {n}' for d, n in f.factors.items()) or 'nothing'})"
        f"{': ' + f.why_idle(problem) if f.used < f.mesh else ''}\n"
        for f in layer.fans
    ]
    busy = f"utilization {layer.utilization:.1%}"
    share = cycles.iterations / stats.cycles
    parts = [
        f"{layer.name}: {said}\n",
        map_text(layer.evaluation),
        table(rows),
        f"{busy}: PEs compute in {share:.1%} of the cycles\n" + "".join(spread),
        "energy\n" + energy_text(energy_table([_once(layer)])),
        *zeros_text([layer]),
        *([table(saved_rows(stats), names=5)] if layer.fates else []),
        changes_text(outcomes, samples),
    ]
    rates = rates_rows(layer.rates, what="run")
    if rates:
        parts.insert(-1, "".join(f"{label:6} {text}\n" for label, text in rates))
    return "\n".join(parts)


def zeros_text(layers: Sequence[ExplainedLayer]) -> list[str]:
    """Return what becomes of the computes of a sparse design, as one text; none of a dense one."""
    rows: list[tuple[str, ...]] = [("layer", "computes", "done", "gated", "skipped", "not there")]
    for layer in layers:
        fates = layer.fates
        if fates is None:
            return []
        whole = layer.stats.computes
        counts = (fates.random, fates.gated, fates.skipped, fates.absent)
        rows.append((layer.name, f"{whole:,}", *(f"{n / whole:.1%}" for n in counts)))
    return ["zeros: what becomes of the computes\n" + table(rows)]


def _once(layer: ExplainedLayer) -> ExplainedLayer:
    return ExplainedLayer(layer.name, 1, layer.problem, layer.evaluation)


def energy_text(found: EnergyCells) -> str:
    """Return energies by place and tensor in uJ; rows and columns add up to the total."""
    total = found.total_pj
    rows = [("uJ", *found.columns, "all", "share")]
    for place, cells in reversed(found.rows.items()):
        own = sum(cells)
        share = f"{own / total:.1%}" if total else "-"
        rows.append((place, *(_uj(x) for x in cells), _uj(own), share))
    sums = [sum(column) for column in zip(*found.rows.values(), strict=True)]
    rows.append(("all", *map(_uj, sums), _uj(total), ""))
    if total:
        rows.append(("share", *(f"{x / total:.1%}" for x in sums), "", ""))
    return table(rows)


def _uj(energy_pj: float) -> str:
    return f"{energy_pj / 1e6:,.3f}" if energy_pj else "-"


def changes_text(outcomes: Sequence[ChangeOutcome], samples: int) -> str:
    """Return what every change buys, relative to the hardware as it is.

    Args:
        outcomes: that of no change first.
        samples: with which layers were mapped again; 0: they were not.
    """
    own, *others = outcomes
    again = ("mapped again: cycles", "energy", "EDP") if samples else ()
    rows = [("one more", "as mapped: cycles", "energy", "EDP", *again, "area mm2")]
    notes = []
    base = own.mapped_again or own.as_mapped
    if samples:
        rows.append(_change_row(own, own.as_mapped, own.as_mapped, samples))
    for outcome in others:
        rows.append(_change_row(outcome, own.as_mapped, base, samples))
        if outcome.reason:
            notes.append(f"{outcome.what}: {outcome.reason}")
    head = "what one more would buy, exactly, with the mappings as they are"
    if samples:
        head += (
            f";\nand with the best of {samples:,} mappings a layer by hill climbing, against the "
            "same on\nthe hardware as it is (its own row: against the mappings as they are)"
        )
    text = f"{head}\n{table(rows)}"
    return text + "".join(f"  {note}\n" for note in notes)


def _change_row(
    outcome: ChangeOutcome, own: Worth | None, base: Worth | None, samples: int
) -> tuple[str, ...]:
    area = "-" if not outcome.area_um2 else f"{outcome.area_um2 / 1e6:.4f}"
    row = (outcome.what, *_gains(outcome.as_mapped, own))
    return (*row, *(_gains(outcome.mapped_again, base) if samples else ()), area)


def _gains(found: Worth | None, base: Worth | None) -> tuple[str, str, str]:
    if found is None or base is None:
        return "-", "-", "-"
    pairs = (
        (found.cycles, base.cycles),
        (found.energy_pj, base.energy_pj),
        (found.edp, base.edp),
    )
    cycles, energy, edp = (percent(new, old) for new, old in pairs)
    return cycles, energy, edp
