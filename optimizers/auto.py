"""The default: the proven optimum where that can be had, else the best search that there is.

A proof needs a space that :mod:`dse.cosearch` can solve, Timeloop's model, and few enough nodes.
What a stopped proof has found counts, and its bound says how far from the end the search was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dse.cosearch.certificate import STOPPED, UNSOLVED, CoSearchCertificate
from dse.errors import SpecError
from dse.goals.design import Design, DesignMetrics
from dse.optimizers.lockstep import Lockstep, LockstepSettings
from dse.optimizers.optimal import OptimalSearch, OptimalSearchSettings
from dse.optimizers.random import RandomSearch, RandomSearchSettings
from dse.settings import setting
from dse.space.search_space import SearchSpace
from dse.state.codec import State
from dse.state.entries import CheckedEntries
from dse.study.optimizer import Optimizer

#: What it may choose, by name.
_CHOICES = {
    "optimal": (OptimalSearch, OptimalSearchSettings),
    "lockstep": (Lockstep, LockstepSettings),
    "random": (RandomSearch, RandomSearchSettings),
}


@dataclass(frozen=True)
class AutoSettings:
    """Settings of the choice."""

    nodes: int = setting(5_000, "nodes of the proof after which it is given up")
    mappings: int = setting(
        10_000,
        "mappings of a layer on one hardware up to which spaces without a closed form are proven",
    )


class Auto(Optimizer[AutoSettings]):
    """The proof (optimal) where it can be had soon, else lockstep; says which, and why."""

    settings_type = AutoSettings
    pads_unasked = False

    def __init__(
        self, space: SearchSpace, settings: AutoSettings, rng: np.random.Generator, samples: int
    ) -> None:
        super().__init__(space, settings, rng, samples)
        for name in ("nodes", "mappings"):
            if getattr(settings, name) < 1:
                raise SpecError(
                    f"optimizer.{name} = {getattr(settings, name)}, expected at least 1"
                )
        self._proof: CoSearchCertificate | None = None
        self._name = self._reason = ""
        self._chosen: Optimizer[Any] | None = None

    @property
    def note(self) -> str:
        """See :attr:`dse.study.optimizer.Optimizer.note`."""
        return f"{self._name}, as {self._reason}" if self._name else ""

    @property
    def certificate(self) -> dict[str, Any] | None:
        """See :attr:`dse.study.optimizer.Optimizer.certificate`."""
        if self._proof is not None:
            return self._proof.as_dict()
        return self._chosen.certificate if isinstance(self._chosen, OptimalSearch) else None

    def ask(self) -> list[Design]:
        """Return what the chosen optimizer asks for; after a proof that fails, the next one's."""
        if self._chosen is None:
            self._choose()
        chosen = self._now
        asked = chosen.ask()
        if isinstance(chosen, OptimalSearch) and (reason := self._failed(chosen, asked)):
            self._take("lockstep", reason)
            return self._now.ask()
        return asked

    def tell(self, designs: Sequence[Design], metrics: Sequence[DesignMetrics]) -> None:
        """Let the chosen one learn; a bound is of the best design of all."""
        self._now.tell(designs, metrics)
        if self._proof is None:
            return
        for one in metrics:
            value, known = self.space.objective(one), self._proof.value
            if one.valid and (known is None or value < known):
                self._proof = replace(self._proof, value=value)

    def state_dict(self) -> dict[str, State]:
        """Return what was chosen, why, its state, and what a stopped proof left."""
        return {
            "name": self._name,
            "reason": self._reason,
            "chosen": None if self._chosen is None else self._chosen.state_dict(),
            "proof": None if self._proof is None else self._proof.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See :meth:`dse.study.optimizer.Optimizer.load_state_dict`."""
        with CheckedEntries(state, "optimizer") as entries:
            name, reason = entries.text("name"), entries.text("reason")
            chosen = entries.take("chosen")
            self._proof = entries.maybe(
                "proof", lambda key: CoSearchCertificate.of_state(entries.part(key))
            )
            if chosen is None:
                return
            if name not in _CHOICES or not isinstance(chosen, dict):
                entries.refuse("name", name, f"one of {', '.join(_CHOICES)}")
        before = self.rng.bit_generator.state
        self._take(name, reason)
        self.rng.bit_generator.state = before  # what a constructor draws has been drawn
        self._now.load_state_dict(chosen)

    @property
    def _now(self) -> Optimizer[Any]:
        if self._chosen is None:
            raise RuntimeError("nothing was chosen yet")
        return self._chosen

    def _choose(self) -> None:
        if self.space.template.is_sparse:
            self._take("lockstep", "proofs are of dense tensors, and this design leaves out zeros")
        elif self.space.padding.on:
            self._take("lockstep", "sizes may be padded, and proofs over all of them take long")
        elif not self.own_mapper:
            self._take("random", "a mapper is named, which the others do not use")
        elif not self.of_timeloop:
            self._take("lockstep", "a proof is of Timeloop's model, which the evaluator is not")
        else:
            try:
                self._take("optimal", "this space can be searched to the end")
            except SpecError as error:  # of several networks, or of another objective
                self._take("lockstep", f"there is no proof here ({error})")

    def _take(self, name: str, reason: str) -> None:
        factory, settings_type = _CHOICES[name]
        settings: Any = settings_type()
        if factory is OptimalSearch:
            limits = {"nodes": self.settings.nodes, "mappings": self.settings.mappings}
            settings = replace(settings, **limits, boxes=False)
        made: Optimizer[Any] = factory(self.space, settings, self.rng, self.samples)
        made.meter = self.meter
        self._chosen, self._name, self._reason = made, name, reason

    def _failed(self, search: OptimalSearch, asked: Sequence[Design]) -> str:
        """Return why a proof is given up, and keep what it left; nothing: it is not."""
        proof = search.proof
        if proof is None:
            return ""
        if proof.status == UNSOLVED:
            return f"there is no proof here ({proof.reason})"
        if proof.status == STOPPED and not asked:
            self._proof = proof
            return f"the proof is not done after {self.settings.nodes:,} nodes"
        return ""
