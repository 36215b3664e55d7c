"""What the page of a report shows of a run, as plain values for its templates."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import yaml

from dse.cosearch.certificate import FRONT, gap_is_proven, why_nothing_is_proven
from dse.domain.architecture import UNLIMITED, StorageLevel
from dse.explain.changes import ChangeOutcome, HardwareOutcome, Worth
from dse.goals.certificate import times
from dse.goals.mapspace_text import mapspace_text
from dse.report.charts import mesh
from dse.report.layer_views import (
    View,
    energy_by_place,
    energy_legend,
    layer_view,
    limits_of_all,
    share,
)
from dse.report.networks import accuracy_chart, network_facts, searches_networks
from dse.report.reported import Reported
from dse.report.run_charts import convergence, goal, parameters, roofline, trades
from dse.report.units import percent

#: A best design that is found after this part of the samples is found late.
_LATE = 0.9


def run_view(run: Reported, place: int) -> View:
    """Return everything that is shown of one run; ``place`` counts runs on the page."""
    best, architecture = run.best, run.explained.architecture
    energies = energy_by_place(run.explained.layers)
    return {
        "id": f"run{place}",
        "title": run.explained.name,
        "folder": str(run.folder),
        "cards": _cards(run),
        "sure": list(_sure(run)),
        "facts": _facts(run),
        "tree": _tree(run, energies),
        "legend": energy_legend(run.explained.layers),
        "energy": energies,
        "variables": list(_variables(run)),
        "convergence": convergence([run]),
        "trades": [accuracy_chart(run)] if searches_networks(run.content) else list(trades(run)),
        "parameters": list(parameters(run)),
        "roofline": roofline(run),
        "neighbours": [
            _change(f"{x.variable}: {x.before} → {x.after}", x, run) for x in run.neighbours
        ],
        "changes": [_change(x.what, x, run) for x in _most_gained_first(run)],
        "most_gained": _most_gained(run),
        "limits": limits_of_all(run.explained.layers),
        "remapped": run.samples,
        "mapping_alone": _gain(run.changes[0].mapped_again, run.changes[0].as_mapped),
        "layers": [
            layer_view(layer, i, run.explained.layers, f"run{place}")
            for i, layer in enumerate(run.explained.layers)
        ],
        "command": run.command,
        "environment": _environment(run),
        "config": yaml.safe_dump(run.settings, sort_keys=False),
        "area": architecture.area_um2,
        "best": best,
    }


def _cards(run: Reported) -> list[View]:
    best = run.best
    name, factor = goal(run)
    cards = [{"name": name, "value": f"{run.value / factor:.4g}"}]
    cards.append({"name": "cycles", "value": f"{best['cycles']:,.0f}"})
    cards.append({"name": "energy, uJ", "value": f"{best['energy_pj'] / 1e6:,.2f}"})
    if "seconds" in best:
        cards.append({"name": "time, ms", "value": f"{best['seconds'] * 1e3:.4g}"})
        cards.append({"name": "power, W", "value": f"{best['power_w']:.4g}"})
        cards.append({"name": "inferences/s", "value": f"{best['inferences_per_s']:.4g}"})
        if best["tops_per_w"] is not None:
            cards.append({"name": "TOPS/W", "value": f"{best['tops_per_w']:.4g}"})
    if best["area_um2"]:
        cards.append({"name": "area, mm²", "value": f"{best['area_um2'] / 1e6:.4f}"})
    cards.append({"name": "utilization", "value": f"{best['utilization']:.1%}"})
    return cards


def _sure(run: Reported) -> Iterator[tuple[str, str]]:
    """Yield how sure we are, each with a class: ``good``, ``open`` or ``note``."""
    proof = run.content.get("certificate")
    if proof and proof["status"] == "optimal":
        yield "good", "Proven: no design of this mapspace is better (dse certify checks it again)."
    elif proof and proof["status"] == FRONT:
        count = len(proof["points"])
        yield "good", f"Proven of each of {count} designs: nothing of this mapspace dominates it."
    elif proof and gap_is_proven(proof):
        yield "good", f"Proven: nothing of this mapspace is better by more than {proof['gap']:.3%}."
    elif proof:
        yield "open", f"Nothing proven: {why_nothing_is_proven(proof)}."
    searched = run.content.get("mapspace", {})
    about = mapspace_text(free=searched.get("free", False), padding=searched.get("padding", "off"))
    yield "note", f"This mapspace: {about}."
    if run.known is not None:
        unit = str(run.content["objective"]["unit"])
        factor = run.known.factor(run.value)
        kind = "good" if factor < 1.01 else "open"
        yield kind, f"This is {factor:.4f} times the {run.known.text(unit)}."
    elif not proof:
        yield (
            "open",
            "No optimum of this mapspace is known, and this search proves none: other seeds or "
            "more samples may find better designs.",
        )
    if not proof:
        seed = run.content["seed"]
        yield "note", f"One seed ({seed}). Sweep over several with -m seed=0,1,2 and compare."
        yield from _last_improved(run)
    for name, end in run.best["at_edge"].items():
        which = "smallest" if end == "minimum" else "largest"
        value = run.best["labels"][name]
        yield (
            "open",
            f"{name} = {value} is the {which} that the template allows: the range bounds what can "
            "be found.",
        )
    if run.explained.evaluator != "native":
        yield (
            "note",
            f"Evaluator {run.explained.evaluator} priced the designs; what is explained below is "
            "Timeloop's model of the same mappings.",
        )
    if run.agrees:
        yield (
            "good",
            "Every layer was evaluated again for this report; they add up to the run's result.",
        )
    if run.explained.evaluator == "native":
        yield (
            "note",
            "The numbers are the native model's, which is tested against Timeloop's recorded "
            f"answers; python -m dse validate {run.folder} compares this run's designs with a "
            "timeloop-model where one is found.",
        )


def _last_improved(run: Reported) -> Iterator[tuple[str, str]]:
    """Yield when the best design was found, and whether that was late."""
    best = [(x["samples"], x["best"]) for x in run.designs if "best" in x]
    if not best:
        return
    last = next(samples for samples, value in best if value == best[-1][1])
    total = int(run.content["samples"])
    told = f"The best design was found after {last:,} of {total:,} samples"
    if last > _LATE * total:
        yield "open", f"{told}: the search was still getting better."
    else:
        yield "note", f"{told}."


def _facts(run: Reported) -> list[tuple[str, str]]:
    content = run.content
    space = run.explained.space
    told = ("name",)
    settings = content["optimizer"]
    extra = ", ".join(f"{k}={v}" for k, v in settings.items() if k not in told and v is not None)
    free = ", ".join(v.name for v in space.free) or "none"
    rows = [
        ("workload", f"{space.workload.name}: {len(space.workload)} unique layers"),
        ("template", f"{space.template.name}: {space.template.description}"),
        ("free variables", free),
        ("objective", str(content["objective"]["name"])),
        ("optimizer", f"{settings['name']}{': ' if extra else ''}{extra}"),
        ("mapper", str(content["mapper"]["name"])),
        ("samples", f"{content['samples']:,} mappings evaluated for every unique layer"),
        ("designs", _designs(run)),
        ("seed", str(content["seed"])),
        (
            "model",
            f"{content['evaluator']['name']}, Timeloop {content['timeloop_version']}, "
            f"energy chain {content['energy']}",
        ),
    ]
    rates = run.explained.layers[0].architecture.technology
    if rates is not None:
        rows.append(("technology", f"{rates.node_nm:g} nm, {1e3 / rates.clock_ns:.4g} MHz"))
    if searches_networks(content):
        return [*rows, *network_facts(content)]
    own = content.get("own_design")
    if own and own["valid"]:
        factor = times(own["edp_pj_cycles"], run.best["edp_pj_cycles"])
        area = f", {own['area_um2'] / 1e6:.4f} mm²" if own["area_um2"] else ""
        worth = (
            f"{own['cycles']:,.0f} cycles, {own['energy_pj'] / 1e6:,.2f} uJ{area}: "
            f"{factor:.3g} times this one's EDP, mapped with as many samples"
        )
        rows.append(("template's own design", worth))
    return rows


def _designs(run: Reported) -> str:
    """Say how many designs were seen: hardware with mappings, some of them of equal hardware."""
    content = run.content
    hardware = len({tuple(sorted(x["values"].items())) for x in run.designs})
    return (
        f"{content['designs']:,} (hardware with its mappings), of which "
        f"{content['feasible_designs']:,} are valid; {hardware:,} different pieces of hardware"
    )


def _tree(run: Reported, energies: Sequence[View]) -> list[View]:
    """Return the levels, outermost first, and the compute, with the fan-out below each."""
    architecture = run.explained.architecture
    shares = {row["name"]: row["share"] for row in energies}
    area = architecture.area_um2
    nodes = []
    for s, level in reversed(list(enumerate(architecture.levels))):
        across, down = architecture.fanout(s)
        inner = architecture.levels[s - 1].name if s else architecture.compute.name
        nodes.append(
            {
                "name": level.name,
                "kind": level.kind,
                "size": _size(level),
                "instances": level.instances,
                "bandwidth": _bandwidth(level),
                "energy": shares.get(level.name, "-"),
                "area": share(level.area_um2 * level.instances, area),
                "fan": None
                if across * down == 1
                else {
                    "mesh": mesh(across, down),
                    "text": f"{across} x {down}" if down > 1 else f"{across}",
                },
                "network": shares.get(f"{level.name} <==> {inner}"),
            }
        )
    compute = architecture.compute
    nodes.append(
        {
            "name": compute.name,
            "kind": compute.kind,
            "size": f"{compute.word_bits} bits",
            "instances": compute.instances,
            "bandwidth": "one operation a cycle each",
            "energy": shares.get(compute.name, "-"),
            "area": share(compute.area_um2 * compute.instances, area),
            "fan": None,
            "network": None,
        }
    )
    return nodes


def _size(level: StorageLevel) -> str:
    if level.size_words is None:
        return "unlimited"
    size = level.size_words * level.word_bits / 8
    text = f"{size / 1024:,.4g} KB" if size >= 1024 else f"{size:,.4g} B"
    return f"{text} ({level.size_words:,} words of {level.word_bits} bits)"


def _bandwidth(level: StorageLevel) -> str:
    kinds = ("read", "write", "shared")
    values = ((kind, getattr(level, f"{kind}_bandwidth")) for kind in kinds)
    said = [f"{kind} {value:g}" for kind, value in values if value != UNLIMITED]
    return f"words/cycle: {', '.join(said)}" if said else "bandwidth not limited"


def _variables(run: Reported) -> Iterator[View]:
    own = (run.content.get("own_design") or {}).get("labels", {})
    space = run.explained.space
    for variable in space.template.variables:
        value = run.explained.values[variable.name]
        place = variable.index_of(value) / max(variable.count - 1, 1)
        ends = variable.label(variable.minimum), variable.label(variable.maximum)
        yield {
            "name": variable.name,
            "value": variable.label(value),
            "unit": variable.unit,
            "description": variable.description,
            "place": f"{100 * place:.1f}",
            "ends": ends,
            "fixed": variable.name in space.fixed,
            "edge": variable.name in run.best["at_edge"],
            "own": own.get(variable.name, ""),
            "choice": bool(variable.choices),
        }


def _worths(found: HardwareOutcome, run: Reported) -> tuple[Worth | None, Worth | None]:
    """Return what other hardware is worth, and what the hardware as it is, mapped alike."""
    own = run.changes[0]
    base = own.as_mapped if found.mapped_again is None else own.mapped_again
    return found.mapped_again or found.as_mapped, base


def _edp_ratio(found: HardwareOutcome, run: Reported) -> float:
    """Return the EDP of a change over that of the hardware as it is.

    1 of nothing over nothing; infinite where there is no EDP, or one over nothing.
    """
    worth, base = _worths(found, run)
    if worth is None or base is None:
        return math.inf
    if not base.edp:
        return math.inf if worth.edp else 1.0
    return worth.edp / base.edp


def _most_gained_first(run: Reported) -> list[ChangeOutcome]:
    return sorted(run.changes[1:], key=lambda change: _edp_ratio(change, run))


def _most_gained(run: Reported) -> str:
    """Say what the best of the changes gains."""
    if len(run.changes) < 2:
        return ""
    best = _most_gained_first(run)[0]
    ratio = _edp_ratio(best, run)
    if not ratio < 1.0:
        return "None of them lowers the EDP."
    return f"The EDP falls most with {best.what}: by {1 - ratio:.3%}."


def _change(what: str, found: HardwareOutcome, run: Reported) -> View:
    """Return a row: what a change of the hardware buys, against the hardware as it is."""
    gains = _gain(*_worths(found, run))
    return {
        "what": what,
        "gains": gains,
        "area": f"{found.area_um2 / 1e6:.4f}" if found.area_um2 else "-",
        "reason": _short(found.reason) if gains is None else "",
    }


def _short(reason: str) -> str:
    """Leave the template's path and all values of the variables out of a reason."""
    _, _, rest = reason.partition(": with ")
    return rest.partition(": ")[2] or reason


def _gain(found: Worth | None, base: Worth | None) -> list[View] | None:
    """Return changes of cycles, energy and EDP in percent, as texts and as bars."""
    if found is None or base is None:
        return None
    pairs = ((found.cycles, base.cycles), (found.energy_pj, base.energy_pj), (found.edp, base.edp))
    gains = []
    for new, old in pairs:
        change = 100 * (new / old - 1) if old else 0.0
        gains.append(
            {
                "text": percent(new, old),
                "css": "better" if new < old else "worse" if new > old else "",
                "width": f"{min(abs(change), 50.0):.2f}",
            }
        )
    return gains


def _environment(run: Reported) -> list[tuple[str, str]]:
    found = run.environment
    rows: list[tuple[str, str]] = []
    for key in ("dse", "python", "started"):
        if key in found:
            rows.append((key, str(found[key])))
    packages = found.get("packages")
    if isinstance(packages, dict):
        rows.append(("packages", ", ".join(f"{k} {v}" for k, v in packages.items())))
    return rows
