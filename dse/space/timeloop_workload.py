"""Timeloop's problem files as workload files of our own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from dse.domain.problem import SHAPES, Layer, Problem, Shape
from dse.errors import SpecError
from dse.files import TextSource
from dse.space.timeloop_files import Reading
from dse.space.timeloop_template import NO_NAME
from dse.timeloop.read.densities import read_densities
from dse.timeloop.read.problem import read_problem
from dse.timeloop.write.sparse import density_content
from dse.timeloop.yaml.io import holds, inputs_of
from dse.timeloop.yaml.sandbox import SUFFIXES as TEMPLATES


def workload_files(name: str) -> list[Path] | None:
    """Return the problem files that a path names: itself, or those of a folder; None: it is none.

    A path has a slash or a dot. A file that is a template by its name is taken for one.

    Raises:
        SpecError: a folder has no problem files.
    """
    if not set(name) & set("/."):
        return None
    path = Path(name).expanduser()
    if path.is_dir():
        found = [p for p in inputs_of(path) if holds(p, "problem")]
        if not found:
            raise SpecError(f"workload '{name}': no file of this folder has the key 'problem'")
        return found
    is_problem = path.suffix in TEMPLATES or holds(path, "problem")
    return [path] if path.is_file() and is_problem else None


def workload_source(name: str, paths: Sequence[Path], reading: Reading | None = None) -> TextSource:
    """Return problem files as one workload, each a layer named as its file.

    Equal problems are one layer with their count. ``reading``: how; by default as 4cf6d4c does,
    templates without variables.

    Raises:
        SpecError: a problem is wrong, or cannot be a layer.
    """
    reading = reading or Reading()
    layers: dict[Problem, tuple[str, int]] = {}
    for path in paths:
        root = reading.load([path])
        entry, version = root.need("problem", "the workload"), reading.timeloop_version
        problem = read_problem(entry, version, sparse=True)
        problem = problem.with_densities(read_densities(entry, problem, version))
        first, count = layers.get(problem, (path.stem.removesuffix(".yaml"), 0))
        layers[problem] = (first, count + 1)
    made = [Layer(label, problem, count) for problem, (label, count) in layers.items()]
    label = NO_NAME.sub("_", Path(name).expanduser().resolve().stem) or "problem"
    return TextSource(name, workload_text(label, made))


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
        given = {t: density_content(x) for t, x in layer.problem.densities.items()}
        densities = {"densities": given} if given else {}
        sizes = {**layer.problem.bounds, **changed}
        rows.append({"name": layer.name, "shape": label, **sizes, **count, **densities})
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
