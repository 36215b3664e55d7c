"""Calling what a search calls, with next to nothing, so that its code is compiled meanwhile."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dse.cosearch.frames import HardwareSpace
from dse.cosearch.joint import JointChoices
from dse.cosearch.tables import LayerTables, closed_form, least_energy
from dse.cosearch.two_tier.row_kernel import cost_rows
from dse.cosearch.two_tier.tile_kernel import build_classes
from dse.jit_tiers import is_missing, rehearsing


def rehearse(hardware: HardwareSpace, version: int, choices: JointChoices) -> None:
    """Search layers of one MAC, where the code of a search in closed form is missing.

    Args:
        hardware: what is searched, with at least one frame.
        version: of Timeloop, as the kernels number it.
        choices: of the workload's mappings.
    """
    if not (is_missing(build_classes) or is_missing(cost_rows)):
        return
    layers = hardware.space.workload
    problem = next(iter(layers)).problem
    tiny = replace(problem, bounds=dict.fromkeys(problem.dimensions, 1))
    table_of = closed_form(hardware, version, [tiny])
    if table_of is None:
        return
    with rehearsing():
        tables = LayerTables((table_of(tiny),) * len(layers))
        pool = tables.pool(hardware.frame(0), None)
        columns, sizes = pool.rows.accesses.shape[1], pool.rows.need.shape[1]
        energy = pool.energy(np.ones(columns), np.zeros(sizes, np.int64))
        points = pool.points(choices, energy)
        supports = choices.supports(points, None)
        choices.useful(points, supports, 0.0, 1.0)
        choices.best(points, 0.0)
        least_energy(hardware.frame(0), pool, (0,) * sizes, (0,) * sizes)
