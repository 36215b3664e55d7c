"""Rewrites Timeloop files in another of Timeloop's formats."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from dse.domain.architecture import Architecture
from dse.domain.constraints import LevelConstraint
from dse.domain.mapping import Mapping
from dse.domain.problem import Problem
from dse.errors import SpecError, unknown_name
from dse.timeloop.read.flatten import flatten
from dse.timeloop.read.inputs import check_version, read_entry
from dse.timeloop.read.mapspace import read_constraints
from dse.timeloop.read.node_values import with_values
from dse.timeloop.read.tables import TablesOf
from dse.timeloop.write.constraints import constraint_rules
from dse.timeloop.write.inputs import (
    architecture_yaml,
    art_yaml,
    ert_yaml,
    mapping_yaml,
    problem_yaml,
    sparse_yaml,
)
from dse.timeloop.write.template import template_mapping_yaml, template_yaml
from dse.timeloop.yaml.io import load_files
from dse.timeloop.yaml.nodes import Entry

_LOG = logging.getLogger(__name__)
FORMATS = ("v0.3", "v0.4", "template")


@dataclass(frozen=True)
class Project:
    """A whole Timeloop project: what to run, on what, how, and what a search may choose."""

    architecture: Architecture
    problem: Problem
    mapping: Mapping | None
    constraints: dict[str, LevelConstraint]


def read_project(
    paths: Sequence[str | Path],
    timeloop_version: str = "4cf6d4c",
    values: dict[str, object] | None = None,
    include_path: Sequence[str | Path] = (),
    tables_of: TablesOf | None = None,
) -> Project:
    """Read Timeloop files with their constraints.

    ``values`` are the variables of files that are jinja2 templates, ``include_path`` folders
    outside of the project from which they may include others.

    ``tables_of`` makes the ERT and ART (:func:`dse.components.native_accelergy.prices`).

    Raises:
        SpecError: naming file, key and value, and what was expected.
    """
    check_version(timeloop_version)
    root = load_files(paths, values, include_path)
    return read_entry_project(root, timeloop_version, tables_of=tables_of)


def read_entry_project(
    root: Entry,
    timeloop_version: str,
    problem: Problem | None = None,
    tables_of: TablesOf | None = None,
) -> Project:
    """Read a loaded input with its constraints; ``problem`` is that of an input without one.

    See `read_project`.
    """
    root = with_values(root)
    spec, fault = read_entry(
        root,
        timeloop_version,
        problem,
        for_model=False,
        tables_of=tables_of,
    )
    if fault is not None:
        raise fault.error
    constraints = read_constraints(
        flatten(root, spec.problem), spec.architecture, spec.problem, timeloop_version
    )
    return Project(spec.architecture, spec.problem, spec.mapping, constraints)


def written(project: Project, form: str) -> dict[str, str]:
    """Return the project's files by name, in the format ``v0.3``, ``v0.4`` or ``template``.

    Raises:
        SpecError: the format is unknown, or cannot express something.
    """
    if form not in FORMATS:
        raise SpecError(unknown_name("format", form, FORMATS))
    architecture, problem = project.architecture, project.problem
    texts = {
        "ERT.yaml": ert_yaml(architecture),
        "ART.yaml": art_yaml(architecture),
        "problem.yaml": problem_yaml(problem),
    }
    if architecture.sparse is not None:
        if form == "template":
            raise SpecError(
                "--to template: sparse_optimizations are not written as nodes, expected v0.3, v0.4 "
                "or dse"
            )
        texts["sparse.yaml"] = sparse_yaml(architecture, architecture.sparse.of(problem))
    if form == "template":
        # timeloopfe joins a mapping with the nodes' constraints and refuses what both speak of
        inside = project.constraints if project.mapping is None else None
        if project.constraints and inside is None:
            _LOG.warning("the constraints are left out: timeloopfe takes them or a mapping")
        texts["arch.yaml"] = template_yaml(architecture, problem, inside)
        texts["problem.yaml"] = _with_underscores(texts["problem.yaml"])
        if project.mapping is not None:
            texts["mapping.yaml"] = template_mapping_yaml(project.mapping, architecture, problem)
        return texts
    text = architecture_yaml(architecture)
    texts["arch.yaml"] = text if form == "v0.4" else _version_0_3(text)
    if project.mapping is not None:
        texts["mapping.yaml"] = mapping_yaml(project.mapping, architecture, problem)
    rules = constraint_rules(project.constraints, architecture, problem)
    if project.constraints:
        tree = {"architecture_constraints": {"targets": rules}}
        texts["constraints.yaml"] = yaml.safe_dump(
            tree, sort_keys=False, default_flow_style=None, width=100
        )
    return texts


def _version_0_3(text: str) -> str:
    """Return the tree of version 0.4 as one of 0.3: instances stand as ranges in the names."""
    tree = yaml.safe_load(text)
    architecture = tree["architecture"]
    architecture["version"] = 0.3
    for component in architecture["subtree"][0]["local"]:
        count = component["attributes"].pop("instances")
        if count > 1:
            component["name"] += f"[0..{count - 1}]"
    dumped: str = yaml.safe_dump(tree, sort_keys=False, default_flow_style=None, width=100)
    return dumped


def _with_underscores(text: str) -> str:
    """Return a problem with the keys that timeloopfe knows."""
    return re.sub(r"\b(data)-(spaces)\b|\b(read)-(write)\b", _underscored, text)


def _underscored(match: re.Match[str]) -> str:
    return match[0].replace("-", "_")
