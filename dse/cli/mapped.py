"""How a mapping that was found is told: its proof, its costs per level and tensor, the progress."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dse.cli.columns import table
from dse.goals.mapspace_text import OPTIMUM

if TYPE_CHECKING:
    from dse.goals.certificate import Certificate
    from dse.model.stats import TensorStats
    from dse.timeloop.evaluate import Evaluation


def proof_text(found: Certificate) -> str:
    """Say in words how far the mapping can be from the best there is."""
    nodes = f"{found.nodes:,} partial mappings"
    if found.gap is None:
        return f"none: {found.assumed} ({nodes})"
    if found.optimal:
        return f"optimal, of this mapspace: {found.assumed} ({nodes})"
    return (
        f"gap {100 * found.gap:.3g} % above the bound {found.bound:.6g}, of this mapspace: "
        f"{found.assumed} ({nodes})"
    )


def padded_text(sizes: str, value: float, unpadded: float | None, proof: Certificate | None) -> str:
    """Say what was padded, and what that buys against the best that is known without it."""
    if unpadded is None:
        return f"{sizes}; without, no mapping was found"
    known = OPTIMUM if proof is not None and proof.optimal else "best found"
    times = f"{unpadded / value:.4g} x less than" if 0 < value < unpadded else "against"
    return f"{sizes}: {times} the {known} without, {unpadded:.6g}"


@contextmanager
def progress_told(quiet: bool) -> Iterator[None]:
    """Write what mappers say of their progress to stderr."""
    log = logging.getLogger("dse.mappers.optimal")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    before = log.level, log.propagate
    if not quiet:
        log.addHandler(handler)
        log.setLevel(logging.INFO)
        log.propagate = False
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(before[0])
        log.propagate = before[1]


def tensor_table(evaluation: Evaluation) -> str:
    """Return what every level does with every tensor that it keeps, over all its instances.

    Below stand leakage, networks and compute, in rows of their own: all energies add up to the
    total.
    """
    from dse.breakdown.energy import energy_parts  # noqa: PLC0415 - loads the model

    architecture, tensors = evaluation.input.architecture, evaluation.input.problem.tensors
    mapping, stats = evaluation.mapping, evaluation.stats
    rows: list[tuple[str, ...]] = [
        ("level", "tensor", "tile words", "instances", "reads", "fills", "updates", "uJ")
    ]
    parts = list(energy_parts(architecture, stats))

    def energy(place: str, tensor: str | None, kinds: Sequence[str]) -> float:
        own = (p for p in parts if p.place == place and p.tensor == tensor and p.kind in kinds)
        return sum(p.energy_pj for p in own)

    for s, name in reversed(list(enumerate(stats.levels))):
        found = stats.levels[name].tensors
        for t, tensor in enumerate(tensors):
            if mapping.keep[s, t]:
                pj = energy(name, tensor, ("access", "addresses"))
                rows.append((name, tensor, *_counts(found[tensor]), f"{pj / 1e6:,.3f}"))
    nothing = ("",) * 5
    for name in reversed(stats.levels):
        leaked = energy(name, None, ("leakage",))
        if leaked:
            rows.append((name, "(leakage)", *nothing, f"{leaked / 1e6:,.3f}"))
    rows += [
        (part.place, part.tensor or "", *nothing, f"{part.energy_pj / 1e6:,.3f}")
        for part in parts
        if part.kind == "network" and part.energy_pj
    ]
    compute = architecture.compute.name
    rows.append((compute, "(compute)", *nothing, f"{stats.compute_energy_pj / 1e6:,.3f}"))
    rows.append(("total", "", *nothing, f"{stats.energy_uj:,.3f}"))
    return table(rows, names=2)


def _counts(tensor: TensorStats) -> tuple[str, ...]:
    n = tensor.utilized_instances
    return (
        f"{tensor.utilized_capacity:,}",
        f"{n:,.0f}",
        *(f"{x * n:,.0f}" for x in (tensor.reads, tensor.fills, tensor.updates)),
    )
