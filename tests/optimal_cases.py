"""Small cases for the optimal mapper, and the answer by looking at every mapping."""

from dataclasses import dataclass

import numpy as np

from dse.components.chain import energy_chain
from dse.domain.architecture import Architecture, HardwareBatch
from dse.domain.constraints import Constraints
from dse.domain.problem import SHAPES, Problem
from dse.evaluators.native import NativeEvaluator
from dse.goals.objective import objectives
from dse.mappers.optimal import OptimalMapper, OptimalMapperSettings
from dse.mapspace.enumeration import enumerate_valid
from dse.mapspace.space import Mapspace
from dse.space import catalog
from dse.space.template import ArchTemplate

#: Hardware on which small layers do not fit whole: values of the templates' variables.
HARDWARE = {
    "gemmini": [
        {"pe_dim": 4, "scratchpad_kb": 1, "accumulator_kb": 1},
        {"pe_dim": 2, "scratchpad_kb": 2, "accumulator_kb": 1},
    ],
    "eyeriss": [
        {
            "glb_kb": 16,
            "columns": 4,
            "rows": 3,
            "ifmap_words": 8,
            "weight_words": 48,
            "psum_words": 8,
        },
        {
            "glb_kb": 16,
            "columns": 2,
            "rows": 4,
            "ifmap_words": 12,
            "weight_words": 48,
            "psum_words": 8,
        },
    ],
    "simba": [
        {"global_kb": 16, "input_kb": 2, "weight_kb": 1, "accumulation_words": 32},
        {"global_kb": 32, "input_kb": 4, "weight_kb": 2, "accumulation_words": 64},
    ],
    "tpu_v1": [
        {"array": 64, "buffer_kb": 4096, "accumulator_words": 1024, "fifo_tiles": 1},
        {"array": 128, "buffer_kb": 4096, "accumulator_words": 1024, "fifo_tiles": 2},
    ],
    # windows over PEs that keep none of them
    "shidiannao": [
        {"columns": 2, "rows": 2, "input_kb": 8, "output_kb": 8, "weight_kb": 8},
        {"columns": 4, "rows": 2, "input_kb": 8, "output_kb": 8, "weight_kb": 8},
    ],
}
#: Layers: bounds, strides and dilations.
LAYERS = [
    ("cnn-layer", {"R": 3, "S": 3, "P": 4, "Q": 4, "C": 2, "K": 2, "N": 1}, {}),
    ("cnn-layer", {"R": 3, "S": 1, "P": 6, "Q": 2, "C": 4, "K": 4, "N": 1}, {"Wstride": 2}),
    ("cnn-layer", {"R": 2, "S": 2, "P": 4, "Q": 3, "C": 6, "K": 1, "N": 1}, {"Wdilation": 2}),
    ("cnn-layer", {"R": 1, "S": 1, "P": 8, "Q": 4, "C": 8, "K": 4, "N": 1}, {}),
    ("cnn-layer", {"R": 1, "S": 1, "P": 6, "Q": 1, "C": 8, "K": 8, "N": 2}, {}),
    ("depthwise-cnn-layer", {"R": 3, "S": 3, "P": 4, "Q": 4, "G": 4, "N": 1}, {}),
    ("gemm", {"M": 24, "N": 8, "K": 12}, {}),
    ("batched-gemm", {"H": 3, "M": 8, "N": 6, "K": 16}, {}),
]  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A layer on a piece of hardware."""

    name: str
    architecture: Architecture
    constraints: Constraints
    problem: Problem


def cases(template: str) -> list[Case]:
    """Return all small cases of a template."""
    read = ArchTemplate.read(catalog.find("arch", template))
    result = []
    for i, values in enumerate(HARDWARE[template]):
        chain = energy_chain(read.energy)
        architecture = chain.price(read.build(values))
        for j, (shape, bounds, coefficients) in enumerate(LAYERS):
            problem = Problem(SHAPES[shape], bounds, coefficients)
            result.append(Case(f"{template}-{i}-{j}", architecture, read.constraints, problem))
    return result


def every_mapping(case, most=None):
    """Return the least EDP, energy and delay over every mapping that fits, and how many do.

    None where there are more than ``most``.
    """
    space = Mapspace(case.problem, case.architecture, case.constraints)
    evaluator = NativeEvaluator()
    hardware = HardwareBatch.of(case.architecture)
    least = {"edp": np.inf, "energy": np.inf, "delay": np.inf}
    count = 0
    for batch in enumerate_valid(space, 16384):
        metrics = evaluator.evaluate(hardware, case.problem, batch)
        count += len(batch)
        if most is not None and count > most:
            return None
        for name, value in least.items():
            least[name] = min(value, float(objectives()[name].rank(metrics).min()))
    return least, count


def proved(case, objective, samples=64, **settings):
    """Return what the optimal mapper finds and proves."""
    mapper = OptimalMapper(
        NativeEvaluator(),
        case.constraints,
        objectives()[objective],
        OptimalMapperSettings(threads=1, **settings),
    )
    return mapper.map(
        HardwareBatch.of(case.architecture), case.problem, np.array([samples], np.int64), 0
    )
