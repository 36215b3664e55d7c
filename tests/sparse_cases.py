"""Timeloop's recorded answers to sparse designs, and the comparison with the model's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from reference_cases import compare, disagreements, printed, rates

from dse.model.stats import Stats
from dse.sparse.stats import SparseStats, SparseTensorStats

#: What the records call otherwise than the model, of a tensor and of the computes.
_TENSOR = {
    "energy": "energy_pj",
    "format": "storage_format",
    "compression_counts": "compressions",
}
_COMPUTE = {
    "cycles": "cycles",
    "utilized_instances": "max_instances",
    "avg_utilized_instances": "average_instances",
    "random_computes": "random",
    "gated_computes": "gated",
    "skipped_computes": "skipped",
}
#: Counts that a record leaves out where they are 0.
_ZERO = (
    *("random_reads", "random_fills", "random_updates", "temporal_reductions"),
    *("gated_reads", "gated_updates", "skipped_reads", "skipped_updates", "compression_counts"),
    *(f"{kind}_format_{access}" for kind in ("random", "gated", "skipped")
      for access in ("reads", "updates")),
    "random_format_fills",
)  # fmt: skip
#: Follows from others here.
_DERIVED = ("addr_gen_energy",)


def sparse_disagreements(case: dict[str, Any]) -> list[str]:
    """Evaluate one case and say where the answer differs from Timeloop's; empty if nowhere."""
    return disagreements(case, sparse_figures)


def sparse_figures(case: dict[str, Any], stats: Stats) -> Iterator[str]:
    if not isinstance(stats, SparseStats):
        yield "got the answer of a dense design"
        return
    yield from compare("cycles", case["cycles"], stats.cycles)
    yield from rates(case, stats)
    per_compute = stats.energy_pj_per_compute
    yield from printed(case, "energy_pj_per_algorithmic_compute", per_compute, 5)
    if case["energy_pj_per_compute"] is not None and stats.sparse_computes.random:
        per_random = stats.energy_pj_per_random_compute
        yield from printed(case, "energy_pj_per_compute", per_random, 5)
    yield from _compute(case["compute"], stats)
    if list(case["levels"]) != list(stats.levels):
        yield f"levels {list(case['levels'])}, got {list(stats.levels)}"
        return
    for name, expected in case["levels"].items():
        level = stats.levels[name]
        for field, value in expected.items():
            if isinstance(value, dict):
                yield from _tensor(f"{name}.{field}", value, level.tensors[field])
            else:
                yield from compare(f"{name}.{field}", value, getattr(level, field))
    yield from _networks(case["networks"], stats)


def _compute(expected: dict[str, Any], stats: SparseStats) -> Iterator[str]:
    yield from compare("compute.energy", expected["energy"], stats.compute_energy_pj)
    yield from compare("computes", expected["algorithmic_computes"], stats.computes)
    for key, field in _COMPUTE.items():
        yield from compare(f"compute.{key}", expected[key], getattr(stats.sparse_computes, field))


def _tensor(where: str, expected: dict[str, Any], tensor: SparseTensorStats) -> Iterator[str]:
    for key in (*expected, *(key for key in _ZERO if key not in expected)):
        if key in _DERIVED:
            continue
        if key == "format_shared_bandwidth_ratio":
            yield from compare(f"{where}.{key}", expected[key], tensor.metadata_bandwidth[0])
            continue
        field = _TENSOR.get(key, key.replace("_format_", "_metadata_"))
        got, want = getattr(tensor, field), expected.get(key, 0)
        if isinstance(got, tuple):
            if got != tuple(map(tuple, want or [])) and (want or any(map(any, got))):
                yield f"{where}.{key} {want}, got {got}"
        elif isinstance(got, str):
            if got != want:
                yield f"{where}.{key} {want}, got {got}"
        else:
            yield from compare(f"{where}.{key}", want, got)


def _networks(expected: dict[str, Any], stats: SparseStats) -> Iterator[str]:
    fields = {"energy": "energy_pj", "link_transfer_energy": "link_transfer_energy_pj"}
    for name, tensors in stats.networks.items():
        for tensor, network in tensors.items():
            known = expected.get(name, {}).get(tensor, {})
            for key in ("link_transfers", "spatial_reductions", *fields):
                got = getattr(network, fields.get(key, key))
                yield from compare(f"{name}.{tensor}.{key}", known.get(key, 0), got)
