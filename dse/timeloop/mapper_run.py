"""From Timeloop's files and a few settings to the searches that they ask for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dse.domain.constraints import of_hardware
from dse.domain.padding import Padding
from dse.domain.uneven import levels_asked
from dse.errors import SpecError
from dse.goals.mapspace_text import mapspace_text
from dse.plugins import chosen, typed
from dse.settings import setting
from dse.timeloop.convert import Project, read_entry_project
from dse.timeloop.read.inputs import check_version
from dse.timeloop.read.mapper import MapperDirectives, metrics_of, read_mapper
from dse.timeloop.read.tables import TablesOf
from dse.timeloop.search import BestMapping, MapperBudget, search
from dse.timeloop.yaml.io import load_each

_MAPPER = "optimal"
#: The proof's limits where no others are set: some seconds, the same on any machine.
_LIMITS = {"nodes": 5_000_000, "patterns": 64}
_SAMPLES = 50_000
#: Where mappings are priced one by one, which takes milliseconds each.
_SAMPLES_SINGLY = 10_000


@dataclass
class MapspaceSettings:
    """Which mappings are searched, besides what the files say."""

    free: bool = setting(False, "whether any loops may run wherever the hardware admits them")
    uneven: Any = setting(
        False, "levels each of whose tensors may stand at loops of its own: true, or names"
    )
    padding: str = setting("off", "whether dimensions may be padded: off, auto, or a share (10%)")


@dataclass(frozen=True)
class MapperSettings:
    """What a search of Timeloop's files may be told besides them."""

    mapper: Any = setting(None, "its name, or a mapping of 'name' and its settings")
    objective: str | None = setting(None, "metrics, in place of the mapper block's")
    samples: int | None = setting(None, "mappings to price; none: search_size, else 50,000")
    seed: int = setting(0, "of all randomness")
    n_jobs: int | None = setting(None, "threads; none: num_threads, else all cores")
    timeloop_version: str = setting("4cf6d4c", "Timeloop to equal: 4cf6d4c 3.0.3 dosa")
    mapspace: MapspaceSettings = field(default_factory=MapspaceSettings)


@dataclass(frozen=True)
class MapperTask:
    """One problem to map.

    Attributes:
        name: the problem's: its file without suffix, and a number where several have that.
        project: architecture, problem and constraints.
        directives: what the mapper block and the settings ask for.
        effort: how it is searched.
        version: of Timeloop.
        free: whether the files' constraints on loops are lifted.
    """

    name: str
    project: Project
    directives: MapperDirectives
    effort: MapperBudget
    version: str
    free: bool = False

    @property
    def mapspace(self) -> str:
        """In words, which mappings are searched."""
        padding, uneven = self.effort.padding.text, self.effort.uneven
        divided = ("all levels that can be",) if uneven is None else uneven
        return mapspace_text(free=self.free, padding=padding, source="file", divided=divided)

    def run(self) -> BestMapping:
        """Search; raises as `dse.timeloop.search.search` does."""
        asked = self.directives
        most = asked.max_temporal_loops
        return search(self.project, asked.metrics, self.effort, self.version, most)

    def as_dict(self) -> dict[str, Any]:
        """Return what the search was set to, as plain data."""
        return {
            "mapper": self.effort.mapper,
            "metrics": list(self.directives.metrics),
            "samples": self.effort.samples,
            "seed": self.effort.seed,
            "timeloop_version": self.version,
            "padding": self.effort.padding.text,
            "mapspace": self.mapspace,
        }

    def text(self) -> str:
        """Return what the search was set to, in a line."""
        return (
            f"mapper {self.effort.mapper}, {self.effort.samples:,} samples, seed "
            f"{self.effort.seed}, timeloop {self.version}"
            f"{f', padding {self.effort.padding.text}' if self.effort.padding.on else ''}"
        )


def tasks(
    paths: Sequence[str | Path],
    values: Mapping[str, object] | None = None,
    settings: Mapping[str, Any] | None = None,
    include_path: Sequence[str | Path] = (),
    tables_of: TablesOf | None = None,
) -> list[MapperTask]:
    """Read Timeloop's files; several files with a ``problem`` make as many tasks.

    Args:
        paths: of the files, in any order.
        values: variables of templates.
        settings: those of `MapperSettings`.
        include_path: folders from which templates may include files beside the project's own.
        tables_of: makes the ERT and ART (`dse.components.native_accelergy.prices`).

    Raises:
        SpecError: naming file, key and value, and what was expected.
    """
    given: MapperSettings = typed(MapperSettings, settings or {}, "")
    check_version(given.timeloop_version)
    roots = load_each(paths, values, include_path)
    found: list[MapperTask] = []
    for root in roots:
        project = read_entry_project(root, given.timeloop_version, tables_of=tables_of)
        asked = read_mapper(root, len(project.architecture.levels))
        source = root.need("problem", "the workload").node.source
        name = Path(source).stem
        # each has a folder of its own
        twice = sum(one.name == name or one.name.startswith(f"{name}~") for one in found)
        found.append(task(f"{name}~{twice + 1}" if twice else name, project, asked, given))
    return found


def task(
    name: str, project: Project, directives: MapperDirectives, given: MapperSettings
) -> MapperTask:
    """Return the search of a project; SpecError where a setting is wrong."""
    if given.objective is not None:
        levels = len(project.architecture.levels)
        names = [part.strip() for part in given.objective.split(",")]
        directives = replace(directives, metrics=metrics_of(names, levels))
    samples = given.samples
    if samples is None:
        singly = project.architecture.singly is not None
        samples = directives.search_size or (_SAMPLES_SINGLY if singly else _SAMPLES)
    if samples < 1:
        raise SpecError(f"samples = {samples}, expected at least 1")
    if not 0 <= given.seed < 2**63:
        raise SpecError(f"seed = {given.seed}, expected 0 to 2^63 - 1")
    threads = given.n_jobs if given.n_jobs is not None else directives.threads or 0
    mapper, options = chosen("mapper", given.mapper or _MAPPER, _MAPPER)
    limits = _LIMITS if mapper.name == _MAPPER else {}
    settings = typed(mapper.settings_type, {**limits, **options}, "mapper.")
    padding = Padding.parse(given.mapspace.padding)
    uneven = levels_asked(given.mapspace.uneven)
    effort = MapperBudget(mapper.name, settings, samples, given.seed, threads, padding, uneven)
    free = given.mapspace.free
    if free:
        project = replace(project, constraints=of_hardware(project.constraints))
    return MapperTask(name, project, directives, effort, given.timeloop_version, free)
