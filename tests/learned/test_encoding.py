"""Features: named, in their places, the same however a batch is split, blind to what is no loop."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from learned_cases import mappings

from dse.domain.mapping import MappingBatch
from dse.domain.problem import SHAPES, Problem
from dse.errors import SpecError
from dse.learned.encoding import Encoding, blocks_of
from dse.learned.features import BLOCKS, DEFAULT_BLOCKS, FeatureNames

ALL = ("hardware", "problem", "mapping", "native", "energy", "raw")


def encoding(*blocks: str) -> Encoding:
    hardware, problem, _ = mappings()
    return Encoding(FeatureNames.of(hardware.level_names, [problem]), blocks or ALL)


def zeros(batch: MappingBatch) -> np.ndarray:
    return np.zeros(len(batch), np.int32)


def test_features_have_different_names_and_say_what_they_are():
    e = encoding()
    assert len(set(e.names)) == len(e.names)
    lines = e.describe().splitlines()
    assert len(lines) == len(e.names) + 1
    assert all(f.meaning and f.transform for f in e.features)
    assert {f.name.partition(".")[0] for f in e.features} == set(ALL)
    assert set(ALL) < set(BLOCKS)


def test_factors_stand_at_their_names():
    hardware, problem, batch = mappings()
    e = encoding()
    found = e.encode(hardware, problem, batch, zeros(batch)).features
    for s, level in enumerate(hardware.level_names):
        for d, name in enumerate(problem.dimensions):
            for kind in ("temporal", "spatial"):
                factors = getattr(batch, kind)[s, d]
                assert np.allclose(found[:, e.place[f"mapping.{kind}.{level}.{name}"]],
                                   np.log2(factors))  # fmt: skip
                assert (found[:, e.place[f"raw.{kind}.{level}.{name}"]] == factors).all()
    macs = found[:, e.place["problem.macs"]]
    assert (macs == np.log2(problem.macs)).all()


def test_the_native_answer_is_that_of_the_native_model():
    hardware, problem, batch = mappings()
    e = encoding()
    encoded = e.encode(hardware, problem, batch, zeros(batch))
    assert encoded.valid.all()
    assert (encoded.features[:, e.place["native.cycles"]] == np.log2(encoded.native.cycles)).all()
    assert np.allclose(np.exp(encoded.ln_native), encoded.native.cycles)


def test_splits_threads_and_places_do_not_show():
    hardware, problem, some = mappings()
    batch = some.take(np.tile(np.arange(len(some)), 150))
    index = (np.arange(len(batch)) % 2).astype(np.int32)
    e = encoding()
    whole = e.encode(hardware, problem, batch, index)
    threads = e.encode(hardware, problem, batch, index, n_jobs=3)
    assert np.array_equal(whole.features, threads.features, equal_nan=True)
    for at in range(0, 14, 3):
        part = e.encode(hardware, problem, batch.window(at, at + 3), index[at : at + 3])
        assert np.array_equal(whole.features[at : at + 3], part.features, equal_nan=True)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 59), st.randoms(use_true_random=False))
def test_a_loop_of_one_iteration_has_no_place(b, rng):
    hardware, problem, batch = mappings()
    one = batch.window(b, b + 1)
    order = one.permutation.copy()
    levels, dimensions, _ = one.temporal.shape
    for s in range(levels):
        real = [d for d in order[s, :, 0] if one.temporal[s, d, 0] > 1]
        idle = [d for d in range(dimensions) if d not in real]
        rng.shuffle(idle)
        # the real loops in their order, the others anywhere among them
        is_real = [True] * len(real) + [False] * len(idle)
        rng.shuffle(is_real)
        left, other = iter(real), iter(idle)
        order[s, :, 0] = [next(left if r else other) for r in is_real]
    moved = replace(one, permutation=order)
    e = encoding()
    both = [e.encode(hardware, problem, m, zeros(m)).features for m in (one, moved)]
    assert np.array_equal(*both)


def test_the_order_of_real_loops_shows():
    hardware, problem, batch = mappings()
    several = (batch.temporal > 1).sum(axis=1)
    s, b = np.argwhere(several > 1)[0]
    one = batch.window(b, b + 1)
    order = one.permutation.copy()
    order[s] = order[s, ::-1]
    e = encoding("mapping")
    both = [
        e.encode(hardware, problem, m, zeros(m)).features
        for m in (one, replace(one, permutation=order))
    ]
    assert not np.array_equal(*both)


def test_what_is_rejected_has_no_features():
    hardware, problem, batch = mappings()
    grown = batch.window(0, 2)
    factors = grown.temporal.copy()
    factors[0] *= 64
    wrong = replace(grown, temporal=factors)
    found = encoding().encode(hardware, problem, wrong, zeros(wrong))
    assert not found.valid.any()
    assert np.isnan(found.features).all()
    none = batch.window(0, 0)
    assert encoding().encode(hardware, problem, none, zeros(none)).features.shape[0] == 0


def test_one_encoding_for_shapes_of_like_names():
    layers = [
        Problem(SHAPES[name], dict.fromkeys(SHAPES[name].dimensions, 2))
        for name in ("cnn-layer", "grouped-cnn-layer")
    ]
    structure = FeatureNames.of(("A", "B"), layers)
    assert structure.dimensions == ("R", "S", "P", "Q", "C", "K", "N", "G")
    assert structure.tensors == ("Weights", "Inputs", "Outputs")


def test_other_levels_and_names_are_refused():
    hardware, problem, batch = mappings()
    other = Encoding(FeatureNames(("X",), problem.dimensions, (), problem.tensors))
    with pytest.raises(SpecError, match="levels"):
        other.encode(hardware, problem, batch, zeros(batch))
    fewer = Encoding(FeatureNames(hardware.level_names, ("M",), (), problem.tensors))
    with pytest.raises(SpecError, match="dimension"):
        fewer.encode(hardware, problem, batch, zeros(batch))


def test_blocks_are_named():
    assert blocks_of("") == DEFAULT_BLOCKS
    assert blocks_of("+cycles+energy") == (*DEFAULT_BLOCKS, "cycles", "energy")
    assert blocks_of("raw,native") == ("raw", "native")
    for wrong in ("raw,raw", "none", "+native", "raw+native"):
        with pytest.raises(SpecError, match="features"):
            blocks_of(wrong)
