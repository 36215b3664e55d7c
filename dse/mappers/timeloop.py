"""The Timeloop mapper: timeloop-mapper with its own search, on the same constraints."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml

from dse.domain.architecture import Architecture, HardwareBatch
from dse.domain.constraints import Constraints
from dse.domain.mapping import Mapping, MappingBatch
from dse.domain.problem import Problem
from dse.errors import SpecError, ToolError, unknown_name
from dse.evaluators.base import Evaluator
from dse.goals.metrics import Metrics
from dse.goals.objective import Objective
from dse.mappers.base import Mapped, Mapper
from dse.process.folder import own_folder, result_text
from dse.process.limits import Limits
from dse.process.run import ending, run
from dse.settings import setting
from dse.timeloop.read.mapping import read_mapping
from dse.timeloop.write.constraints import constraint_rules
from dse.timeloop.write.inputs import architecture_yaml, art_yaml, ert_yaml, problem_yaml
from dse.timeloop.yaml.io import load_texts
from dse.tools import binaries

_LOG = logging.getLogger(__name__)

_ALGORITHMS = ("random_pruned", "linear_pruned", "hybrid", "random", "exhaustive")
_MAP = "timeloop-mapper.map.yaml"
_NOTHING = "no valid mappings found"


@dataclass(frozen=True)
class TimeloopMapperSettings:
    """Settings of the Timeloop mapper."""

    binary: str | None = setting(
        None, "timeloop-mapper; null: $DSE_TIMELOOP_MAPPER, else PATH's", program=True
    )
    algorithm: str = setting("random_pruned", "its search: " + " ".join(_ALGORITHMS))
    victory_condition: int = setting(0, "stop after so many worse mappings in a row; 0 = never")
    invalid_limit: int = setting(100_000, "stop after so many invalid mappings in a row")
    timeout_s: float = setting(600.0, "seconds that one search may take")
    memory_gb: float = setting(4.0, "memory that one search may use, in GiB")


class TimeloopMapper(Mapper[TimeloopMapperSettings]):
    """timeloop-mapper's own search; it has no seed, so equal problems get equal mappings."""

    settings_type = TimeloopMapperSettings
    takes_sparse = False

    def __init__(
        self,
        evaluator: Evaluator[Any],
        constraints: Constraints,
        objective: Objective,
        settings: TimeloopMapperSettings,
    ) -> None:
        """Find the binary.

        Raises:
            SpecError: a setting is out of range.
            dse.errors.ToolError: there is no binary.
        """
        super().__init__(evaluator, constraints, objective, settings)
        if settings.algorithm not in _ALGORITHMS:
            raise SpecError(unknown_name("mapper.algorithm", settings.algorithm, _ALGORITHMS))
        for name, low in (("victory_condition", 0), ("invalid_limit", 1)):
            if getattr(settings, name) < low:
                raise SpecError(
                    f"mapper.{name} = {getattr(settings, name)}, expected at least {low}"
                )
        for name in ("timeout_s", "memory_gb"):
            if not getattr(settings, name) > 0:
                raise SpecError(f"mapper.{name} = {getattr(settings, name)}, expected more than 0")
        self._metric = self.objective.mapping_metric or "edp"
        if self.objective.mapping_metric is None:
            _LOG.warning(
                "mapper=timeloop: timeloop-mapper cannot minimise objective '%s'; it looks for "
                "the least EDP",
                self.objective.name,
            )
        self._binary = binaries.find("timeloop-mapper", settings.binary)
        self._limits = Limits(settings.timeout_s, int(settings.memory_gb * 2**30))

    def map(
        self,
        hardware: HardwareBatch,
        problem: Problem,
        samples: npt.NDArray[np.int64],
        seed: int,  # noqa: ARG002 - timeloop-mapper takes none
    ) -> Mapped:
        """Search on each hardware; ``samples`` valid mappings are evaluated by timeloop-mapper."""
        mappings = tuple(
            self._search(architecture, problem, int(count))
            for architecture, count in zip(hardware.architectures, samples, strict=True)
        )
        return Mapped(mappings, self._priced(hardware, problem, mappings))

    def _priced(
        self, hardware: HardwareBatch, problem: Problem, mappings: tuple[Mapping | None, ...]
    ) -> Metrics:
        """Evaluate what was found with the run's own evaluator."""
        found = [h for h, mapping in enumerate(mappings) if mapping is not None]
        result = Metrics.rejected(len(mappings))
        if found:
            batch = MappingBatch.of([m for m in mappings if m is not None])
            index = np.array(found, dtype=np.int32)
            priced = self.evaluator.evaluate(hardware, problem, batch, index)
            for name in ("valid", "cycles", "energy_pj", "utilization", "area_um2"):
                getattr(result, name)[index] = getattr(priced, name)
        return result

    def _search(self, architecture: Architecture, problem: Problem, count: int) -> Mapping | None:
        """Return the best mapping that timeloop-mapper finds; None when it finds none."""
        text = self._input(architecture, problem, count)
        with own_folder() as folder:
            (folder / "input.yaml").write_text(text, encoding="utf-8")
            finished = run([str(self._binary), "input.yaml"], folder, self._limits)
            if finished.returncode != 0:
                raise finished.failure(f"timeloop-mapper {ending(finished.returncode)}")
            if _NOTHING in finished.output:
                return None
            try:
                return _read(folder / _MAP, architecture, problem)
            except FileNotFoundError as error:
                raise finished.failure(f"timeloop-mapper wrote no {_MAP}") from error
            except (SpecError, ToolError) as error:
                raise finished.failure(
                    f"timeloop-mapper wrote a mapping that cannot be read: {error}"
                ) from error

    def _input(self, architecture: Architecture, problem: Problem, count: int) -> str:
        # keys and values with hyphens are understood by every version
        search = {
            "version": 0.4,
            "optimization-metrics": [self._metric],
            "algorithm": self.settings.algorithm.replace("_", "-"),
            "search-size": count,
            "victory-condition": self.settings.victory_condition,
            "timeout": self.settings.invalid_limit,
            # one thread: several race for the best, and the result would be a matter of luck
            "num-threads": 1,
            "live-status": False,
            "diagnostics": False,
        }
        rules = constraint_rules(self.constraints, architecture, problem)
        tree = {"architecture_constraints": {"targets": rules}, "mapper": search}
        return (
            architecture_yaml(architecture)
            + ert_yaml(architecture)
            + art_yaml(architecture)
            + problem_yaml(problem)
            + yaml.safe_dump(tree, sort_keys=False, default_flow_style=None, width=100)
        )


def _read(path: Path, architecture: Architecture, problem: Problem) -> Mapping:
    root = load_texts([(path.name, result_text(path))])
    directives = root.need("mapping", "a list of directives")
    return read_mapping(directives, architecture, problem, "4cf6d4c")
