"""Reading sparse designs: spellings, errors, and who refuses them."""

from __future__ import annotations

import json
import logging

import pytest

from dse.cli import main
from dse.domain.density import Density
from dse.domain.sparse import RankFormat, Saving
from dse.errors import SpecError
from dse.model import evaluate_one
from dse.timeloop.evaluate import evaluate_files, evaluate_text
from dse.timeloop.read.inputs import read_entry, read_text
from dse.timeloop.specification import Specification, call_model
from dse.timeloop.yaml.io import load_texts

HEAD = """\
architecture:
  version: 0.4
  subtree:
  - name: system
    local:
    - name: DRAM
      class: DRAM
      attributes: {word_bits: 16, metadata_storage_width: 32, metadata_word_bits: 4}
    - name: Buffer
      class: SRAM
      attributes: {entries: 4096, word_bits: 16, metadata_storage_width: 32,
        metadata_storage_depth: 1024, metadata_word_bits: 4, decompression_supported: true}
    - {name: MACC, class: intmac, attributes: {word_bits: 16}}
problem:
  shape:
    name: gemm
    dimensions: [M, N, K]
    data_spaces:
    - {name: A, projection: [[[M]], [[K]]]}
    - {name: B, projection: [[[K]], [[N]]]}
    - {name: Z, projection: [[[M]], [[N]]], read_write: true}
  instance:
    {M: 8, N: 4, K: 8, densities: {A: {distribution: hypergeometric, density: 0.25}, B: 0.5}}
mapping:
- {target: DRAM, type: temporal, factors: M=2 N=4 K=1, permutation: KNM}
- {target: Buffer, type: temporal, factors: M=4 N=1 K=8, permutation: KNM}
"""
SPARSE = """\
sparse_optimizations:
  targets:
  - name: DRAM
    representation_format:
      data_spaces:
      - name: A
        ranks:
        - {format: UOP, payload_word_bits: 3}
        - {format: CP, metadata_word_bits: 5, flattened_rankIDs: [[K, M]]}
  - name: Buffer
    representation_format:
      data_spaces: [{name: A, ranks: [{format: CP, flattened_rankIDs: [[K, M]]}]}]
    action_optimization:
    - {type: gating, target: B, condition_on: [A]}
  - name: MACC
    compute_optimization: [{type: gate_on_zero_operand}]
"""
INPUT = HEAD + SPARSE


def hyphened(text: str) -> str:
    """The input as 3.0.3 reads it."""
    for word in (
        *("word_bits", "data_spaces", "read_write", "representation_format", "rank_application"),
        *("action_optimization", "compute_optimization", "condition_on", "flattened_rankIDs"),
        "gate_on_zero_operand",
    ):
        text = text.replace(word, word.replace("_", "-"))
    return text.replace("metadata_word-bits: 4", "metadata_word_bits: 4").replace(
        "metadata_word-bits", "metadata-word-bits"
    ).replace("payload_word-bits", "payload-word-bits")  # fmt: skip


def read(text: str, version: str = "4cf6d4c"):
    root = load_texts([("in.yaml", text)])
    return read_entry(root, version, for_model=True)[0].architecture.sparse


def changed(old: str, new: str) -> str:
    assert old in INPUT
    return INPUT.replace(old, new)


def test_all_of_it_is_read():
    design = read(INPUT)
    assert design.densities == {"A": Density("hypergeometric", 0.25), "B": Density(density=0.5)}
    buffer, memory = design.levels
    assert buffer.gating == ((Saving("B", ("A",)),),)
    assert buffer.decompresses
    assert not buffer.compresses
    assert buffer.metadata.bits == 32 * 1024
    # 3 bits become 4, 5 become 8: the rows of 32 bits hold them without a rest
    assert memory.formats["A"].ranks == (
        RankFormat("cp", 8, 4, (("K", "M"),)),
        RankFormat("uop", 4, 4),
    )
    assert design.gates_computes
    assert not design.skips_computes


def test_versions_have_their_spellings():
    old = read(hyphened(INPUT), "3.0.3")
    new = read(INPUT)
    assert (old.densities, old.gates_computes) == (new.densities, new.gates_computes)
    for one, other in zip(old.levels, new.levels, strict=True):
        assert one.formats == other.formats
        assert one.gating == other.gating
        assert one.metadata == other.metadata


def test_3_0_3_ignores_underscores_and_says_so(caplog):
    text = hyphened(HEAD) + SPARSE
    with caplog.at_level(logging.WARNING):
        assert read(text, "3.0.3") is None
    assert "Timeloop 3.0.3 does not read it so" in caplog.text
    assert evaluate_text(text, "3.0.3").stats.cycles == 256


def test_4cf6d4c_ignores_one_hyphen_and_says_so(caplog):
    with caplog.at_level(logging.WARNING):
        design = read(changed("payload_word_bits: 3", "payload-word-bits: 32"))
    assert design.levels[1].formats["A"].ranks[1].payload_bits == 4
    assert "payload-word-bits: is ignored" in caplog.text


def test_without_targets_an_input_is_dense():
    assert read(HEAD + "sparse_optimizations: {targets: []}\n") is None
    assert read(HEAD + "sparse_optimizations: {targets: [{name: DRAM}]}\n") is None


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("name: DRAM\n    rep", "name: DRM\n    rep", "ERROR: target storage level not found: DRM"),
        ("targets:", "target:", "did you mean 'targets'"),
        ("action_optimization:", "action_optimisation:", "did you mean 'action_optimization'"),
        ("format: UOP", "format: UOQ", "unrecognized metadata format name: UOQ"),
        ("format: UOP", "format: Uop", "unrecognized metadata format name: Uop"),
        ("format: UOP, ", "", 'keyword "format" missing'),
        ("{name: A, ranks:", "{name: A, rnks:", "did you mean 'ranks'"),
        ("{name: A, ranks:", "{name: C, ranks:", "unknown data space 'C'"),
        ("ranks: [{format: CP, flattened_rankIDs: [[K, M]]}]", "ranks: []", "ranks is empty"),
        ("[[K, M]]}]", "[[K, Q]]}]", "unknown dimension 'Q'"),
        (
            "metadata_word_bits: 5",
            "metadata_word_bits: 64",
            "metadata storage width at DRAM",
        ),
        ("type: gating", "type: gatng", "Buffer: storage action optimization type not recognized"),
        ("target: B, cond", "cond", "storage action optimization choice not recognized"),
        ("condition_on: [A]", "condition_on: A", "need to be specified as a list"),
        ("condition_on: [A]", "condition_on: [D]", "unknown data space 'D'"),
        ("gate_on_zero", "gate_at_zero", "compute optimization type not recognized"),
        ("name: MACC\n", "name: MAC\n", "expected the compute 'MACC'"),
        ("density: 0.25", "density: 1.25", "expected a density of at most 1"),
        (", density: 0.25", "", "missing density value"),
        ("distribution: hyper", "distribution: hypo", "unrecognized density distribution"),
        ("B: 0.5}", "b: 0.5}", "did you mean 'B'"),
        ("metadata_word_bits: 4}", "metadata_word_bits: 5}", "expected a multiple of 5 bits"),
        ("{name: A, ranks:", "{name: A, rank_application_order: inward, ranks:", "not recognized"),
        ("decompression_supported", "allow_overbooking", "not modelled with sparse"),
        (
            "- {format: UOP, payload_word_bits: 3}",
            "- {format: CP}\n        - {format: UOP}",
            "lower rank uncompressed, upper rank compressed",
        ),
        ("- name: Buffer\n    rep", "- name: DRAM\n    rep", "representation format already"),
    ],
)
def test_errors_name_file_key_and_what_was_expected(old, new, said):
    with pytest.raises(SpecError) as error:
        read(changed(old, new))
    assert said in str(error.value)
    assert str(error.value).startswith("in.yaml:")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "projection: [[[K]], [[N]]]}",
            "projection: [[[K]], [[N]]], read_write: true}",
            "1 operands",
        ),
        ("hypergeometric, density: 0.25", "banded, band_width: 99", "too wide"),
        ("M: 8, N: 4, K: 8", "M: 8, N: 4, K: 8, commonDensity: {distribution: banded}", "square"),
        ("condition_on: [A]", "condition_on: [B]", "illegal operand probability"),
        ("factors: M=4 N=1 K=8", "factors: 'M=4,2 N=1 K=8'", "imperfect factors"),
    ],
)
def test_what_timeloop_does_not_answer_is_said(old, new, said):
    text = changed(old, new)
    if "imperfect" in said:
        text = text.replace("M: 8,", "M: 6,")
    if "illegal" in said:
        text = text.replace("density: 0.25", "density: 0.75")
    with pytest.raises(SpecError, match=said):
        evaluate_text(text)


def test_all_ways_lead_to_the_same_answer(tmp_path, capsys):
    path = tmp_path / "in.yaml"
    path.write_text(INPUT)
    stats = evaluate_text(INPUT).stats
    assert stats.sparse_computes.gated > 0
    assert main(["model", str(path), "--json", "-o", str(tmp_path / "out")]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["cycles"] == stats.cycles
    assert told["sparse_computes"]["gated"] == stats.sparse_computes.gated
    assert told["levels"]["Buffer"]["tensors"]["A"]["storage_format"] == "cp"
    written = {file.name for file in (tmp_path / "out").iterdir()}
    assert written == {"timeloop-model.map.txt", "stats.json"}
    shown = (tmp_path / "out" / "timeloop-model.map.txt").read_text()
    assert "A:64 (16)" in shown
    found = call_model(Specification.from_yaml_files(path))
    assert found.cycles == stats.cycles
    assert found.energy == pytest.approx(stats.energy_pj / 1e12)


NODES = """\
architecture:
  version: 0.4
  nodes:
  - !Container {name: system}
  - !Component {name: DRAM, class: DRAM, attributes: {width: 16, datawidth: 16}}
  - !Component
    name: Buffer
    class: SRAM
    attributes: {depth: 4096, width: 16, datawidth: 16}
    sparse_optimizations:
      action_optimization: [{type: skipping, target: B, condition_on: [A]}]
  - !Component {name: MACC, class: intmac, attributes: {datawidth: 16}}
""" + HEAD[HEAD.index("problem:") :]


def test_nodes_may_say_it():
    design = read(NODES)
    assert design.levels[0].skipping == ((Saving("B", ("A",)),),)
    assert evaluate_text(NODES).stats.cycles < 256


def test_lists_may_target_nodes():
    """timeloopfe says ``target``, where Timeloop itself says ``name``."""
    own = NODES[NODES.index("    sparse_opt") : NODES.index("  - !Component {name: MACC")]
    listed = "sparse_optimizations:\n  targets:\n  - target: Buffer\n" + own.partition("\n")[2]
    apart = NODES.replace(own, "") + listed.replace("      action", "    action")
    assert read(apart).levels == read(NODES).levels
    with pytest.raises(SpecError, match="key 'target' is missing"):
        read(apart.replace("- target: Buffer", "- name: Buffer"))


def test_models_of_dense_designs_refuse_them():
    spec = read_text(INPUT)
    with pytest.raises(SpecError, match="sparse_optimizations are not supported here"):
        evaluate_one(spec.architecture, spec.problem, spec.mapping)


@pytest.mark.parametrize("form", ["v0.3", "v0.4"])
def test_converted_files_say_the_same(form, tmp_path, capsys):
    path = tmp_path / "in.yaml"
    path.write_text(INPUT)
    out = tmp_path / "out"
    assert main(["convert", str(path), "--to", form, "-o", str(out)]) == 0
    assert (out / "sparse.yaml").is_file()
    capsys.readouterr()
    again = evaluate_files(sorted(out.iterdir()))
    assert again.stats == evaluate_text(INPUT).stats
    assert main(["convert", str(path), "--to", "template"]) == 2
    assert "sparse_optimizations are not written as nodes" in capsys.readouterr().err
