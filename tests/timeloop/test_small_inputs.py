"""Small inputs on which people got stuck: numbers are what the real binary said of their kind."""

import numpy as np
import pytest
import timeloop_files

from dse.cli import main
from dse.domain.architecture import HardwareBatch
from dse.domain.mapping import MappingBatch
from dse.errors import SpecError
from dse.model import TIMELOOP_VERSIONS
from dse.model.batch import evaluate_batch
from dse.timeloop.evaluate import evaluate_text
from dse.timeloop.read.inputs import read_text

MAP = """
mapping:
- {target: DRAM, type: temporal, factors: R=1 P=1, permutation: RP}
- {target: Buf, type: temporal, factors: R=3 P=16, permutation: RP}
"""
INPUT = timeloop_files.ARCH + timeloop_files.PROBLEM % 16 + MAP


def changed(*pairs):
    """Return the input with texts replaced."""
    text = INPUT
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    return text


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("P: 16}", "P: 16, Q: 3, stride: 2}", "the shape has none of it: Q, stride"),
        ("R=3 P=16", "R=3 P=16 R<=4", "'R<=4' is ignored, as Timeloop does not read it"),
        ("P: 16}", "P: 16, densities: {W: 0.5}}", "no effect without sparse_optimizations"),
        ("depth: 64,", "depth: 64, shared-bandwidth: 1,", "it reads 'shared_bandwidth'"),
        ("R: 3, P", "R: 3, R: 5, P", "key 'R' is given twice"),
    ],
)
def test_what_timeloop_passes_over_is_told_and_changes_nothing(old, new, said, caplog):
    stats = evaluate_text(changed((old, new))).stats
    assert said in caplog.text
    assert stats == evaluate_text(INPUT).stats
    assert stats.cycles == 48


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("class: intmac", "class: alu", "no compute found"),
        ("depth: 64", "entries: 2199023255552", "at most 4294967295"),
        ("factors: R=3 P=16", "factors: 'R=3 P=4,1'", "product of all factors of dimension P is 1"),
        ("dimensions: [R, P]", "dimensions: [R, Pp]", "one letter"),
        ("width: 8, word", "width: 8, block_size: 4, word", "word_bits x block_size = 32"),
        ("mapping:", "layout: [{target: Buf}]\nmapping:", "layout: not supported"),
        ("mapping:", "sparse_optimizations: {target: []}\nmapping:", "did you mean 'targets'"),
        ("target: Buf", "target: Buff", "expected one of Buf, DRAM"),
        ("R=3 P=16", "R=3 PP=16", "unknown dimension 'PP'"),
        ("permutation: RP}", "permutaton: RP}", "did you mean 'permutation'"),
    ],
)
def test_what_cannot_be_is_refused_by_name(old, new, said):
    with pytest.raises(SpecError) as error:
        evaluate_text(changed((old, new)))
    assert said in str(error.value)


@pytest.mark.parametrize(("step", "weights"), [(-1, 48), (0, 48)])
def test_strides_of_zero_and_below(step, weights):
    """A window that runs backwards costs the same; one that stands still is one word."""
    shape = ("[[[R], [P]]]}", "[[[R], [P, s]]]}")
    coefficient = (
        "dimensions: [R, P]",
        "dimensions: [R, P]\n    coefficients: [{name: s, default: 1}]",
    )
    text = changed(shape, coefficient, ("P: 16}", f"P: 16, s: {step}}}"))
    inputs = evaluate_text(text).stats.levels["Buf"].tensors["I"]
    assert inputs.reads == weights
    assert inputs.utilized_capacity == (18 if step else 3)


def test_underscores_are_unknown_to_3_0_3(caplog):
    buffer = "width: 16, word_bits: 8, cluster_size: 2, instances: 2}}"
    text = changed(("width: 64", "width: 16"), ("width: 8, word_bits: 8}}", buffer))
    evaluation = evaluate_text(text, "3.0.3")
    assert evaluation.input.architecture.levels[0].cluster_size == 1
    assert evaluation.input.architecture.levels[0].word_bits == 16
    assert "it reads 'cluster-size'" in caplog.text


WRAPS = """
architecture:
  version: 0.4
  subtree:
  - name: chip
    local:
    - {name: Far, class: SRAM, attributes: {entries: 4096, word_bits: 16}}
    - {name: Near, class: SRAM, attributes: {entries: 4096, word_bits: 16, instances: 3, meshY: 3}}
    - {name: Mul, class: intmac, attributes: {instances: 6, meshX: 2, meshY: 3}}
problem:
  shape:
    name: gaps
    dimensions: [R, P, C, K]
    coefficients: [{name: s, default: 4}]
    data-spaces:
    - {name: W, projection: [[[C]], [[K]], [[R]]]}
    - {name: I, projection: [[[C]], [[P]]]}
    - {name: O, projection: [[[K]], [[P, s], [R]]], read-write: True}
  instance: {R: 3, P: 6, C: 4, K: 2}
mapping:
- {target: Far, type: temporal, factors: P=2, permutation: PRKC}
- {target: Far, type: spatial, factors: R=3, permutation: CKPR, split: 0}
- {target: Near, type: bypass, keep: [O], bypass: [W, I]}
- {target: Near, type: temporal, factors: P=3 C=4, permutation: KPRC}
- {target: Near, type: spatial, factors: K=2, permutation: KCPR, split: 4}
"""


@pytest.mark.parametrize("version", ["3.0.3", "4cf6d4c"])
def test_fills_below_zero_are_no_numbers(version, tmp_path, capsys):
    """An output with gaps, whose partition counts them: Timeloop's count of fills wraps around."""
    with pytest.raises(SpecError, match="level Near: .* wraps around to 2\\^64"):
        evaluate_text(WRAPS, version)
    (tmp_path / "in.yaml").write_text(WRAPS)
    argv = ["model", str(tmp_path / "in.yaml"), "--timeloop-version", version]
    assert main(argv) == 2
    assert "wraps around" in capsys.readouterr().err


def test_a_search_takes_no_mapping_whose_fills_are_below_zero():
    spec = read_text(WRAPS)
    batch = MappingBatch.of([spec.mapping] * 3)
    hardware, first = HardwareBatch.of(spec.architecture), np.zeros(3, np.int32)
    totals = evaluate_batch(hardware, spec.problem, batch, first, TIMELOOP_VERSIONS["4cf6d4c"])
    assert not totals.valid.any()
