"""Holds bounds of random boxes of hardware against random hardware of theirs.

    python tests/corner_fuzz.py [--seconds 60] [--seed 0] [--templates eyeriss shidiannao ...]

One random layer at a time: what the exact mapper proves of a box's corner lies above nothing that
it proves of single hardware in the box. Exit code 1: it does somewhere, and that is printed.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from contextlib import suppress

import numpy as np
from cosearch_cases import place_of, random_box, random_member, random_problem

from dse.components.chain import energy_chain
from dse.cosearch.boxes import HardwareBoxes
from dse.cosearch.corner import corner_of, widths_of
from dse.cosearch.layer_bounds import LayerBounds
from dse.cosearch.size_ranges import ranges_of
from dse.cosearch.sizes import UnsolvableSpace
from dse.domain.problem import Layer, Workload
from dse.errors import SpecError
from dse.space import catalog
from dse.space.search_space import SearchSpace

TEMPLATES = (
    *("eyeriss", "eyeriss_256", "eyeriss_poster", "simba", "edge_tpu", "nvdla_small", "nvdla_256"),
    *("shidiannao", "simple_weight_stationary", "simple_output_stationary"),
    *("naas_eyeriss", "naas_nvdla_256", "naas_shidiannao"),
)


def main() -> int:
    """Compare until the time is over."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--templates", nargs="+", default=TEMPLATES)
    given = parser.parse_args()
    rng = np.random.default_rng(given.seed)
    end = time.monotonic() + given.seconds
    compared = equal = faults = 0
    while time.monotonic() < end:
        template = catalog.template(str(rng.choice(given.templates)))
        network = Workload("net", (Layer("one", random_problem(rng)),))
        for bound, least, values in pairs(
            SearchSpace(template, network, energy_chain("table")), rng
        ):
            compared += 1
            equal += bound >= least * (1.0 - 1e-9)
            if bound > least * (1.0 + 1e-11):
                faults += 1
                where = f"{template.name} {network.layers[0].problem.bounds} {values}"
                sys.stdout.write(f"{where}: bound {bound!r} above {least!r}\n")
    sys.stdout.write(f"{compared} comparisons, {equal} equal, {faults} faults\n")
    return int(faults > 0 or not compared)


def pairs(space, rng):
    """Yield a bound of a box, the least value of one of its hardware, and that hardware.

    Bounds are those of a search on the corner, and those without one.
    """
    hardware = HardwareBoxes(space, areas=False)
    bounds = LayerBounds(space, space.workload, 1)
    for _ in range(4):
        box = hardware.within_budget(random_box(hardware, rng))
        if box is None or box.is_frame:
            continue
        corner, widths = corner_of(hardware, box), widths_of(hardware, box)
        multipliers = (0.0, math.inf, float(rng.choice([0.5, 3.0, 30.0])))
        ranges = ranges_of(hardware, box)
        outlined = bounds.floors.sized(corner, ranges.classes, multipliers, (0,))[0]
        for multiplier in multipliers:
            with suppress(UnsolvableSpace, SpecError):  # no bound, or no such hardware
                of_box = bounds.support(corner, multiplier, 0.0, widths=widths)
                for _ in range(3):
                    member = random_member(box, rng)
                    values = hardware.values(member)
                    real = bounds.support(space.architecture(values), multiplier, 0.0)
                    if real is not None:
                        yield of_box.least if of_box else math.inf, real.least, values
                        place = place_of(ranges, member)
                        sized = outlined[(multipliers.index(multiplier), *place)]
                        yield float(sized) if ranges.able[place] else math.inf, real.least, values


if __name__ == "__main__":
    sys.exit(main())
