"""PatternSums of terms by pattern, for all choices of classes: as plain arrays add up."""

import math

import numpy as np
import pytest

from dse.mappers.exact.pattern_sums import MacLeast, PatternSums, class_rows, least_of


def rows(rng, count, classes):
    """Random rows, each of the classes of some sizes."""
    shape = [int(rng.choice([1, n])) for n in classes]
    return [rng.uniform(1.0, 9.0, shape) for _ in range(count)]


def by_arrays(groups, terms, macs, rate, latency, multipliers, classes):
    """The same, in numpy."""
    found = np.full((len(multipliers), *classes), math.inf)
    for patterns, (energy, fastest, moved) in zip(groups, macs, strict=True):
        for plans in patterns:
            columns = range(len(rate) + 1)
            sums = [[sum(terms[n][c] for n in plan) for c in columns] for plan in plans]
            spent, *loads = (
                np.max([np.broadcast_to(own[c], classes) for own in sums], axis=0) for c in columns
            )
            time = np.full(classes, fastest)
            for load, own, words in zip(loads, moved, rate, strict=True):
                time = np.maximum(time, (load + own) / words + latency)
            for m, multiplier in enumerate(multipliers):
                value = np.where(np.isfinite(spent), time, math.inf)
                if not math.isinf(multiplier):
                    value = np.maximum(spent + energy[m], spent + energy[-1] + multiplier * time)
                found[m] = np.minimum(found[m], value)
    return found


@pytest.mark.parametrize("seed", range(12))
def test_patterns_sum_up_as_arrays_do(seed):
    rng = np.random.default_rng(seed)
    classes = [int(n) for n in rng.integers(1, 5, rng.integers(1, 4))]
    limits = int(rng.integers(0, 3))
    multipliers = [0.0, 0.5, 3.0, math.inf]
    terms = [rows(rng, limits + 1, classes) for _ in range(6)]
    terms[0][0] = np.where(terms[0][0] > 5.0, math.inf, terms[0][0])
    groups = [
        [
            [rng.choice(6, rng.integers(1, 4), replace=False).tolist() for _ in range(plans)]
            for plans in rng.integers(1, 3, rng.integers(1, 4))
        ]
        for _ in range(3)
    ]
    macs = []
    for _ in groups:
        fastest = float(rng.uniform(1.0, 4.0))
        cheapest = rows(rng, 1, classes)[0]
        energy = [cheapest + (0.0 if math.isinf(m) else m * fastest) for m in multipliers]
        macs.append(([*energy, cheapest], fastest, rng.uniform(0.0, 3.0, limits).tolist()))
    rate = rng.uniform(0.5, 4.0, limits)
    found = least_of(
        PatternSums.of(groups),
        class_rows(terms, len(classes)),
        MacLeast(
            class_rows([energy for energy, _, _ in macs], len(classes)),
            np.array([fastest for _, fastest, _ in macs]),
            np.array([moved for _, _, moved in macs]).reshape(len(macs), limits),
        ),
        rate, 1.5, np.array(multipliers), classes,
    )  # fmt: skip
    wanted = by_arrays(groups, terms, macs, rate, 1.5, multipliers, classes)
    np.testing.assert_allclose(found, wanted, rtol=1e-12)
    assert np.isfinite(found).any()


def test_the_least_pattern_of_a_group_is_the_one_whose_dearest_plan_is_cheapest():
    sums = PatternSums.of([[[[0, 1], [2]], [[1, 2]]], [[[0]]]])
    energy = np.array([1.0, 2.0, 4.0])
    assert sums.least(0, energy) == 4.0
    assert sums.least(1, energy) == 1.0


def test_without_sizes_there_is_one_choice():
    one = [np.array(2.0)]
    macs = MacLeast(class_rows([[np.array(3.0)] * 2], 0), np.array([5.0]), np.zeros((1, 0)))
    found = least_of(
        PatternSums.of([[[[0]]]]), class_rows([one], 0), macs, np.zeros(0), 0.0, np.array([0.0]), []
    )
    assert found.shape == (1,)
    assert found[0] == 5.0
