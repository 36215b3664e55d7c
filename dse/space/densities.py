"""Densities in workload files: of a layer, or of all layers of a network."""

from __future__ import annotations

from collections.abc import Mapping

from dse.domain.constraints import translator
from dse.domain.density import Density
from dse.domain.problem import Problem
from dse.errors import SpecError, unknown_name
from dse.timeloop.read.densities import read_density
from dse.timeloop.yaml.nodes import plain_entry

_KEYS = ("distribution", "density", "band_width")


def densities_of(given: object) -> dict[str, Density]:
    """Return what ``densities`` says, by tensor: numbers, or maps as in Timeloop's problems.

    Raises:
        SpecError: naming the tensor, the value and what was expected.
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise SpecError(f"densities = {given!r}, expected a density by tensor")
    found = {}
    for name, value in given.items():
        for key in value if isinstance(value, Mapping) else ():
            if key not in _KEYS:
                raise SpecError(f"densities.{name}: {unknown_name('key', str(key), _KEYS)}")
        found[str(name)] = read_density(plain_entry(value, "densities", str(name)), "4cf6d4c")
    return found


def network_densities(problem: Problem, weights: str, given: Mapping[str, Density]) -> Problem:
    """Return a layer's problem with the densities that a network gives to all of its layers.

    What the layer says by itself holds. Weights are those of layers that have some: the second
    operand of attention is none.

    Args:
        problem: of the layer, with its own densities.
        weights: see `dse.domain.problem.Layer`.
        given: by tensor, in the words of the layer's shape or in those of convolutions.

    Raises:
        SpecError: the layer has no such tensor.
    """
    words = translator(problem, given)
    found = {}
    for tensor, density in given.items():
        (name,) = words((tensor,)) or (tensor,)
        if name not in problem.tensors:
            raise SpecError(f"densities: {unknown_name('tensor', tensor, problem.tensors)}")
        if tensor != "Weights" or weights != "none":
            found[name] = density
    return problem.with_densities({**found, **problem.densities})
