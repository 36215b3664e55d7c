"""The driver: asks the optimizer, completes and evaluates designs, counts, writes, remembers."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from dse.domain.padding import padded_layers
from dse.errors import SpecError
from dse.evaluators.base import Evaluator
from dse.goals.design import Design, DesignMetrics
from dse.goals.limits import Limit
from dse.goals.metric_names import of_design
from dse.goals.objective import Objective
from dse.goals.pareto import FrontMember
from dse.mappers.base import Mapper
from dse.space.search_space import SearchSpace
from dse.study import checkpoint
from dse.study.checkpoint import StudyState
from dse.study.design_evaluator import DesignEvaluator, OnShare, Priced
from dse.study.inputs import Inputs
from dse.study.journal import Journal
from dse.study.network_evaluator import NetworkEvaluator
from dse.study.optimizer import Optimizer

#: Seconds of search that a kill may cost at most, beside the batch that it cuts short.
_BETWEEN_SAVES_S = 1.0
#: Branches of the study's seed.
_OPTIMIZER, _MAPPER, _OWN_DESIGN, _UNPADDED = 0, 1, 2, 3

#: Mappings per layer that the template's own design gets at least beside one with its mappings,
#: where an evaluation takes no time to speak of.
_OWN_EFFORT = 1000
#: Budget over the evaluations of a slow evaluator that nobody asked for, at least.
_BESIDE = 10

JOURNAL = "journal.jsonl"
CHECKPOINT = "checkpoint"


@dataclass(frozen=True)
class Progress:
    """Where a study stands: samples spent, and the best value (infinite: nothing valid yet).

    Attributes:
        bound: what no design is below, by a proof that is on its way; None: there is none.
    """

    samples: int
    budget: int
    designs: int
    feasible: int
    best_value: float
    bound: float | None = None


def optimizer_rng(seed: int) -> np.random.Generator:
    """Return the generator that the optimizer of a study with this seed gets."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(_OPTIMIZER,)))


class Study:
    """One search. A sample is one mapping evaluated for every unique layer of the workload.

    The study counts the samples: an optimizer cannot spend more than the budget, and what its own
    models evaluate is charged by its meter. Every batch of
    designs ends in a checkpoint; what a kill loses is evaluated again, with the same results.
    """

    def __init__(
        self,
        space: SearchSpace,
        optimizer: Optimizer[Any],
        mapper: Mapper[Any],
        evaluator: Evaluator[Any],
        objective: Objective,
        *,
        samples: int,
        seed: int,
        folder: Path | None = None,
        inputs: Inputs | None = None,
        n_jobs: int = 1,
        limits: Sequence[Limit] = (),
    ) -> None:
        """Set up a study; with ``folder`` it keeps a journal and checkpoints there.

        Args:
            space: what is searched.
            optimizer: at its start; it takes up the state of the folder's checkpoint.
            mapper: maps hardware that is asked for without mappings.
            evaluator: prices mappings.
            objective: what is minimised.
            samples: the budget.
            seed: of all randomness.
            folder: of journal and checkpoint; None: they are not kept.
            inputs: what all of this was made from: a checkpoint of others is refused.
            n_jobs: layers that are mapped at once.
            limits: what metrics have to satisfy.

        Raises:
            SpecError: the budget or the seed is out of range, or the folder's state is broken.
        """
        if samples < 1:
            raise SpecError(f"samples = {samples}, expected at least 1")
        if not 0 <= seed < 2**63:
            raise SpecError(f"seed = {seed}, expected 0 to 2^63 - 1")
        self._space = space
        self._price = DesignEvaluator(space, mapper, evaluator, n_jobs)
        if space.networks is not None:
            mapped_by = np.random.SeedSequence(seed, spawn_key=(_MAPPER,))
            self._price = NetworkEvaluator(
                space, mapper, evaluator, n_jobs, mapped_by, together=optimizer.maps_together
            )
        self._evaluator_is_quick = evaluator.is_quick
        self._objective = objective
        self._budget = samples
        self._seed = seed
        self._limits = tuple(limits)
        self._folder = folder
        self._inputs = inputs or Inputs({})
        self._bound: float | None = None
        self.state = self._saved(optimizer) or StudyState(optimizer)

    def _saved(self, optimizer: Optimizer[Any]) -> StudyState | None:
        if self._folder is None:
            return None
        state = checkpoint.load(self._folder / CHECKPOINT, optimizer, self._inputs)
        if state is not None and state.best_metrics is not None:
            state.best_value = self._objective(state.best_metrics)
        return state

    def run(
        self,
        report: Callable[[Progress], None] | None = None,
        tick: Callable[[Progress], None] | None = None,
    ) -> StudyState:
        """Search until the budget is spent or the optimizer asks no more.

        Args:
            report: called after every batch, for progress; it cannot change the course.
            tick: called within a batch, with about where it stands.
        """
        if self._folder is None:
            self._loop(None, report, tick)
        else:
            path, state = self._folder / JOURNAL, self.state
            with Journal(path, state.journal_bytes, state.journal_crc) as journal:
                self._loop(journal, report, tick)
        return self.state

    def own_design(self) -> tuple[Design, DesignMetrics] | None:
        """Map the template's own design with the effort that went into the best one.

        The effort is the mappings per layer that the mapper was given for the best design; where
        that design brought its mappings, all samples of the study, and at least 1,000 of a quick
        evaluator. None where the template has no design of its own, where it lies outside the
        space, where it is the best design, and where that took a slow evaluator more than a tenth
        of the budget.

        Raises:
            dse.errors.ToolError: the evaluator's tool failed.
        """
        values, best = self._space.defaults, self.state.best
        if not values or best is None or values == best.values:
            return None
        if any(values[name] != fixed for name, fixed in self._space.fixed.items()):
            return None
        effort = self._effort(best)
        if not self._affords(effort):
            return None
        design = Design(values, mapping_samples=effort)
        return self._price([design], self._seed_of_own())[0]

    def default_network(self) -> tuple[Design, DesignMetrics] | None:
        """Return what the network of the defaults is worth on the best design's hardware.

        It is mapped with the effort of the best design. None where networks are no variable, where
        it is the best design's own, and where that took a slow evaluator more than a tenth of the
        budget.

        Raises:
            dse.errors.ToolError: the evaluator's tool failed.
        """
        best, networks = self.state.best, self._space.networks
        if best is None or networks is None:
            return None
        values = best.values | networks.defaults
        effort = self._effort(best)
        if values == best.values or not self._affords(effort):
            return None
        return self._price([Design(values, mapping_samples=effort)], self._seed_of_own())[0]

    def _seed_of_own(self) -> np.random.SeedSequence:
        return np.random.SeedSequence(self._seed, spawn_key=(_OWN_DESIGN,))

    def unpadded(self) -> DesignMetrics | None:
        """Return what the best design is worth with the effort that it got, but without padding.

        The effort is that of :meth:`own_design`. None where none of its layers is padded, or that
        took too long.

        Raises:
            dse.errors.ToolError: the evaluator's tool failed.
        """
        best, metrics = self.state.best, self.state.best_metrics
        if best is None or metrics is None or not self._space.padding.on:
            return None
        if not padded_layers(self._space.workload, best.mappings or ()):
            return None
        seed = np.random.SeedSequence(self._seed, spawn_key=(_UNPADDED,))
        known = self.state.optimizer.unpadded(best)
        if known is not None:
            return self._price([replace(best, mappings=known)], seed)[0][1]
        effort = self._effort(best)
        if not self._affords(effort):
            return None
        design = replace(best, mapping_samples=effort)
        return self._price.unpadded(design, metrics, seed)

    def _effort(self, best: Design) -> int:
        """Return the mappings per layer that compare with what went into the best design."""
        if best.mapping_samples > 1:
            return best.mapping_samples
        return max(self._budget, _OWN_EFFORT if self._evaluator_is_quick else 1)

    def _affords(self, effort: int) -> bool:
        """Whether so many mappings per layer may be priced beside those that were asked for."""
        return self._evaluator_is_quick or effort * _BESIDE <= self._budget

    @property
    def progress(self) -> Progress:
        """Where the study stands."""
        s = self.state
        return Progress(s.samples, self._budget, s.asked, s.feasible, s.best_value, self._bound)

    def _loop(
        self,
        journal: Journal | None,
        report: Callable[[Progress], None] | None,
        tick: Callable[[Progress], None] | None,
    ) -> None:
        state = self.state

        def bounded(value: float, bound: float) -> None:
            self._bound = bound
            if tick is not None:
                tick(replace(self.progress, best_value=value))

        state.optimizer.on_bound = bounded
        saved = -math.inf
        while not state.finished:
            asked = state.optimizer.ask()
            state.samples += state.optimizer.meter.settle()
            designs = self._within_budget(asked)
            if designs:
                within = self._within_batch(designs, tick) if tick is not None else None
                priced = self._priced(designs, within)
                results = [(design, self._limited(metrics)) for design, metrics in priced]
                for wanted, (design, metrics) in zip(designs, results, strict=True):
                    self._count(_cost(wanted), design, metrics, journal)
                state.optimizer.tell(*(list(part) for part in zip(*results, strict=True)))
            state.finished = not designs or state.samples >= self._budget
            due = time.monotonic() - saved >= _BETWEEN_SAVES_S
            if self._folder is not None and journal is not None and (due or state.finished):
                state.journal_bytes, state.journal_crc = journal.size_bytes, journal.crc
                checkpoint.save(self._folder / CHECKPOINT, state, self._inputs)
                saved = time.monotonic()
            if report is not None:
                report(self.progress)

    def _priced(self, designs: Sequence[Design], tick: OnShare | None) -> list[Priced]:
        """Return designs with what they are worth; those that are refused unseen are not mapped."""
        refused = {
            i: metrics
            for i, design in enumerate(designs)
            if (metrics := self._price.refused(design, self._limits)) is not None
        }
        left = [design for i, design in enumerate(designs) if i not in refused]
        priced = iter(self._price(left, self._seed_of_batch(), tick) if left else [])
        return [(d, refused[i]) if i in refused else next(priced) for i, d in enumerate(designs)]

    def _within_batch(self, designs: Sequence[Design], tick: Callable[[Progress], None]) -> OnShare:
        """Return what takes the share of a batch that is done, and tells where the study stands."""
        now, cost = self.progress, sum(_cost(d) for d in designs if d.mappings is None)

        def share_done(share: float) -> None:
            tick(replace(now, samples=now.samples + int(share * cost)))

        return share_done

    def _within_budget(self, asked: Sequence[Design]) -> list[Design]:
        """Cut what was asked for down to the samples that are left."""
        left = self._budget - self.state.samples
        designs = []
        for design in asked:
            if left <= 0:
                break
            cost = _cost(design)
            if cost < 1:
                raise ValueError(f"a design asked for {cost} mappings, expected at least 1")
            if cost > left:
                design = replace(design, mapping_samples=left)  # noqa: PLW2901
            designs.append(design)
            left -= min(cost, left)
        return designs

    def _seed_of_batch(self) -> np.random.SeedSequence:
        """Return the seed of the mapper for the batch that begins with the next design."""
        return np.random.SeedSequence(self._seed, spawn_key=(_MAPPER, self.state.asked))

    def _limited(self, metrics: DesignMetrics) -> DesignMetrics:
        """Return the metrics; not valid, with the reason, where they miss a constraint.

        A design without a value of the objective is not valid either.
        """
        if not metrics.valid:
            return metrics
        if not math.isfinite(self._objective(metrics)):
            valueless = DesignMetrics.infeasible(self._objective.without_value, metrics.area_um2)
            return replace(valueless, layers=metrics.layers)
        if not self._limits:
            return metrics
        known = of_design(metrics)
        missed = [(limit.excess(known), limit) for limit in self._limits]
        total = sum(excess for excess, _ in missed)
        if not total > 0:
            return metrics
        reason = "; ".join(limit.reason(known) for excess, limit in missed if excess > 0)
        missed_by = DesignMetrics.infeasible(reason, metrics.area_um2, total)
        return replace(missed_by, layers=metrics.layers)

    def _count(
        self, cost: int, design: Design, metrics: DesignMetrics, journal: Journal | None
    ) -> None:
        state = self.state
        state.samples += cost
        state.optimizer.meter.charge_design(cost)
        value = self._objective(metrics)
        if not metrics.valid:
            state.last_reason = metrics.reason
        else:
            state.feasible += 1
            goals = state.optimizer.objectives
            if goals:
                values = tuple(goal(metrics) for goal in goals)
                state.front.offer(FrontMember(design, metrics, values))
            if value < state.best_value:
                state.best, state.best_metrics, state.best_value = design, metrics, value
        if journal is not None:
            journal.write(self._record(design, metrics, value))
        state.asked += 1

    def _record(self, design: Design, metrics: DesignMetrics, value: float) -> dict[str, Any]:
        """Return the journal line of a design; the first one says which study it is."""
        state = self.state
        record: dict[str, Any] = {
            "design": state.asked,
            "samples": state.samples,
            "values": design.values,
            "valid": metrics.valid,
        }
        if metrics.valid:
            record |= {
                "objective": value,
                "cycles": metrics.cycles,
                "energy_pj": metrics.energy_pj,
                "area_um2": metrics.area_um2,
                "utilization": metrics.utilization,
            }
            if metrics.accuracy is not None:
                record["accuracy"] = metrics.accuracy
            if self._space.padding.on:
                workload = self._space.workload_of(design.values)
                padded = padded_layers(workload, design.mappings or ())
                record |= {"padded": padded} if padded else {}
        else:
            record["reason"] = metrics.reason
        if np.isfinite(state.best_value):
            record["best"] = state.best_value
        if state.asked == 0 and self._inputs.sources:
            record["inputs"] = self._inputs.digest
        return record


def _cost(design: Design) -> int:
    """Samples that a design costs: one if it brings its mappings, else those asked for."""
    return design.mapping_samples if design.mappings is None else 1
