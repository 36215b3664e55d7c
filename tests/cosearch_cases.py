"""Small co-searches, and their optima by looking at all hardware, all mappings, all orders."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import yaml

from dse.components.chain import energy_chain
from dse.cosearch.boxes import Box, HardwareBoxes
from dse.cosearch.groups import wanted
from dse.cosearch.size_ranges import SizeRanges
from dse.domain.problem import SHAPES, Layer, Problem, Workload
from dse.errors import SpecError
from dse.evaluators.native import NativeEvaluator
from dse.goals.objective import objective as objective_of
from dse.mapspace.enumeration import enumerate_valid
from dse.mapspace.space import Mapspace
from dse.space import catalog
from dse.space.search_space import SearchSpace
from dse.space.template import ArchTemplate
from dse.space.variable import Values


def template(name: str, variables: dict[str, Any], **changes: Any) -> ArchTemplate:
    """The template of that name with other ranges of its variables."""
    content = yaml.safe_load(catalog.find("arch", name).read_text(encoding="utf-8"))
    assert content["variables"].keys() == variables.keys()
    content["variables"] = {
        key: {"values": value} if isinstance(value, list) else value
        for key, value in variables.items()
    }
    return ArchTemplate.parse({**content, **changes}, name)


def problem(**sizes: int) -> Problem:
    bounds = dict.fromkeys("RSPQCKN", 1)
    coefficients = {}
    for key, value in sizes.items():
        (bounds if key in bounds else coefficients)[key] = value
    return Problem(SHAPES["cnn-layer"], bounds, coefficients)


def gemm(**sizes: int) -> Problem:
    return Problem(SHAPES["gemm"], sizes)


GEMMINI = {"pe_dim": [2, 3, 4, 8], "scratchpad_kb": [1, 2, 3], "accumulator_kb": [1, 2]}
WIDE = {"pe_dim": [4, 8, 16], "scratchpad_kb": [1, 2, 4, 7], "accumulator_kb": [1, 3]}
EYERISS = {
    "glb_kb": [16, 20], "columns": [2, 4], "rows": [3, 4],
    "ifmap_words": [2, 8], "weight_words": [4, 12], "psum_words": [1, 4],
}  # fmt: skip
SIMBA = {
    "global_kb": [16, 32], "input_kb": [2, 4], "weight_kb": [1, 2], "accumulation_words": [2, 8],
}  # fmt: skip
TPU = {
    "array": [2, 4], "buffer_kb": [16, 32], "accumulator_words": [2, 8], "fifo_tiles": [1, 4],
}  # fmt: skip

CASES = {
    "gemmini conv": (
        "gemmini", GEMMINI, "dosa", [problem(R=3, P=8, C=6, K=32), problem(C=24, K=8)]
    ),
    "gemmini stride": (
        "gemmini", GEMMINI, "dosa", [problem(R=3, S=2, P=6, Q=2, C=4, K=8, Wstride=2)]
    ),
    "gemmini wide": ("gemmini", WIDE, "dosa", [problem(P=16, C=32, K=64)]),
    "gemmini gemm table": (
        "gemmini", WIDE, "table", [gemm(M=12, K=48, N=32), gemm(M=2, K=8, N=64)]
    ),
    "eyeriss conv": ("eyeriss", EYERISS, "table", [problem(R=3, S=3, Q=4, C=2)]),
    "eyeriss dense": ("eyeriss", EYERISS, "pat", [problem(C=4, K=4), problem(P=4, K=2)]),
    "simba conv": ("simba", SIMBA, "table", [problem(R=2, P=4, C=4)]),
    "simba dense": ("simba", SIMBA, "pat", [problem(C=4, K=4)]),
    "tpu conv": ("tpu_v1", TPU, "pat", [problem(R=2, P=4, C=4)]),
    "tpu dense": ("tpu_v1", TPU, "pat", [problem(C=4, K=4), problem(P=2, K=2)]),
}  # fmt: skip
NVDLA = {
    "buffer_kb": [1, 2], "accumulator_words": [4, 16], "atomic_k": [2, 4], "atomic_c": [2, 4],
}  # fmt: skip
SHIDIANNAO = {
    "columns": [2, 4], "rows": [1, 2], "input_kb": [1, 2], "output_kb": [1, 2], "weight_kb": [1, 2],
}  # fmt: skip
EDGE_TPU = {
    "rows": [2, 4], "columns": [2, 4], "activation_kb": [1, 2], "parameter_kb": [1, 2],
    "accumulator_words": [2, 8],
}  # fmt: skip
SIMPLE = {"glb_kb": [1, 2], "columns": [2, 4], "rows": [2, 4], "spad_words": [2, 8]}
#: On templates whose networks have groups.
CASES |= {
    "nvdla conv": ("nvdla_small", NVDLA, "table", [problem(R=3, P=4, C=4, K=4)]),
    "nvdla dense": ("nvdla_small", NVDLA, "pat", [problem(C=8, K=8), problem(P=4, C=4)]),
    "shidiannao conv": ("shidiannao", SHIDIANNAO, "table", [problem(R=3, S=3, P=4, Q=4)]),
    "shidiannao two": (
        "shidiannao", SHIDIANNAO, "pat", [problem(P=4, Q=4, K=4), problem(R=2, P=4, C=2)]
    ),
    "edge tpu conv": ("edge_tpu", EDGE_TPU, "table", [problem(R=2, P=4, C=4, K=2)]),
    "simple weight": (
        "simple_weight_stationary", SIMPLE, "table", [problem(P=4, C=4, K=4), problem(R=3, C=2)]
    ),
    "simple output": (
        "simple_output_stationary", SIMPLE, "pat", [problem(R=3, P=2, C=2), problem(C=4, K=4)]
    ),
}  # fmt: skip


NVDLA_LARGE = {**NVDLA, "buffer_kb": [1, 4], "atomic_k": [2, 8]}
EYERISS_256 = {
    "glb_kb": [8, 16], "ifmap_words": [4, 12], "weight_words": [4, 24], "psum_words": [1, 4],
}  # fmt: skip
#: Other templates, strides, batches, long windows, and layers that share nothing.
CASES |= {
    "eyeriss 256 stride": (
        "eyeriss_256", EYERISS_256, "table", [problem(R=2, P=4, K=2, Wstride=2)]
    ),
    "eyeriss 256 dense": (
        "eyeriss_256", EYERISS_256, "pat", [problem(C=4, K=4), problem(N=2, K=4)]
    ),
    "nvdla 256 stride": ("nvdla_256", NVDLA, "table", [problem(R=3, P=3, C=4, Wstride=2)]),
    "nvdla 256 batch": ("nvdla_256", NVDLA, "pat", [problem(N=4, C=4, K=2)]),
    "nvdla 1024 conv": ("nvdla_1024", NVDLA, "pat", [problem(R=2, S=2, P=2, C=4, K=2)]),
    "nvdla large two": (
        "nvdla_large", NVDLA_LARGE, "table", [problem(P=6, C=2, K=4), problem(C=8, K=2)]
    ),
    "edge tpu dense": ("edge_tpu", EDGE_TPU, "pat", [problem(C=4, K=4), problem(N=2, P=2, K=2)]),
    "edge tpu stride": ("edge_tpu", EDGE_TPU, "pat", [problem(R=3, P=2, K=2, Wstride=2)]),
    "tpu stride": ("tpu_v1", TPU, "table", [problem(R=3, P=3, C=2, Wstride=2)]),
    "simba window": ("simba", SIMBA, "pat", [problem(R=3, P=3, K=2)]),
    "shidiannao stride": ("shidiannao", SHIDIANNAO, "pat", [problem(R=3, P=4, Q=2, Wstride=2)]),
    "simple weight window": ("simple_weight_stationary", SIMPLE, "pat", [problem(R=3, P=4, K=2)]),
    "simple output batch": (
        "simple_output_stationary", SIMPLE, "table", [problem(N=2, C=2), problem(K=4)]
    ),
}  # fmt: skip


#: Where mappings trade energy for cycles, on one hardware and between hardware.
TRADES = {
    "eyeriss trade": (
        "eyeriss",
        {**EYERISS, "glb_kb": [16], "rows": [3], "psum_words": [4]},
        "table",
        [problem(P=8, C=4, K=4), problem(C=4, K=4)],
    ),
    "simba trade": (
        "simba",
        {**SIMBA, "global_kb": [16], "input_kb": [2]},
        "table",
        [problem(P=8, C=4, K=4), problem(R=3, P=6, C=3, K=2)],
    ),
}


#: Dimensions that run in space are variables; sizes, meshes and bandwidths besides.
NAAS = {
    "l2_bytes": [256, 512], "l1_bytes": [1, 16], "l1_sums_bytes": [2, 16], "pes": [4, 8],
    "bandwidth": [4, 16], "array_dims": [1, 2, 3], "array_x": [2, 4], "array_y": [2, 4],
    "array_z": [2],
}  # fmt: skip


def _parallel(*names: str) -> dict[str, Any]:
    """Three axes, each of which runs one of these dimensions."""
    every = {name: ["C", "G"] if name == "C" else [name] for name in names}
    return {f"parallel_{axis}": {"choices": every} for axis in "xyz"}


FREE = {
    "naas dense": (
        "naas_eyeriss",
        {**NAAS, "bandwidth": [16], **_parallel("K", "C", "P")},
        "table",
        [problem(C=4, K=4), problem(P=4, K=2)],
    ),
    "naas conv": (
        "naas_shidiannao",
        {
            **NAAS, "l2_bytes": [256], "l1_bytes": [16], "l1_sums_bytes": [16], "pes": [8],
            "array_dims": [2], "array_y": [2], "bandwidth": [4, 16], **_parallel("K", "R", "P"),
        },
        "table",
        [problem(R=3, P=4, K=2)],
    ),
    "naas columns": (
        "naas_nvdla_256",
        {
            **NAAS, "l2_bytes": [256], "l1_bytes": [16], "l1_sums_bytes": [4],
            "column_words": [16, 32], "bandwidth": [4], "pes": [8], "array_dims": [1, 2],
            "array_y": [2],
            **_parallel("K", "C", "P"),
        },
        "table",
        [problem(P=2, C=2, K=2)],
    ),
    "poster dense": (
        "eyeriss_poster",
        {
            "glb_depth": [64, 256], "glb_width": [16, 64], "mesh_x": [2, 3, 4], "mesh_y": [3, 4],
            "ifmap_depth": [3, 6], "ifmap_width": [8, 16], "weights_depth": [4, 8],
            "weights_width": [8, 32], "psum_depth": [4], "psum_width": [16, 32],
        },
        "table",
        [problem(C=4, K=4), problem(R=3, Q=2, K=2)],
    ),
}  # fmt: skip


def space_of(
    case: str,
    objective: str = "edp",
    version: str = "4cf6d4c",
    networks: Sequence[Workload] = (),
    require: Sequence[str] = (),
) -> SearchSpace:
    name, variables, chain, problems = {**CASES, **TRADES, **FREE}[case]
    extra: dict[str, Any] = {} if name == "gemmini" else {"budget": {"pes": 1_000_000}}
    if name == "eyeriss_poster":
        extra["require"] = ["mesh_x * mesh_y == 12"]
    if name == "naas_eyeriss":
        extra["budget"] = {"pes": 8, "on_chip_bytes": 700}
    if require:
        extra["require"] = list(require)
    arch = template(name, variables, **extra)
    layers = tuple(Layer(f"l{i}", p, count=i + 1) for i, p in enumerate(problems))
    workload = Workload.of_networks(networks) if networks else Workload("net", layers)
    return SearchSpace(
        arch, workload, energy_chain(chain), None, objective_of(objective),
        timeloop_version=version,
    )  # fmt: skip


def all_values(space: SearchSpace) -> list[dict[str, int]]:
    lists = [[v.value_at(i) for i in range(v.count)] for v in space.template.variables]
    names = [v.name for v in space.template.variables]
    return [dict(zip(names, chosen, strict=True)) for chosen in itertools.product(*lists)]


def front(space: SearchSpace, architecture: Any, problem: Problem) -> list[tuple[float, float]]:
    """All (energy, cycles) of a layer's mappings that no other beats in both."""
    evaluator = NativeEvaluator(space.timeloop_version)
    points = []
    for batch in enumerate_valid(Mapspace(problem, architecture), 20_000):
        m = evaluator.evaluate(architecture, problem, batch)
        points += list(zip(m.energy_pj[m.valid], m.cycles[m.valid], strict=True))
        best: list[tuple[float, float]] = []
        for energy, cycles in sorted(set(points)):
            if not best or cycles < best[-1][1]:
                best.append((float(energy), float(cycles)))
        points = list(best)
    return points


def brute_force(space: SearchSpace, most_um2: float = float("inf")) -> dict[str, float]:
    """The least value of every objective over all hardware and all choices of mappings."""
    designs = all_designs(space, most_um2)
    return least_values(designs, [layer.count for layer in space.workload])


def all_designs(
    space: SearchSpace, most_um2: float = float("inf")
) -> Iterator[tuple[float, list[list[tuple[float, float]]]]]:
    """The area of all hardware, and (energy, cycles) of each layer's mappings that matter."""
    for values in all_values(space):
        try:
            architecture = space.architecture(values)
        except SpecError:
            continue
        if architecture.area_um2 <= most_um2:
            fronts = [front(space, architecture, layer.problem) for layer in space.workload]
            yield architecture.area_um2, fronts


def least_values(
    designs: Iterable[tuple[float, list[list[tuple[float, float]]]]], counts: list[int]
) -> dict[str, float]:
    """The least values over designs: their areas, and (energy, cycles) of each layer's mappings."""
    best = dict.fromkeys(("edp", "energy", "delay", "adp"), float("inf"))
    for area, fronts in designs:
        for choice in itertools.product(*fronts):
            energy = sum(n * e for n, (e, _) in zip(counts, choice, strict=True))
            cycles = sum(n * t for n, (_, t) in zip(counts, choice, strict=True))
            for name, value in (
                ("edp", energy * cycles), ("energy", energy), ("delay", cycles),
                ("adp", area * cycles),
            ):  # fmt: skip
                best[name] = min(best[name], value)
    return best


def random_box(hardware: HardwareBoxes, rng: np.random.Generator) -> Box:
    """Some outcomes of every group of one root, and ranges of the sizes."""
    roots = hardware.roots()
    box = roots[int(rng.integers(len(roots)))]
    for g, rows in enumerate(box.rows):
        count = int(rng.integers(1, len(rows) + 1))
        box = box.with_rows(g, np.sort(rng.permutation(rows)[:count]))
    for v, size in enumerate(hardware.sizes):
        low, high = sorted(rng.integers(0, size.variable.count, 2).tolist())
        box = box.with_range(v, low, high)
    return box


def holds(box: Box, member: Box) -> bool:
    """Whether a piece of hardware is in a box."""
    return all(own[0] in rows for own, rows in zip(member.rows, box.rows, strict=True)) and all(
        low <= place <= high for low, place, high in zip(box.low, member.low, box.high, strict=True)
    )


def frame_of(hardware: HardwareBoxes, values: Values) -> Box | None:
    """Return the box of some hardware alone; None: no outcomes of the groups are its own."""
    arithmetic = {one.key: one.expression for one in wanted(hardware.space, hardware.sizes)}
    chosen = []
    for rows in hardware.groups:
        match = np.ones(len(rows), np.bool_)
        for key, column in rows.columns.items():
            match &= column == arithmetic[key].value(values)
        chosen.append(np.flatnonzero(match)[:1])
    if not all(map(len, chosen)):
        return None
    point = tuple(s.variable.index_of(values[s.variable.name]) for s in hardware.sizes)
    return Box(tuple(chosen), point, point)


def random_member(box: Box, rng: np.random.Generator) -> Box:
    """One piece of hardware of a box, which may be none of the space."""
    for g, rows in enumerate(box.rows):
        box = box.with_rows(g, rng.choice(rows, 1))
    point = [int(rng.integers(a, b + 1)) for a, b in zip(box.low, box.high, strict=True)]
    return replace(box, low=tuple(point), high=tuple(point))


def place_of(ranges: SizeRanges, member: Box) -> tuple[int, ...]:
    """Return the ranges of sizes that a piece of hardware lies in."""
    places = zip(ranges.last, member.low, strict=True)
    return tuple(int(np.searchsorted(last, place)) for last, place in places)


def random_problem(rng: np.random.Generator) -> Problem:
    """Return a small convolution, with strides and dilations, or a matrix product."""
    if rng.random() < 0.2:
        sizes = {d: int(rng.choice([1, 2, 4, 6, 12])) for d in "MNK"}
        return Problem(SHAPES["gemm"], sizes)
    choices = {
        "R": [1, 2, 3, 4], "S": [1, 1, 2], "P": [1, 2, 4, 6], "Q": [1, 2, 3],
        "C": [1, 2, 4, 6], "K": [1, 3, 4, 8], "N": [1, 1, 2],
    }  # fmt: skip
    bounds = {d: int(rng.choice(values)) for d, values in choices.items()}
    steps = {
        key: int(rng.choice([1, 1, 2])) for key in ("Wstride", "Hstride", "Wdilation", "Hdilation")
    }
    return Problem(SHAPES["cnn-layer"], bounds, steps)
