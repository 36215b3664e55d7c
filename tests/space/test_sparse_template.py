"""Templates with sparse_optimizations, and densities of workloads."""

from __future__ import annotations

import numpy as np
import pytest
import sparse_designs
import yaml

from dse.components.chain import energy_chain
from dse.domain.density import Density
from dse.domain.mapping import MappingBatch
from dse.domain.problem import Layer
from dse.domain.sparse import STORAGE_ACTIONS, MetadataStorage, Saving
from dse.errors import InvalidMapping, SpecError
from dse.evaluators.native import NativeEvaluator
from dse.files import TextSource
from dse.mapspace.sampling import sample_valid
from dse.mapspace.space import Mapspace
from dse.space import catalog
from dse.space.search_space import SearchSpace
from dse.space.template import ArchTemplate
from dse.space.timeloop_template import template_text
from dse.space.timeloop_workload import workload_text
from dse.space.workload import parse_workload, read_workload
from dse.sparse.evaluate import evaluate_sparse
from dse.timeloop.evaluate import evaluate_files
from dse.timeloop.write.inputs import write_design
from dse.timeloop.yaml.io import load_files

BUILT_IN = ["eyeriss_v2_like", "scnn_like", "stc_like"]
SPREAD = Density("hypergeometric", 0.2)


def template(**changes):
    return ArchTemplate.parse({**yaml.safe_load(sparse_designs.TEMPLATE), **changes}, "arch.yaml")


def hardware(made=None, **values):
    made = made or template()
    return energy_chain(made.energy).price(made.build({**made.defaults, **values}))


def workload(text=sparse_designs.WORKLOAD):
    return parse_workload(yaml.safe_load(text), "net.yaml")


def drawn(architecture, problem, count=200, seed=0):
    space = Mapspace(problem, architecture.with_room(problem))
    return sample_valid(space, count, seed, 10**6).mappings


def test_a_layer_and_a_network_give_densities():
    conv, product, scores = workload()
    assert conv.problem.densities == {"Weights": SPREAD, "Inputs": Density("fixed_structured", 0.5)}
    assert product.problem.densities == {"B": SPREAD}  # the weights of a matrix product
    assert scores.problem.densities == {}  # whose second operand is no weight


def test_what_a_layer_says_holds():
    text = sparse_designs.WORKLOAD.replace("{Inputs: 0.5}", "{Weights: 1.0}")
    assert workload(text).layers[0].problem.densities == {"Weights": Density()}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("{Inputs: 1.5}", "densities: Inputs = '1.5': expected a density of at most 1"),
        ("{Input: 0.5}", "unknown tensor 'Input'"),
        ("0.5", "densities = 0.5, expected a density by tensor"),
        ("{Inputs: {distribution: uniform, density: 0.5}}", "expected one of fixed, "),
        ("{Inputs: {distribution: hypergeometric}}", "key 'density' is missing"),
        ("{Inputs: {distribution: fixed, densty: 0.5}}", "unknown key 'densty'"),
    ],
)
def test_wrong_densities_are_refused(given, said):
    text = sparse_designs.WORKLOAD.replace("{Inputs: 0.5}", given)
    with pytest.raises(SpecError) as error:
        workload(text)
    assert "net.yaml: layers[0] ('conv')" in str(error.value)
    assert said in str(error.value)


def test_densities_are_part_of_a_problem():
    conv = workload().layers[0].problem
    assert conv.with_densities({}) != conv
    assert hash(conv.with_densities(dict(conv.densities))) == hash(conv)


def test_densities_survive_as_a_file():
    before = workload()
    text = workload_text("net", before.layers)
    after = read_workload(TextSource("net", text))
    assert [x.problem for x in after] == [x.problem for x in before]


def test_dense_templates_leave_densities_aside(caplog):
    dense = yaml.safe_load(sparse_designs.TEMPLATE)
    del dense["sparse_optimizations"]
    for level in dense["storage"]:
        for key in [key for key in level if key.startswith("metadata")]:
            del level[key]
    made = ArchTemplate.parse(dense, "dense.yaml")
    space = SearchSpace(made, workload(), energy_chain("table"))
    assert not any(layer.problem.densities for layer in space.workload)
    assert "its densities change nothing" in caplog.text


def test_metadata_costs_area_and_energy():
    architecture = hardware()
    buffer = architecture.sparse.levels[0]
    assert buffer.metadata == MetadataStorage(8, 256, 4)
    assert set(buffer.energies_pj) == set(STORAGE_ACTIONS)
    assert buffer.energies_pj["random_read"] == architecture.level("Buffer").energy.read_pj
    assert buffer.energies_pj["random_metadata_read"] > 0
    assert buffer.energies_pj["gated_read"] == 0
    dense = energy_chain("table").price_storage(
        template().build(template().defaults).level("Buffer"), architecture.technology
    )
    assert architecture.level("Buffer").area_um2 > dense.area_um2


def test_sizes_of_metadata_follow_variables():
    assert hardware(words=64).sparse.levels[0].metadata.depth == 64


def test_names_follow_the_layer():
    design, product = hardware().sparse, workload().layers[1].problem
    assert design.levels[0].gating == ((Saving("Inputs", ("Weights",)),),)
    own = design.of(product)
    assert own.levels[0].gating == ((Saving("A", ("B",)),),)
    assert own.levels[0].formats["B"].ranks[0].flattened == (("K", "N", "M"),)
    assert own.densities == {"B": SPREAD}


def test_a_layer_without_its_tensors_is_refused():
    text = """
name: own
shape: {name: own, dimensions: [M], data_spaces: {X: {projection: M}, Y: {projection: M, read_write: true}}}
layers: [{name: one, M: 4}]
"""  # noqa: E501
    with pytest.raises(SpecError, match="layer 'one': sparse_optimizations: unknown tensor"):
        SearchSpace(template(), workload(text), energy_chain("table"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sparse_optimizations": {}}, "sparse_optimizations: asks for nothing"),
        ({"sparse_optimizations": None}, "DRAM.metadata_storage_width: has no effect without"),
        (
            {"sparse_optimizations": {"targets": [{"name": "DRAN", "action_optimization": []}]}},
            r"arch.yaml: sparse_optimizations.targets\[0\].name = 'DRAN'",
        ),
    ],
)
def test_wrong_sections_are_refused(changes, said):
    with pytest.raises(SpecError, match=said):
        template(**changes)


def test_prices_may_stand_in_the_template():
    content = yaml.safe_load(sparse_designs.TEMPLATE)
    content["energy"] = "template"
    content["storage"][1]["sparse_pj"] = {"gated_read": 0.5, "random_metadata_read": 2}
    content["compute"]["sparse_pj"] = {"gated": 0.25}
    design = hardware(ArchTemplate.parse(content, "arch.yaml")).sparse
    assert design.levels[0].energies_pj["gated_read"] == 0.5
    assert design.levels[0].energies_pj["random_metadata_read"] == 2
    assert design.compute_energies_pj == {"random": 0.0, "gated": 0.25, "skipped": 0.0}
    content["storage"][1]["sparse_pj"] = {"random_read": 1}
    with pytest.raises(SpecError, match="unknown action 'random_read'"):
        ArchTemplate.parse(content, "arch.yaml")


@pytest.mark.parametrize("index", [0, 1, 2])
def test_the_evaluator_is_the_model_of_single_mappings(index):
    """Two pieces of hardware in one batch, against the model itself."""
    problem = workload().layers[index].problem
    machines = [hardware(), hardware(words=64, side=4)]
    batches = [drawn(machine, problem, 60) for machine in machines]
    joint = MappingBatch.concatenate(batches)
    of = [h for h, batch in enumerate(batches) for _ in range(len(batch))]
    evaluator = NativeEvaluator("4cf6d4c", 1)
    found = evaluator.evaluate(machines, problem, joint, np.array(of))
    assert found.valid.any()
    for b, h in enumerate(of):
        machine = machines[h]
        violation = evaluator.explain(machine, problem, joint, b)
        assert (violation is None) == found.valid[b]
        if violation is None:
            design = machine.sparse.of(problem)
            stats = evaluate_sparse(machine, problem, joint[b], design)
            assert found.cycles[b] == stats.cycles
            assert found.energy_pj[b] == pytest.approx(stats.energy_pj, rel=1e-9)


def test_room_is_for_all_that_fits():
    """Whatever fits as it is compressed fits the room that mappings are drawn for."""
    text = sparse_designs.WORKLOAD.replace("0.2", "0.02")
    problem = workload(text).layers[0].problem
    machine = hardware(words=64)
    levels = machine.with_room(problem).levels
    assert levels[0].size_words > 64  # all words that are not 0 fit
    spread = Density("hypergeometric", 0.5)  # of its 192 words 96 are too many
    dense = problem.with_densities({"Weights": spread})
    assert machine.with_room(dense).levels[0].size_words == 64
    structured = problem.with_densities({"Weights": Density("fixed_structured", 0.25)})
    assert machine.with_room(structured).levels[0].size_words == 256


@pytest.mark.parametrize("version", ["4cf6d4c", "3.0.3"])
def test_files_of_a_design_say_the_same(version, tmp_path):
    problem, machine = workload().layers[0].problem, hardware()
    design = machine.sparse.of(problem)
    batch, done = drawn(machine, problem, 20), 0
    for b in range(len(batch)):
        try:
            before = evaluate_sparse(machine, problem, batch[b], design, version)
        except (InvalidMapping, SpecError):
            continue
        written = write_design(tmp_path, machine, [(Layer("conv", problem), batch[b])])
        after = evaluate_files(written, version).stats
        assert after.cycles == before.cycles
        assert after.energy_pj == pytest.approx(before.energy_pj, rel=1e-12)
        done += 1
    assert done > 5


def test_timeloops_files_become_a_template(tmp_path):
    """Converted, priced and evaluated, it is what the files said."""
    problem, machine = workload().layers[0].problem, hardware()
    mapping = drawn(machine, problem, 1)[0]
    written = write_design(tmp_path, machine, [(Layer("conv", problem), mapping)])
    text = template_text(load_files(written).without("mapping"), "4cf6d4c")
    made = ArchTemplate.read(TextSource("made", text))
    again = energy_chain(made.energy).price(made.build({}))
    parts = (problem, mapping)
    before = evaluate_sparse(machine, *parts, machine.sparse.of(problem))
    after = evaluate_sparse(again, *parts, again.sparse.of(problem))
    assert (after.cycles, after.energy_pj) == (before.cycles, before.energy_pj)


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_templates_map_sparse_layers(name):
    made = catalog.template(name)
    machine = energy_chain(made.energy).price(made.build(made.defaults))
    text = "name: net\nlayers: [{name: conv, R: 3, S: 3, P: 14, Q: 14, C: 32, K: 32}]"
    conv = workload(text).layers[0].problem
    sparse = conv.with_densities({"Weights": Density("fixed_structured", 0.5)})
    evaluator, energies = NativeEvaluator("4cf6d4c", 1), []
    for problem in (conv, sparse):
        space = Mapspace(problem, machine.with_room(problem), made.constraints)
        found = evaluator.evaluate(machine, problem, sample_valid(space, 400, 0, 10**7).mappings)
        assert found.valid.mean() > 0.5
        energies.append(found.energy_pj[found.valid].min())
    assert energies[1] < energies[0]


def test_pruned_resnet50_has_the_published_share_of_zeros():
    net = catalog.workload("resnet50_pruned")
    plain = catalog.workload("resnet50")
    assert net.macs == plain.macs
    words = [layer.weight_words for layer in net]
    kept = [layer.problem.densities["Weights"].density for layer in net]
    assert len(words) == 54
    zeros = 1 - sum(n * d for n, d in zip(words, kept, strict=True)) / sum(words)
    assert round(100 * zeros, 2) == 81.27


@pytest.mark.parametrize(("name", "share"), [("bert_base_pruned", 0.1), ("bert_base_2_4", 0.5)])
def test_pruned_bert_is_bert(name, share):
    net, plain = catalog.workload(name), catalog.workload("bert_base")
    assert [x.problem for x in net.dense()] == [x.problem for x in plain]
    given = {x.name: x.problem.densities.get("Weights", Density()).density for x in net}
    dense = {"attention_scores", "attention_values", "pooler"}
    assert given == {name: 1.0 if name in dense else share for name in given}
