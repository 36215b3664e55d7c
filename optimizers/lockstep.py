"""Hardware and mappings in one loop: the mapping searches of all layers, in lock step.

It is this project's answer to the gradient search of DOSA (Hong et al., MICRO 2023), and goes by
``dosa_plus`` where the two are compared.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dse.domain.mapping import MappingBatch
from dse.errors import SpecError
from dse.goals.design import Design, DesignMetrics
from dse.lockstep.course import POLISH, SCOUT, SETTLE, TRIAL, Climb, Sites, Task
from dse.lockstep.moves import Moves
from dse.relaxed.sizing import Sizing, demand_of
from dse.settings import setting
from dse.space.genes import Genes
from dse.space.search_space import SearchSpace
from dse.space.variable import Values
from dse.state.codec import State
from dse.state.entries import CheckedEntries
from dse.study.optimizer import Optimizer

if TYPE_CHECKING:
    from dse.lockstep.moves import Direction
    from dse.lockstep.site import Site

#: Share by which a batch must lower the objective for the hardware to get another one.
_SETTLED = 0.002
#: Octaves from which on hardware is so far away that it gets mappings of its own.
_FAR = 1.0


@dataclass(frozen=True)
class LockstepSettings:
    """Settings of the lock-step search."""

    batch: int = setting(16, "mappings per layer and step")
    population: int = setting(16, "mappings that each layer keeps on a hardware")
    scouts: int | None = setting(
        None, "hardware to start from: the default, the largest, random; null: by budget, 1 to 6"
    )
    trial: int = setting(64, "samples in which new hardware must prove better")
    patience: float = setting(
        0.15, "new hardware nearby that is worse by this share after one batch is left"
    )
    first_step: float = setting(4.0, "octaves by which hardware moves at first")
    last_step: float = setting(0.1, "octaves by which it moves at last; steps halve in between")
    polish: int = setting(256, "samples for the mappings alone, where no hardware nearby is better")


class Lockstep(Optimizer[LockstepSettings]):
    """Mapping searches of all layers in lock step, on hardware that moves downhill with them."""

    settings_type = LockstepSettings
    default_samples = 10_000

    def __init__(
        self,
        space: SearchSpace,
        settings: LockstepSettings,
        rng: np.random.Generator,
        samples: int,
    ) -> None:
        from dse.lockstep.hardware import HardwareCache  # noqa: PLC0415 - compiled code

        super().__init__(space, settings, rng, samples)
        _check(settings)
        self._hardware = HardwareCache(space)
        self._moves = Moves(Genes(space))
        self._recorded = (math.inf, math.inf)
        self._visited: set[tuple[int, ...]] = set()
        self._to_scout = self._scout_count()
        # those scouted in this round, and those that are to be
        self._scouted: list[Site] = []
        self._waiting: list[Site] = []
        self._known = self._starts()
        self._given: list[Design] = []
        self._climb: Climb | None = None
        self._task: Task | None = None
        self._best: Site | None = None
        # which of the designs asked for last are what
        self._leads = False
        self._by_mapper = False

    def begin_with(self, designs: Sequence[Design]) -> None:
        """Look at these first, the last one before the others; with their mappings.

        For searches within another one: what is left of them is in no state.
        """
        self._given = list(designs)

    def ask(self) -> list[Design]:
        """Return the best network found, if it is new, and new mappings on the next hardware."""
        left = self.meter.left
        # one sample is left over, so that the best network of the last batch can be asked for
        count = min(self.settings.batch, max(left - 1, 1))
        if left < 1:
            return []
        best = self._best
        designs: list[Design] = []
        self._leads = best is not None and best.rank < self._recorded
        if self._leads and best is not None:
            designs.append(best.best())
        more = count - len(designs)
        return [*designs, *self._mapped(more)] if more else designs

    def tell(self, designs: Sequence[Design], metrics: Sequence[DesignMetrics]) -> None:
        """Let the layers learn, and decide where to go."""
        told = list(zip(designs, metrics, strict=True))
        if self._leads and self._best is not None:
            self._recorded = self._best.rank
            told = told[1:]
        if not told:
            return
        if self._by_mapper:
            self._take_mapped(*told[0])
            return
        task = self._task
        if task is None:
            raise RuntimeError("told of designs that were not asked for")
        before = task.site.rank
        hardware = self._hardware(task.site.values)
        if hardware is None:
            raise RuntimeError("told of hardware that cannot be built")
        results = [m for _, m in told]
        task.site.learn(hardware, results, self.space.objective)
        for metric in results:
            if metric.valid:
                self._recorded = min(self._recorded, (0.0, self.space.objective(metric)))
        if self._best is None or task.site.rank < self._best.rank:
            self._best = task.site
        task.seeds = None
        self._judge(task, before)

    def state_dict(self) -> dict[str, State]:
        """Return all hardware that is searched, and where the search stands."""
        if self._given:
            raise RuntimeError("a search that was given designs to begin with has no state yet")
        sites = Sites()
        climb, task = self._climb, self._task
        variables = len(self.space.template.variables)
        standing: dict[str, State] = {
            "recorded": self._recorded,
            "visited": np.array(sorted(self._visited), np.int64).reshape(-1, variables),
            "to_scout": self._to_scout,
            "scouted": [sites.number(site) for site in self._scouted],
            "waiting": [sites.number(site) for site in self._waiting],
            "known": len(self._known),
            "climb": None if climb is None else climb.state_dict(sites, self._moves),
            "task": None if task is None else task.state_dict(sites, self._moves),
            "best": None if self._best is None else sites.number(self._best),
        }
        return {"sites": [site.state_dict() for site in sites.all], **standing}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See :meth:`dse.study.optimizer.Optimizer.load_state_dict`."""
        from dse.lockstep.site import Site  # noqa: PLC0415 - compiled code

        space, moves = self.space, self._moves
        with CheckedEntries(state, "optimizer") as entries:
            size = self.settings.population
            sites = Sites([Site.of_state(x, space, size) for x in entries.each("sites")])
            penalty, value = entries.numbers("recorded", 2)
            self._recorded = (penalty, value)
            visited = entries.array("visited", np.int64, (None, len(space.template.variables)))
            self._visited = {tuple(row) for row in visited.tolist()}
            self._to_scout = entries.integer("to_scout", 0)
            self._scouted = sites.take_list(entries, "scouted")
            self._waiting = sites.take_list(entries, "waiting")
            del self._known[entries.integer("known", 0, len(self._known)) :]
            self._climb = entries.maybe(
                "climb", lambda key: Climb.of_state(entries.part(key), sites, moves)
            )
            self._task = entries.maybe(
                "task", lambda key: Task.of_state(entries.part(key), space, sites, moves)
            )
            self._best = entries.maybe("best", lambda key: sites.take(entries, key))

    # where to look

    def _mapped(self, count: int) -> list[Design]:
        """Return new mappings for the hardware looked at; leave what cannot be mapped."""
        self._by_mapper = False
        while True:
            if self._task is None:
                self._task = self._next_task()
            task = self._task
            hardware = self._hardware(task.site.values)
            designs = task.site.designs(hardware, count, task.seeds, self.rng) if hardware else []
            if designs:
                return designs
            self._task = None
            if task.kind == SCOUT:
                # say in the journal why not; the mapper may find what a few draws did not
                self._by_mapper = True
                return [Design(task.site.values, mapping_samples=count)]

    def _take_mapped(self, design: Design, metrics: DesignMetrics) -> None:
        """Take up hardware that the mapper could map."""
        if metrics.valid and design.mappings:
            seeds = [MappingBatch.of([mapping]) for mapping in design.mappings]
            self._task = Task(SCOUT, self._site(design.values), 1, seeds)

    def _site(self, values: Values) -> Site:
        from dse.lockstep.layer import LayerSearch  # noqa: PLC0415 - compiled code
        from dse.lockstep.site import Site  # noqa: PLC0415

        workload = self.space.workload
        searches = [LayerSearch(self.settings.population) for _ in workload]
        return Site(values, searches, tuple(layer.count for layer in workload))

    def _scout_count(self) -> int:
        if self.settings.scouts is not None:
            return self.settings.scouts
        return int(np.clip(self.samples // (10 * self.settings.batch), 1, 6))

    def _next_task(self) -> Task:
        climb = self._climb
        if climb is None:
            return self._scout()
        while True:
            if not climb.fitted:
                climb.fitted = True
                fitting = self._smallest(climb.here)
                if fitting != climb.here.values:
                    # tried before or not: that was with other mappings
                    self._visited.discard(tuple((fitting or {}).values()))
                    trial = self._trial(climb, fitting, None)
                    if trial is not None:
                        return trial
            while climb.directions:
                direction = climb.directions.pop()
                values = self._moves.moved(self.rng, climb.here.values, direction, climb.step)
                trial = self._trial(climb, values, direction)
                if trial is not None:
                    return trial
            if climb.step > self.settings.last_step:
                climb.step = max(climb.step / 2, self.settings.last_step)
                climb.directions = self._shuffled()
                continue
            if _lowered(climb.before, climb.here.value):
                climb.before = climb.here.value
                climb.directions = self._shuffled()
                return Task(POLISH, climb.here, climb.here.spent + self.settings.polish)
            self._climb = None
            return self._scout()

    def _scout(self) -> Task:
        """Return random hardware to look at: new, or that the next round is for."""
        if self._waiting:
            site = self._waiting.pop()
            return Task(SCOUT, site, site.spent + 1)
        if self._given:
            design = self._given.pop()
            first = [MappingBatch.of([mapping]) for mapping in design.mappings or ()]
            return Task(SCOUT, self._site(design.values), 1, first or None)
        values = self._known.pop() if self._known else self.space.sample_values(self.rng)
        # on hardware that was searched already, only a start from nothing can find anything new
        again = self._best is not None and values == self._best.values
        seeds = None if again else self._seeds(self._best, values)
        return Task(SCOUT, self._site(values), 1, seeds)

    def _starts(self) -> list[Values]:
        """Return the hardware known to be worth a look: the largest, and the real design's."""
        largest = {v.name: v.maximum for v in self.space.template.variables}
        starts = [largest | self.space.fixed]
        if self.space.template.defaults is not None:
            starts.append(self.space.template.defaults | self.space.fixed)
        return [values for values in starts if self._hardware(values) is not None]

    def _trial(
        self, climb: Climb, values: Values | None, direction: Direction | None
    ) -> Task | None:
        """Return the trial of other hardware; None where it cannot be, or was tried before."""
        if values is None or tuple(values.values()) in self._visited:
            return None
        if self._hardware(values) is None:
            return None
        self._visited.add(tuple(values.values()))
        seeds = self._seeds(climb.here, values, far=climb.step >= _FAR)
        return Task(TRIAL, self._site(values), self.settings.trial, seeds, direction)

    def _smallest(self, site: Site) -> Values | None:
        """Return the smallest hardware that the best mappings of a site fit; None: not known."""
        if self.space.template.spec.derived or not site.priced:
            return None  # the inference does not see through derived names
        problems = [layer.problem for layer in self.space.workload]
        demand = demand_of(site.best().mappings or (), problems)
        sizing = Sizing(self.space.template, self.space.fixed)
        values, short = sizing.smallest(demand, site.values)
        return None if short else values

    def _seeds(
        self, source: Site | None, values: Values, *, far: bool = True
    ) -> list[MappingBatch] | None:
        """Return mappings to begin with on other hardware, per layer; None where it cannot be.

        They come from another site's best; on hardware that is far away, one is made for it.
        """
        from dse.lockstep.transfer import seeds  # noqa: PLC0415 - compiled code

        hardware = self._hardware(values)
        if hardware is None:
            return None
        found = []
        for number in range(len(self.space.workload)):
            members = source.searches[number].members if source else None
            problems, count = hardware.problems(number), self.settings.batch
            found.append(seeds(hardware, problems, members, count, self.rng, far=far))
        return found

    # what to make of it

    def _judge(self, task: Task, before: tuple[float, float]) -> None:
        site, climb = task.site, self._climb
        if task.kind == SCOUT:
            self._task = None
            self._scouted.append(site)
            if len(self._scouted) == self._to_scout:
                self._halve()
        elif task.kind == TRIAL and climb is not None:
            if site.rank < climb.here.rank:
                climb.here = site
                climb.fitted = False
                climb.directions = self._shuffled()
                if task.direction is not None:
                    climb.directions.append(task.direction)
                self._task = Task(SETTLE, site, site.spent + self.settings.trial)
            elif site.spent >= task.until or self._falls_behind(site, climb.here, climb.step):
                self._task = None
        elif site.spent >= task.until or (
            task.kind == SETTLE and not _lowered(before[1], site.value)
        ):
            self._task = None

    def _falls_behind(self, site: Site, here: Site, step: float) -> bool:
        if site.violation > here.violation:
            return True
        batches = max(1, site.spent // self.settings.batch)
        # mappings that come from far away take longer to recover
        patience = self.settings.patience * (1 + step) / batches
        return site.value - here.value > patience * abs(here.value)

    def _halve(self) -> None:
        """Leave the worse half of the hardware scouted; climb from the last one."""
        ranked = sorted(self._scouted, key=lambda s: s.rank)
        self._scouted = []
        self._to_scout = len(ranked) // 2
        self._waiting = ranked[: self._to_scout]
        if self._to_scout <= 1:
            self._waiting = []
            self._to_scout = self._scout_count()
            self._climb = Climb(ranked[0], self.settings.first_step, self._shuffled())
            self._visited.add(tuple(ranked[0].values.values()))

    def _shuffled(self) -> list[Direction]:
        """Return all directions in random order; those of one variable come first (at the end)."""
        directions = []
        for group in (self._moves.against, self._moves.alone):
            directions += [group[i] for i in self.rng.permutation(len(group))]
        return directions


def _lowered(before: float, now: float) -> bool:
    """Whether an objective fell by so much that going on is worth while."""
    return before - now > _SETTLED * abs(now)


def _check(s: LockstepSettings) -> None:
    for name in ("batch", "population", "trial", "polish"):
        if getattr(s, name) < 1:
            raise SpecError(f"optimizer.{name} = {getattr(s, name)}, expected at least 1")
    if s.scouts is not None and s.scouts < 1:
        raise SpecError(f"optimizer.scouts = {s.scouts}, expected at least 1")
    if not s.patience > 0:
        raise SpecError(f"optimizer.patience = {s.patience}, expected more than 0")
    if not 0 < s.last_step <= s.first_step:
        raise SpecError(
            f"optimizer.last_step = {s.last_step}, expected above 0 and at most "
            f"{s.first_step} (first_step)"
        )
