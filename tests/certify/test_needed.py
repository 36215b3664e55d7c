"""What the recheck leaves out is part of nothing below the claim; its areas are the chain's."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest

from dse.certify.areas import areas_by_dosa
from dse.certify.borders import border
from dse.certify.choices import Aim, ChoiceTotals
from dse.certify.needed import needed
from dse.components.chain import DosaChain
from dse.domain.architecture import StorageLevel
from dse.errors import SpecError
from dse.goals.limits import limits


def drawn(rng: np.random.Generator):
    """Return weights, starts, energies and cycles of some layers with few points each."""
    counts = rng.integers(1, 7, rng.integers(1, 5))
    first = np.cumsum([0, *counts]).astype(np.int64)
    spread = 10 ** rng.uniform(0, 2)
    energy = rng.integers(1, 50, first[-1]) * spread
    cycles = rng.integers(1, 50, first[-1]).astype(np.float64)
    return rng.integers(1, 4, len(counts)).astype(np.float64), first, energy, cycles


def choices(weight, first, energy, cycles):
    """Yield every choice of one point per layer, with its totals."""
    for chosen in itertools.product(*(range(a, b) for a, b in itertools.pairwise(first.tolist()))):
        index = np.array(chosen)
        yield index, ChoiceTotals(float(weight @ energy[index]), float(weight @ cycles[index]))


@pytest.mark.parametrize("seed", range(150))
def test_nothing_that_is_needed_is_left_out(seed: int) -> None:
    rng = np.random.default_rng(seed)
    parts = drawn(rng)
    every = list(choices(*parts))
    some = every[rng.integers(len(every))][1]
    text = (
        "",
        f"cycles <= {some.cycles}",
        f"energy_pj <= {some.energy}",
        f"energy_pj + 2*cycles <= {some.energy + 2 * some.cycles}",
        f"cycles >= {some.cycles}",
        f"power_w <= {some.energy / some.cycles * 1e-3}",
    )[seed % 6]
    borders = tuple(border(limit, 1.0) for limit in limits(text))
    aim = (
        Aim(1.0, 1.0, True, borders),
        Aim(1.0, 0.0, False, borders),
        Aim(0.0, 1.0, False, borders),
        Aim(1.0, 7.0, False, borders),
    )[seed // 6 % 4]
    worths = sorted(aim.worth(totals) for _, totals in every)
    claim = float(rng.choice([worths[0], worths[len(worths) // 3], worths[-1] * 2, math.inf]))
    wanted = np.zeros(len(parts[2]), np.bool_)
    for index, totals in every:
        if aim.worth(totals) < claim and all(
            a * totals.energy + b * totals.cycles <= most
            for a, b, most in (one.widened for one in borders)
        ):
            wanted[index] = True
    kept = needed(claim, aim, *parts)
    assert not (wanted & ~kept).any()


def test_most_of_what_is_not_needed_is_left_out() -> None:
    rng = np.random.default_rng(1)
    first = np.array([0, 2000, 4000], np.int64)
    energy, cycles = (10 ** rng.uniform(0, 2, 4000) for _ in range(2))
    product = Aim(1.0, 1.0, True)
    least = min(
        float((energy[:2000][:, None] * cycles[:2000][:, None]).min()),
        float((energy[2000:] * cycles[2000:]).min()),
    )
    kept = needed(8 * least, product, np.ones(2), first, energy, cycles)
    assert 0 < kept.sum() < 400


@pytest.mark.parametrize("seed", range(20))
def test_areas_are_those_of_the_chain(seed: int) -> None:
    rng = np.random.default_rng(seed)
    level = StorageLevel(
        "Buffer",
        size_words=1,
        word_bits=int(rng.choice([1, 4, 8, 32, 64])),
        block_size=int(rng.choice([1, 3, 8, 16, 64, 100, 256, 1000])),
        ports=int(rng.choice([1, 2, 3])),
        banks=int(rng.choice([1, 2, 4])),
    )
    small, large = rng.integers(0, 200, 20), 2 ** rng.uniform(0, 28, 40)
    words = np.unique(np.concatenate([small, large.astype(np.int64)]))
    expected = []
    for size in words.tolist():
        try:
            made = DosaChain().price_storage(replace(level, size_words=size), None)
        except SpecError:
            expected.append(math.inf)
        else:
            expected.append(made.area_um2)
    np.testing.assert_allclose(areas_by_dosa(words, level), expected, rtol=1e-12)
