"""Tests that every mapper must pass."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from dse.domain.architecture import HardwareBatch
from dse.domain.mapping import MappingBatch
from dse.domain.problem import Problem
from dse.evaluators.base import Evaluator, Index
from dse.evaluators.native import NativeEvaluator
from dse.evaluators.wrapped import WrappedEvaluator
from dse.goals.metrics import Metrics
from dse.goals.objective import EDP
from dse.mappers.base import Mapped, Mapper
from dse.plugins import plugin
from dse.runner.map_layer import map_layer
from dse.testing import tiny


class MapperConformance:
    """Tests of one mapper on a small problem; subclass it in a test module.

    Attributes:
        mapper: name under which the mapper is registered.
        settings: its settings.
        samples: budget of the searches.
    """

    mapper: ClassVar[str]
    settings: ClassVar[dict[str, Any]] = {}
    samples: ClassVar[int] = 300

    def test_same_seed_same_mappings_for_any_n_jobs(self) -> None:
        """The number of threads changes nothing, and nothing is left of a search before."""
        one, three = (self._mapper(n_jobs=n) for n in (1, 3))
        again = [self._map(m) for m in (one, three, one)]
        assert again[0].mappings == again[1].mappings == again[2].mappings

    def test_same_seed_same_mapping_in_another_process(self, tmp_path: Path) -> None:
        """Neither hash seeds nor global random state reach the search."""
        arch, net = tmp_path / "arch.yaml", tmp_path / "net.yaml"
        arch.write_text(tiny.ARCH, encoding="utf-8")
        net.write_text(tiny.WORKLOAD, encoding="utf-8")
        variables = {"pe_dim": 4, "buffer_kb": 8}
        given = {"arch": str(arch), "samples": self.samples, "variables": variables, "seed": 5}
        mapper = {"name": self.mapper, **self.settings}
        here = map_layer({**given, "mapper": mapper, "folder": str(tmp_path / "a")}, f"{net}/conv")
        words = [f"mapper.{key}={tiny.word(value)}" for key, value in self.settings.items()]
        words += [f"variables.{key}={value}" for key, value in variables.items()]
        words += [f"mapper={self.mapper}", f"layer={net}/conv", f"folder={tmp_path / 'b'}"]
        words += [f"arch={arch}", f"samples={self.samples}", "seed=5"]
        subprocess.run(  # noqa: S603 - our own interpreter and arguments
            [sys.executable, "-m", "dse", "map", *words],
            check=True,
            capture_output=True,
            env={**os.environ, "PYTHONHASHSEED": "12345"},
        )
        best = "best/conv.mapping.yaml"
        assert (here.folder / best).read_bytes() == (tmp_path / "b" / best).read_bytes()

    def test_budget_is_never_exceeded(self) -> None:
        """Mappings evaluated on each hardware stay within its own budget, odd ones too."""
        for samples in ([0, 1], [1, 7], [self.samples, 33]):
            mapper = self._mapper()
            counter = _Counter(mapper.evaluator)
            mapper.evaluator = counter
            self._map(mapper, samples)
            assert all(n <= most for n, most in zip(counter.count, samples, strict=True))

    def test_best_is_valid_and_priced(self) -> None:
        """What is returned evaluates to the metrics that are returned."""
        mapper = self._mapper()
        found = self._map(mapper)
        for h, architecture in enumerate(tiny.hardware().architectures):
            mapping = found.mappings[h]
            assert mapping is not None
            batch = MappingBatch.of([mapping])
            metrics = mapper.evaluator.evaluate(architecture, tiny.problem(), batch)
            assert metrics.valid[0]
            assert metrics.edp[0] == found.metrics.edp[h]

    def test_more_samples_are_not_worse_than_one(self) -> None:
        """A search finds at least what its first sample is."""
        mapper = self._mapper()
        one, many = (self._map(mapper, [n, n]).metrics.edp for n in (1, self.samples))
        assert (many <= one).all()

    def test_hardware_that_fits_nothing_gives_none(self) -> None:
        """No mapping is an answer."""
        mapper = self._mapper()
        small = tiny.hardware(starved=True)
        found = mapper.map(small, tiny.problem(), np.array([20, 20], np.int64), 1)
        assert found.mappings == (None, None)
        assert not found.metrics.valid.any()

    def test_space_of_one_point_works(self) -> None:
        """A problem of one operation has one mapping."""
        bounds = dict.fromkeys(tiny.problem().dimensions, 1)
        point = Problem(tiny.problem().shape, bounds)
        found = self._mapper().map(tiny.hardware(), point, np.array([50, 1], np.int64), 1)
        assert all(m is not None and (m.temporal == 1).all() for m in found.mappings)

    def _mapper(self, n_jobs: int = 1) -> Mapper[Any]:
        chosen = plugin("mapper", self.mapper)
        made: Mapper[Any] = chosen.factory(
            NativeEvaluator(n_jobs=n_jobs),
            tiny.template().constraints,
            EDP,
            chosen.settings_type(**self.settings),
        )
        return made

    def _map(self, mapper: Mapper[Any], samples: Sequence[int] | None = None) -> Mapped:
        given = [self.samples, self.samples // 2] if samples is None else samples
        return mapper.map(tiny.hardware(), tiny.problem(), np.array(given, np.int64), 11)


class _Counter(WrappedEvaluator):
    """Counts the mappings evaluated on each hardware."""

    def __init__(self, inner: Evaluator[Any]) -> None:
        super().__init__(inner)
        self.count = [0, 0]

    def evaluate_batch(
        self,
        hardware: HardwareBatch,
        problem: Problem,
        mappings: MappingBatch,
        hardware_index: Index,
    ) -> Metrics:
        for h in hardware_index:
            self.count[int(h)] += 1
        return super().evaluate_batch(hardware, problem, mappings, hardware_index)
