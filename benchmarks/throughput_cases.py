"""Accelerators and problems of the throughput benchmark, each with its mapspace."""

from __future__ import annotations

from dataclasses import dataclass

from dse.components.chain import energy_chain
from dse.domain.architecture import AccessEnergy, Architecture, Compute, StorageLevel
from dse.domain.constraints import Constraints, LevelConstraint, LoopConstraint, SpatialConstraint
from dse.domain.problem import SHAPES, Problem
from dse.space import catalog


@dataclass(frozen=True)
class Case:
    """One accelerator with the problems that run on it."""

    name: str
    architecture: Architecture
    constraints: Constraints
    problems: tuple[Problem, ...]


def gemmini() -> Case:
    """DOSA's Gemmini, 16 x 16, with all layers of ResNet-50."""
    template = catalog.template("gemmini")
    values = {"pe_dim": 16, "scratchpad_kb": 128, "accumulator_kb": 32}
    architecture = energy_chain("dosa").price(template.build(values))
    problems = tuple(layer.problem for layer in catalog.workload("resnet50"))
    return Case("gemmini, ResNet-50", architecture, template.constraints, problems)


def _level(name: str, kind: str, words: int | None, x: int, y: int, pj: float) -> StorageLevel:
    return StorageLevel(
        name,
        kind,
        word_bits=16,
        size_words=words,
        mesh_x=x,
        mesh_y=y,
        instances=x * y,
        block_size=4 if kind == "DRAM" else 1,
        read_bandwidth=16.0,
        write_bandwidth=16.0,
        energy=AccessEnergy(pj, pj, pj),
    )


def _priced(name: str, levels: list[StorageLevel]) -> Architecture:
    inner = levels[0]
    compute = Compute(
        mesh_x=inner.mesh_x, mesh_y=inner.mesh_y, instances=inner.instances, energy_pj=2.2
    )
    return Architecture(name, tuple(levels), compute)


def _convolutions() -> tuple[Problem, ...]:
    layers = catalog.workload("resnet50").layers
    return tuple(x.problem for x in layers if x.problem.bounds["R"] > 1)


def eyeriss() -> Case:
    """Row-stationary 14 x 12 array: windows (S with Q, R with P) run on the grid."""
    levels = [
        _level("RF", "regfile", 512, 14, 12, 1.0),
        _level("GLB", "SRAM", 65536, 1, 1, 18.0),
        _level("DRAM", "DRAM", None, 1, 1, 512.0),
    ]
    everything = ("Weights", "Inputs", "Outputs")
    constraints = {
        "RF": LevelConstraint(keep=everything, temporal=LoopConstraint(("R", "S", "C", "K", "Q"))),
        "GLB": LevelConstraint(
            keep=("Inputs", "Outputs"),
            bypass=("Weights",),
            spatial=SpatialConstraint(x=("Q", "P", "K"), y=("S", "R", "C", "K")),
        ),
        "DRAM": LevelConstraint(keep=everything),
    }
    return Case("eyeriss-like 14x12", _priced("eyeriss", levels), constraints, _convolutions())


def simba() -> Case:
    """Six levels, two fan-outs: 16 PEs of 64 MACs."""
    levels = [
        _level("Registers", "regfile", 1, 16, 64, 0.3),
        _level("AccumulationBuffer", "SRAM", 128, 16, 8, 1.0),
        _level("WeightBuffer", "SRAM", 4096, 16, 8, 3.0),
        _level("InputBuffer", "SRAM", 8192, 16, 1, 4.0),
        _level("GlobalBuffer", "SRAM", 65536, 1, 1, 18.0),
        _level("DRAM", "DRAM", None, 1, 1, 512.0),
    ]
    keeps = {
        "Registers": ("Weights",),
        "AccumulationBuffer": ("Outputs",),
        "WeightBuffer": ("Weights",),
        "InputBuffer": ("Inputs",),
        "GlobalBuffer": ("Inputs", "Outputs"),
        "DRAM": ("Weights", "Inputs", "Outputs"),
    }
    tensors = ("Weights", "Inputs", "Outputs")
    constraints = {
        name: LevelConstraint(
            keep=kept,
            bypass=tuple(t for t in tensors if t not in kept),
            temporal=LoopConstraint(("P", "Q", "N") if name == "Registers" else None),
            spatial=SpatialConstraint(("C", "K"), x=("K", "C"), y=("K", "C")),
        )
        for name, kept in keeps.items()
    }
    return Case("simba-like, 6 levels", _priced("simba", levels), constraints, _convolutions())


def tpu() -> Case:
    """GEMMs on a 256 x 256 weight-stationary array."""
    levels = [
        _level("Registers", "regfile", 2, 256, 256, 0.3),
        _level("Accumulator", "SRAM", 4096, 256, 1, 2.0),
        _level("UnifiedBuffer", "SRAM", 12 << 20, 1, 1, 30.0),
        _level("DRAM", "DRAM", None, 1, 1, 512.0),
    ]
    constraints = {
        "Registers": LevelConstraint(
            keep=("B",), bypass=("A", "Z"), temporal=LoopConstraint(("M",))
        ),
        "Accumulator": LevelConstraint(
            keep=("Z",), bypass=("A", "B"), spatial=SpatialConstraint(("K",), x=(), y=("K",))
        ),
        "UnifiedBuffer": LevelConstraint(
            keep=("A", "Z"), bypass=("B",), spatial=SpatialConstraint(("N",), x=("N",), y=())
        ),
        "DRAM": LevelConstraint(keep=("A", "B", "Z")),
    }
    sizes = ((512, 768, 768), (512, 3072, 768), (2048, 4096, 4096), (128, 1000, 2048))
    problems = tuple(Problem(SHAPES["gemm"], {"M": m, "N": n, "K": k}) for m, n, k in sizes)
    return Case("GEMM, TPU-like 256x256", _priced("tpu", levels), constraints, problems)


def free_array() -> Case:
    """NAAS's free array: what is kept in the scratchpads and the shared buffer is open."""
    template = catalog.template("naas_nvdla_1024")
    assert template.defaults is not None
    architecture = energy_chain(template.energy).price(template.build(template.defaults))
    return Case("free array", architecture, template.constraints, _convolutions())


CASES = (gemmini, eyeriss, simba, tpu)
