"""A second, slower argument for the bound of a co-search, which shares nothing with the search.

The hardware is read from the template again (:mod:`dse.certify.hardware`), what mappings may do
from the constraints again (:mod:`dse.certify.places`), for every combination of variables. Where a
space has one tile on the chip (:mod:`dse.certify.tiers`) every tile with every order of the outer
loops is evaluated by the plain model; everywhere else every mapping is. Boxes of hardware
(:mod:`dse.certify.boxes`) then hold nothing below the claim, or a better design is found. What this
does not reach is said, and neither certified nor refuted.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from dse.certify.boxes import Boxes
from dse.certify.every_row import EveryRow
from dse.certify.hardware import Chip, Hardware
from dse.certify.layers import Tiler
from dse.certify.objective import CheckedGoal
from dse.certify.places import Places
from dse.certify.sizes import sizes_of
from dse.certify.tiers import Tiers, most_of, tiers_of
from dse.certify.tiled_rows import TiledRows
from dse.certify.verdict import Decision, Effort, NotCoveredError, RefutedError, Verdict
from dse.domain.problem import Problem
from dse.model.arrays import HEAD, version_number
from dse.space.search_space import SearchSpace

_TILED = "all tiles and orders by the plain model, boxes of hardware"
_EVERY = "every mapping by the plain model, boxes of hardware"


def recheck(
    space: SearchSpace,
    claim: float,
    report: Callable[[str], None] | None = None,
    effort: Effort | None = None,
    hardware_for: Callable[[CheckedGoal], Hardware] | None = None,
) -> Verdict:
    """Check that no design of a space has an objective below ``claim``.

    Args:
        space: the space.
        claim: infinite: that there is no design.
        report: called with a line of progress now and then.
        effort: what to count in, and up to where to go on.
        hardware_for: returns the hardware of the space for a goal, where it is kept; None: it is
            read from the template.
    """
    count = effort or Effort()
    how = _TILED
    try:
        goal = CheckedGoal.of(space)
        if claim <= 0.0:
            return Verdict(Decision.CERTIFIED, 0, 0, "nothing is below zero")
        hardware = hardware_for(goal) if hardware_for else Hardware(space, goal)
        sizes = _sizes(hardware)
        boxes = Boxes(hardware, goal, claim, count, report or (lambda _: None))
        tiled, other = _kinds(hardware, sizes)
        if other:
            how = f"{_TILED}; {_EVERY}" if tiled else _EVERY
        if space.padding.on:
            how = f"{how}; every useful size"
        _check_tiled(boxes, hardware, tiled, sizes, count)
        _check_every(boxes, hardware, other, sizes, count)
    except NotCoveredError as error:
        return Verdict(Decision.UNDECIDED, count.boxes, count.mappings, how, str(error))
    except RefutedError as error:
        return Verdict(Decision.REFUTED, count.boxes, count.mappings, how, str(error))
    return Verdict(Decision.CERTIFIED, count.boxes, count.mappings, how)


#: By layer of the network, the problems that it may be mapped as.
_SizesByLayer = tuple[tuple[Problem, ...], ...]


def _sizes(hardware: Hardware) -> _SizesByLayer:
    space = hardware.space
    known = {
        problem: sizes_of(problem, hardware.chips, space.padding)
        for problem in dict.fromkeys(layer.problem for layer in space.workload)
    }
    return tuple(known[layer.problem] for layer in space.workload)


@dataclass(frozen=True)
class _Chips:
    """Chips on which the layers, in every size, are of one form.

    Attributes:
        layers: what their mappings may do, on the first of them.
        tiers: who is who in each.
        most: the largest factors in space of each, by chip.
    """

    layers: tuple[Places, ...]
    tiers: tuple[Tiers, ...]
    most: dict[int, list[tuple[int, int]]]
    chips: list[Chip]


def _kinds(hardware: Hardware, sizes: _SizesByLayer) -> tuple[list[_Chips], list[tuple[Chip, str]]]:
    """Return the chips with one tile, by kind, and the others, with why they are none."""
    found: dict[tuple[Tiers, ...], _Chips] = {}
    other = []
    for chip in hardware.chips:
        known: dict[Problem, tuple[Places, Tiers | str]] = {}
        for problem in itertools.chain(*sizes):
            if problem not in known:
                places = Places(problem, chip.architecture)
                known[problem] = places, tiers_of(places)
        layers = [known[problem] for problem in itertools.chain(*sizes)]
        why = next((tiers for _, tiers in layers if isinstance(tiers, str)), None)
        if why is not None:
            other.append((chip, why))
            continue
        tiers = tuple(t for _, t in layers if isinstance(t, Tiers))
        kind = found.setdefault(tiers, _Chips(tuple(p for p, _ in layers), tiers, {}, []))
        kind.chips.append(chip)
        kind.most[id(chip)] = [most_of(p, t) for (p, _), t in zip(layers, tiers, strict=True)]
    return list(found.values()), other


def _check_tiled(
    boxes: Boxes, hardware: Hardware, kinds: Sequence[_Chips], sizes: _SizesByLayer, effort: Effort
) -> None:
    space = hardware.space
    tiler = Tiler(space.timeloop_version)
    for kind in kinds:
        layers = [
            tiler.layer(places, tiers)
            for places, tiers in zip(kind.layers, kind.tiers, strict=True)
        ]
        leaks = version_number(space.timeloop_version) == HEAD and any(map(_leaks, kind.chips))
        source = TiledRows(
            layers, [len(some) for some in sizes], kind.most, hardware.capacities,
            space.timeloop_version, effort, leaks=leaks,
        )  # fmt: skip
        boxes.check(source, kind.chips)


def _leaks(chip: Chip) -> bool:
    """Whether anything on a chip costs energy by the cycle."""
    tables = (s.price_pj[:, 3] for s in chip.sizes)
    fixed = (level.energy.leak_pj for level in chip.architecture.levels)
    return any(fixed) or any((leak[np.isfinite(leak)] > 0).any() for leak in tables)


def _check_every(
    boxes: Boxes, hardware: Hardware, chips: Sequence[tuple[Chip, str]], sizes: _SizesByLayer,
    effort: Effort,
) -> None:  # fmt: skip
    version = hardware.space.timeloop_version
    source = EveryRow(sizes, hardware.capacities, version, effort)
    try:
        source.check([chip for chip, _ in chips])
    except NotCoveredError as error:
        raise NotCoveredError(f"{chips[0][1]}, and {error}") from error
    for chip, why in chips:
        try:
            boxes.check(source, [chip])
        except NotCoveredError as error:
            values = ", ".join(f"{name}={value}" for name, value in chip.values.items())
            raise NotCoveredError(f"with {values or 'these levels'}: {why}, and {error}") from error
