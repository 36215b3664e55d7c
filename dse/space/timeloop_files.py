"""Timeloop's architectures and problems as templates and workload files of our own.

What a run takes is converted once, when it starts; its folder holds the template and the workload,
which say all that the files said.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from dse.components.chain import PatChain
from dse.domain.architecture import Compute, StorageLevel
from dse.domain.attribute import declared
from dse.domain.constraints import LevelConstraint, LoopConstraint
from dse.domain.problem import SHAPES, Layer, Problem, Shape
from dse.errors import SpecError, unknown_name
from dse.timeloop.convert import Project, read_entry_project
from dse.timeloop.read.problem import read_problem
from dse.timeloop.yaml.io import load_files

_SUFFIXES = frozenset({".yaml", ".yml", ".jinja2", ".j2", ".jinja"})
_NO_NAME = re.compile(r"[^A-Za-z0-9_]")


@dataclass(frozen=True)
class Converted:
    """A file of our own that was made from Timeloop's; see `dse.files.Source`.

    Attributes:
        name: the files that it was made from.
        text: its content.
        variables: of a template, which of its variables have been given one value.
    """

    name: str
    text: str
    variables: Mapping[str, Any] = field(default_factory=dict)

    def read_bytes(self) -> bytes:
        """Return the content."""
        return self.text.encode()

    def read_text(self, encoding: str = "utf-8") -> str:  # noqa: ARG002 - as a path's
        """Return the content."""
        return self.text

    def __str__(self) -> str:
        return self.name


def holds(path: Path, *keys: str) -> bool:
    """Whether a YAML file has one of these keys at its top; templates of jinja2 count as text."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeError):
        return False
    return any(re.search(rf"^['\"]?{key}['\"]?\s*:", text, re.MULTILINE) for key in keys)


# ---------------------------------------------------------------------------------- workloads


def workload_files(name: str) -> list[Path] | None:
    """Return the problem files that a path names: itself, or those of a folder; None: it is none.

    Raises:
        SpecError: a folder has no problem files.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        inside = sorted(p for p in path.iterdir() if p.suffix in _SUFFIXES)
        found = [p for p in inside if holds(p, "problem")]
        if not found:
            raise SpecError(f"workload '{name}': no file of this folder has the key 'problem'")
        return found
    return [path] if path.is_file() and holds(path, "problem") else None


def workload_source(name: str, paths: Sequence[Path]) -> Converted:
    """Return problem files as one workload, each a layer named as its file.

    Equal problems are one layer with their count.

    Raises:
        SpecError: a problem is wrong, or cannot be a layer.
    """
    layers: dict[Problem, tuple[str, int]] = {}
    for path in paths:
        root = load_files([path])
        problem = read_problem(root.need("problem", "the workload"), "4cf6d4c")
        first, count = layers.get(problem, (path.stem.removesuffix(".yaml"), 0))
        layers[problem] = (first, count + 1)
    made = [Layer(label, problem, count) for problem, (label, count) in layers.items()]
    label = _NO_NAME.sub("_", Path(name).expanduser().resolve().stem) or "problem"
    return Converted(name, workload_text(label, made))


def workload_text(name: str, layers: Sequence[Layer]) -> str:
    """Return a workload file with these layers."""
    shapes: dict[str, Shape] = {}
    rows = []
    for layer in layers:
        shape = layer.problem.shape
        label = shape.name or "shape"
        if shapes.get(label, shape) != shape:
            label += f"-{len(shapes)}"
        if SHAPES.get(label, shape) != shape:
            label += "-own"
        shapes[label] = shape
        given = layer.problem.coefficients
        changed = {k: v for k, v in given.items() if v != shape.coefficients[k]}
        count = {"count": layer.count} if layer.count > 1 else {}
        rows.append(
            {"name": layer.name, "shape": label, **layer.problem.bounds, **changed, **count}
        )
    own = [_shape(label, shape) for label, shape in shapes.items() if label not in SHAPES]
    content = {"name": name, **({"shapes": own} if own else {}), "layers": rows}
    text: str = yaml.safe_dump(content, sort_keys=False, default_flow_style=None, width=100)
    return text


def _shape(name: str, shape: Shape) -> dict[str, Any]:
    return {
        "name": name,
        "dimensions": list(shape.dimensions),
        **({"coefficients": dict(shape.coefficients)} if shape.coefficients else {}),
        "data_spaces": {
            space.name: {
                "projection": ", ".join(
                    " + ".join(
                        t.dimension + (f"*{t.coefficient}" if t.coefficient else "") for t in row
                    )
                    for row in space.projection
                ),
                **({"read_write": True} if space.read_write else {}),
            }
            for space in shape.data_spaces
        },
    }


# ---------------------------------------------------------------------------------- templates


def template_files(name: str) -> list[Path] | None:
    """Return Timeloop's files that ``arch=`` names, several joined by ``+``; None: they are not.

    A folder stands for its YAML files, those of problems and mappings left aside.
    """
    paths: list[Path] = []
    for part in name.split("+"):
        path = Path(part).expanduser()
        if path.is_dir():
            inside = sorted(p for p in path.iterdir() if p.suffix in _SUFFIXES)
            paths += [p for p in inside if not holds(p, "problem", "mapping")]
        else:
            paths.append(path)
    return paths if any(holds(p, "architecture", "arch") for p in paths) else None


def template_source(
    name: str,
    paths: Sequence[Path],
    problem: Problem,
    variables: Mapping[str, Any],
    timeloop_version: str,
) -> Converted:
    """Return a Timeloop architecture as a template.

    Args:
        name: as the user gave it.
        paths: its files: architecture, constraints, ERT, ART.
        problem: what the constraints speak of: the first of the workload.
        variables: by component, the attributes to free: ``{Buffer: {depth: [1024, 2048]}}``. A
            list or a map (``min``, ``max``, ``step``) makes a variable ``Buffer_depth`` of it, one
            number sets it.
        timeloop_version: whose rules the files are read by.

    Raises:
        SpecError: naming file, key and value, and what was expected.
    """
    root = load_files(paths)
    project = read_entry_project(root, timeloop_version, problem)
    label = _NO_NAME.sub("_", paths[0].resolve().stem) or "arch"
    freed, fixed = _freed(project, variables)
    content = template_content(label, project, freed)
    text: str = yaml.safe_dump(content, sort_keys=False, default_flow_style=None, width=100)
    return Converted(name, text, fixed)


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
    """
    free = freed or {}
    own_prices = PatChain().price(project.architecture) != project.architecture
    storage = []
    for level in reversed(project.architecture.levels):
        row = {"name": level.name, "class": level.kind, **_given(level.parts, own_prices)}
        row |= {one.key: one.expression for one in free.get(level.name, ())}
        rules = _constraint(project.constraints.get(level.name, LevelConstraint()))
        storage.append({**row, **({"constraints": rules} if rules else {})})
    compute = project.architecture.compute
    last = {"name": compute.name, "class": compute.kind, **_given((compute,), own_prices)}
    last |= {one.key: one.expression for one in free.get(compute.name, ())}
    found = {one.variable: one.spec for some in free.values() for one in some}
    return {
        "name": name,
        "description": f"converted from Timeloop's files ({project.architecture.name})",
        "energy": "template" if own_prices else "pat",
        **({"variables": found} if found else {}),
        "storage": storage,
        "compute": last,
    }


def _given(parts: Sequence[object], prices: bool) -> dict[str, Any]:
    """Return the attributes that differ from their defaults, by their keys in templates."""
    found = {}
    for part in parts:
        for item in declared(part):
            value = getattr(part, item.name)
            if item.template and value != item.default and (prices or not _chains(part, item.name)):
                found[item.template] = value
    return found


def _chains(part: object, name: str) -> bool:
    """Whether an energy chain fills it in."""
    if isinstance(part, StorageLevel | Compute):
        return name in ("area_um2", "energy_pj")
    return type(part).__name__ == "AccessEnergy"


def _constraint(rules: LevelConstraint) -> dict[str, Any]:
    plain = ("keep", "bypass", "no_temporal_reuse", "no_multicast", "no_link_transfer")
    found: dict[str, Any] = {key: list(getattr(rules, key)) for key in plain if getattr(rules, key)}
    for key in ("temporal", "spatial"):
        loops = _loops(getattr(rules, key))
        if loops:
            found[key] = loops
    if rules.min_parallelism:
        found["min_parallelism"] = rules.min_parallelism
    return found


def _loops(rules: LoopConstraint) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in vars(rules).items():
        if isinstance(value, tuple) and (value or name != "suffix"):
            found[name] = list(value)
        elif value:
            found[name] = dict(value) if isinstance(value, Mapping) else value
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
            variable = _NO_NAME.sub("_", f"{component}_{attribute}")
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
