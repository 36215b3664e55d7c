"""Polaris (Sakhuja, Hong, Lin, 2024): Bayesian optimisation of designs that are slow to evaluate.

The evaluator of the run is the one of high fidelity: RTL, a simulator. Its answers for every layer
teach Starlight, whose encoder has been trained on the native model, and Starlight says, with a
deviation, how long the evaluator would have any mapping take. What is evaluated next maximises the
expected improvement of the objective over hardware and the mappings of all layers together; a
lock-step search on Starlight's optimistic answers finds the candidates.

The paper leaves open how candidates are found and how many rows a batch has; these are our own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from time import monotonic
from typing import TYPE_CHECKING, Any

import numpy as np

from dse.errors import SpecError
from dse.evaluators.native import NativeEvaluator
from dse.goals.design import Design, DesignMetrics, LayerMetrics
from dse.goals.metric_names import of_design
from dse.goals.networks import network_metrics
from dse.optimizers.lockstep import Lockstep, LockstepSettings
from dse.plugins import plugin
from dse.settings import setting
from dse.space.search_space import SearchSpace
from dse.state.codec import State
from dse.state.entries import CheckedEntries
from dse.state.in_space import take_design
from dse.study.design_evaluator import DesignEvaluator
from dse.study.optimizer import DEFAULT_MAPPER, Optimizer
from dse.study.study import Study, optimizer_rng

if TYPE_CHECKING:
    from dse.evaluators.base import Evaluator

#: Designs of a search that are looked at more closely.
_KEPT = 64
#: Nodes of the Gauss-Hermite rule by which gains are averaged.
_NODES = 7


@dataclass(frozen=True)
class PolarisSettings:
    """Settings of Polaris."""

    model: str | None = setting(
        None,
        "folder of a Starlight model to begin with (python -m dse train starlight); null: one is "
        "pre-trained at the start",
        contents=True,
    )
    pretrain: int = setting(20_000, "mappings that the native model prices to pre-train it")
    features: str = setting(
        "", "blocks of features: +cycles adds our own cycle model's answer to the default ones"
    )
    warmup: int = setting(
        8, "designs evaluated first: the best by the native model, and random ones"
    )
    batch: int = setting(4, "designs evaluated before Starlight is fitted anew")
    search: int = setting(400, "samples of the search by Starlight that finds each of them")
    optimism: float = setting(
        2.0, "most deviations by which a search takes mappings to be quicker than expected"
    )
    time: float | None = setting(
        None, "stop after so many seconds: the one setting by which results depend on the machine"
    )


class Polaris(Optimizer[PolarisSettings]):
    """Bayesian optimisation by Starlight; a sample is an evaluation of high fidelity."""

    settings_type = PolarisSettings
    takes_sparse = False
    default_samples = 60

    def __init__(
        self,
        space: SearchSpace,
        settings: PolarisSettings,
        rng: np.random.Generator,
        samples: int,
    ) -> None:
        from dse.learned.surrogate import Surrogate  # noqa: PLC0415 - compiled code

        super().__init__(space, settings, rng, samples)
        _check(settings)
        self._began = monotonic()
        self._surrogate = Surrogate(space, settings.model, settings.features)
        self._told: list[tuple[Design, DesignMetrics]] = []
        self._model_samples = 0

    @property
    def model_samples(self) -> int:
        """See :attr:`dse.study.optimizer.Optimizer.model_samples`."""
        return self._model_samples

    def ask(self) -> list[Design]:
        """Return designs by the native model at first, then what Starlight expects most of."""
        if self._time_is_over():
            return []
        if not self._surrogate.is_pretrained:
            self._surrogate.pretrain(self.settings.pretrain, self._seed())
            self._model_samples += self.settings.pretrain
        left = max(self.meter.left, 1)
        warm = self.settings.warmup - len(self._told)
        if warm > 0 or not self._surrogate.can_fit:
            return self._scouted(min(max(warm, 1), left))
        self._surrogate.fit(self._seed())
        return self._chosen(min(self.settings.batch, left))

    def tell(self, designs: Sequence[Design], metrics: Sequence[DesignMetrics]) -> None:
        """Learn how long every layer took."""
        for design, told in zip(designs, metrics, strict=True):
            self._take(design, told)

    def state_dict(self) -> dict[str, State]:
        """Return the designs evaluated, and the encoder."""
        return {
            "told": [{"design": d, "metrics": m} for d, m in self._told],
            "encoder": self._surrogate.state_dict(),
            "model_samples": self._model_samples,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See :meth:`dse.study.optimizer.Optimizer.load_state_dict`."""
        with CheckedEntries(state, "optimizer") as entries:
            self._surrogate.load_state_dict(entries.part("encoder"))
            for each in entries.each("told"):
                with each:
                    design = take_design(each, "design", self.space)
                    self._take(design, each.record("metrics", DesignMetrics))
            self._model_samples = entries.integer("model_samples", 0)

    def _take(self, design: Design, metrics: DesignMetrics) -> None:
        self._told.append((design, metrics))
        if design.mappings is not None and metrics.layers:
            cycles = [layer.cycles for layer in metrics.layers]
            self._surrogate.learn(design, cycles)

    # which designs

    def _scouted(self, count: int) -> list[Design]:
        """Return designs that the native model finds good: by long searches and by short ones."""
        native = NativeEvaluator(self.space.timeloop_version)
        designs: list[Design] = []
        for number in range(count):
            samples = self.settings.search if number % 2 == 0 else self.settings.search // 8
            found = self._search(native, max(samples, 2), ())
            new = [d for d in found if not self._is_known(d, designs)]
            # what cannot be mapped in so few draws is left to the mapper, which says why
            fallback = Design(self.space.sample_values(self.rng))
            designs.append(new[0] if new else fallback)
        return designs

    def _chosen(self, count: int) -> list[Design]:
        """Return designs by expected improvement, each from a search of another optimism."""
        best = self._best()
        designs: list[Design] = []
        for number in range(count):
            optimism = self.settings.optimism * number / max(count - 1, 1)
            # the last one looks elsewhere
            starts = best if number < count - 1 or count == 1 else ()
            evaluator = self._surrogate.evaluator(optimism)
            found = self._search(evaluator, self.settings.search, starts)
            new = [d for d in found if not self._is_known(d, designs)]
            if new:
                gains = self._gains(new)
                designs.append(new[int(np.argmax(gains))])
        return designs or self._scouted(1)

    def _best(self) -> list[Design]:
        """Return the two best designs evaluated so far, the best one last."""
        valid = [(d, m) for d, m in self._told if m.valid and d.mappings is not None]
        valid.sort(key=lambda pair: self.space.objective(pair[1]))
        return [d for d, _ in valid[:2]][::-1]

    def _search(
        self, evaluator: Evaluator[Any], samples: int, starts: Sequence[Design]
    ) -> list[Design]:
        """Return the best designs that a lock-step search on an evaluator sees, best first."""
        seed = self._seed()
        watched = _Scouting(self.space, LockstepSettings(), optimizer_rng(seed), samples)
        watched.begin_with(starts)
        Study(
            self.space,
            watched,
            self._mapper(evaluator),
            evaluator,
            self.space.objective,
            samples=samples,
            seed=seed,
            limits=self.space.limits,
        ).run()
        self._model_samples += samples
        return watched.found()

    def _gains(self, designs: Sequence[Design]) -> list[float]:
        """Return by how much each is expected to lower the best objective.

        Expected over Starlight's distribution of the cycles. Its errors for the layers of a design
        are taken to be the same, in deviations: the widest that the sum can be.
        """
        goal = self.space.objective
        values = [goal(m) for _, m in self._told if m.valid]
        best = min(values, default=math.inf)
        nodes, weights = np.polynomial.hermite_e.hermegauss(_NODES)
        middle, quicker = (self._priced(designs, optimism) for optimism in (0.0, 1.0))
        gains = []
        for design, m, q in zip(designs, middle, quicker, strict=True):
            architecture = self.space.architecture(design.values)
            pairs = list(zip(m.layers, q.layers, strict=True))
            gain = 0.0
            for node, weight in zip(nodes, weights / weights.sum(), strict=True):
                layers = [_slower(x, (x.cycles / y.cycles) ** float(node)) for x, y in pairs]
                there = network_metrics(self.space.workload, architecture, layers)
                gain += weight * self._gain(there, best)
            gains.append(gain)
        return gains

    def _priced(self, designs: Sequence[Design], optimism: float) -> list[DesignMetrics]:
        """Return what Starlight makes of designs, which are valid."""
        evaluator = self._surrogate.evaluator(optimism)
        price = DesignEvaluator(self.space, self._mapper(evaluator), evaluator)
        return [metrics for _, metrics in price(designs, np.random.SeedSequence(0))]

    def _gain(self, metrics: DesignMetrics, best: float) -> float:
        if any(limit.excess(of_design(metrics)) > 0 for limit in self.space.limits):
            return 0.0
        if math.isinf(best):
            return 1.0
        return max(0.0, best - self.space.objective(metrics))

    def _mapper(self, evaluator: Evaluator[Any]) -> Any:  # noqa: ANN401 - a plug-in
        chosen = plugin("mapper", DEFAULT_MAPPER)
        space = self.space
        return chosen.factory(
            evaluator, space.template.constraints, space.objective, chosen.settings_type()
        )

    def _is_known(self, design: Design, others: Sequence[Design]) -> bool:
        return design in others or any(design == told for told, _ in self._told)

    def _seed(self) -> int:
        return int(self.rng.integers(2**62))

    def _time_is_over(self) -> bool:
        limit = self.settings.time
        spent = monotonic() - self._began
        return limit is not None and bool(self._told) and spent > limit


def _slower(layer: LayerMetrics, factor: float) -> LayerMetrics:
    """Return a layer that takes so many times as long."""
    utilization = layer.utilization / factor
    return replace(layer, cycles=layer.cycles * factor, utilization=utilization)


class _Scouting(Lockstep):
    """A lock-step search that remembers the best designs that it was told of."""

    def __init__(self, *given: Any) -> None:  # noqa: ANN401 - the optimizer's arguments
        super().__init__(*given)
        self._seen: list[tuple[float, Design]] = []

    def tell(self, designs: Sequence[Design], metrics: Sequence[DesignMetrics]) -> None:
        super().tell(designs, metrics)
        for design, m in zip(designs, metrics, strict=True):
            if m.valid:
                self._seen.append((self.space.objective(m), design))
        self._seen.sort(key=lambda pair: pair[0])
        del self._seen[_KEPT:]

    def found(self) -> list[Design]:
        """Return the best designs, best first."""
        return [design for _, design in self._seen]


def _check(s: PolarisSettings) -> None:
    for name, least in (("pretrain", 100), ("warmup", 1), ("batch", 1), ("search", 2)):
        if getattr(s, name) < least:
            raise SpecError(f"optimizer.{name} = {getattr(s, name)}, expected at least {least}")
    if not 0 <= s.optimism < math.inf:
        raise SpecError(f"optimizer.optimism = {s.optimism}, expected 0 or more")
    if s.time is not None and not s.time > 0:
        raise SpecError(f"optimizer.time = {s.time}, expected more than 0")
