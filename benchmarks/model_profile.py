"""Where the time of one evaluation goes, phase by phase.

    python benchmarks/model_profile.py [--json FILE]

Times every phase of the fast path alone, on the same blocks of valid Gemmini / ResNet-50
mappings, one thread; nanoseconds per mapping. Data stay in the caches, so the sum lies a little
below the throughput that ``model_throughput.py`` measures.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt
from throughput_cases import gemmini

from dse.domain.architecture import HardwareArrays, HardwareBatch
from dse.jit import OPTIONS
from dse.mapspace import Mapspace, sample_valid
from dse.model import arrays as a
from dse.model import block, cells, delivery, fit, lanes, orders
from dse.model.batch import make_plan

MAPPINGS, ROUNDS = 4096, 60
WIDTH = block.WIDTH


class Work(NamedTuple):
    """What the phases work on."""

    x: block.Lanes
    c: block.Prices
    plan: block.Plan
    odd: cells.Odd
    m: a.MappingArrays
    hw: HardwareArrays
    index: npt.NDArray[np.int32]
    out: a.Totals


_compile = numba.njit(**{**OPTIONS, "cache": False})


@_compile  # type: ignore[untyped-decorator]
def _prepare(w: Work) -> None:
    block.scan(w.x.temporal_used, w.m.temporal, 0, MAPPINGS)
    block.scan(w.x.spatial_used, w.m.spatial, 0, MAPPINGS)
    block.lay_out(w.x)


@_compile  # type: ignore[untyped-decorator]
def _load(w: Work, b: int) -> None:
    block.load_factors(w.x.temporal, w.x.temporal_used, w.m.temporal, b, WIDTH)
    block.load_factors(w.x.spatial, w.x.spatial_used, w.m.spatial, b, WIDTH)
    block.derive(w.x, w.m, b, WIDTH)


@_compile  # type: ignore[untyped-decorator]
def _check(w: Work, b: int) -> None:
    fit.check(w.x, w.plan, w.c, w.plan.lane_keep)


@_compile  # type: ignore[untyped-decorator]
def _orders(w: Work, b: int) -> None:
    orders.load_orders(w.x, w.m, b, WIDTH)


def _traffic(t: int) -> Callable[..., None]:
    @_compile  # type: ignore[untyped-decorator]
    def phase(w: Work, b: int) -> None:
        delivery.tensor_traffic(w.x, w.plan, w.m, w.hw, w.index, t, b, WIDTH, w.odd)

    return phase  # type: ignore[no-any-return]


def _energy(t: int) -> Callable[..., None]:
    @_compile  # type: ignore[untyped-decorator]
    def phase(w: Work, b: int) -> None:
        lanes._tensor_energy(w.x, w.plan, w.c, t)

    return phase  # type: ignore[no-any-return]


@_compile  # type: ignore[untyped-decorator]
def _finish(w: Work, b: int) -> None:
    lanes._finish(w.x, w.plan, w.c, 1.0e9, b, WIDTH, w.out)


def _timed(phase: Callable[..., None]) -> Callable[..., None]:
    @_compile  # type: ignore[untyped-decorator]
    def rounds(w: Work, n: int) -> None:
        for _ in range(n):
            for b in range(0, MAPPINGS, WIDTH):
                phase(w, b)

    return rounds  # type: ignore[no-any-return]


def profile() -> dict[str, float]:
    """Nanoseconds per mapping of every phase."""
    case = gemmini()
    space = Mapspace(case.problems[3], case.architecture, case.constraints)
    mappings = sample_valid(space, MAPPINGS, 1, 10**9).mappings
    hardware = HardwareBatch.of(case.architecture)
    plan = make_plan(space.problem, mappings.keep[:, :, 0], a.HEAD)
    levels, dimensions, _ = mappings.temporal.shape
    x = block.new_lanes(levels, dimensions, *plan.projection.shape[:2])
    c = block.new_prices(levels)
    odd = cells.new_odd(levels, dimensions, plan.projection.shape[1])
    m, index = a.mapping_arrays(mappings), np.zeros(MAPPINGS, np.int32)
    block.load_first(c, hardware.arrays)
    w = Work(x, c, plan, odd, m, hardware.arrays, index, a.new_totals(MAPPINGS))
    _prepare(w)
    phases = {"load factors, extents": _load, "tiles, fit": _check, "loop orders": _orders}
    for t, name in enumerate(space.problem.tensors):
        phases[f"traffic of {name}"] = _traffic(t)
        phases[f"energy of {name}"] = _energy(t)
    phases["bandwidth, totals"] = _finish
    times = {}
    for name, phase in phases.items():
        rounds = _timed(phase)
        rounds(w, 1)
        start = time.perf_counter()
        rounds(w, ROUNDS)
        times[name] = (time.perf_counter() - start) / ROUNDS / MAPPINGS * 1e9
    return times


def main() -> int:
    """Run the profile."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    times = profile()
    total = sum(times.values())
    for name, ns in times.items():
        print(f"{name:24s} {ns:7.1f} ns {100 * ns / total:5.1f} %")
    print(f"{'sum':24s} {total:7.1f} ns")
    if arguments.json:
        arguments.json.write_text(json.dumps(times, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
