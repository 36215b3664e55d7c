"""NAAS: evolution of accelerator, connectivity and mappings (Lin, Yang and Han, DAC 2021).

Two loops of CMA-ES. This is the outer one, over the hardware as a vector
(`dse.evolution.hardware`); the inner one searches the mapping of every layer (`dse.mappers.cma`),
which this optimizer chooses unless another mapper is named. The reward is the run's objective: for
several networks (``workload=vgg16+resnet50``), the geometric mean over them.

The paper's third loop, over neural architectures, sits inside the outer one where the workload is a
space of networks (`dse.evolution.networks`): each hardware is rewarded with the best of several
networks that are accurate enough; where no constraint says what is enough, with the area that its
networks dominate in accuracy and objective. All hardware of a generation begins with the same
networks.

What the paper leaves open is a setting: population, step size, scale of sizes, where the search
starts, and mappings per hardware.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import numpy as np

from dse.errors import SpecError, unknown_name
from dse.evolution.genome import ENCODINGS
from dse.evolution.hardware import SCALES, HardwareVector
from dse.evolution.network_loop import NetworkLoop
from dse.evolution.networks import Breeding
from dse.goals.design import Design, DesignMetrics
from dse.goals.objective import EDP, ERROR, Objective
from dse.numeric import Floats
from dse.settings import setting
from dse.space.search_space import SearchSpace
from dse.space.variable import Values
from dse.state.codec import State
from dse.state.entries import CheckedEntries
from dse.study.optimizer import Optimizer

if TYPE_CHECKING:
    from cmaes import CMA


_SEARCHES = ("sizing", "connectivity", "mapping")
_LEGALITIES = ("resample", "repair")
_STARTS = ("center", "chip")
#: Designs and mappings per layer of a run whose budget is not set.
_GENERATIONS, _MAPPINGS = 15, 500
#: With fewer mappings per layer, hardware is ranked by luck: small budgets have fewer generations.
_LEAST_MAPPINGS = 125
#: Networks on each hardware, and of a generation of them, unless told otherwise.
_NETWORKS = 100
#: What an invalid design is worth: the library does arithmetic on values, so not infinite.
_WORST = 1e300
#: Steps of a tenth by which a repair draws sizes to their smallest.
_SHRINKS = 40
#: What changes in the library's object from one generation to the next; the rest is as it is made,
#: and its eigenvectors are computed anew after each.
_EVOLVING = ("_mean", "_C", "_p_sigma", "_pc", "_funhist_values")


@dataclass(frozen=True)
class NaasSettings:
    """Settings of NAAS."""

    population: int = setting(20, "hardware per generation")
    sigma: float | None = setting(
        None, "first step size, of numbers in 0 to 1; null: 0.5 if 'inherit' is set, else 0.3"
    )
    inherit: float = setting(
        0.7, "share of its numbers that a candidate has from the best so far; 0: CMA-ES as it is"
    )
    encoding: str = setting("importance", "of parallel dimensions and loop orders: or index")
    search: str = setting(
        "mapping",
        "what is searched: sizing (memories, PEs, bandwidth), connectivity (and array and parallel "
        "dimensions), mapping (and loop orders)",
    )
    legality: str = setting(
        "resample", "of hardware beyond the budget: resample (the paper's), or repair by shrinking"
    )
    scale: str = setting("log", "of sizes: log (every factor equally likely) or linear")
    start: str | None = setting(
        None,
        "where the search starts: center of the space, or chip (the template's own design, which "
        "is the first candidate); null: chip where the template has one",
    )
    mappings_per_hardware: int | None = setting(
        None,
        "mappings per layer on each hardware; null: what the budget leaves for 15 generations, and "
        "at least 125 where that leaves one",
    )
    connectivity: list[str] = setting(
        ["array_*", "parallel_*"], "variables that search=sizing leaves as the template has them"
    )
    max_draws: int = setting(1000, "draws per hardware until it is taken as it is")
    networks: int | None = setting(
        None, "networks tried on each hardware, where the workload is a space of them; null: 100"
    )
    network_population: int | None = setting(
        None, "networks of a generation; null: 100, as once-for-all, or all"
    )
    network_parents: float = setting(0.25, "share of a generation of networks that has children")
    network_mutants: float = setting(
        0.5, "share of the children that have one parent, and change; the others have two"
    )
    network_mutation: float = setting(
        0.1, "probability that a variable of such a child is drawn anew"
    )


class Naas(Optimizer[NaasSettings]):
    """NAAS: two loops of CMA-ES, over the hardware as a vector and over every layer's mapping."""

    settings_type = NaasSettings
    takes_networks = True
    maps_together = True
    default_samples = 20 * _GENERATIONS * _MAPPINGS

    def __init__(
        self,
        space: SearchSpace,
        settings: NaasSettings,
        rng: np.random.Generator,
        samples: int,
    ) -> None:
        super().__init__(space, settings, rng, samples)
        _check(settings, space)
        networks = _networks(settings) if space.networks is not None else 1
        share = samples // networks
        self.mappings_per_hardware = settings.mappings_per_hardware or _share(settings, share)
        self._vector = self._new_vector()
        # the library wants at least one number; where nothing is free, it means nothing
        self._width = max(len(self._vector), 1)
        self._cma = self._new_cma()
        self._asked: list[Floats] = []
        self._best: Floats | None = None
        self._best_value = _WORST
        self._inner: NetworkLoop | None = None
        if space.networks is not None:
            self._inner = NetworkLoop(space, _breeding(settings), networks)

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """See :attr:`dse.study.optimizer.Optimizer.objectives`."""
        if self._inner is None:
            return ()
        return (ERROR, EDP if self.space.objective is ERROR else self.space.objective)

    @classmethod
    def budget(cls, settings: NaasSettings, *, networks: bool) -> int:
        """See :meth:`dse.study.optimizer.Optimizer.budget`."""
        return cls.default_samples * (_networks(settings) if networks else 1)

    @classmethod
    def default_mapper(cls, settings: NaasSettings) -> dict[str, Any]:
        """See :meth:`dse.study.optimizer.Optimizer.default_mapper`."""
        orders = "mapping" if settings.search == "mapping" else "tiles"
        return {"name": "cma", "encoding": settings.encoding, "search": orders}

    def ask(self) -> list[Design]:
        """Return a generation of hardware within the budget, or the next networks on it."""
        if self._inner is None:
            return self._designs(self._generation())
        if not self._inner.goes_on:
            self._inner.begin(self._generation(), self.rng)
        return self._designs(self._inner.ask(self.rng))

    def _designs(self, values: Sequence[Values]) -> list[Design]:
        return [Design(v, mapping_samples=self.mappings_per_hardware) for v in values]

    def _generation(self) -> list[Values]:
        """Draw a generation of hardware within the budget."""
        if self._cma.should_stop():
            self._cma = self._new_cma()
        # the library's own random state is not part of a checkpoint
        self._cma.reseed_rng(int(self.rng.integers(2**32)))
        self._asked = []
        drawn = []
        for number in range(self.settings.population):
            first = self._from_chip and self._cma.generation == number == 0
            x, values = self._started() if first else self._draw()
            self._asked.append(x)
            drawn.append(values)
        return drawn

    def tell(self, designs: Sequence[Design], metrics: Sequence[DesignMetrics]) -> None:
        """Learn from a generation; one that the end of the budget cut short teaches nothing."""
        if self._inner is None:
            if len(metrics) == self.settings.population:
                self._learn([self.space.objective(m) if m.valid else _WORST for m in metrics])
            return
        self._inner.tell(designs, metrics)
        if not self._inner.goes_on and self._inner.rewards:
            self._learn(self._inner.rewards)

    def _learn(self, value: list[float]) -> None:
        """Move the distribution of hardware, by the worth of a generation."""
        first = int(np.argmin(value))
        if value[first] < self._best_value:
            self._best, self._best_value = self._asked[first], value[first]
        self._cma.tell([(x, min(v, _WORST)) for x, v in zip(self._asked, value, strict=True)])

    def state_dict(self) -> dict[str, State]:
        """Return the distribution that hardware is drawn from, and the best so far."""
        cma = vars(self._cma)
        return {
            "generation": self._cma.generation,
            "sigma": float(cma["_sigma"]),
            **{name: cma[name] for name in _EVOLVING},
            "best": self._best,
            "best_value": self._best_value,
            **({} if self._inner is None else self._state_of_networks(self._inner)),
        }

    def _state_of_networks(self, inner: NetworkLoop) -> dict[str, State]:
        asked = np.array(self._asked, np.float64).reshape(len(self._asked), self._width)
        return {"asked": asked, "networks": inner.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See :meth:`dse.study.optimizer.Optimizer.load_state_dict`."""
        cma = vars(self._cma)
        with CheckedEntries(state, "optimizer") as entries:
            # the library has no other way to set them
            cma["_g"] = entries.integer("generation", 0)
            cma["_sigma"] = entries.number("sigma", finite=True)
            for name in _EVOLVING:
                cma[name] = entries.array(name, np.float64, cma[name].shape)
            self._best = entries.maybe(
                "best", lambda key: entries.array(key, np.float64, (self._width,))
            )
            self._best_value = entries.number("best_value")
            if self._inner is not None:
                self._asked = list(entries.array("asked", np.float64, (None, self._width)))
                with entries.part("networks") as own:
                    self._inner.load_state_dict(own, len(self._asked))

    def _started(self) -> tuple[Floats, Values]:
        """Return the chip's own hardware, where the search starts."""
        x = self._cma.mean.copy()
        return x, self._vector.decode(x)

    def _draw(self) -> tuple[Floats, Values]:
        """Draw hardware until it is within the budget, or repair it."""
        for _ in range(self.settings.max_draws):
            x = self._inherited(self._cma.ask())
            values = self._vector.decode(x)
            if self.space.template.admits(values):
                break
            if self.settings.legality == "repair":
                return x, self._repaired(x, values)
        return x, values

    def _inherited(self, x: Floats) -> Floats:
        """Put some of the best hardware's numbers into a candidate.

        A candidate that differs in all numbers at once hardly ever is better than a good one:
        array sizes suit the layers' or don't.
        """
        if self._best is None or not self.settings.inherit:
            return x
        kept = self.rng.random(len(x)) < self.settings.inherit
        mixed: Floats = np.where(kept, self._best, x)
        return mixed

    def _repaired(self, x: Floats, values: Values) -> Values:
        for step in range(1, _SHRINKS + 1):
            values = self._vector.decode(self._vector.shrink(x, 0.9**step))
            if self.space.template.admits(values):
                break
        return values

    def _new_vector(self) -> HardwareVector:
        s = self.settings
        held: Values = {}
        if s.search == "sizing":
            for variable in self.space.free_hardware:
                if any(fnmatchcase(variable.name, pattern) for pattern in s.connectivity):
                    if variable.default is None:
                        raise SpecError(
                            f"optimizer.search = sizing: template '{self.space.template.name}' "
                            f"gives no default for {variable.name}"
                        )
                    held[variable.name] = variable.default
        return HardwareVector(self.space, held, s.encoding, s.scale)

    @property
    def _from_chip(self) -> bool:
        wanted = self.settings.start
        return wanted == "chip" or (wanted is None and self.space.template.defaults is not None)

    def _new_cma(self) -> CMA:
        mean = np.full(self._width, 0.5)
        defaults = self.space.template.defaults
        if self._from_chip:
            if defaults is None:
                raise SpecError(
                    f"optimizer.start = chip: template '{self.space.template.name}' gives no "
                    "defaults for all its variables"
                )
            fixed = self.space.hardware(self.space.fixed)
            mean[: len(self._vector)] = self._vector.encode({**defaults, **fixed})
        box = np.tile([0.0, 1.0], (self._width, 1))
        made: CMA = _library()(
            np.clip(mean, 0.0, 1.0),
            self.settings.sigma or (0.5 if self.settings.inherit else 0.3),
            bounds=box,
            population_size=self.settings.population,
        )
        # whatever was in memory, until there are values: equal searches have equal states
        vars(made)["_funhist_values"].fill(0.0)
        return made


def _library() -> Any:  # noqa: ANN401 - the library has no types
    """Return CMA-ES of `cmaes`, loaded on use: with it come half a second of `scipy.stats`."""
    from cmaes import CMA  # noqa: PLC0415

    return CMA


def _share(settings: NaasSettings, samples: int) -> int:
    """Return the mappings per layer on each hardware of a budget."""
    generation = max(samples // settings.population, 1)
    return max(generation // _GENERATIONS, min(generation, _LEAST_MAPPINGS))


def _networks(settings: NaasSettings) -> int:
    """Return how many networks are tried on each hardware."""
    return settings.networks or _NETWORKS


def _breeding(s: NaasSettings) -> Breeding:
    population = min(s.network_population or _NETWORKS, _networks(s))
    return Breeding(population, s.network_parents, s.network_mutants, s.network_mutation)


def _check(s: NaasSettings, space: SearchSpace) -> None:
    if space.networks is None and s.networks is not None:
        raise SpecError(
            f"optimizer.networks = {s.networks}: workload '{space.workload.name}' is no space of "
            "networks, expected null"
        )
    for name in ("networks", "network_population"):
        given = getattr(s, name)
        if given is not None and given < 1:
            raise SpecError(f"optimizer.{name} = {given}, expected at least 1")
    for name in ("network_parents", "network_mutants", "network_mutation"):
        if not 0 <= getattr(s, name) <= 1:
            raise SpecError(f"optimizer.{name} = {getattr(s, name)}, expected 0 to 1")
    for name, choices in (
        ("encoding", ENCODINGS),
        ("search", _SEARCHES),
        ("legality", _LEGALITIES),
        ("scale", SCALES),
        ("start", (*_STARTS, None)),
    ):
        if getattr(s, name) not in choices:
            known = [choice for choice in choices if choice]
            raise SpecError(unknown_name(f"optimizer.{name}", getattr(s, name), known))
    for name, least in (("population", 4), ("max_draws", 1)):
        if getattr(s, name) < least:
            raise SpecError(f"optimizer.{name} = {getattr(s, name)}, expected at least {least}")
    if s.sigma is not None and not 0 < s.sigma <= 10:
        raise SpecError(f"optimizer.sigma = {s.sigma}, expected above 0 and at most 10")
    if not 0 <= s.inherit < 1:
        raise SpecError(f"optimizer.inherit = {s.inherit}, expected at least 0 and below 1")
    if s.mappings_per_hardware is not None and s.mappings_per_hardware < 1:
        raise SpecError(
            f"optimizer.mappings_per_hardware = {s.mappings_per_hardware}, expected at least 1"
        )
