"""Random search spaces, small enough for brute force, and their optimum by brute force.

A space is described by a ``Recipe``: plain data from which the search, the certifier, a run folder
and the brute force each make their own. The brute force builds every design by the template and
looks at every mapping of the mapspace by the exact kernel; it shares the mapspace with the search
and the model with both.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from dse.components.chain import energy_chain
from dse.domain.architecture import Architecture, HardwareBatch
from dse.domain.problem import SHAPES, Layer, Problem, Workload
from dse.errors import SpecError
from dse.goals.limits import limits
from dse.goals.objective import objective
from dse.mapspace.cache import MapspaceCache
from dse.mapspace.enumeration import enumerate_valid, tilings
from dse.model.arrays import version_number
from dse.model.evaluate import evaluate_exact
from dse.numeric import Floats
from dse.space.search_space import SearchSpace
from dse.space.template import ArchTemplate

PROVABLE = ("edp", "energy", "delay", "adp", "eadp")


@dataclass(frozen=True)
class Recipe:
    """A search space as plain data."""

    template: dict[str, Any]
    layers: list[dict[str, Any]]
    shape: str
    energy: str
    objective: str
    version: str
    constraints: str = ""
    fixed: dict[str, Any] = field(default_factory=dict)
    #: Layers of the first of two networks; 0: there is one.
    first: int = 0

    def space(self) -> SearchSpace:
        """Build it; SpecError where it is none."""
        template = ArchTemplate.parse(self.template, "fuzz")
        return SearchSpace(
            template, self._workload(), energy_chain(self.energy), self.fixed,
            objective(self.objective), timeloop_version=self.version,
            limits=limits(self.constraints),
        )  # fmt: skip

    def _workload(self) -> Workload:
        layers = tuple(map(self._layer, self.layers))
        if not self.first:
            return Workload("net", layers)
        parts = layers[: self.first], layers[self.first :]
        return Workload.of_networks([Workload(f"net{i}", own) for i, own in enumerate(parts)])

    def _layer(self, entry: dict[str, Any]) -> Layer:
        shape = SHAPES[self.shape]
        bounds = {d: entry.get(d, 1) for d in shape.dimensions}
        steps = {c: entry[c] for c in shape.coefficients if c in entry}
        return Layer(entry["name"], Problem(shape, bounds, steps), entry.get("count", 1))

    def workload(self) -> dict[str, Any]:
        """Return the content of a workload file."""
        return {"name": "net", "shape": self.shape, "layers": self.layers}

    def __str__(self) -> str:
        shown = {k: v for k, v in self.template.items() if k in ("variables", "budget", "require")}
        return (
            f"{self.template['name']} {shown} {self.shape} {self.layers} {self.energy} "
            f"{self.objective} {self.version} '{self.constraints}' fixed={self.fixed} "
            f"first={self.first}"
        )


def random_recipe(rng: np.random.Generator) -> Recipe:
    """Draw a space that can be built."""
    while True:
        make = _systolic if rng.random() < 0.75 else _levels
        shape, layers = _layers(rng)
        recipe = Recipe(
            template=make(rng, shape),
            layers=layers,
            shape=shape,
            energy=str(rng.choice(["dosa", "pat", "table"], p=[0.5, 0.3, 0.2])),
            objective=str(rng.choice(PROVABLE)),
            version=str(rng.choice(["4cf6d4c", "3.0.3", "dosa"], p=[0.6, 0.25, 0.15])),
        )
        if recipe.objective in ("adp", "eadp") and recipe.energy == "pat":
            continue  # no areas
        recipe = _limited(rng, recipe)
        try:
            space = recipe.space()
        except SpecError:
            continue
        # one in ten spaces may be empty
        possible = rng.random() < 0.1 or next(designs(space), None) is not None
        if possible and size_of(space) <= 200_000:
            return recipe


def large_recipe(rng: np.random.Generator) -> Recipe:
    """Draw a space of systolic arrays that can be built, far too large for brute force."""
    while True:
        shape = str(rng.choice(["cnn-layer", "gemm"], p=[0.8, 0.2]))
        layers = []
        for n in range(int(rng.integers(1, 5))):
            entry: dict[str, Any] = {"name": f"l{n}", "count": int(rng.integers(1, 5))}
            for d in SHAPES[shape].dimensions:
                window = d in "RSN" and shape == "cnn-layer"
                entry[d] = _pick(rng, 1, 1, 3) if window else _pick(rng, 1, 14, 28, 48, 64, 120)
            layers.append(entry)
        template = _systolic(rng, shape)
        for name in ("sp", "acc"):
            if name in template["variables"]:
                template["variables"][name] = {"min": 8, "max": 8 * int(rng.integers(9, 400))}
        for name in ("rows", "cols", "pe"):
            if name in template["variables"]:
                template["variables"][name] = {"min": 2, "max": int(rng.integers(4, 24))}
        recipe = Recipe(
            template, layers, shape, "dosa", str(rng.choice(PROVABLE)),
            str(rng.choice(["4cf6d4c", "3.0.3", "dosa"])),
        )  # fmt: skip
        try:
            recipe = _limited(rng, recipe)
            recipe.space()
        except (SpecError, ValueError):
            continue
        return recipe


def _pick(rng: np.random.Generator, *choices: Any) -> Any:
    return choices[int(rng.integers(len(choices)))]


def _layers(rng: np.random.Generator) -> tuple[str, list[dict[str, Any]]]:
    shapes = ["cnn-layer", "gemm", "grouped-cnn-layer", "depthwise-cnn-layer", "batched-gemm"]
    shape = str(rng.choice(shapes, p=[0.55, 0.2, 0.1, 0.08, 0.07]))
    dimensions = SHAPES[shape].dimensions
    layers = []
    for n in range(int(rng.integers(1, 4))):
        entry: dict[str, Any] = {"name": f"l{n}", "count": int(rng.integers(1, 4))}
        used = rng.permutation(len(dimensions))[: int(rng.integers(2, 5))]
        for i in used:
            entry[dimensions[i]] = int(_pick(rng, 2, 3, 4, 6, 8, 12))
        for key in SHAPES[shape].coefficients:
            if rng.random() < 0.15:
                entry[key] = 2
        layers.append(entry)
    return shape, layers


def _values(rng: np.random.Generator, *choices: int) -> dict[str, Any]:
    """Return a variable with some of the choices, or now and then a range."""
    if rng.random() < 0.15:
        low = int(choices[0])
        return {"min": low, "max": low + int(rng.integers(1, 4))}
    count = int(rng.integers(1, min(len(choices), 3) + 1))
    chosen = sorted(rng.permutation(len(choices))[:count])
    return {"values": [int(choices[i]) for i in chosen]}


def _systolic(rng: np.random.Generator, shape: str) -> dict[str, Any]:
    """Draw something like Gemmini, whose attributes depend on variables in many ways."""
    gemm = "gemm" in shape
    variables: dict[str, Any] = {}
    derived: dict[str, str] = {}
    style = _pick(rng, "square", "two", "two", "three", "derived")
    if style == "square":
        variables["pe"] = _values(rng, 2, 3, 4, 8)
        rows = cols = "pe"
    elif style == "three":
        variables |= {"rows": _values(rng, 1, 2, 4), "cols": _values(rng, 1, 2, 4)}
        variables["times"] = _values(rng, 1, 2)
        rows, cols = "rows * times", "cols"
    else:
        few = (1, 2, 4, 8) if rng.random() < 0.25 else (2, 3, 4, 8)
        variables |= {"rows": _values(rng, *few), "cols": _values(rng, *few)}
        rows, cols = "rows", "cols"
    pes = f"{rows} * {cols}"
    if style == "derived":
        derived["pes"] = pes
        pes = "pes"
    variables["sp"] = _values(rng, 8, 16, 32, 64, 128)
    variables["acc"] = _values(rng, 4, 8, 16, 32, 64)
    if rng.random() < 0.15:
        del variables["sp"]
        sp_words = "48"
    else:
        sp_words = _pick(rng, "sp", "sp", "sp * 2", "140 - sp", "sp + 8")
    acc_words = _pick(
        rng, "acc", f"acc // ({cols})", f"acc * 4 // ({cols})", f"acc / ({cols})", "acc + sp"
        if "sp" in variables else "acc", "max(acc, 8)",
    )  # fmt: skip
    scratchpad: dict[str, Any] = {
        "name": "Scratchpad", "class": "SRAM", "word_bits": 8, "size_words": sp_words,
    }  # fmt: skip
    accumulator: dict[str, Any] = {
        "name": "Accumulator", "class": "SRAM", "word_bits": 32, "size_words": acc_words,
    }  # fmt: skip
    across = _pick(rng, "x", "x", "y")
    accumulator[f"mesh_{across}"] = cols
    down = _pick(rng, "x", "x", "y")
    registers: dict[str, Any] = {
        "name": "Registers", "class": "regfile", "word_bits": 8, "size_words": 1,
    }  # fmt: skip
    if down == across:
        registers[f"mesh_{across}"] = pes
    else:
        registers |= {f"mesh_{across}": cols, f"mesh_{down}": rows}
    dram: dict[str, Any] = {"name": "DRAM", "class": "DRAM", "word_bits": 8}
    _attributes(rng, variables, dram, scratchpad, accumulator)
    w, i, o = ("B", "A", "Z") if gemm and rng.random() < 0.5 else ("Weights", "Inputs", "Outputs")
    c, k = ("K", "N") if w == "B" else ("C", "K")
    order = ["M", "K", "N"] if w == "B" else ["P", "Q", "N", "C", "R", "S", "K"]
    below = [c]
    if w != "B" and rng.random() < 0.15:
        variables["reduced"] = {"choices": ["C", "R"] if rng.random() < 0.5 else ["C", "S"]}
        below = ["reduced"]
    dram["constraints"] = {"keep": [w, i, o], "spatial": {"dimensions": []}}
    scratchpad["constraints"] = {
        "keep": [w, i], "bypass": [o], "temporal": {"dimensions": []},
        "spatial": {"dimensions": [k], "x": [k] if across == "x" else [],
                    "y": [k] if across == "y" else []},
    }  # fmt: skip
    accumulator["constraints"] = {
        "keep": [o], "bypass": [w, i], "temporal": {"permutation": order},
        "spatial": {"dimensions": below, "x": below if down == "x" else [],
                    "y": below if down == "y" else []},
    }  # fmt: skip
    registers["constraints"] = {
        "keep": [w], "bypass": [i, o],
        "temporal": {"dimensions": ["M" if w == "B" else "P"]}, "spatial": {"dimensions": []},
    }  # fmt: skip
    _twist(rng, variables, scratchpad, accumulator, c, k)
    content: dict[str, Any] = {
        "name": "systolic", "energy": "dosa",
        "technology": {"node_nm": 40, "clock_ns": 5, "dram": "LPDDR4"},
        "variables": variables, "storage": [dram, scratchpad, accumulator, registers],
        "compute": {
            "name": "MACC", "class": "intmac", "word_bits": 8,
            **{key: value for key, value in registers.items() if key.startswith("mesh")},
        },
    }  # fmt: skip
    if derived:
        content["derived"] = derived
    return content


def _attributes(
    rng: np.random.Generator, variables: dict[str, Any], dram: dict[str, Any],
    scratchpad: dict[str, Any], accumulator: dict[str, Any],
) -> None:  # fmt: skip
    """Give levels bandwidths, blocks, widths and buffering, some of them by variables."""
    dram["block_size"] = _pick(rng, 1, 4, 16)
    dram["shared_bandwidth"] = _pick(rng, 1, 4, 64)
    scratchpad["block_size"] = _pick(rng, 1, 2, 4)
    if rng.random() < 0.5:
        scratchpad["shared_bandwidth"] = _pick(rng, 2, 4, 32)
    if rng.random() < 0.5:
        accumulator["shared_bandwidth"] = _pick(rng, 0.5, 1, 2)
    if rng.random() < 0.25:
        variables["bw"] = _values(rng, 1, 2, 4)
        level = _pick(rng, dram, scratchpad, accumulator)
        level[_pick(rng, "read_bandwidth", "write_bandwidth", "shared_bandwidth")] = "bw"
    if rng.random() < 0.2:
        variables["block"] = _values(rng, 1, 2, 4, 8)
        _pick(rng, dram, scratchpad)["block_size"] = "block"
    if rng.random() < 0.15:
        variables["bits"] = _values(rng, 8, 16)
        _pick(rng, scratchpad, accumulator)["word_bits"] = "bits"
    if rng.random() < 0.15:
        scratchpad["multiple_buffering"] = 2
    elif rng.random() < 0.1:
        variables["buffers"] = _values(rng, 1, 2)
        _pick(rng, scratchpad, accumulator)["multiple_buffering"] = "buffers"
    if rng.random() < 0.1:
        variables["ports"] = _values(rng, 1, 2)
        accumulator["ports"] = "ports"


def _twist(
    rng: np.random.Generator, variables: dict[str, Any], scratchpad: dict[str, Any],
    accumulator: dict[str, Any], c: str, k: str,
) -> None:  # fmt: skip
    """Break the form of Gemmini now and then."""
    kind = 2.0 * rng.random()
    if kind < 0.06:
        scratchpad["constraints"]["temporal"] = {"dimensions": [k]}
    elif kind < 0.12:
        accumulator["constraints"]["spatial"]["max_factors"] = {c: 2}
    elif kind < 0.16:
        variables["most"] = _values(rng, 1, 2, 4)
        scratchpad["constraints"]["spatial"]["max_factors"] = {k: "most"}
    elif kind < 0.20:
        accumulator["block_size"] = 2
    elif kind < 0.24:
        scratchpad["min_utilization"] = 0.1
    elif kind < 0.28:
        accumulator["constraints"]["temporal"]["permutation"] = [k, c]
    elif kind < 0.32:
        scratchpad["constraints"]["no_multicast"] = scratchpad["constraints"]["keep"][1:]
    elif kind < 0.36:
        scratchpad["constraints"]["temporal"]["factors"] = {c: 1}
    elif kind < 0.40:
        scratchpad["cluster_size"] = 1
        accumulator["constraints"]["temporal"]["max_factors"] = {c: 2}


def _levels(rng: np.random.Generator, shape: str) -> dict[str, Any]:
    """Draw two or three levels with few constraints."""
    variables: dict[str, Any] = {"words": _values(rng, 4, 8, 16, 32, 64)}
    tensors = ["Weights", "Inputs", "Outputs"]
    levels: list[dict[str, Any]] = [
        {
            "name": "DRAM", "class": "DRAM", "word_bits": 8, "block_size": _pick(rng, 1, 4),
            "shared_bandwidth": _pick(rng, 1, 4, 64),
        },
        {"name": "Buffer", "class": "SRAM", "word_bits": 8, "size_words": "words"},
    ]  # fmt: skip
    mesh: dict[str, Any] = {}
    if rng.random() < 0.7:
        variables["width"] = _values(rng, 1, 2, 3, 4)
        mesh["mesh_x"] = "width"
    if rng.random() < 0.4:
        variables["height"] = _values(rng, 1, 2, 4)
        mesh["mesh_y"] = "height"
    if rng.random() < 0.5:
        variables["own"] = _values(rng, 2, 4, 8, 16)
        levels.append(
            {"name": "Spad", "class": "regfile", "word_bits": 8, "size_words": "own", **mesh}
        )
    if rng.random() < 0.2:
        levels[1]["wires"] = True
    constraints = [{"keep": list(tensors)}] + [{} for _ in levels[1:]]
    for level in constraints[1:]:
        for tensor in tensors:
            kind = rng.random()
            if kind < 0.45:
                level.setdefault("keep", []).append(tensor)
            elif kind < 0.9:
                level.setdefault("bypass", []).append(tensor)
    for level, own in zip(levels, constraints, strict=True):
        if rng.random() < 0.5:
            own["temporal"] = {"permutation": ["P", "Q", "K", "C", "R", "S", "N", "G"]}
        if rng.random() < 0.3:
            own.setdefault("temporal", {})["dimensions"] = ["K", "P", "C", "R"]
        if level is not levels[0] and rng.random() < 0.3:
            own["spatial"] = {"dimensions": ["K", "C"]}
        if rng.random() < 0.1:
            own[_pick(rng, "no_temporal_reuse", "no_link_transfer", "no_multicast")] = ["Inputs"]
        level["constraints"] = own
    return {
        "name": "levels", "energy": "dosa",
        "technology": {"node_nm": 40, "clock_ns": 5, "dram": "LPDDR4"},
        "variables": variables, "storage": levels,
        "compute": {"name": "MACC", "class": "intmac", "word_bits": 8, **mesh},
    }  # fmt: skip


def _limited(rng: np.random.Generator, recipe: Recipe) -> Recipe:
    """Add budgets, requirements, constraints and fixed variables now and then."""
    template = dict(recipe.template)
    names = list(template["variables"])
    budget: dict[str, Any] = {}
    if rng.random() < 0.2:
        budget["pes"] = _pick(rng, 4, 8, 16)
    if rng.random() < 0.15:
        budget["on_chip_bytes"] = _pick(rng, 64, 128, 256)
    if rng.random() < 0.1 and recipe.energy != "pat":
        budget["area_um2"] = _pick(rng, 3000, 6000, 20_000)
    if rng.random() < 0.08:
        budget["noc_words_per_cycle"] = _pick(rng, 2, 8)
    if budget:
        template["budget"] = budget
    if rng.random() < 0.2 and len(names) > 1:
        plain = [n for n in names if "choices" not in template["variables"][n]]
        one, other = (plain[int(i)] for i in rng.permutation(len(plain))[:2])
        template["require"] = [f"{one} {_pick(rng, '<=', '>=', '!=')} {other}"]
    constraints = _pick(
        rng, "", "", "", "", "", "pes <= 8", "on_chip_bytes <= 200", "area_um2 < 9000",
        "area_um2 > 3000", "area_mm2 * 2 <= 0.02, pes <= 32",
    )  # fmt: skip
    if recipe.energy == "pat" and "area" in constraints:
        constraints = ""
    fixed: dict[str, Any] = {}
    if rng.random() < 0.2:
        name = names[int(rng.integers(len(names)))]
        spec = template["variables"][name]
        fixed[name] = (spec.get("values") or spec.get("choices") or [spec.get("min")])[0]
    return replace(recipe, template=template, constraints=constraints, fixed=fixed)


def designs(space: SearchSpace) -> Iterator[tuple[dict[str, int], Architecture]]:
    """Yield all designs that the template, the fixed variables and the limits allow."""
    variables = space.template.variables
    lists = [
        [space.fixed[v.name]] if v.name in space.fixed else [v.value_at(i) for i in range(v.count)]
        for v in variables
    ]
    for chosen in itertools.product(*lists):
        values = dict(zip((v.name for v in variables), chosen, strict=True))
        try:
            architecture = space.architecture(values)
        except SpecError:
            continue
        area = architecture.area_um2
        known = {"area_um2": area, "area_mm2": area * 1e-6}
        most = space.template.max_area_um2
        on_area = [x for x in space.limits if x.names <= known.keys()]
        if (most is None or area <= most) and not any(x.excess(known) for x in on_area):
            yield values, architecture


def size_of(space: SearchSpace) -> float:
    """Return about how many mappings brute force evaluates; infinite where it is hopeless."""
    variables = [v for v in space.template.variables if v.name not in space.fixed]
    count = math.prod(v.count for v in variables)
    if count > 200:
        return math.inf
    space_of = MapspaceCache(space.template.constraints)
    largest = 0.0
    for number, (_, architecture) in enumerate(designs(space)):
        if number % 7:
            continue
        total = 0.0
        for layer in space.workload:
            mapspace = space_of(layer.problem, architecture)
            # a hundredth of the orders, since few tilings have all loops
            orders = math.prod(math.factorial(int(n)) for n in mapspace.arrays.free_count)
            total += tilings(mapspace) * max(1.0, orders / 100)
        largest = max(largest, total)
    return largest * count


def aimed(recipe: Recipe, rng: np.random.Generator) -> Recipe:
    """Give a space a weighted sum to minimise, limits on energy and cycles, or two networks."""
    points = [(np.empty(0), np.empty(0))]
    points += [pair for _, networks in _choices(recipe.space()) for pair in networks]
    energy, cycles = (np.concatenate(column) for column in zip(*points, strict=True))
    if not len(energy):
        return recipe
    kind = int(rng.integers(4))
    if kind == 0 and len(recipe.layers) > 1:
        objective = recipe.objective if rng.random() < 0.6 else "energy_pj + 20 * cycles"
        layers = [{**x, "name": f"{x['name']}_{i}"} for i, x in enumerate(recipe.layers)]
        plain = "" if recipe.energy == "pat" else recipe.constraints
        return replace(
            recipe, layers=layers, objective=objective, constraints=plain,
            first=int(rng.integers(1, len(layers))),
        )  # fmt: skip
    if rng.random() < 0.4:
        weight = float(rng.choice([0.1, 1.0, 10.0]) * energy.mean() / cycles.mean())
        recipe = replace(recipe, objective=f"energy_pj + {weight:.6g} * cycles")
        if recipe.energy != "pat" and rng.random() < 0.3:
            recipe = replace(recipe, objective=f"2 * energy_uj + {weight:.6g} * area_um2")
    part = float(rng.choice([0.0, 0.1, 0.3, 0.6]))
    slow, costly = (float(np.quantile(column, part)) for column in (cycles, energy))
    limit = _pick(
        rng, f"cycles <= {slow!r}", f"energy_pj <= {costly!r}", f"delay_ns < {5 * slow * 1.01!r}",
        f"2 * energy_uj <= {costly * 2e-6!r} - 0 * cycles",
        f"energy_pj + {costly / slow!r} * cycles <= {2.1 * costly!r}",
        f"cycles >= {slow!r}", f"power_w <= {float(np.quantile(energy / cycles, part)) / 5e3!r}",
    )  # fmt: skip
    if recipe.constraints:
        limit = f"{recipe.constraints}, {limit}"
    if len(recipe.layers) > 1 and (">=" in limit or "power" in limit):
        recipe = replace(recipe, layers=recipe.layers[:1])  # all its mappings are compared
    return replace(recipe, constraints=limit)


def optimum(space: SearchSpace) -> float:
    """Return the least value of the objective; infinite where there is no design."""
    best = math.inf
    for area, networks in _choices(space):
        worth = []
        for energy, cycles in networks:
            known = named(energy, cycles, area)
            value = np.broadcast_to(_worth(space, known), energy.shape)
            for limit in space.limits:
                if limit.names <= known.keys():
                    left, right = (side.array(known) for side in (limit.left, limit.right))
                    met = {
                        "<": left < right, "<=": left <= right, ">": left > right,
                        ">=": left >= right,
                    }[limit.sign]  # fmt: skip
                    value = np.where(met, value, np.inf)
            worth.append(float(value.min(initial=np.inf)))
        # networks share the hardware alone: each is served best by itself
        best = min(best, worth[0] if len(worth) == 1 else math.prod(worth) ** (1 / len(worth)))
    return best


def named(energy: Floats, cycles: Floats, area: float) -> dict[str, Any]:
    """Return what limits and sums may name, with the clock of all these templates."""
    return {
        "energy_pj": energy, "energy_uj": energy * 1e-6, "cycles": cycles, "area_um2": area,
        "area_mm2": area * 1e-6, "delay_ns": 5.0 * cycles,
        "power_w": energy / (5.0 * cycles) * 1e-3,
    }  # fmt: skip


def _worth(space: SearchSpace, known: dict[str, Any]) -> Floats:
    if space.objective.expression is not None:
        return np.asarray(space.objective.expression.array(known))
    factors = {
        "edp": ("energy_pj", "cycles"), "energy": ("energy_pj",), "delay": ("cycles",),
        "adp": ("cycles", "area_um2"), "eadp": ("energy_pj", "cycles", "area_um2"),
    }[space.objective.name]  # fmt: skip
    return np.asarray(math.prod(known[name] for name in factors))


def _choices(space: SearchSpace) -> Iterator[tuple[float, list[tuple[Floats, Floats]]]]:
    """Yield the area of all hardware, and by network what choices of a mapping a layer come to.

    Where slower mappings may meet a limit, all are chosen from, else those that none is better
    than.
    """
    space_of = MapspaceCache(space.template.constraints)
    every = any(">" in x.sign or "power_w" in x.names for x in space.limits)
    for _, architecture in designs(space):
        networks = []
        for network in space.workload.networks or (space.workload,):
            energy = cycles = np.zeros(1)
            for layer in network:
                own = _points(space, architecture, layer.problem, space_of, every=every)
                energy = np.add.outer(energy, layer.count * own[0]).ravel()
                cycles = np.add.outer(cycles, layer.count * own[1]).ravel()
            networks.append((energy, cycles))
        yield architecture.area_um2, networks


def _points(
    space: SearchSpace, architecture: Architecture, problem: Problem, space_of: MapspaceCache,
    *, every: bool,
) -> tuple[Floats, Floats]:  # fmt: skip
    """Return energy and cycles of a layer's mappings, of every one or of the best."""
    hardware, version = HardwareBatch.of(architecture), version_number(space.timeloop_version)
    energy = cycles = np.empty(0)
    for batch in enumerate_valid(space_of(problem, architecture), 8192):
        index = np.zeros(len(batch), np.int32)
        m, _ = evaluate_exact(hardware, problem, batch, index, version)
        energy = np.concatenate([energy, m.energy_pj[m.valid]])
        cycles = np.concatenate([cycles, m.cycles[m.valid]])
        order = np.lexsort((cycles, energy))
        energy, cycles = energy[order], cycles[order]
        if every:
            kept = np.diff(energy, prepend=-1.0) + np.abs(np.diff(cycles, prepend=-1.0)) > 0.0
        else:
            kept = cycles < np.minimum.accumulate(np.concatenate([[np.inf], cycles]))[:-1]
        energy, cycles = energy[kept], cycles[kept]
    return energy, cycles
