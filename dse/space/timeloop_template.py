"""Timeloop's architectures as templates.

What a run takes is converted once, when it starts; its folder holds the template, which says all
that the files said.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import yaml

from dse.components.chain import PatChain, energy_chain
from dse.domain.architecture import Compute, StorageLevel
from dse.domain.attribute import declared
from dse.domain.constraints import LevelConstraint, LoopConstraint
from dse.domain.problem import SHAPES, Problem
from dse.domain.sparse import KINDS, SparseLevel
from dse.errors import SpecError, unknown_name
from dse.files import TextSource
from dse.space.schema import CHAIN_PRICES, SPARSE_ACTIONS
from dse.space.template import ArchTemplate
from dse.space.timeloop_files import Reading
from dse.timeloop.convert import Project, read_entry_project
from dse.timeloop.read.tables import TablesOf
from dse.timeloop.write.sparse import template_section
from dse.timeloop.yaml.io import holds, inputs_of
from dse.timeloop.yaml.nodes import Entry
from dse.timeloop.yaml.sandbox import SUFFIXES as TEMPLATES

_LOG = logging.getLogger(__name__)
_CONVOLUTION = SHAPES["cnn-layer"]
_BOUNDS = dict.fromkeys(_CONVOLUTION.dimensions, 1)
#: What a name in files of our own may not hold.
NO_NAME = re.compile(r"[^A-Za-z0-9_]")


def template_files(name: str) -> list[Path] | None:
    """Return Timeloop's files that ``arch=`` names, several joined by ``+``; None: they are not.

    A folder stands for its YAML files, those of problems and mappings left aside. A file that is a
    template of jinja2 by its name is taken for theirs.
    """
    paths: list[Path] = []
    for part in name.split("+"):
        path = Path(part).expanduser()
        if path.is_dir():
            paths += [p for p in inputs_of(path) if not holds(p, "problem", "mapping")]
        else:
            paths.append(path)
    theirs = any(p.suffix in TEMPLATES or holds(p, "architecture", "arch") for p in paths)
    return paths if theirs else None


def template_source(
    name: str,
    paths: Sequence[Path],
    problem: Problem,
    variables: Mapping[str, Any],
    reading: Reading,
) -> tuple[TextSource, dict[str, Any]]:
    """Return a Timeloop architecture as a template, and the values that its variables are set to.

    Args:
        name: as the user gave it.
        paths: its files: architecture, constraints, ERT, ART.
        problem: what the constraints speak of: the first of the workload.
        variables: by component, the attributes to free: ``{Buffer: {depth: [1024, 2048]}}``. A
            list or a map (``min``, ``max``, ``step``) makes a variable ``Buffer_depth`` of it, one
            number sets it.
        reading: how the files are read.

    Raises:
        SpecError: naming file, key and value, and what was expected.
    """
    # what is mapped is the workload's to say
    root = reading.load(paths).without("problem", "mapping")
    project = read_entry_project(root, reading.timeloop_version, problem)
    freed, fixed = _freed(project, variables)
    text = _text(template_content(_label(paths[0]), project, freed))
    return TextSource(name, text), fixed


def template_text(root: Entry, timeloop_version: str, tables_of: TablesOf | None = None) -> str:
    """Return the architecture and the constraints of loaded files as a template.

    What is mapped need not be among the files unless they constrain something.

    Args:
        root: architecture, constraints, ERT and ART; a mapping is left out, with a warning.
        timeloop_version: whose rules the files are read by.
        tables_of: makes the ERT and ART (`dse.components.native_accelergy.prices`).

    Raises:
        SpecError: naming file, key and value; or a template cannot say what the files do.
    """
    mapping = root.get("mapping")
    if mapping is not None and mapping.node.value:
        _LOG.warning("%s: is left out, as a template has no mappings", mapping.where)
    given = root.get("problem")
    unknown = None if given is not None else Problem(_CONVOLUTION, _BOUNDS)
    project = read_entry_project(root.without("mapping"), timeloop_version, unknown, tables_of)
    if unknown is not None and any(map(constraint_content, project.constraints.values())):
        raise root.refuse(
            "key 'problem' is missing, expected the workload, of whose dimensions and data "
            "spaces the constraints speak"
        )
    text = _text(template_content(_label(Path(root.node.source)), project))
    made = ArchTemplate.read(TextSource("template", text))
    built = energy_chain(made.energy).price(made.build({}))
    before, free = project.architecture, LevelConstraint()
    lost = [
        x.name
        for x, y in zip(before.levels, built.levels, strict=True)
        if x != y or project.constraints.get(x.name, free) != made.constraints.get(x.name, free)
    ]
    lost += [before.compute.name] if built.compute != before.compute else []
    if before.sparse is not None and before.sparse != replace(
        built.sparse or before.sparse, densities=before.sparse.densities
    ):
        lost.append("sparse_optimizations")
    if lost:
        raise root.refuse(f"a template cannot say all of component '{lost[0]}'")
    return text


def _text(content: Mapping[str, Any]) -> str:
    text: str = yaml.safe_dump(content, sort_keys=False, default_flow_style=None, width=100)
    return text


def _label(path: Path) -> str:
    label = NO_NAME.sub("_", path.resolve().stem)
    return (label if label[:1].isalpha() else f"arch_{label}")[:64]


@dataclass(frozen=True)
class _Free:
    """An attribute that is a variable now."""

    key: str
    variable: str
    expression: str
    spec: dict[str, Any]


def template_content(
    name: str,
    project: Project,
    freed: Mapping[str, Sequence[_Free]] | None = None,
) -> dict[str, Any]:
    """Return the content of a template with a project's architecture and constraints.

    Energies that are Timeloop's built-in ones follow the sizes; others stand in it as numbers.

    Args:
        name: of the template.
        project: what it says.
        freed: by component, what is a variable.

    Raises:
        SpecError: it has what templates do not, such as declared networks.
    """
    if project.architecture.singly is not None:
        raise SpecError(
            f"{project.architecture.singly} are modelled for single mappings only, a template "
            "cannot have them"
        )
    free = freed or {}
    own_prices = PatChain().price(project.architecture) != project.architecture
    storage, design = [], project.architecture.sparse
    for s, level in reversed(list(enumerate(project.architecture.levels))):
        row = {"name": level.name, "class": level.kind, **_given(level.parts, own_prices)}
        row |= {} if design is None else _sparse_given(design.levels[s], own_prices)
        row |= {one.key: one.expression for one in free.get(level.name, ())}
        rules = constraint_content(project.constraints.get(level.name, LevelConstraint()))
        storage.append({**row, **({"constraints": rules} if rules else {})})
    compute = project.architecture.compute
    last = {"name": compute.name, "class": compute.kind, **_given((compute,), own_prices)}
    if design is not None and own_prices:
        last["sparse_pj"] = {kind: design.compute_energies_pj[kind] for kind in KINDS[1:]}
    last |= {one.key: one.expression for one in free.get(compute.name, ())}
    found = {one.variable: one.spec for some in free.values() for one in some}
    return {
        "name": name,
        "description": f"converted from Timeloop's files ({project.architecture.name})",
        "energy": "template" if own_prices else "pat",
        **({"variables": found} if found else {}),
        "storage": storage,
        "compute": last,
        **(
            {"sparse_optimizations": template_section(design, project.architecture)}
            if design is not None
            else {}
        ),
    }


def _sparse_given(own: SparseLevel, prices: bool) -> dict[str, Any]:
    found = _given((own.metadata, own), prices)
    energies = {x: pj for x, pj in own.energies_pj.items() if x in SPARSE_ACTIONS and pj}
    return {**found, "sparse_pj": energies} if prices and energies else found


def _given(parts: Sequence[object], prices: bool) -> dict[str, Any]:
    """Return the attributes that differ from their defaults, by their keys in templates."""
    return {
        item.template: value
        for part in parts
        for item in declared(part)
        if item.template and (prices or item.template not in CHAIN_PRICES)
        if (value := getattr(part, item.name)) != item.default
    }


def constraint_content(rules: LevelConstraint | LoopConstraint) -> dict[str, Any]:
    """Return what constrains anything, by the keys of templates, which are the fields' names."""
    found: dict[str, Any] = {}
    for item in fields(rules):
        value = getattr(rules, item.name)
        free = item.default_factory() if callable(item.default_factory) else item.default
        if value == free:
            continue
        if isinstance(value, LoopConstraint):
            value = constraint_content(value)
        elif isinstance(value, tuple):
            value = list(value)
        elif isinstance(value, Mapping):
            value = dict(value)
        found[item.name] = value
    return found


# ---------------------------------------------------------------------------------- variables

_Freeing = Callable[[StorageLevel | Compute], tuple[str, str]]
#: By Timeloop's word: the template's key, and arithmetic over the variable ``{}``.
_ATTRIBUTES: dict[str, _Freeing] = {
    "depth": lambda x: ("size_words", f"{{}} * {getattr(x, 'block_size', 1)}"),
    "entries": lambda _: ("size_words", "{}"),
    "sizeKB": lambda x: ("size_words", f"{{}} * 8192 // {x.word_bits}"),
    "meshX": lambda _: ("mesh_x", "{}"),
    "meshY": lambda _: ("mesh_y", "{}"),
    **{
        key: lambda _, key=key: (key, "{}")  # type: ignore[misc]
        for key in ("read_bandwidth", "write_bandwidth", "shared_bandwidth", "block_size")
    },
    "multiple_buffering": lambda _: ("multiple_buffering", "{}"),
}
_OF_COMPUTE = ("meshX", "meshY")


def _freed(
    project: Project, variables: Mapping[str, Any]
) -> tuple[dict[str, list[_Free]], dict[str, Any]]:
    """Return what is a variable, by component, and the values of those that are set."""
    architecture = project.architecture
    parts: dict[str, StorageLevel | Compute] = {x.name: x for x in architecture.levels}
    parts[architecture.compute.name] = architecture.compute
    free: dict[str, list[_Free]] = {}
    fixed: dict[str, Any] = {}
    for component, attributes in variables.items():
        where = f"variables.{component}"
        if component not in parts:
            raise SpecError(f"{where}: {unknown_name('component', component, parts)}")
        if not isinstance(attributes, Mapping):
            raise SpecError(
                f"{where} = {attributes!r}: expected attributes, as in {where}.depth=[1024,2048]"
            )
        part = parts[component]
        known = _OF_COMPUTE if isinstance(part, Compute) else tuple(_ATTRIBUTES)
        for attribute, value in attributes.items():
            if attribute not in known:
                raise SpecError(
                    f"{where}.{attribute}: {unknown_name('attribute', attribute, known)}"
                )
            key, arithmetic = _ATTRIBUTES[attribute](part)
            variable = NO_NAME.sub("_", f"{component}_{attribute}")
            spec = _variable(f"{where}.{attribute}", value)
            one = _Free(key, variable, arithmetic.format(variable), spec)
            free.setdefault(component, []).append(one)
            if not isinstance(value, list | tuple | Mapping):
                fixed[variable] = value
    return free, fixed


def _variable(where: str, value: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return a template's variable that takes one value, those of a list, or those of a range."""
    if isinstance(value, Mapping):
        return dict(value)
    values = list(value) if isinstance(value, list | tuple) else [value]
    if not values or not all(isinstance(x, int) and not isinstance(x, bool) for x in values):
        raise SpecError(f"{where} = {value!r}: expected a whole number, or a list of them")
    return {"values": sorted(set(values))}
