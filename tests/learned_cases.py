"""Made-up recorded rows on a small template, and models that are fitted on them in a moment."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

from dse.domain.architecture import HardwareBatch
from dse.domain.mapping import MappingBatch
from dse.domain.problem import Problem
from dse.evaluators.native import NativeEvaluator
from dse.learned.encoding import Encoding
from dse.learned.rows import RecordedRows, Row, RowTable
from dse.learned.train import Trained, TrainSettings, train
from dse.mapspace import Mapspace, sample_valid
from dse.testing import tiny

#: DOSA's recorded rows, where they are.
DOSA = Path(__file__).parents[2] / "shared/reference/dosa"
#: The head of a file like them, and a line.
HEADER = (
    "target.gemmini_cycle,mapping.mapping,arch.meshX,arch.mem1_entries,arch.mem2_entries,"
    "prob.R,prob.S,prob.P,prob.Q,prob.C,prob.K,prob.N,"
    "prob.Wstride,prob.Hstride,prob.Wdilation,prob.Hdilation\n"
)
LINE = (
    "5000,L3[WIO] K4 - L2[WI] K4X - L1[O] C4 C4X - L0[W] P8,16,256,65536,1,1,8,1,16,16,1,1,1,1,1\n"
)


def no_report(done: int, total: int, text: str) -> None:
    """Say nothing."""


@cache
def mappings(count: int = 60, seed: int = 1) -> tuple[HardwareBatch, Problem, MappingBatch]:
    """Return valid mappings of a small problem on the first of two pieces of hardware."""
    hardware, problem = tiny.hardware(), tiny.problem()
    space = Mapspace(problem, hardware.architectures[0], tiny.template().constraints)
    return hardware, problem, sample_valid(space, count, seed, 100_000).mappings


@cache
def rows(count: int = 60) -> RecordedRows:
    """Return rows whose cycles are the native ones, times what a made-up memory makes of them."""
    hardware, problem, batch = mappings(count)
    first = hardware.architectures[0]
    native = NativeEvaluator().evaluate(first, problem, batch)
    slow = 1.5 + 0.5 * np.sin(np.log(native.energy_pj))
    found = [
        Row(first, problem, batch[b], float(native.cycles[b] * slow[b]), f"made up, line {b + 1}")
        for b in range(count)
    ]
    return RecordedRows.of("made up", "0" * 64, "4cf6d4c", found)


def table(count: int = 60) -> RowTable:
    """Return the rows as features and targets."""
    return rows(count).encoded(Encoding(rows(count).structure))


def trained(kind: str, settings: object, seed: int = 0) -> Trained:
    """Train on the made-up rows."""
    return train(kind, rows(), settings, TrainSettings(seed=seed, held_out=0.2), no_report)


def write_dosa_rows(path: Path, count: int = 40) -> None:
    """Write made-up rows as DOSA writes them."""
    text = HEADER
    for n in range(2, 2 + count):
        line = LINE.replace("P8", f"P{n}").replace(",8,", f",{n},")
        text += line.replace("5000", str(2000 + 100 * n * n))
    path.write_text(text, encoding="utf-8")
