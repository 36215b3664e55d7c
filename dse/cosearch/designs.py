"""Where designs come from while boxes are bounded: known, scouted, improved and polished ones."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from dse.cosearch.incumbents import Incumbents
from dse.cosearch.layer_bounds import LayerBounds
from dse.cosearch.scouts import PacedScout
from dse.cosearch.sizes import UnsolvableSpace
from dse.domain.architecture import Architecture
from dse.goals.design import Design
from dse.space.search_space import SearchSpace
from dse.space.variable import Values

#: Gap that the searches of a scouted design's layers may leave.
_POLISHED = 1e-3


class Designs:
    """Offers designs to the incumbents.

    Args:
        space: what is searched.
        best: takes them.
        bounds: of each network's layers, with the mappings that are known.
        scout: searches designs.

    Attributes:
        scout: the same.
        tried: pieces of hardware that were offered with all known mappings.
    """

    def __init__(
        self,
        space: SearchSpace,
        best: Incumbents,
        bounds: Sequence[LayerBounds],
        scout: PacedScout,
    ) -> None:
        self._space, self._best, self._bounds, self.scout = space, best, bounds, scout
        self.tried = 0
        self._scouted: Values | None = None
        self._polished: list[Values] = []

    def ratio(self, number: int) -> float | None:
        """Return energy over cycles of a network on the incumbent; None where there is none."""
        if self._best.incumbent is None:
            return None
        metrics = self._best.incumbent.metrics
        own = metrics.networks[number] if metrics.networks else metrics
        return own.energy_pj / own.cycles

    def own(self) -> tuple[Values, Architecture] | None:
        """Return the template's own hardware; None where there is none, or not of the space."""
        given = self._space.template.defaults
        if given is None:
            return None
        values = {**given, **self._space.fixed}
        architecture = self._best.build(values)
        return None if architecture is None else (values, architecture)

    def take_scouted(self) -> None:
        """Offer what the scout has found."""
        value, hardware = self._best.value, self._scouted
        self._take(self.scout.ask())
        self.scout.tell(is_better=self._best.value < value, is_new=self._scouted != hardware)

    def _take(self, found: Design | None) -> None:
        """Offer a design with its mappings, which become known."""
        if found is None or found.mappings is None:
            return
        architecture = self._best.build(found.values)
        if architecture is None:
            return
        self._scouted = found.values
        self._best.take(found.values, architecture, found.mappings)
        start = 0
        for bounds in self._bounds:
            bounds.learn(found.mappings[start : start + len(bounds.layers)])
            start += len(bounds.layers)

    def polish(self, *, quick: bool) -> None:
        """Offer hardware with the mappings of the lines through it: each piece once.

        The incumbent's, and what the scout found last: where it is not the best, that may be for
        its mappings.

        Args:
            quick: whether searches of its layers are soon given up.
        """
        incumbent = self._best.incumbent
        for values in (incumbent.design.values if incumbent else None, self._scouted):
            architecture = None if values is None else self._best.build(values)
            if values is None or architecture is None or values in self._polished:
                continue
            self._polished.append(values)
            for number, bounds in enumerate(self._bounds):
                ratio = self.ratio(number)
                if ratio is not None:
                    with suppress(UnsolvableSpace):
                        bounds.support(architecture, ratio, _POLISHED, quick=quick)
            self.offer(values, architecture)

    def improve(self, values: Values, architecture: Architecture) -> None:
        """Offer some hardware with mappings that heuristics find for it."""
        for number, bounds in enumerate(self._bounds):
            ratio = self.ratio(number)
            if ratio is None:
                bounds.draw(architecture, missing=True)
            else:
                bounds.improve(architecture, ratio)
        self.offer(values, architecture)

    def offer(self, values: Values, architecture: Architecture) -> None:
        """Offer the best of all known mappings on some hardware."""
        self.tried += 1
        choices = []
        for bounds in self._bounds:
            for number, layer in enumerate(bounds.layers):
                batch = bounds.valid(architecture, number)
                if batch is None:
                    return
                choices.append((batch, self._best.evaluate(architecture, layer, batch)))
        self._best.offer(values, architecture, choices)
