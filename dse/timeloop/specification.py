"""Timeloop from Python, in the words of timeloopfe: read files, change them, model and map.

::

    import dse.timeloop as tl

    spec = tl.Specification.from_yaml_files("arch.yaml", "problem.yaml", "mapper.yaml")
    spec.architecture.find("buffer").attributes.depth = 2048
    result = tl.call_mapper(spec, output_dir="outputs")
    print(result.cycles, result.energy, result.mapping)
"""

from __future__ import annotations

import copy
import glob
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import yaml

from dse.disk import write_files
from dse.domain.architecture import Compute, StorageLevel
from dse.errors import SpecError
from dse.goals.certificate import Certificate
from dse.plugins import typed
from dse.timeloop.convert import read_entry_project
from dse.timeloop.evaluate import Evaluation, evaluate_entry
from dse.timeloop.mapper_run import MapperSettings, task
from dse.timeloop.read.inputs import check_version
from dse.timeloop.read.mapper import read_mapper
from dse.timeloop.tree import Map, node_of, tree_of
from dse.timeloop.write.mapper_files import mapper_files, model_files
from dse.timeloop.write.report import energies_pj, map_text
from dse.timeloop.yaml.io import load_files
from dse.timeloop.yaml.nodes import Entry

_CYCLE = "GLOBAL_CYCLE_SECONDS"
_NO_CLOCK_S = 1e-9  # timeloopfe's, where the files name no clock


class Specification(Map):
    """A project's files, merged; every key is an attribute, and may be set.

    Numbers may be replaced by numbers or by timeloopfe's arithmetic in text. What the files say is
    checked when the model or the mapper is called.
    """

    @classmethod
    def from_yaml_files(
        cls,
        *files: str | Path,
        jinja_parse_data: Mapping[str, object] | None = None,
        include_path: Sequence[str | Path] = (),
    ) -> Self:
        """Read files; names may hold wildcards.

        Args:
            files: in any order.
            jinja_parse_data: the variables of files that are jinja2 templates.
            include_path: folders from which these may include files beside the project's own.

        Raises:
            SpecError: a file is missing, or no YAML.
        """
        paths = []
        for name in map(str, files):
            # a Path's own glob knows no absolute patterns
            found = sorted(glob.glob(name, recursive=True)) if glob.has_magic(name) else [name]  # noqa: PTH207
            if not found:
                raise SpecError(f"{name}: no such files, expected Timeloop YAML files")
            paths += found
        root = load_files(paths, jinja_parse_data, include_path, used=set()).node
        return cls(tree_of(root), (root.source, root.line, ""))

    def entry(self) -> Entry:
        """Return the specification as the readers take it."""
        node = node_of(self)
        variables = node.value.get("variables") if isinstance(node.value, dict) else None
        table = variables.value if variables is not None else None
        return Entry(node, "", table if isinstance(table, dict) else None)

    def copy(self) -> Self:
        """Return a copy of all of it."""
        return copy.deepcopy(self)


class PerComponent(dict[str, float]):
    """A number of each component, which scales as a whole."""

    def __mul__(self, factor: float) -> PerComponent:
        return PerComponent({name: value * factor for name, value in self.items()})

    __rmul__ = __mul__

    def __truediv__(self, divisor: float) -> PerComponent:
        return PerComponent({name: value / divisor for name, value in self.items()})


@dataclass(frozen=True)
class OutputStats:
    """What a model or mapper call finds, under timeloopfe's names and in its units.

    Attributes:
        percent_utilization: 0 to 100.
        computes, cycles: counts.
        cycle_seconds: the files' ``GLOBAL_CYCLE_SECONDS``; 1 ns where they name none.
        per_component_energy: J.
        per_component_area: m^2, all instances; 0 where no ART gives it.
        variables: the specification's.
        accesses: scalar ``reads``, ``fills``, ``updates`` by storage level, all tensors and
            instances.
        mapping: the loop nest, as ``map.txt`` shows it.
        evaluation: the whole result.
        certificate: what the mapper proved; None of a model call.
    """

    percent_utilization: float
    computes: int
    cycles: int
    cycle_seconds: float
    per_component_energy: PerComponent
    per_component_area: PerComponent
    variables: dict[str, Any]
    accesses: dict[str, dict[str, float]]
    mapping: str
    evaluation: Evaluation = field(repr=False)
    certificate: Certificate | None = None

    @property
    def energy(self) -> float:
        """Energy in J."""
        return self.evaluation.stats.energy_pj / 1e12

    @property
    def area(self) -> float:
        """Area in m^2."""
        return sum(self.per_component_area.values())

    @property
    def latency(self) -> float:
        """Seconds."""
        return self.cycles * self.cycle_seconds

    @property
    def computes_per_second(self) -> float:
        """Computes a second."""
        return self.computes / self.latency

    @property
    def computes_per_joule(self) -> float:
        """Computes a joule; infinite where the energy is 0."""
        return self.computes / self.energy if self.energy else float("inf")

    @property
    def computes_per_second_per_square_meter(self) -> float:
        """Computes a second and square metre; infinite where no area is known."""
        return self.computes_per_second / self.area if self.area else float("inf")

    def per_compute(self, key: str) -> Any:  # noqa: ANN401 - a number, or one of each component
        """Return an attribute divided by the number of computes."""
        return getattr(self, key) / self.computes


def call_model(
    specification: Specification,
    output_dir: str | Path | None = None,
    *,
    timeloop_version: str = "4cf6d4c",
) -> OutputStats:
    """Evaluate the specification's mapping, as timeloop-model does.

    Args:
        specification: with a mapping.
        output_dir: folder for timeloop-model's files; None: nothing is written.
        timeloop_version: whose rules.

    Raises:
        SpecError: the specification is not what Timeloop accepts, or the folder cannot be
            written.
        InvalidMapping: the mapping does not fit.
    """
    check_version(timeloop_version)
    evaluation = evaluate_entry(specification.entry(), timeloop_version)
    if output_dir is not None:
        _write(specification, Path(output_dir), model_files(evaluation))
    return _output(specification, evaluation, None)


def call_mapper(
    specification: Specification, output_dir: str | Path | None = None, **settings: object
) -> OutputStats:
    """Search the best mapping, as timeloop-mapper does.

    Args:
        specification: with constraints and a mapper block, where there are any.
        output_dir: folder for timeloop-mapper's files; None: nothing is written.
        settings: those of `dse.timeloop.mapper_run.MapperSettings`.

    Raises:
        SpecError: the specification or a setting is wrong.
        NothingFeasible: no valid mapping was found; the message says what stands in the way.
    """
    given: MapperSettings = typed(MapperSettings, settings, "")
    check_version(given.timeloop_version)
    entry = specification.entry()
    project = read_entry_project(entry, given.timeloop_version)
    asked = read_mapper(entry, len(project.architecture.levels))
    found = task("specification", project, asked, given).run()
    if output_dir is not None:
        texts = mapper_files(found, asked.out_prefix, oaves=asked.oaves)
        _write(specification, Path(output_dir), texts)
    return _output(specification, found.evaluation, found.certificate)


def _write(specification: Specification, folder: Path, texts: dict[str, str]) -> None:
    write_files(folder, {"parsed-processed-input.yaml": _text(specification), **texts})


def _text(specification: Specification) -> str:
    """Return the specification as YAML, timeloopfe's tags kept."""
    text: str = yaml.dump(_TreePart(specification), Dumper=_TreeDumper, sort_keys=False, width=100)
    return text


class _TreePart:
    """What the dumper takes for a part of the tree."""

    def __init__(self, tree: object) -> None:
        self.tree = tree


class _TreeDumper(yaml.SafeDumper):
    """Writes trees with their tags."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002
        return True


def _represented(dumper: _TreeDumper, tagged: _TreePart) -> yaml.Node:
    tree = tagged.tree
    tag = getattr(tree, "_origin", ("", 0, ""))[2]
    if isinstance(tree, dict):
        content = {str(key): _TreePart(value) for key, value in tree.items()}
        return dumper.represent_mapping(tag or "tag:yaml.org,2002:map", content)
    if isinstance(tree, (list, tuple)):
        items = [_TreePart(value) for value in tree]
        return dumper.represent_sequence(tag or "tag:yaml.org,2002:seq", items)
    if isinstance(tree, str):
        return dumper.represent_str(str(tree))
    return dumper.represent_data(tree)


_TreeDumper.add_representer(_TreePart, _represented)


def _output(
    specification: Specification, evaluation: Evaluation, certificate: Certificate | None
) -> OutputStats:
    stats, architecture = evaluation.stats, evaluation.input.architecture
    energies = PerComponent({name: pj / 1e12 for name, pj in energies_pj(evaluation)})
    parts: list[StorageLevel | Compute] = [*architecture.levels, architecture.compute]
    areas = {part.name: part.area_um2 * part.instances / 1e12 for part in parts}
    accesses = {
        name: {
            key: sum(getattr(t, key) * t.utilized_instances for t in level.tensors.values())
            for key in ("reads", "fills", "updates")
        }
        for name, level in stats.levels.items()
    }
    variables = dict(specification.get("variables") or {})
    return OutputStats(
        percent_utilization=stats.utilization * 100.0,
        computes=stats.computes,
        cycles=stats.cycles,
        cycle_seconds=_cycle_seconds(specification, variables),
        per_component_energy=energies,
        per_component_area=PerComponent({name: areas.get(name, 0.0) for name in energies}),
        variables=variables,
        accesses=accesses,
        mapping=map_text(evaluation),
        evaluation=evaluation,
        certificate=certificate,
    )


def _cycle_seconds(specification: Specification, variables: Mapping[str, object]) -> float:
    """Return the clock's period, found as timeloopfe finds it."""
    found = [variables, *_attributes(specification.get("architecture"))]
    for table in found:
        for key, value in table.items():
            if str(key).upper() == _CYCLE and isinstance(value, (int, float)) and value > 0:
                return float(value)
    return _NO_CLOCK_S


def _attributes(tree: object) -> list[Mapping[str, object]]:
    if isinstance(tree, dict):
        own = tree.get("attributes")
        below = [x for value in tree.values() for x in _attributes(value)]
        return [own, *below] if isinstance(own, dict) else below
    if isinstance(tree, list):
        return [x for value in tree for x in _attributes(value)]
    return []
