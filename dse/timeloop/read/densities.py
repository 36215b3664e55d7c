"""Reads the densities of a problem, which count with ``sparse_optimizations`` only."""

from __future__ import annotations

import logging

from dse.domain.density import Density, Distribution
from dse.domain.problem import Problem
from dse.timeloop.read.unread import check_keys
from dse.timeloop.yaml.nodes import Entry

_LOG = logging.getLogger(__name__)
#: Density distributions; 3.0.3 knows the one of two words with a hyphen only.
_DISTRIBUTIONS: dict[str, Distribution] = {
    "fixed": "fixed_structured",
    "fixed_structured": "fixed_structured",
    "hypergeometric": "hypergeometric",
    "banded": "banded",
    "diagonal": "banded",
}
_LARGEST_BAND = 2**31 - 1


def read_densities(entry: Entry, problem: Problem, timeloop_version: str) -> dict[str, Density]:
    """Return the densities that a ``problem`` gives, by tensor; others are dense.

    Raises:
        SpecError: naming file, key and value.
    """
    instance = entry.get("instance") or entry
    common, densities = instance.get("commonDensity"), instance.get("densities")
    if common is not None:
        return dict.fromkeys(problem.tensors, read_density(common, timeloop_version))
    found = {}
    for name, item in () if densities is None else densities.pairs():
        if name in problem.tensors:
            found[name] = read_density(item, timeloop_version)
        else:
            check_keys(item, name, problem.tensors)
    return found


def check_densities(instance: Entry, timeloop_version: str) -> None:
    """Check densities as Timeloop does where they have no effect, and say so."""
    common = instance.get("commonDensity")
    densities = instance.get("densities")
    # Timeloop passes over the others where there is a common one
    entries = [common] if common is not None else []
    if common is None and densities is not None:
        entries = [entry for _, entry in densities.pairs()]
    if sum(not _is_dense(entry, timeloop_version) for entry in entries):
        place = common if common is not None else densities
        assert place is not None
        _LOG.warning("%s: no effect without sparse_optimizations, the model is dense", place.where)


def _is_dense(entry: Entry, timeloop_version: str) -> bool:
    """Read one density; whether it is 1."""
    number: Entry | None = entry
    if entry.is_map:
        _distribution(entry, timeloop_version)
        number = entry.get("density")
    if number is None:
        return False
    return _share(number) == 1.0


def _distribution(entry: Entry, timeloop_version: str) -> Distribution:
    kind = entry.need("distribution", f"one of {', '.join(_DISTRIBUTIONS)}")
    name = kind.text()
    found = _DISTRIBUTIONS.get(name.replace("-", "_"))
    if found is None or (timeloop_version != "4cf6d4c" and "_" in name):
        raise kind.fail(
            f"expected one of {', '.join(_DISTRIBUTIONS)}"
            f"\nERROR: unrecognized density distribution type: {name[:500]}"
        )
    return found


def read_density(entry: Entry, timeloop_version: str) -> Density:
    """Read one density: a number, or a map with its distribution.

    Raises:
        SpecError: naming file, key and value.
    """
    distribution: Distribution = "fixed_structured"
    number, width = entry, 0
    if entry.is_map:
        distribution = _distribution(entry, timeloop_version)
        if distribution == "banded":
            band = entry.get("band_width")
            width = band.integer(0, _LARGEST_BAND) if band is not None else 0
            return Density(distribution, band_width=width)
        number = entry.need(
            "density", f"a number\nERROR: missing density value specification for {distribution} "
            "distribution"
        )  # fmt: skip
    return Density(distribution, _share(number))


def _share(number: Entry) -> float:
    if number.number(0.0) > 1.0:
        raise number.fail("expected a density of at most 1")
    return number.number()
