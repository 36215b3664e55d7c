"""Encodings and candidates: what is drawn is legal, and lies where it should."""

import numpy as np
import pytest

from dse.bayes.candidates import Candidates
from dse.bayes.encoding import CubeEncoding, DomainEncoding, position, value_at
from dse.bayes.published import picked, raw_features
from dse.components.chain import energy_chain
from dse.domain.mapping import MappingBatch
from dse.space import catalog
from dse.space.search_space import SearchSpace


def space_of(arch, **fixed):
    template = catalog.template(arch)
    workload = catalog.workload("dosa_bert")
    return SearchSpace(template, workload, energy_chain(template.energy), fixed)


@pytest.mark.parametrize("arch", ["gemmini", "simba", "naas_eyeriss"])
def test_every_value_is_nearest_to_its_own_place(arch):
    for variable in space_of(arch).free:
        if variable.choices or variable.count < 2:
            continue
        for index in range(0, variable.count, max(1, variable.count // 50)):
            value = variable.value_at(index)
            assert value_at(variable, float(position(variable, np.array([value]))[0])) == value


@pytest.mark.parametrize("arch", ["gemmini", "eyeriss_poster", "naas_eyeriss"])
def test_candidates_are_legal_and_keep_what_is_fixed(arch):
    fixed = {"pe_dim": 16} if arch == "gemmini" else {}
    space, rng = space_of(arch, **fixed), np.random.default_rng(0)
    candidates = Candidates(space)
    warm = candidates.warm_up(rng, 4)
    assert all(candidates.admits(values) for values in warm)
    drawn = candidates.random(rng, 20) + candidates.around(rng, warm[:1], 10)
    for values in drawn + candidates.neighbours(rng, warm[0]):
        assert space.template.check(values) == values
        assert fixed.items() <= values.items()


def test_alternatives_are_one_apart():
    space = space_of("naas_eyeriss")
    cube = CubeEncoding(space)
    design = {v.name: v.minimum for v in space.template.variables}
    one, other = cube.points([design, {**design, "parallel_x": 3}])
    assert np.linalg.norm(one - other) == pytest.approx(1)
    assert len(cube.groups) == len(one)


def test_domain_features_are_those_of_the_hardware():
    values = {"pe_dim": 16, "scratchpad_kb": 128, "accumulator_kb": 32}
    macs, columns, on_chip, *_ = DomainEncoding(space_of("gemmini")).points([values])[0]
    assert (macs, columns) == (256, 256)
    assert on_chip == pytest.approx((128 + 32) / 32, rel=0.01)


def test_sorting_twice_gives_ranks():
    bound = np.array([3.0, 1.0, 2.0, 0.0])
    assert picked(bound, 2, twice=False).tolist() == [3, 1]
    assert picked(bound, 2, twice=True).tolist() == [3, 1]
    assert picked(bound[[3, 0, 1, 2]], 2, twice=False).tolist() == [0, 2]
    assert picked(bound[[3, 0, 1, 2]], 2, twice=True).tolist() == [0, 3]


def test_raw_features_list_levels_from_the_outside():
    temporal = np.ones((2, 3, 1), np.int32)
    temporal[1, :, 0] = [4, 1, 2]
    order = np.array([[0, 1, 2], [0, 1, 2]], np.int8)[:, :, None]
    flags = np.ones((2, 1, 1), bool)
    batch = MappingBatch(
        temporal=temporal,
        spatial=np.ones_like(temporal),
        permutation=order,
        spatial_permutation=order,
        split=np.zeros((2, 1), np.int8),
        keep=flags,
        no_temporal_reuse=~flags,
        no_multicast=~flags,
        no_link_transfer=~flags,
    )
    outer = [1, 1, 1, 4, 1, 2, 1, 3, 2]
    assert raw_features(batch)[0].tolist() == outer + [1, 1, 1, 1, 1, 1, 3, 3, 3]
