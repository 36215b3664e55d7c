"""Writes what is sparse of a design: ``sparse_optimizations``, densities, prices.

Keys and values are spelt so that 3.0.3 and 4cf6d4c both read them.
"""

from __future__ import annotations

from typing import Any

from dse.domain.architecture import Architecture
from dse.domain.density import Density
from dse.domain.sparse import (
    KINDS,
    STORAGE_ACTIONS,
    RankFormat,
    SavingOptions,
    SparseDesign,
    SparseLevel,
    TensorFormat,
)


def density_content(density: Density) -> Any:  # noqa: ANN401 - a number or a map
    """Return a density as Timeloop's problems give it."""
    if density.distribution == "fixed_structured":
        return density.density
    if density.distribution == "banded":
        return {"distribution": "banded", "band_width": density.band_width}
    return {"distribution": density.distribution, "density": density.density}


def sparse_content(design: SparseDesign, architecture: Architecture) -> dict[str, Any]:
    """Return the section ``sparse_optimizations``, targets outermost first."""
    targets = []
    for level, own in reversed(list(zip(architecture.levels, design.levels, strict=True))):
        target: dict[str, Any] = {}
        if own.formats:
            spaces = [_format(name, form, own) for name, form in own.formats.items()]
            target["representation-format"] = {"data-spaces": spaces}
        kinds = (
            ("gating", own.gating),
            ("skipping", own.skipping),
            ("skipping-spatial", own.spatial_skipping),
        )
        savings = [_saving(kind, options) for kind, some in kinds for options in some]
        if savings:
            target["action-optimization"] = savings
        if target:
            targets.append({"name": level.name, **target})
    computes = []
    if design.gates_computes:
        computes.append({"type": "gate-on-zero-operand"})
    if design.skips_computes:
        # both versions know this value with underscores only
        computes.append({"type": "skip_on_not_aligned_operands"})
    if computes:
        targets.append({"name": architecture.compute.name, "compute-optimization": computes})
    return {"targets": targets}


def template_section(design: SparseDesign, architecture: Architecture) -> dict[str, Any]:
    """Return the section as templates have it, with underscores."""
    made: dict[str, Any] = _underscored(sparse_content(design, architecture))
    return made


def _underscored(content: Any) -> Any:  # noqa: ANN401
    if isinstance(content, list):
        return [_underscored(item) for item in content]
    if not isinstance(content, dict):
        return content
    found = {}
    for key, value in content.items():
        is_word = key in ("type", "rank-application-order")
        found[key.replace("-", "_")] = value.replace("-", "_") if is_word else _underscored(value)
    return found


def sparse_actions(own: SparseLevel) -> dict[str, float]:
    """Return what a level's table of energies has beside plain accesses, in pJ by action."""
    plain = {f"random_{access}" for access in ("read", "fill", "update")}
    return {x: float(own.energies_pj[x]) for x in STORAGE_ACTIONS if x not in plain}


def saved_compute_actions(design: SparseDesign) -> dict[str, float]:
    """Return the energies of operations that are gated or skipped, in pJ by action."""
    return {f"mac_{kind}": float(design.compute_energies_pj[kind]) for kind in KINDS[1:]}


def _saving(kind: str, options: SavingOptions) -> dict[str, Any]:
    choices = [{"target": x.target, "condition-on": list(x.conditions)} for x in options]
    if len(choices) == 1:
        return {"type": kind, **choices[0]}
    return {"type": kind, "options": choices}


def _format(name: str, form: TensorFormat, own: SparseLevel) -> dict[str, Any]:
    order = {"rank-application-order": "inner-to-outer"} if form.inner_to_outer else {}
    ranks = [_rank(rank, own) for rank in reversed(form.ranks)]
    return {"name": name, **order, "ranks": ranks}


def _rank(rank: RankFormat, own: SparseLevel) -> dict[str, Any]:
    found: dict[str, Any] = {"format": rank.name}
    if rank.metadata_bits != (1 if rank.name == "b" else own.metadata.word_bits):
        found["metadata-word-bits"] = rank.metadata_bits
    if rank.payload_bits != own.metadata.word_bits:
        # each version ignores the other's spelling
        found["payload-word-bits"] = found["payload_word_bits"] = rank.payload_bits
    if rank.flattened:
        found["flattened-rankIDs"] = [list(group) for group in rank.flattened]
    return found
