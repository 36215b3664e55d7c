"""The optimum of a free mapspace against every mapping that the hardware admits, made by hand."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
import yaml

from dse.certify import known
from dse.certify.places import Places
from dse.certify.run import certify
from dse.certify.verdict import Decision
from dse.cli import main
from dse.components.chain import energy_chain
from dse.domain.architecture import HardwareBatch
from dse.domain.mapping import MappingBatch
from dse.domain.problem import SHAPES, Problem
from dse.evaluators.native import NativeEvaluator
from dse.goals.objective import objective
from dse.mappers.optimal import OptimalMapper, OptimalMapperSettings
from dse.mapspace.space import Mapspace
from dse.runner.run import start
from dse.space import catalog
from dse.space.mapspace_choice import freed
from dse.space.template import ArchTemplate

pytestmark = pytest.mark.slow

#: Sizes that small layers do not fit into.
TINY = {"pe_dim": 2, "scratchpad_kb": 1, "accumulator_kb": 1}
PROBLEMS = [
    Problem(SHAPES["gemm"], {"M": 4, "N": 2, "K": 4}),
    Problem(SHAPES["cnn-layer"], {"R": 2, "S": 1, "P": 3, "Q": 1, "C": 4, "K": 1, "N": 1}),
]


def tiny_gemmini() -> ArchTemplate:
    """Gemmini with a scratchpad of 8 words and accumulators of 2."""
    content = yaml.safe_load(catalog.find("arch", "gemmini").read_text(encoding="utf-8"))
    content["storage"][1]["size_words"] = 8
    content["storage"][2]["size_words"] = 2
    return ArchTemplate.parse(content, "tiny.yaml")


def splits(bound: int, places: int) -> list[tuple[int, ...]]:
    """Return all ways to write a bound as a product of so many factors."""
    every = itertools.product(range(1, bound + 1), repeat=places)
    return [factors for factors in every if np.prod(factors) == bound]


def least_by_hand(problem: Problem, template: ArchTemplate) -> tuple[float, int]:
    """Return the least EDP over all factors and orders, and how many mappings that are.

    Nothing is asked but fan-outs, keeps and bypasses; the model says what fits.
    """
    architecture = energy_chain(template.energy).price(template.build(TINY))
    space = Mapspace(problem, architecture)
    keep = space.empty_batch(1).keep[:, :, 0]
    fanouts = [max(architecture.fanout(s)) for s in range(4)]
    spread = [s for s in range(4) if fanouts[s] > 1]
    moved = [d for d, n in enumerate(problem.bounds.values()) if n > 1]
    still = [d for d in range(len(problem.dimensions)) if d not in moved]
    ways = [splits(problem.bounds[problem.dimensions[d]], 4 + len(spread)) for d in moved]
    temporal, spatial = [], []
    for chosen in itertools.product(*ways):
        t = np.ones((4, len(problem.dimensions)), np.int32)
        x = np.ones_like(t)
        for d, factors in zip(moved, chosen, strict=True):
            t[:, d], x[spread, d] = factors[:4], factors[4:]
        if (x.prod(axis=1) <= fanouts).all():
            temporal.append(t)
            spatial.append(x)
    orders = [[*order, *still] for order in itertools.permutations(moved)]
    evaluator = NativeEvaluator("4cf6d4c", 1)
    hardware, least, count = HardwareBatch.of(architecture), np.inf, 0
    batch = space.empty_batch(len(temporal))
    for some in itertools.product(orders, repeat=4):
        permutation = np.repeat(np.array(some, np.int8)[:, :, None], len(temporal), axis=2)
        mappings = MappingBatch(
            temporal=np.stack(temporal, axis=2),
            spatial=np.stack(spatial, axis=2),
            permutation=permutation,
            spatial_permutation=batch.spatial_permutation[:, :, :1],
            split=np.full((4, 1), len(problem.dimensions), np.int8),
            keep=keep[:, :, None],
            no_temporal_reuse=batch.no_temporal_reuse,
            no_multicast=batch.no_multicast,
            no_link_transfer=batch.no_link_transfer,
        )
        found = evaluator.evaluate(hardware, problem, mappings, np.zeros(len(temporal), np.int32))
        least = min(least, float(np.min(found.edp, initial=np.inf, where=found.valid)))
        count += len(temporal)
    return least, count


@pytest.mark.parametrize("problem", PROBLEMS, ids=["gemm", "conv"])
def test_nothing_that_the_hardware_admits_is_better(problem):
    template = freed(tiny_gemmini())
    architecture = energy_chain(template.energy).price(template.build(TINY))
    mapper = OptimalMapper(
        NativeEvaluator("4cf6d4c", 1), template.constraints, objective("edp"),
        OptimalMapperSettings(),
    )  # fmt: skip
    found = mapper.map(HardwareBatch.of(architecture), problem, np.array([200]), 0)
    least, count = least_by_hand(problem, template)
    assert count > 10_000
    (proof,) = found.certificates
    assert proof.optimal
    assert proof.value == pytest.approx(least, rel=1e-12)
    assert "even mappings" in proof.assumed


NETWORK = {
    "name": "net", "shape": "cnn-layer",
    "layers": [{"name": "a", "R": 3, "P": 8, "K": 2}],
}  # fmt: skip


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A small space of hardware and one layer, with known optima of its own."""
    monkeypatch.setenv(known.VARIABLE, str(tmp_path / "known.json"))
    content = yaml.safe_load(catalog.find("arch", "gemmini").read_text(encoding="utf-8"))
    content["variables"] = {
        "pe_dim": {"values": [2, 4]},
        "scratchpad_kb": {"values": [1, 2]},
        "accumulator_kb": {"values": [1]},
    }
    (tmp_path / "arch.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    (tmp_path / "net.yaml").write_text(yaml.safe_dump(NETWORK), encoding="utf-8")
    named = {"arch": str(tmp_path / "arch.yaml"), "workload": str(tmp_path / "net.yaml")}
    return {**named, "mapspace": {"padding": "off"}}


def test_a_free_space_is_proven_certified_and_told_apart(files, tmp_path, capsys):
    values = {}
    for free in (False, True):
        folder = tmp_path / f"free_{free}"
        settings = {**files, "mapspace": {"padding": "off", "free": free}}
        result = start({**settings, "optimizer": "optimal", "folder": str(folder)}).execute()
        assert result.certificate["status"] == "optimal"
        values[free] = result.value
        words = "any loops" if free else "the template's constraints"
        assert words in result.certificate["assumed"][0]
        assert json.loads((folder / "result.json").read_text()).get("mapspace") == (
            {"free": True} if free else None
        )
        certified, entry = certify(folder)
        assert words in certified.mapspace
        assert certified.outcome is Decision.CERTIFIED, certified.reason
        assert entry is not None
        known.remember(entry)
    assert values[True] < values[False]
    kept = json.loads((tmp_path / "known.json").read_text())["optima"]
    assert sorted(entry["value"] for entry in kept) == sorted(values.values())
    capsys.readouterr()
    again = ["run", "optimizer=random", "samples=20", f"runs={tmp_path}", "mapspace.padding=off"]
    again += [f"{key}={files[key]}" for key in ("arch", "workload")]
    assert main([*again, "mapspace.free=true"]) == 0
    told = capsys.readouterr().out
    assert "mapspace  perfect factors, the template's keeps and bypasses, any loops" in told
    assert "proven optimum of this mapspace, EDP" in told


@pytest.mark.parametrize("optimizer", ["ga", "nsga2", "lockstep", "naas", "dosa", "auto"])
def test_every_search_runs_in_a_free_space(optimizer, files, tmp_path):
    folder = tmp_path / optimizer
    mapspace = {"padding": "off", "free": True}
    given = {**files, "mapspace": mapspace, "optimizer": optimizer, "samples": 60}
    result = start({**given, "folder": str(folder)}).execute()
    assert np.isfinite(result.value)
    assert result.space.template.is_free
    for layer, mapping in zip(result.workload, result.design.mappings, strict=True):
        assert Places(layer.problem, result.architecture).why_not(mapping) is None
