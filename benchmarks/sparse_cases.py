"""Sparse designs of the throughput benchmark: what is compressed and skipped on a dense case."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from throughput_cases import Case, eyeriss

from dse.components.chain import energy_chain
from dse.domain.architecture import Architecture
from dse.domain.density import DISTRIBUTIONS, Density
from dse.domain.sparse import (
    ACCESSES,
    KINDS,
    STORAGE_ACTIONS,
    MetadataStorage,
    RankFormat,
    Saving,
    SparseDesign,
    SparseLevel,
    TensorFormat,
)
from dse.space import catalog

#: Templates of sparse designs, each with a pruned network, of which so many layers are drawn.
SPARSE_TEMPLATES = (
    ("eyeriss_v2_like", "resnet50_pruned"),
    ("scnn_like", "resnet50_pruned"),
    ("stc_like", "bert_base_2_4"),
)
MOST_SPARSE_LAYERS = 8
_EVERYTHING = (tuple("CKRSNPQ"),)


def _format(*names: str) -> TensorFormat:
    """Ranks from the inside, each of as many loops as come."""
    return TensorFormat(tuple(RankFormat(name, 4, 4, _EVERYTHING) for name in names))


def _level(architecture: Architecture, s: int, **parts: object) -> SparseLevel:
    energy = architecture.levels[s].energy
    full = dict(zip(ACCESSES, (energy.read_pj, energy.fill_pj, energy.update_pj), strict=True))
    prices = dict.fromkeys(STORAGE_ACTIONS, 0.0)
    for access, pj in full.items():
        for kind, share in zip(KINDS, (1.0, 0.1, 0.0), strict=True):
            prices[f"{kind}_{access}"] = share * pj
            prices[f"{kind}_metadata_{access}"] = 0.25 * share * pj
    return SparseLevel(MetadataStorage(16, 2**20, 4), energies_pj=prices, **parts)


def eyeriss_skipping(architecture: Architecture, distribution: str) -> SparseDesign:
    """Weights and inputs in coordinates at all levels; either is skipped where the other is 0."""
    nest = [_format("cp"), _format("cp", "uop"), _format("cp", "uop", "uop")]
    levels = (
        _level(
            architecture,
            0,
            formats={"Weights": nest[0], "Inputs": nest[0]},
            skipping=(
                (Saving("Weights", ("Inputs",)),),
                (Saving("Outputs", ("Weights", "Inputs")),),
            ),
        ),
        _level(
            architecture,
            1,
            formats={"Inputs": nest[1]},
            gating=((Saving("Outputs", ("Inputs",)),),),
        ),
        _level(architecture, 2, formats={"Weights": nest[1], "Inputs": nest[2]}),
    )
    return SparseDesign(
        {"Weights": Density(distribution, 0.35), "Inputs": Density(distribution, 0.45)},
        levels,
        skips_computes=True,
        compute_energies_pj={"random": 2.2, "gated": 0.2, "skipped": 0.0},
    )


class SparseCase(NamedTuple):
    """A dense accelerator, what of it is sparse, and the layers that run on it."""

    dense: Case
    design: SparseDesign


def sparse_cases() -> list[SparseCase]:
    """Return a heavy design on a fast dense case, and the templates that come with the package."""
    case = eyeriss()
    cases = []
    for kind in (d for d in DISTRIBUTIONS if d != "banded"):
        design = eyeriss_skipping(case.architecture, kind)
        problems = tuple(replace(p, densities=design.densities) for p in case.problems)
        cases.append(
            SparseCase(replace(case, name=f"{case.name}, {kind}", problems=problems), design)
        )
    for name, network in SPARSE_TEMPLATES:
        template = catalog.template(name)
        if template.defaults is None:
            raise ValueError(f"template '{name}' has no defaults")
        architecture = energy_chain(template.energy).price(template.build(template.defaults))
        if architecture.sparse is None:
            raise ValueError(f"template '{name}' is dense")
        problems = [layer.problem for layer in catalog.workload(network)]
        some = tuple(problems[:: -(-len(problems) // MOST_SPARSE_LAYERS)])
        dense = Case(
            f"{name}, {network}", replace(architecture, sparse=None), template.constraints, some
        )
        cases.append(SparseCase(dense, architecture.sparse))
    return cases
