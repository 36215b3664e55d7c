"""What the property tests share: settings, the comparison of stats, changes to a case."""

from __future__ import annotations

import math
from dataclasses import fields, is_dataclass, replace

import numpy as np
from hypothesis import HealthCheck, assume, settings
from strategies import ROOMY, Case

from dse.domain.architecture import Architecture
from dse.domain.mapping import Mapping
from dse.errors import InvalidMapping, SpecError
from dse.model import TIMELOOP_VERSIONS, evaluate_one
from dse.model.stats import Stats

VERSIONS = tuple(TIMELOOP_VERSIONS)
INEXACT = {"energy_pj", "link_transfer_energy_pj", "leak_energy_pj", "compute_energy_pj"}
INEXACT |= {"area_um2", "slowdown", "utilization", "utilized_clusters"}


def examples(count):
    """Settings for ``count`` examples that are the same in every run."""
    return settings(
        max_examples=count,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


def differences(got, want, where="stats"):
    """Paths of the numbers that differ: counts at all, other floats by more than 1e-9."""
    if is_dataclass(want):
        got = {f.name: getattr(got, f.name) for f in fields(want)}
        want = {f.name: getattr(want, f.name) for f in fields(want)}
    if isinstance(want, dict):
        if list(got) != list(want):
            return [f"{where}: {list(want)}, got {list(got)}"]
        return [x for k in want for x in differences(got[k], want[k], f"{where}.{k}")]
    exact = where.rpartition(".")[2] not in INEXACT
    if got == want or (not exact and math.isclose(got, want, rel_tol=1e-9)):
        return []
    return [f"{where}: {want}, got {got}"]


def answer(evaluate, case, version="4cf6d4c"):
    """The stats, or the line of the rejection, or what is said where Timeloop aborts."""
    try:
        return evaluate(*case, version)
    except (InvalidMapping, SpecError) as error:
        return str(error)


def evaluated(case, version="4cf6d4c") -> Stats:
    """The model's stats; drops the example when the mapping is rejected."""
    result = answer(evaluate_one, case, version)
    assume(isinstance(result, Stats))
    assert isinstance(result, Stats)
    return result


def counts(stats, tensor):
    """What is counted for one tensor at every level, without energies."""
    return [
        replace(level.tensors[tensor], energy_pj=0.0, utilized_clusters=0.0)
        for level in stats.levels.values()
    ]


def rooms(architecture: Architecture) -> Architecture:
    """The architecture without any limit of capacity."""
    return replace(
        architecture,
        levels=tuple(
            replace(x, size_words=ROOMY, min_utilization=0.0) for x in architecture.levels
        ),
    )


def changed(mapping: Mapping, **arrays) -> Mapping:
    return replace(
        mapping, **{k: np.array(v, getattr(mapping, k).dtype) for k, v in arrays.items()}
    )


def without_links(case: Case) -> Case:
    architecture, problem, mapping = case
    silent = changed(mapping, no_link_transfer=np.ones_like(mapping.keep))
    return rooms(architecture), problem, silent
