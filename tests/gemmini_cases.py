"""Small cases on the Gemmini template, and the mark of tests that need Verilator."""

import pytest

from dse.components.chain import energy_chain
from dse.domain.architecture import HardwareBatch
from dse.domain.problem import SHAPES, Problem
from dse.errors import ToolError
from dse.mapspace import Mapspace, sample_valid
from dse.space import catalog
from dse.tools import verilator

try:
    TOOLS = verilator.find()
    _REASON = ""
except ToolError as error:
    TOOLS = None
    _REASON = str(error)
needs_verilator = pytest.mark.skipif(TOOLS is None, reason=_REASON)


def case(count, kilobytes=(1, 2)):
    """Hardware of the Gemmini template, a small layer, and valid mappings of it."""
    template, chain = catalog.template("gemmini"), energy_chain("dosa")
    hardware = HardwareBatch.of(
        [
            chain.price(template.build({"pe_dim": 4, "scratchpad_kb": k, "accumulator_kb": k}))
            for k in kilobytes
        ]
    )
    bounds = {"R": 3, "S": 1, "P": 6, "Q": 4, "C": 8, "K": 12, "N": 1}
    problem = Problem(SHAPES["cnn-layer"], bounds, {"Wstride": 2, "Hstride": 1})
    space = Mapspace(problem, hardware.architectures[0], template.constraints)
    return hardware, problem, sample_valid(space, count, 1, 10**6).mappings
