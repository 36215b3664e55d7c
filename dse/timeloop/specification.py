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
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import yaml

from dse.disk import write_files
from dse.domain.architecture import Compute, StorageLevel
from dse.errors import SpecError, unknown_name
from dse.goals.certificate import Certificate
from dse.plugins import typed
from dse.timeloop.convert import read_entry_project
from dse.timeloop.evaluate import Evaluation, evaluate_entry
from dse.timeloop.mapper_run import MapperSettings, task
from dse.timeloop.output import OutputStats, PerComponent
from dse.timeloop.read.inputs import check_version
from dse.timeloop.read.mapper import read_mapper
from dse.timeloop.read.tables import TablesOf
from dse.timeloop.tree import List, Map, node_of, tree_of
from dse.timeloop.write.inputs import art_yaml, ert_yaml
from dse.timeloop.write.mapper_files import mapper_files, model_files
from dse.timeloop.write.report import energies_pj, map_text, summary_text
from dse.timeloop.yaml.io import load_files
from dse.timeloop.yaml.nodes import Entry, Node

_CYCLE = "GLOBAL_CYCLE_SECONDS"
_NO_CLOCK_S = 1e-9  # timeloopfe's, where the files name no clock


class Specification(Map):
    """A project's files, merged; every key is an attribute, and may be set.

    Numbers may be replaced by numbers or by timeloopfe's arithmetic in text. What the files say is
    checked when the model or the mapper is called. Blocks that the files lack begin empty.
    """

    _absent: ClassVar = {
        **dict.fromkeys(("mapper", "variables", "mapspace"), Map),
        "mapping": List,
    }

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


def call_model(
    specification: Specification,
    output_dir: str | Path | None = None,
    *,
    timeloop_version: str = "4cf6d4c",
    tables_of: TablesOf | None = None,
    **timeloopfes: object,
) -> OutputStats:
    """Evaluate the specification's mapping, as timeloop-model does.

    Args:
        specification: with a mapping.
        output_dir: folder for timeloop-model's files; None: nothing is written.
        timeloop_version: whose rules.
        tables_of: makes the ERT and ART, as `dse.components.native_accelergy.prices` does.
        timeloopfes: what its calls take: ``extra_input_files``, ``log_to`` (a file, or its name)
            and ``dump_intermediate_to``, which has no effect, as there.

    Raises:
        SpecError: the specification is not what Timeloop accepts, or the folder cannot be
            written.
        InvalidMapping: the mapping does not fit.
    """
    check_version(timeloop_version)
    call = _Call.of(timeloopfes)
    entry = call.entry(specification)
    evaluation = evaluate_entry(entry, timeloop_version, tables_of)
    if output_dir is not None:
        _write(specification, Path(output_dir), model_files(evaluation))
    call.log(evaluation)
    return _output(specification, evaluation, None)


def call_mapper(
    specification: Specification,
    output_dir: str | Path | None = None,
    *,
    tables_of: TablesOf | None = None,
    **settings: object,
) -> OutputStats:
    """Search the best mapping, as timeloop-mapper does.

    Args:
        specification: with constraints and a mapper block, where there are any.
        output_dir: folder for timeloop-mapper's files; None: nothing is written.
        tables_of: see `call_model`.
        settings: those of `dse.timeloop.mapper_run.MapperSettings`, and timeloopfe's of
            `call_model`.

    Raises:
        SpecError: the specification or a setting is wrong.
        NothingFeasible: no valid mapping was found; the message says what stands in the way.
    """
    call = _Call.of({key: settings.pop(key) for key in (*settings,) if key in _TIMELOOPFES})
    given: MapperSettings = typed(MapperSettings, settings, "")
    check_version(given.timeloop_version)
    entry = call.entry(specification)
    project = read_entry_project(entry, given.timeloop_version, tables_of=tables_of)
    asked = read_mapper(entry, len(project.architecture.levels))
    found = task("specification", project, asked, given).run()
    if output_dir is not None:
        texts = mapper_files(found, asked.out_prefix, oaves=asked.oaves)
        _write(specification, Path(output_dir), texts)
    call.log(found.evaluation)
    return _output(specification, found.evaluation, found.certificate)


def call_accelergy_verbose(
    specification: Specification,
    output_dir: str | Path,
    *,
    timeloop_version: str = "4cf6d4c",
    tables_of: TablesOf | None = None,
    **timeloopfes: object,
) -> None:
    """Write ``ERT.yaml`` and ``ART.yaml``: the prices that the other calls count with.

    Those are of the specification's own ERT, of ``tables_of``, or built into Timeloop.

    Args:
        specification: with an architecture; problem and mapping play no part.
        output_dir: the folder.
        timeloop_version: see `call_model`.
        tables_of: see `call_model`.
        timeloopfes: see `call_model`.

    Raises:
        SpecError: the specification is not what Timeloop accepts, or the folder cannot be
            written.
    """
    check_version(timeloop_version)
    entry = _Call.of(timeloopfes).entry(specification).without("mapping")
    architecture = read_entry_project(entry, timeloop_version, tables_of=tables_of).architecture
    texts = {
        "ERT.yaml": ert_yaml(architecture, ranges=True),
        "ART.yaml": art_yaml(architecture, ranges=True),
    }
    _write(specification, Path(output_dir), texts)


#: What timeloopfe's calls take besides; of the last three, nothing here can act.
_TIMELOOPFES = (
    *("extra_input_files", "log_to", "dump_intermediate_to"),
    *("environment", "extra_args", "return_proc"),
)


@dataclass(frozen=True)
class _Call:
    """What timeloopfe's calls take besides the specification and a folder."""

    files: tuple[str | Path, ...] = ()
    log_to: Any = None

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> _Call:
        """Return the call; SpecError where it asks for what only a program can do."""
        for name, value in given.items():
            if name not in _TIMELOOPFES:
                raise SpecError(unknown_name("argument", name, _TIMELOOPFES))
            if name in _TIMELOOPFES[3:] and value:
                raise SpecError(f"{name} = {value!r}: no program is called, expected none")
        return cls(tuple(given.get("extra_input_files") or ()), given.get("log_to"))

    def entry(self, specification: Specification) -> Entry:
        """Return the specification with the files that come on top of it."""
        entry = specification.entry()
        if not self.files:
            return entry
        more = load_files(self.files)
        twice = [key for key in more.mapping() if entry.get(key) is not None]
        if twice:
            raise more.refuse(f"key '{twice[0]}' is in the specification, too; expected it once")
        table = {**entry.mapping(), **more.mapping()}
        size = 1 + sum(node.size for node in table.values())
        node = Node(table, entry.node.source, entry.node.line, size=size, tag=entry.node.tag)
        return Entry(node, entry.path, entry.variables or more.variables)

    def log(self, evaluation: Evaluation) -> None:
        """Write what is found to the log."""
        if self.log_to is None:
            return
        text = f"{map_text(evaluation)}\n{summary_text(evaluation)}"
        if isinstance(self.log_to, str | Path):
            path = Path(self.log_to)
            write_files(path.parent, {path.name: text})
        else:
            self.log_to.write(text)


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
