"""Spaces, mappings and points between them, for the tests of the differentiable twin."""

import numpy as np

from dse.components.chain import energy_chain
from dse.domain.padding import Padding
from dse.mapspace import Mapspace, sample_valid
from dse.space import catalog
from dse.space.search_space import SearchSpace

VERSIONS = ("4cf6d4c", "3.0.3", "dosa")
CASES = (("gemmini", "resnet50"), ("eyeriss", "resnet50"), ("simba", "resnext50_32x4d"),
         ("tpu_v1", "bert_base"), ("shidiannao", "mobilenet_v2"))  # fmt: skip


def space_of(arch, net, energy="table", version="4cf6d4c", *, padding="off", **fixed):
    return SearchSpace(
        *(catalog.template(arch), catalog.workload(net), energy_chain(energy), fixed),
        timeloop_version=version,
        padding=Padding.parse(padding),
    )


def draw(space, rng, count):
    """Yield random hardware, the number of a layer, and valid mappings of it."""
    layers = list(space.workload)
    while count:
        architecture = space.architecture(space.sample_values(rng))
        i = int(rng.integers(len(layers)))
        mapspace = Mapspace(layers[i].problem, architecture)
        found = sample_valid(mapspace, 8, int(rng.integers(2**60)), 20_000).mappings
        if len(found):
            count -= 1
            yield architecture, i, found


def between(points, rng):
    """Return points whose factors above 1 are moved off the whole numbers."""
    moved = {
        name: np.where(x > 1, x * rng.uniform(1.0, 1.5, x.shape), x)
        for name, x in (("temporal", points.temporal), ("spatial", points.spatial))
    }
    return points._replace(**moved)


def some_mapping_of_each(space, values, rng):
    architecture = space.architecture(values)
    mappings = []
    for layer in space.workload:
        seed = int(rng.integers(2**60))
        found = sample_valid(Mapspace(layer.problem, architecture), 1, seed, 50_000).mappings
        if not len(found):
            return None
        mappings.append(found[0])
    return mappings
