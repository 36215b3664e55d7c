"""Compiling ahead: small jobs, each in a process of its own, whose code later processes find.

A function that two of them need is compiled by one, and the other waits for it (see `dse.jit`).
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from dse.components.chain import energy_chain
from dse.domain.architecture import Architecture, HardwareBatch
from dse.domain.mapping import Mapping, MappingBatch
from dse.domain.problem import Problem
from dse.domain.sparse import KINDS, STORAGE_ACTIONS, SparseDesign, SparseLevel
from dse.errors import InvalidMapping, SpecError, unknown_name
from dse.evaluators.native import NativeEvaluator
from dse.model import evaluate_one
from dse.runner.map_layer import map_layer
from dse.runner.run import search
from dse.space import catalog
from dse.sparse.batch.evaluate import SparseModel

_TEMPLATE, _WORKLOAD, _LAYER = "gemmini", "dosa_bert", "query"


def _case() -> tuple[Architecture, Problem, Mapping]:
    """Return hardware, a layer, and the mapping with all of its loops at the outermost level."""
    template = catalog.template(_TEMPLATE)
    values = template.defaults
    assert values is not None  # every template that comes with this package has them
    architecture = energy_chain("dosa").price(template.build(values))
    problem = catalog.workload(_WORKLOAD).layer(_LAYER).problem
    mapping = Mapping.trivial(
        len(architecture.levels), len(problem.dimensions), len(problem.tensors)
    )
    temporal = mapping.temporal.copy()
    temporal[-1] = problem.sizes
    return architecture, problem, replace(mapping, temporal=temporal)


def _evaluation() -> None:
    architecture, problem, mapping = _case()
    hardware, batch = HardwareBatch((architecture,)), MappingBatch.of([mapping])
    NativeEvaluator().evaluate(hardware, problem, batch, np.zeros(1, np.int32))


def _details() -> None:
    with suppress(InvalidMapping):  # what it says does not matter
        evaluate_one(*_case())


def _sparse() -> None:
    architecture, problem, mapping = _case()
    free = SparseLevel(energies_pj=dict.fromkeys(STORAGE_ACTIONS, 0.0))
    levels = (free,) * len(architecture.levels)
    design = SparseDesign({}, levels, compute_energies_pj=dict.fromkeys(KINDS, 0.0))
    SparseModel(architecture, problem, design).evaluate(MappingBatch.of([mapping]))


def _run(**settings: object) -> None:
    with tempfile.TemporaryDirectory() as folder:
        given: dict[str, Any] = {"arch": _TEMPLATE, "workload": _WORKLOAD, "runs": folder}
        search({**given, "samples": 300, **settings})


def _map(**settings: object) -> None:
    with tempfile.TemporaryDirectory() as folder:
        given: dict[str, Any] = {"arch": _TEMPLATE, "runs": folder, "samples": 100}
        map_layer({**given, **settings}, f"{_WORKLOAD}/{_LAYER}")


#: What can be compiled ahead, by name: long and independent jobs first.
JOBS: dict[str, Callable[[], None]] = {
    "evaluation": _evaluation,
    "details": _details,
    "sparse": _sparse,
    "mapper=optimal": partial(_map, mapper={"name": "optimal", "seeding": 0}),
    "mapper=hillclimb": partial(_map, mapper="hillclimb"),
    **{f"optimizer={name}": partial(_run, optimizer=name)
       for name in ("random", "lockstep", "naas", "dosa", "optimal")},
}  # fmt: skip


def warm(
    names: Sequence[str], processes: int, here: bool = False
) -> Iterator[tuple[str, str | None]]:
    """Do jobs; yield each job's name, and its complaint or None, when it has ended.

    Args:
        names: of jobs.
        processes: so many jobs at a time, each in one.
        here: in this process, one after the other, which ends where one fails.

    Raises:
        SpecError: there is no such job.
    """
    for name in names:
        if name not in JOBS:
            raise SpecError(unknown_name("job", name, list(JOBS)))
    if here:
        for name in names:
            JOBS[name]()
            yield name, None
        return
    with ThreadPoolExecutor(max(1, processes)) as pool:
        yield from zip(names, pool.map(_complaint, names), strict=True)


def _complaint(name: str) -> str | None:
    """Do a job in a process; return its last line on stderr, or its exit code, if it failed."""
    done = subprocess.run(  # noqa: S603 - our own interpreter and arguments
        _words(name), capture_output=True, text=True, check=False
    )
    if not done.returncode:
        return None
    return done.stderr.strip().rpartition("\n")[2] or f"exit code {done.returncode}"


def _words(name: str) -> list[str]:
    return [sys.executable, "-m", "dse", "warm", "--here", name]
