"""A run explained: the best design's layers, from its folder or from the result at hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dse.domain.architecture import Architecture
from dse.domain.mapping import Mapping
from dse.domain.padding import mapped_problem
from dse.errors import InvalidMapping, SpecError
from dse.evaluators.native import NativeEvaluator
from dse.explain.changes import ChangeOutcome, Remapper, what_if
from dse.explain.layer import ExplainedLayer
from dse.explain.neighbours import Neighbour, neighbours
from dse.mappers.hillclimb import HillclimbMapper, HillclimbSettings
from dse.runner.run import space_of_run
from dse.space.search_space import SearchSpace
from dse.state.entries import CheckedEntries
from dse.study.best_files import best_files
from dse.study.folder import RESULT, read_result, read_settings


@dataclass(frozen=True)
class ExplainedRun:
    """The best design of a run, by Timeloop's model, whatever evaluator the run had.

    Attributes:
        name: of workload and architecture, for titles.
        space: what was searched.
        values: of all variables.
        architecture: the best hardware, priced.
        layers: as they are mapped on it.
        evaluator: the run's; its numbers are others than those here where it is not ``native``.
    """

    name: str
    space: SearchSpace
    values: dict[str, int]
    architecture: Architecture
    layers: tuple[ExplainedLayer, ...]
    evaluator: str = "native"

    def layer(self, name: str) -> ExplainedLayer:
        """Return the layer of that name or alias.

        Raises:
            SpecError: there is none.
        """
        wanted = self.space.workload.layer(name).name
        return next(layer for layer in self.layers if layer.name == wanted)

    def what_if(self, layers: Sequence[ExplainedLayer], samples: int = 0) -> list[ChangeOutcome]:
        """Return what more hardware would buy for some of the layers.

        Args:
            layers: which ones.
            samples: mappings with which each layer is mapped anew, by hill climbing; 0: it is not.
        """
        return what_if(layers, self.space.chain.price, self._remapper(samples))

    def neighbours(self, samples: int = 0) -> list[Neighbour]:
        """Return the designs a step away in one variable; see `what_if` for ``samples``."""
        return neighbours(self.space, self.values, self.layers, self._remapper(samples))

    def _remapper(self, samples: int) -> Remapper | None:
        space = self.space
        if not samples:
            return None
        mapper = HillclimbMapper(
            NativeEvaluator(space.timeloop_version),
            space.template.constraints,
            space.objective,
            HillclimbSettings(),
        )
        return Remapper(mapper, samples, space.padding)


def explained_design(
    space: SearchSpace,
    values: dict[str, int],
    architecture: Architecture,
    mappings: Sequence[Mapping],
    evaluator: str,
) -> ExplainedRun:
    """Return a design of a space explained; one mapping for each layer.

    Raises:
        SpecError: a mapping is not one of the hardware's.
    """
    layers = []
    for layer, mapping in zip(space.workload, mappings, strict=True):
        mapped = mapped_problem(layer.problem, mapping)
        version = space.timeloop_version
        try:
            layers.append(
                ExplainedLayer.of(
                    *(layer.name, layer.count, layer.problem, architecture, mapped, mapping),
                    version,
                )
            )
        except InvalidMapping as error:
            raise SpecError(f"layer '{layer.name}': its mapping does not fit: {error}") from error
    name = f"{space.workload.name} on {space.template.name}"
    return ExplainedRun(name, space, values, architecture, tuple(layers), evaluator)


def explained_run(folder: Path) -> ExplainedRun:
    """Read a run folder and explain its best design.

    Raises:
        SpecError: it is no run folder, the run has not ended or found nothing, or a file is
            broken.
    """
    content = read_result(folder)
    space = space_of_run(folder)
    entries = CheckedEntries(content, str(folder / RESULT))
    if entries.text("status") != "ok":
        raise SpecError(f"{folder}: the run found no valid design, so there is nothing to explain")
    told = entries.part("best").part("values")
    values = space.template.check({v.name: told.take(v.name) for v in space.template.variables})
    architecture = space.architecture(values)
    files = best_files(folder, space, space.timeloop_version)
    mappings = [spec.mapping for spec in files if spec.mapping is not None]
    evaluator = read_settings(folder)["evaluator"]["name"]
    return explained_design(space, values, architecture, mappings, evaluator)
