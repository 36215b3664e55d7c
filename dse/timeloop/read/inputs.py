"""Reads complete Timeloop inputs, from one or many files or from text.

Attributes count in the spellings that the version of Timeloop reads: with hyphens, underscores or
both. Others are ignored, as Timeloop ignores them, with a warning.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dse.domain.architecture import Architecture
from dse.domain.mapping import Mapping
from dse.domain.problem import Problem
from dse.errors import SpecError, unknown_name
from dse.timeloop import auto_bypass
from dse.timeloop.read.architecture import Fault, read_architecture
from dse.timeloop.read.constraints import check_constraints
from dse.timeloop.read.flatten import flatten
from dse.timeloop.read.mapping import read_mapping
from dse.timeloop.read.node_mapping import flat_mapping
from dse.timeloop.read.node_values import with_values
from dse.timeloop.read.problem import read_problem
from dse.timeloop.read.sparse import is_sparse, read_sparse
from dse.timeloop.read.table_checks import SUMMARIES, check_tables, warn_of_summaries
from dse.timeloop.read.tables import TablesOf, read_art, read_ert
from dse.timeloop.read.unread import meant_by
from dse.timeloop.yaml.io import load_files, load_texts
from dse.timeloop.yaml.nodes import Entry, Node

#: The versions of Timeloop that the reader knows; ``dosa`` reads files as 3.0.3 does.
_VERSIONS = ("4cf6d4c", "3.0.3", "dosa")

_LOG = logging.getLogger(__name__)
_KEYS = frozenset(
    {
        "architecture",
        "arch",
        "problem",
        "mapping",
        "ERT",
        "ART",
        "variables",
        "architecture_constraints",
        "arch_constraints",
        "sparse_optimizations",
        "layout",
        "model",
        "mapper",
        "mapspace",
        "mapspace_constraints",
        "extra_mapping_constraints",
        "components",
        "compound_components",
        "globals",
        "dumped_by_timeloop_front_end",
    }
)


@dataclass(frozen=True)
class TimeloopInput:
    """What Timeloop's input files say.

    Attributes:
        architecture: priced by the files' ERT and ART, or by Timeloop's built-in energies; with
            what is sparse of it.
        problem: the workload, with densities where these count.
        mapping: None when the files have none, or an empty one.
        timeloop_version: the version whose rules the files were read by.
        source: the first file's name, for messages.
    """

    architecture: Architecture
    problem: Problem
    mapping: Mapping | None
    timeloop_version: str
    source: str = "input"


def read_files(
    paths: Sequence[str | Path],
    timeloop_version: str = "4cf6d4c",
    values: dict[str, object] | None = None,
    include_path: Sequence[str | Path] = (),
) -> TimeloopInput:
    """Read one or many Timeloop YAML files, merged on their top-level keys.

    ``values`` are the variables of files that are jinja2 templates, ``include_path`` folders
    outside of the project from which they may include others.

    Raises:
        SpecError: naming file, key and value, and what was expected; where Timeloop itself stops
            with a message, that message is part of it.
    """
    check_version(timeloop_version)
    root = load_files(paths, values, include_path)
    return _sound(*read_entry(root, timeloop_version, for_model=False))


def read_text(
    text: str | bytes, timeloop_version: str = "4cf6d4c", source: str = "input"
) -> TimeloopInput:
    """Read Timeloop YAML from a string; ``source`` names it in errors. See `read_files`."""
    check_version(timeloop_version)
    root = load_texts([(source, text)])
    return _sound(*read_entry(root, timeloop_version, for_model=False))


def _sound(spec: TimeloopInput, fault: Fault | None) -> TimeloopInput:
    if fault is not None:
        raise fault.error
    return spec


def read_entry(
    root: Entry,
    timeloop_version: str,
    problem: Problem | None = None,
    *,
    for_model: bool,
    tables_of: TablesOf | None = None,
) -> tuple[TimeloopInput, Fault | None]:
    """Read a loaded input; a fault is for the caller to raise, unless a rejection precedes it.

    ``problem`` is what is mapped where the input does not say it. ``for_model``: the input's
    ``extra_mapping_constraints`` are part of the mapping, and are it where there is no other.
    ``tables_of`` makes the ERT and ART; without it, or where it makes none, those of the files
    hold, or Timeloop's built-in energies.
    """
    _check_keys(root)
    root = with_values(root)
    if problem is None:
        problem = read_problem(
            root.need("problem", "the workload"), timeloop_version, sparse=is_sparse(root)
        )
    root = flatten(root, problem)
    architecture_entry = root.get("arch", "architecture")
    if architecture_entry is None:
        raise root.refuse("key 'architecture' is missing, expected the hardware")
    ert, art = root.get("ERT"), root.get("ART")
    warn_of_summaries(root)
    if art is not None and ert is None:
        raise art.refuse("an ART without an ERT; Timeloop reads areas only along with energies")
    energies = read_ert(ert) if ert is not None else None
    areas = read_art(art) if art is not None else None
    if tables_of is not None and (made := tables_of(root)) is not None:
        energies, areas = made.energies(), made.areas()
    architecture, fault = read_architecture(
        architecture_entry, energies, areas, timeloop_version, for_model=for_model
    )
    _check_scales(architecture_entry, architecture, problem)
    if energies is not None:
        check_tables(ert or architecture_entry, energies, architecture_entry, timeloop_version)
    mapping_entry = _directives(root) if for_model else root.get("mapping")
    mapping = None
    # An empty list is timeloopfe's placeholder, but all there is to say of a single operation.
    if mapping_entry is not None and (mapping_entry.node.value or problem.macs == 1):
        mapping = read_mapping(mapping_entry, architecture, problem, timeloop_version)
        constraints = architecture_entry.get("constraints") or root.get(
            "arch_constraints", "architecture_constraints"
        )
        if constraints is not None:
            check_constraints(constraints, architecture, problem, mapping)
        if auto_bypass.is_asked(root):
            mapping = auto_bypass.bypassed(architecture, problem, mapping)
    sparse = None
    if (optimizations := root.get("sparse_optimizations")) is not None:
        sparse = read_sparse(root, optimizations, architecture, problem, energies, timeloop_version)
    if sparse is not None:
        if auto_bypass.is_asked(root):
            raise root.refuse("auto_bypass_on_failure is not supported with sparse_optimizations")
        architecture = replace(architecture, sparse=sparse)
        problem = replace(problem, densities=sparse.densities)
    return TimeloopInput(architecture, problem, mapping, timeloop_version, root.node.source), fault


def _check_scales(entry: Entry, architecture: Architecture, problem: Problem) -> None:
    """Refuse a bandwidth scale of something that is no data space."""
    for level in architecture.levels:
        for name, _ in level.bandwidth_scales:
            if name not in problem.tensors:
                raise entry.refuse(
                    f"level '{level.name}': {unknown_name('data space', name, problem.tensors)}"
                    f"\nERROR: {level.name}: per_dataspace_bandwidth_consumption_scale: "
                    f"{name[:500]} is not a valid dimension name."
                )


def _directives(root: Entry) -> Entry | None:
    """Return the mapping, with the constraints that are part of it."""
    entry, extra = root.get("mapping"), root.get("extra_mapping_constraints")
    if extra is None:
        return entry
    targets = extra.get("targets") if extra.is_map else extra
    listed = targets.items() if targets is not None else []
    if entry is None or not entry.node.value:
        entry = Entry(Node([], extra.node.source, extra.node.line), extra.path)
    return Entry(flat_mapping(entry, [x.node for x in listed], set()), entry.path, root.variables)


def check_version(timeloop_version: str) -> None:
    """Raise SpecError for a version that is not known."""
    if timeloop_version not in _VERSIONS:
        raise SpecError(unknown_name("timeloop_version", timeloop_version, _VERSIONS))


def _check_keys(root: Entry) -> None:
    architecture = root.get("arch", "architecture")
    nodes = architecture is not None and architecture.is_map and architecture.get("nodes")
    for key, entry in root.pairs():
        if key == "layout" and not entry.node.is_null:
            raise entry.refuse("not supported: the model is of problems without layout")
        if key in SUMMARIES:
            continue
        # timeloopfe takes every key with "constraints" in it for a list of them
        if key not in _KEYS and not (nodes and "constraints" in key):
            meant = meant_by(key, _KEYS)
            if meant is not None and key != "constraints":
                raise entry.refuse(f"unknown key '{key[:80]}'; did you mean '{meant}'?")
            _LOG.warning("%s: is ignored, as Timeloop does not read this key", entry.where)
