"""One layer on one hardware: a population of mappings, its children, what they turned out to be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from dse.domain.mapping import MappingBatch
from dse.domain.padding import mapped_problems
from dse.domain.problem import Problem
from dse.lockstep.hardware import BuiltHardware
from dse.lockstep.transfer import carry
from dse.mapspace.canonical import KEY_BYTES, canonical_keys
from dse.numeric import Floats
from dse.state.codec import State
from dse.state.entries import CheckedEntries

#: Probability of two parents, of each further step of a child; members of a tournament.
_RATES = np.array([0.5, 0.4, 3.0])
#: Batches of children bred until enough of them are new.
_ROUNDS = 3
#: Of children of a layer that may be padded, the share that gets another size than its parent's.
_OTHER_SIZE = 0.25
#: Sizes that random mappings are drawn of, the most promising ones.
_DRAWN = 4


#: d objective / d energy and d objective / d cycles
Slope = tuple[float, float]


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

    def score(self, slope: Slope) -> Floats:
        """Return what each member adds to the objective, ``(P,)``, by its slope.

        Args:
            slope: d objective / d energy and d objective / d cycles.
        """
        return slope[0] * self.energy_pj + slope[1] * self.cycles

    def best(self, slope: Slope) -> int:
        """Return the index of the best member by this slope."""
        return int(np.argmin(self.score(slope)))

    def propose(
        self,
        hardware: BuiltHardware,
        problems: Sequence[Problem],
        count: int,
        slope: Slope,
        rng: np.random.Generator,
    ) -> MappingBatch | None:
        """Return ``count`` mappings that fit, new ones as far as there are any.

        None where the hardware maps the layer in no way that random draws find.

        Args:
            hardware: that the mappings fit.
            problems: what may be mapped in place of the layer, the most promising first.
            count: mappings wanted.
            slope: that members are compared by.
            rng: of all randomness.
        """
        parts: list[MappingBatch] = []
        left = count
        if self.members is not None:
            value = self.score(slope)
            for _ in range(_ROUNDS):
                children = self._bred(hardware, problems, value, 2 * left, rng)
                parts.append(self.take_new(children, left))
                left -= len(parts[-1])
                if left == 0:
                    break
        if left:
            parts.append(self.take_new(_drawn(hardware, problems, 2 * left, rng), left))
            left -= len(parts[-1])
        if left:
            again = self.members or _drawn(hardware, problems, 1, rng)
            if not len(again):
                return None
            parts.append(again.take(np.zeros(left, np.intp)))
        return MappingBatch.concatenate(parts)

    def _bred(
        self,
        hardware: BuiltHardware,
        problems: Sequence[Problem],
        value: Floats,
        count: int,
        rng: np.random.Generator,
    ) -> MappingBatch:
        """Return up to ``count`` children of the members.

        Where the layer may be padded, a child has the size of a member that wins a tournament, and
        its parents are of that size; some winners are carried to one other size.
        """
        members = self.members
        if members is None:
            raise ValueError("there are no members to breed from")
        if len(problems) == 1:
            ground = hardware.ground(problems[0])
            if ground is None:
                return members.window(0, 0)
            return ground.breed(members, value, _RATES, count, _seed(rng))
        ranked = np.argsort(value, kind="stable")
        places = rng.integers(0, len(ranked), (count, int(_RATES[2]))).min(axis=1)
        parts = [members.window(0, 0)]
        # the more promising, the more likely
        other = hardware.ground(problems[int(len(problems) * rng.random() ** 2)])
        elsewhere = round(count * _OTHER_SIZE) if other is not None else 0
        if other is not None and elsewhere:
            source = members.take(ranked[np.unique(places[:elsewhere])])
            parts.append(carry(other, source, elsewhere, rng))
        winners = ranked[places[elsewhere:]]
        for problem, own in mapped_problems(problems[0], members).items():
            wanted, ground = int(np.isin(winners, own).sum()), hardware.ground(problem)
            if wanted and ground is not None:
                parents = members.take(own)
                parts.append(ground.breed(parents, value[own], _RATES, wanted, _seed(rng)))
        children = MappingBatch.concatenate(parts)
        return children.take(rng.permutation(len(children)))

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

    def learn(self, batch: MappingBatch, energy_pj: Floats, cycles: Floats, slope: Slope) -> None:
        """Take in what mappings turned out to be; the best by the slope stay, of equals one."""
        if self.members is not None:
            batch = MappingBatch.concatenate([self.members, batch])
            energy_pj = np.concatenate([self.energy_pj, energy_pj])
            cycles = np.concatenate([self.cycles, cycles])
        value = slope[0] * energy_pj + slope[1] * cycles
        kept: dict[tuple[float, float], int] = {}
        pairs = list(zip(energy_pj.tolist(), cycles.tolist(), strict=True))
        for index in np.argsort(value, kind="stable").tolist():
            kept.setdefault(pairs[index], index)
        order = np.array(list(kept.values())[: self.size], np.intp)
        self.members = batch.take(order)
        self.energy_pj, self.cycles = energy_pj[order], cycles[order]


def _drawn(
    hardware: BuiltHardware, problems: Sequence[Problem], count: int, rng: np.random.Generator
) -> MappingBatch:
    """Return up to ``count`` random mappings of the first problems, as many of each."""
    tried = problems[: min(_DRAWN, count)]
    parts = [hardware.space(problems[0]).empty_batch(0)]
    for problem in tried:
        ground = hardware.ground(problem)
        if ground is not None:
            parts.append(ground.sample(-(-count // len(tried)), _seed(rng)))
    return MappingBatch.concatenate(parts) if len(parts) > 2 else parts[-1]


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(0, 2**64, dtype=np.uint64))
