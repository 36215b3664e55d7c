"""What the page of a report shows of a run, as plain values for its templates."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

import yaml
from markupsafe import Markup

from dse.breakdown.energy import EnergyPart
from dse.domain.architecture import UNLIMITED, StorageLevel
from dse.explain.changes import Worth
from dse.explain.layer import ExplainedLayer
from dse.report.charts import Axis, Series, chart, mesh
from dse.report.reported import Reported
from dse.report.table import rates_rows
from dse.timeloop.write.figures import nest
from dse.timeloop.write.report import map_text

#: Classes of the style sheet for what is no tensor's.
_KINDS = {"leakage": "cleak", "network": "cnet", "compute": "cmac"}
_NAMES = {"delay": "cycles", "energy": "energy_pj", "area": "area_um2"}
#: Bars and points of one colour class.
_COLORS = 6

Values = dict[str, Any]


def run_view(run: Reported, place: int) -> Values:
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
        "legend": _legend(run.explained.layers),
        "energy": energies,
        "variables": list(_variables(run)),
        "convergence": convergence([run]),
        "trades": list(_trades(run)),
        "parameters": list(_parameters(run)),
        "roofline": _roofline(run),
        "neighbours": [
            _change(f"{x.variable}: {x.before} → {x.after}", x, run) for x in run.neighbours
        ],
        "changes": [_change(x.what, x, run) for x in run.changes[1:]],
        "remapped": run.samples,
        "mapping_alone": _gain(run.changes[0].mapped_again, run.changes[0].as_mapped),
        "layers": [
            _layer(layer, i, run, f"run{place}") for i, layer in enumerate(run.explained.layers)
        ],
        "command": run.command,
        "environment": _environment(run),
        "config": yaml.safe_dump(run.settings, sort_keys=False),
        "area": architecture.area_um2,
        "best": best,
    }


def goal(run: Reported) -> tuple[str, float]:
    """Return what the objective is called with its unit, and by what its values are divided."""
    told = run.content["objective"]
    if told["name"] == "edp":
        return "EDP, J x cycle", 1e12
    unit = f", {told['unit']}" if told["unit"] else ""
    return f"{told['name']}{unit}", 1.0


def goal_text(run: Reported) -> str:
    """Return what was reached, with its unit."""
    name, factor = goal(run)
    title, _, unit = name.partition(", ")
    return f"{title} {run.value / factor:.6g} {unit}".rstrip()


def _cards(run: Reported) -> list[Values]:
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
        yield "good", "Proven: no design of the space is better (dse certify checks it again)."
    elif proof and proof.get("gap") is not None:
        yield "good", f"Proven: nothing in the space is better by more than {proof['gap']:.3%}."
    elif proof:
        yield "open", f"Nothing proven: {proof.get('reason', '')}"
    if run.known is not None:
        unit = str(run.content["objective"]["unit"])
        factor = run.known.factor(run.value)
        kind = "good" if factor < 1.01 else "open"
        yield kind, f"This is {factor:.4f} times the {run.known.text(unit)} of this space."
    elif not proof:
        yield (
            "open",
            "No optimum of this space is known, and this search proves none: other seeds or more "
            "samples may find better designs.",
        )
    if not proof:
        seed = run.content["seed"]
        yield "note", f"One seed ({seed}). Sweep over several with -m seed=0,1,2 and compare."
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
        ("designs", f"{content['designs']:,}, of which {content['feasible_designs']:,} are valid"),
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
    own = content.get("own_design")
    if own and own["valid"]:
        factor = own["edp_pj_cycles"] / run.best["edp_pj_cycles"]
        rows.append(("template's own design", f"{factor:.3g} times this one's EDP"))
    return rows


def color(part: EnergyPart, tensors: Sequence[str]) -> str:
    """Return the class of what a part of the energy is drawn with."""
    if part.kind in _KINDS:
        return _KINDS[part.kind]
    return f"c{tensors.index(part.tensor or '') % _COLORS}"


def tensors_of(layers: Sequence[ExplainedLayer]) -> list[str]:
    """Return the names of all tensors of layers."""
    return list(dict.fromkeys(t for x in layers for t in x.evaluation.input.problem.tensors))


def _legend(layers: Sequence[ExplainedLayer]) -> list[tuple[str, str]]:
    tensors = tensors_of(layers)
    kinds = {part.kind for layer in layers for part in layer.energy if part.energy_pj}
    named = [(f"c{i % _COLORS}", name) for i, name in enumerate(tensors)]
    return [*named, *((css, kind) for kind, css in _KINDS.items() if kind in kinds)]


def energy_by_place(layers: Sequence[ExplainedLayer], *, once: bool = False) -> list[Values]:
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
                "tip": f"{place}, {of}: {pj / 1e6:,.4g} uJ, {_share(pj, total)} of all",
            }
            for (css, of), pj in cells.items()
            if pj
        ]
        rows.append(
            {
                "name": place,
                "segments": segments,
                "uj": f"{own / 1e6:,.3f}",
                "share": _share(own, total),
            }
        )
    return rows


def _percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.3f}" if whole else "0"


def _share(part: float, whole: float) -> str:
    return f"{part / whole:.1%}" if whole else "-"


def _tree(run: Reported, energies: Sequence[Values]) -> list[Values]:
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
                "area": _share(level.area_um2 * level.instances, area),
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
            "area": _share(compute.area_um2 * compute.instances, area),
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


def _variables(run: Reported) -> Iterator[Values]:
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


def convergence(runs: Sequence[Reported]) -> Markup:
    """Draw the best value so far over samples; of one run also every design's."""
    name, factor = goal(runs[0])
    series: list[Series] = []
    for number, run in enumerate(runs):
        css = f"c{number % _COLORS}"
        curve = [(x["samples"], x["best"] / factor) for x in run.designs if "best" in x]
        if len(runs) == 1:
            valid = [x for x in run.designs if x["valid"]]
            points = [(x["samples"], x["objective"] / factor) for x in valid]
            tips = [_design_tip(x, factor) for x in valid]
            series.append(Series("designs", points, tips, "dots", "cgrey"))
        changes = [
            p for i, p in enumerate(curve) if i in (0, len(curve) - 1) or p[1] != curve[i - 1][1]
        ]
        tips = [f"best {y:.6g} after {x:,} samples" for x, y in changes]
        told = "best so far" if len(runs) == 1 else run_name(run)
        series.append(Series(told, changes, tips, "step", css))
    values = [y for one in series for _, y in one.points]
    known = {run.known.value / factor for run in runs if run.known is not None}
    levels = [("proven optimum", value) for value in sorted(known)]
    log = bool(values) and min(values) > 0
    first = min((p[0] for one in series for p in one.points), default=1)
    last = max((p[0] for one in series for p in one.points), default=1)
    axis = Axis("samples", log=first > 0 and last > 50 * first)
    return chart(f"{name} over samples", axis, Axis(name, log=log), series, levels)


def run_name(run: Reported) -> str:
    """Return what tells a run from others on a page."""
    optimizer = run.content["optimizer"]["name"]
    return f"{optimizer}, seed {run.content['seed']} ({run.folder.name})"


def _design_tip(record: Mapping[str, Any], factor: float) -> str:
    values = ", ".join(f"{k}={v}" for k, v in record["values"].items())
    return f"{record['objective'] / factor:.6g}: {values}"


def _trades(run: Reported) -> Iterator[Markup]:
    """Draw what was traded, two objectives at a time; of one objective, energy and cycles."""
    front = run.content.get("front")
    valid = [x for x in run.designs if x["valid"]]
    if front is None:
        if len(valid) > 1:
            yield _cloud(valid)
        return
    goals = front["objectives"]
    for i, j in combinations(range(len(goals)), 2):
        series = []
        keys = [_NAMES.get(goals[k]["name"]) for k in (i, j)]
        if all(keys):
            points = [(x[keys[0]], x[keys[1]]) for x in valid]
            series.append(Series("all valid designs", points, (), "dots", "cgrey"))
        members = front["members"]
        points = [(m["objectives"][i], m["objectives"][j]) for m in members]
        tips = [
            f"{m['files']}: {p[0]:.5g}, {p[1]:.5g}; "
            + ", ".join(f"{k}={v}" for k, v in m["labels"].items())
            for m, p in zip(members, points, strict=True)
        ]
        series.append(Series("on the front", points, tips, "dots", "c1"))
        edge = _edge(points)
        series.append(Series("front of these two", edge, (), "step", "c0"))
        axes = [
            _axis(f"{goals[k]['name']}, {goals[k]['unit']}".rstrip(", "), [p[n] for p in points])
            for n, k in enumerate((i, j))
        ]
        yield chart(f"{axes[0].label} against {axes[1].label}", axes[0], axes[1], series)


def _cloud(valid: Sequence[Mapping[str, Any]]) -> Markup:
    points = [(x["cycles"], x["energy_pj"] / 1e6) for x in valid]
    tips = [
        f"{x:,.0f} cycles, {y:,.2f} uJ: " + ", ".join(f"{k}={v}" for k, v in d["values"].items())
        for (x, y), d in zip(points, valid, strict=True)
    ]
    series = [
        Series("valid designs", points, tips, "dots", "c0"),
        Series("no other beats them in both", _edge(points), (), "step", "c1"),
    ]
    axes = _axis("cycles", [p[0] for p in points]), _axis("energy, uJ", [p[1] for p in points])
    return chart("energy against cycles of all designs", *axes, series)


def _axis(label: str, values: Sequence[float]) -> Axis:
    log = bool(values) and min(values) > 0 and max(values) > 5 * min(values)
    return Axis(label, log)


def _edge(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the points that no other beats in both."""
    edge: list[tuple[float, float]] = []
    for point in sorted(points):
        if not edge or point[1] < edge[-1][1]:
            edge.append(point)
    return edge


def _parameters(run: Reported) -> Iterator[Values]:
    """Draw every free variable's values against the objective."""
    name, factor = goal(run)
    valid = [x for x in run.designs if x["valid"]]
    if len(valid) < 2:
        return
    for variable in run.explained.space.free:
        points = [(float(x["values"][variable.name]), x["objective"] / factor) for x in valid]
        tips = [_design_tip(x, factor) for x in valid]
        best = [(float(run.explained.values[variable.name]), run.value / factor)]
        names = {float(i): text for i, text in enumerate(variable.choices)}
        log = variable.sampling == "powers_of_two"
        label = f"{variable.name}{', ' if variable.unit else ''}{variable.unit}"
        values = [p[1] for p in points]
        drawn = chart(
            f"{name} against {variable.name}",
            Axis(label, log=log, names=names),
            Axis(name, log=min(values) > 0),
            [
                Series("designs", points, tips, "dots", "c0"),
                Series("best", best, [f"best: {run.value / factor:.6g}"], "dots", "c1"),
            ],
        )
        yield {"name": variable.name, "chart": drawn}


def _roofline(run: Reported) -> Markup | None:
    """Draw what layers compute in a cycle against the bytes of the outermost level they take."""
    architecture = run.explained.architecture
    outermost = architecture.levels[-1]
    words = min(outermost.shared_bandwidth, outermost.read_bandwidth + outermost.write_bandwidth)
    points, tips = [], []
    for layer in run.explained.layers:
        found = layer.stats.levels[outermost.name].tensors.values()
        moved = sum((t.reads + t.fills + t.updates) * t.utilized_instances for t in found)
        if not moved:
            continue
        intensity = layer.problem.macs / (moved * outermost.word_bits / 8)
        achieved = layer.problem.macs / layer.stats.cycles
        points.append((intensity, achieved))
        tips.append(
            f"{layer.name}: {achieved:.4g} MACs a cycle, {intensity:.4g} MACs a byte of "
            f"{outermost.name}; limited by {layer.limited_by}"
        )
    if not points:
        return None
    peak = float(architecture.compute.instances)
    low, high = min(p[0] for p in points) / 2, max(p[0] for p in points) * 2
    roof = [(low, peak), (high, peak)]
    if words != UNLIMITED:
        per_cycle = words * outermost.word_bits / 8 * outermost.instances
        ridge = peak / per_cycle
        high = max(high, 2 * ridge)
        roof = [(low, min(low * per_cycle, peak))]
        roof += [(ridge, peak)] if ridge > low else []
        roof += [(high, peak)]
    return chart(
        "roofline",
        Axis(f"MACs per byte of {outermost.name}", log=True),
        Axis("MACs per cycle", log=True),
        [
            Series("roof", roof, (), "line", "c1"),
            Series("layers", points, tips, "dots", "c0"),
        ],
    )


def _change(what: str, found: Any, run: Reported) -> Values:  # noqa: ANN401 - two of a kind
    own = run.changes[0]
    kept = found.as_mapped if hasattr(found, "as_mapped") else found.worth
    again = found.mapped_again
    base = own.mapped_again if again is not None else own.as_mapped
    gains = _gain(again or kept, base)
    return {
        "what": what,
        "gains": gains,
        "area": f"{found.area_um2 / 1e6:.4f}" if found.area_um2 else "-",
        "reason": found.reason if gains is None else "",
    }


def _gain(found: Worth | None, base: Worth | None) -> list[Values] | None:
    """Return changes of cycles, energy and EDP in percent, as texts and as bars."""
    if found is None or base is None:
        return None
    pairs = ((found.cycles, base.cycles), (found.energy_pj, base.energy_pj), (found.edp, base.edp))
    gains = []
    for new, old in pairs:
        change = 100 * (new / old - 1) if old else 0.0
        gains.append(
            {
                "text": f"{change:+.3g} %" if change else "0",
                "css": "better" if change < 0 else "worse" if change > 0 else "",
                "width": f"{min(abs(change), 50.0):.2f}",
            }
        )
    return gains


def _layer(layer: ExplainedLayer, index: int, run: Reported, prefix: str) -> Values:
    layers = run.explained.layers
    cycles = sum(x.count * x.stats.cycles for x in layers)
    energy_pj = sum(x.count * x.stats.energy_pj for x in layers)
    most = max(x.count * x.stats.energy_pj for x in layers)
    own_pj, own_cycles = layer.count * layer.stats.energy_pj, layer.count * layer.stats.cycles
    tensors = tensors_of(layers)
    by_color: dict[tuple[str, str], float] = {}
    for part in layer.energy:
        key = color(part, tensors), part.kind if part.kind in _KINDS else str(part.tensor)
        by_color[key] = by_color.get(key, 0.0) + part.energy_pj
    breakdown, problem = layer.cycles, layer.evaluation.input.problem
    return {
        "id": f"{prefix}-layer{index}",
        "index": index,
        "name": layer.name,
        "count": layer.count,
        "cycles": f"{layer.stats.cycles:,}",
        "cycles_share": _share(own_cycles, cycles),
        "cycles_width": _percent(own_cycles, max(x.count * x.stats.cycles for x in layers)),
        "cycles_order": own_cycles,
        "energy_order": own_pj,
        "limited_by": layer.limited_by,
        "bound": breakdown.binding.bandwidth or "compute",
        "utilization": f"{layer.utilization:.1%}",
        "uj": f"{layer.stats.energy_pj / 1e6:,.3f}",
        "energy_share": _share(own_pj, energy_pj),
        "segments": [
            {
                "css": css,
                "width": _percent(layer.count * pj, most),
                "tip": f"{layer.name}, {of}: {pj / 1e6:,.4g} uJ, "
                f"{_share(pj, layer.stats.energy_pj)} of the layer",
            }
            for (css, of), pj in by_color.items()
            if pj
        ],
        "energy": energy_by_place([layer], once=True),
        "limits": [
            {
                "name": limit.name,
                "cycles": f"{limit.cycles:,.0f}",
                "width": _percent(limit.cycles, breakdown.binding.cycles),
                "binding": limit is breakdown.binding,
                "words": ""
                if limit.demand is None
                else f"{limit.demand:.4g} of {limit.available:g} words/cycle",
            }
            for limit in sorted(breakdown.limits, key=lambda x: -x.cycles)
        ],
        "latency": f"{breakdown.latency_cycles:,}" if breakdown.latency_cycles else "",
        "slack": f"{breakdown.binding.cycles / breakdown.next_cycles:.3g}"
        if breakdown.next_cycles
        else "",
        "compute_share": f"{breakdown.iterations / layer.stats.cycles:.1%}",
        "fans": [
            {
                "text": f"{f.used} of {f.mesh} below {f.level} along {f.axis}",
                "factors": " x ".join(f"{d} {n}" for d, n in f.factors.items()) or "nothing",
                "width": _percent(min(f.used, f.mesh), f.mesh),
                "why": f.why_idle(problem),
            }
            for f in layer.fans
        ],
        "rates": rates_rows(layer.rates, what="run"),
        "bounds": ", ".join(f"{d}={n}" for d, n in problem.bounds.items()),
        "nest": map_text(layer.evaluation),
        "tiling": list(_tiling(layer)),
        "levels": [
            (f"l{s % _COLORS}", level.name)
            for s, level in reversed(list(enumerate(layer.architecture.levels)))
        ],
    }


def _tiling(layer: ExplainedLayer) -> Iterator[Values]:
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


def _environment(run: Reported) -> list[tuple[str, str]]:
    environment = run.environment
    rows = [
        (key, str(environment[key])) for key in ("dse", "python", "started") if key in environment
    ]
    packages = environment.get("packages")
    if isinstance(packages, dict):
        rows.append(("packages", ", ".join(f"{k} {v}" for k, v in packages.items())))
    return rows
