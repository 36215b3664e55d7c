"""One layer on one hardware: a population of mappings, its children, what they turned out to be."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from dse.domain.mapping import MappingBatch
from dse.lockstep.canonical import KEY_BYTES, canonical_keys
from dse.mappers.ground import Ground
from dse.numeric import Floats
from dse.state.codec import State
from dse.state.entries import CheckedEntries

#: Probability of two parents, of each further step of a child; members of a tournament.
_RATES = np.array([0.5, 0.4, 3.0])
#: Batches of children bred until enough of them are new.
_ROUNDS = 3


@dataclass
class LayerSearch:
    """The mappings that one layer's search holds on one hardware.

    Attributes:
        size: members kept.
        members: the population, best first by the slope that it was last ranked with; None
            before anything was evaluated.
        energy_pj, cycles: ``(P,)`` of one run of the layer; infinite where not valid.
        known: canonical keys of everything that was asked for on this hardware, in that order.
    """

    size: int
    members: MappingBatch | None = None
    energy_pj: Floats = field(default_factory=lambda: np.empty(0))
    cycles: Floats = field(default_factory=lambda: np.empty(0))
    known: dict[bytes, None] = field(default_factory=dict)

    def state_dict(self) -> dict[str, State]:
        """Return it as plain data."""
        keys = np.frombuffer(b"".join(self.known), np.uint8)
        return {
            "members": self.members,
            "energy_pj": self.energy_pj,
            "cycles": self.cycles,
            "known": keys.reshape(-1, KEY_BYTES),
        }

    @classmethod
    def of_state(cls, entries: CheckedEntries, size: int) -> LayerSearch:
        """Return the search of so many members that :meth:`state_dict` is of.

        Raises:
            SpecError: it is of none.
        """
        with entries:
            members = entries.maybe("members", lambda key: entries.record(key, MappingBatch))
            count = 0 if members is None else len(members)
            keys = entries.array("known", np.uint8, (None, KEY_BYTES))
            return cls(
                size,
                members,
                entries.array("energy_pj", np.float64, (count,)),
                entries.array("cycles", np.float64, (count,)),
                {row.tobytes(): None for row in keys},
            )

    @property
    def found(self) -> bool:
        """Whether there is any valid mapping."""
        return self.members is not None and bool(np.isfinite(self.energy_pj).any())

    def score(self, slope: tuple[float, float]) -> Floats:
        """Return what each member adds to the objective, ``(P,)``, by its slope.

        Args:
            slope: d objective / d energy and d objective / d cycles.
        """
        return slope[0] * self.energy_pj + slope[1] * self.cycles

    def best(self, slope: tuple[float, float]) -> int:
        """Return the index of the best member by this slope."""
        return int(np.argmin(self.score(slope)))

    def propose(
        self, ground: Ground, count: int, slope: tuple[float, float], rng: np.random.Generator
    ) -> MappingBatch | None:
        """Return ``count`` mappings that fit, new ones as far as there are any.

        None where the hardware maps the layer in no way that random draws find.
        """
        parts: list[MappingBatch] = []
        left = count
        if self.members is not None:
            value = self.score(slope)
            for _ in range(_ROUNDS):
                children = ground.breed(self.members, value, _RATES, 2 * left, _seed(rng))
                parts.append(self.take_new(children, left))
                left -= len(parts[-1])
                if left == 0:
                    break
        if left:
            parts.append(self.take_new(ground.sample(2 * left, _seed(rng)), left))
            left -= len(parts[-1])
        if left:
            again = self.members or ground.sample(1, _seed(rng))
            if not len(again):
                return None
            parts.append(again.take(np.zeros(left, np.intp)))
        return MappingBatch.concatenate(parts)

    def take_new(self, batch: MappingBatch, most: int) -> MappingBatch:
        """Return the mappings of a batch that were not asked for before, at most so many."""
        new: list[int] = []
        for index, key in enumerate(canonical_keys(batch)):
            if len(new) == most:
                break
            if key not in self.known:
                self.known[key] = None
                new.append(index)
        return batch.take(np.array(new, np.intp))

    def learn(
        self, batch: MappingBatch, energy_pj: Floats, cycles: Floats, slope: tuple[float, float]
    ) -> None:
        """Take in what mappings turned out to be; the best by the slope stay, of equals one."""
        if self.members is not None:
            batch = MappingBatch.concatenate([self.members, batch])
            energy_pj = np.concatenate([self.energy_pj, energy_pj])
            cycles = np.concatenate([self.cycles, cycles])
        value = slope[0] * energy_pj + slope[1] * cycles
        order = np.argsort(value, kind="stable")
        _, first = np.unique(np.stack([energy_pj[order], cycles[order]]), axis=1, return_index=True)
        order = order[np.sort(first)][: self.size]
        self.members = batch.take(order)
        self.energy_pj, self.cycles = energy_pj[order], cycles[order]


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(0, 2**64, dtype=np.uint64))
