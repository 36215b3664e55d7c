"""How boxes are parted: into two that hold all of their hardware, each piece once."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pytest
from cosearch_cases import holds, random_box, random_member, space_of

from dse.cosearch.boxes import HardwareBoxes
from dse.cosearch.branching import Branching
from dse.cosearch.corner import corner_of, widths_of
from dse.cosearch.layer_bounds import LayerBounds
from dse.errors import SpecError

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("case", ["eyeriss conv", "nvdla conv", "naas dense", "poster dense"])
def test_the_parts_of_a_box_hold_all_of_its_hardware_once(case: str) -> None:
    space = space_of(case)
    hardware = HardwareBoxes(space, areas=False)
    bounds = LayerBounds(space, space.workload, 1)
    branching = Branching(hardware, (bounds,))
    rng = np.random.default_rng(11)
    compared = kinds = 0
    for _ in range(12):
        box = hardware.within_budget(random_box(hardware, rng))
        if box is None or box.is_single:
            continue
        told = bounds.support(
            corner_of(hardware, box), 3.0, 0.05, quick=True, widths=widths_of(hardware, box)
        )
        parts = branching.parted(box, [told])
        assert all(
            part.frames < box.frames or part.low != box.low or part.high != box.high
            for part in parts
        )
        kinds += len(parts) == 2
        for _ in range(40):
            member = random_member(box, rng)
            with suppress(SpecError):
                space.architecture(hardware.values(member))
                assert sum(holds(part, member) for part in parts) == 1
                compared += 1
    assert kinds > 3
    assert compared > 100
