"""Writes Timeloop's files: architecture, ERT, ART, problem and mapping.

The files are such that v3.0.3 and 4cf6d4c take them as they are and compute the same from them:
keys that v3.0.3 knows only with hyphens have hyphens (4cf6d4c converts them), everything that
could be inferred is written out, and each access has an action of its own in the ERT.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from dse.disk import write_whole
from dse.domain.architecture import Architecture, Compute, StorageLevel
from dse.domain.mapping import Mapping
from dse.domain.padding import mapped_problem
from dse.domain.problem import Layer, Problem
from dse.domain.sparse import SparseDesign
from dse.errors import SpecError
from dse.timeloop.read.component_tree import BUFFER_CLASSES, COMPUTE_CLASSES
from dse.timeloop.write.attributes import flat_keys, priced_actions
from dse.timeloop.write.sparse import (
    density_content,
    saved_compute_actions,
    sparse_actions,
    sparse_content,
)

#: The ending of the file of what is sparse of a design, in the words of a layer.
SPARSE = ".sparse.yaml"
_NAME = re.compile(r"[A-Za-z0-9_-]+\Z")
_ROOT = "system"
_MOST_ENTRIES = 2**32 - 1


def write_design(
    folder: str | Path,
    architecture: Architecture,
    layers: Iterable[tuple[Layer, Mapping]],
) -> list[Path]:
    """Write a design as files that ``timeloop-model`` accepts.

    ``arch.yaml``, ``ERT.yaml`` and ``ART.yaml``, and for each layer ``NAME.problem.yaml`` and
    ``NAME.mapping.yaml``, with ``NAME.sparse.yaml`` of a sparse design; evaluate a layer with
    ``timeloop-model arch.yaml ERT.yaml ART.yaml NAME.problem.yaml NAME.mapping.yaml``. The problem
    is the padded one where the mapping is of a padded problem.

    Returns:
        The files written.

    Raises:
        SpecError: something that Timeloop's files cannot express.
    """
    texts = {
        "arch.yaml": architecture_yaml(architecture),
        "ERT.yaml": ert_yaml(architecture),
        "ART.yaml": art_yaml(architecture),
    }
    for layer, mapping in layers:
        problem = mapped_problem(layer.problem, mapping)
        stem = layer_stem(layer.name)
        if f"{stem}.problem.yaml" in texts:
            raise SpecError(
                f"layer '{layer.name}': its files would be called '{stem}', like those of another "
                "layer; rename one of them"
            )
        texts[f"{stem}.problem.yaml"] = problem_yaml(problem)
        texts[f"{stem}.mapping.yaml"] = mapping_yaml(mapping, architecture, problem)
        if architecture.sparse is not None:
            texts[stem + SPARSE] = sparse_yaml(architecture, architecture.sparse.of(problem))
    directory = Path(folder)
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        # not durable: a run that loses them writes them again
        write_whole(directory / name, text.encode(), durable=False)
    return [directory / name for name in texts]


def layer_stem(name: str) -> str:
    """Return what the files of a layer are called, up to their endings."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", name)


def architecture_yaml(architecture: Architecture) -> str:
    """Return ``architecture`` as a tree of version 0.4.

    Raises:
        SpecError: Timeloop cannot read the name of a component, or something is not written.
    """
    refuse_unwritable(architecture)
    names = [*(level.name for level in architecture.levels), architecture.compute.name]
    for name in names:
        if not _NAME.match(name) or name in ("wire", "Wire"):
            raise SpecError(
                f"component '{name}': Timeloop's tables cannot name it, expected letters, "
                "digits, '_' and '-'"
            )
    local = [_level(level) for level in reversed(architecture.levels)]
    if architecture.sparse is not None:
        for made, own in zip(local, reversed(architecture.sparse.levels), strict=True):
            made["attributes"] |= {**flat_keys(own.metadata), **flat_keys(own)}
    local.append(_compute(architecture.compute))
    tree = {
        "version": "0.4",
        "name": architecture.name,
        "subtree": [{"name": _ROOT, "local": local}],
    }
    return _dump({"architecture": tree})


def refuse_unwritable(architecture: Architecture) -> None:
    """Refuse what Timeloop's files cannot say: none is written that leaves it out."""
    if architecture.divided:
        raise SpecError(
            f"level '{architecture.divided[0]}': Timeloop's files cannot say that several levels "
            "are parts of one buffer"
        )
    if architecture.singly is not None:
        raise SpecError(f"{architecture.singly} are not written")


def ert_yaml(architecture: Architecture, *, ranges: bool = False) -> str:
    """Return the ``ERT``: pJ per vector access and per operation.

    ``ranges`` counts a component's instances behind its name, ``[1..N]``, as Accelergy does.
    """
    compute, design = architecture.compute, architecture.sparse
    energies = [priced_actions(x.energy) for x in architecture.levels]
    energies.append(priced_actions(compute))
    if design is not None:
        more = [*map(sparse_actions, design.levels), saved_compute_actions(design)]
        energies = [own | other for own, other in zip(energies, more, strict=True)]
    components: list[StorageLevel | Compute] = [*architecture.levels, compute]
    tables = [
        _energies(_counted(x, ranges=ranges), own)
        for x, own in zip(components, energies, strict=True)
    ]
    return _dump({"ERT": {"version": "0.4", "tables": tables}})


def art_yaml(architecture: Architecture, *, ranges: bool = False) -> str:
    """Return the ``ART``: um^2 per instance (Timeloop reads it in single precision).

    ``ranges``: see `ert_yaml`.
    """
    components: list[StorageLevel | Compute] = [*architecture.levels, architecture.compute]
    tables = [
        {"name": f"{_ROOT}.{_counted(x, ranges=ranges)}", "area": float(x.area_um2)}
        for x in components
    ]
    return _dump({"ART": {"version": "0.4", "tables": tables}})


def sparse_yaml(architecture: Architecture, design: SparseDesign) -> str:
    """Return ``sparse_optimizations``."""
    return _dump({"sparse_optimizations": sparse_content(design, architecture)})


def _counted(component: StorageLevel | Compute, *, ranges: bool) -> str:
    return f"{component.name}[1..{component.instances}]" if ranges else component.name


def problem_yaml(problem: Problem) -> str:
    """Return ``problem`` with its shape in full.

    Raises:
        SpecError: a dimension's name is longer than the one letter that Timeloop allows.
    """
    shape = problem.shape
    for dimension in shape.dimensions:
        if len(dimension) != 1:
            raise SpecError(f"dimension '{dimension}': Timeloop allows names of one letter only")
    spaces = []
    for space in shape.data_spaces:
        rows = [
            [
                [term.dimension] if term.coefficient is None else [term.dimension, term.coefficient]
                for term in row
            ]
            for row in space.projection
        ]
        entry: dict[str, Any] = {"name": space.name, "projection": rows}
        if space.read_write:
            entry["read-write"] = True
        spaces.append(entry)
    described: dict[str, Any] = {"name": shape.name, "dimensions": list(shape.dimensions)}
    if shape.coefficients:
        described["coefficients"] = [
            {"name": name, "default": default} for name, default in shape.coefficients.items()
        ]
    described["data-spaces"] = spaces
    instance: dict[str, Any] = {**problem.bounds, **problem.coefficients}
    if problem.densities:
        instance["densities"] = {t: density_content(x) for t, x in problem.densities.items()}
    return _dump({"problem": {"shape": described, "instance": instance}})


def mapping_yaml(mapping: Mapping, architecture: Architecture, problem: Problem) -> str:
    """Return ``mapping`` as YAML; raises SpecError as `mapping_directives` does."""
    return mapping_text(mapping_directives(mapping, architecture, problem))


def mapping_text(directives: list[dict[str, Any]]) -> str:
    """Return directives as YAML."""
    return _dump({"mapping": directives})


def mapping_directives(
    mapping: Mapping, architecture: Architecture, problem: Problem
) -> list[dict[str, Any]]:
    """Return ``mapping`` as a list of directives, outermost level first.

    Raises:
        SpecError: a level without fan-out has a spatial factor, which Timeloop cannot read.
    """
    directives: list[dict[str, Any]] = []
    tensors = problem.tensors
    for s in reversed(range(len(architecture.levels))):
        name = architecture.levels[s].name
        keep = mapping.keep[s]
        directives.append(
            {
                "target": name,
                "type": "bypass",
                "keep": _chosen(tensors, keep),
                "bypass": _chosen(tensors, ~keep),
            }
        )
        temporal: dict[str, Any] = {
            "target": name,
            "type": "temporal",
            "factors": " ".join(factor_texts(problem, mapping, s)),
            "permutation": _order(problem, mapping.permutation[s]),
        }
        if mapping.no_temporal_reuse[s].any():
            temporal["no_temporal_reuse"] = _chosen(tensors, mapping.no_temporal_reuse[s])
        directives.append(temporal)
        if math.prod(architecture.fanout(s)) > 1:
            directives.append(_spatial(name, mapping, problem, s))
        elif (mapping.spatial[s] > 1).any() or (mapping.remainders[1][s] != 1).any():
            raise SpecError(f"level '{name}': spatial factors, but the level has no fan-out")
    return directives


def _spatial(name: str, mapping: Mapping, problem: Problem, s: int) -> dict[str, Any]:
    directive: dict[str, Any] = {
        "target": name,
        "type": "spatial",
        "factors": " ".join(factor_texts(problem, mapping, s, spatial=True)),
        "permutation": _order(problem, mapping.spatial_permutation[s]),
        "split": int(mapping.split[s]),
    }
    if mapping.no_link_transfer[s].any():
        directive["no_link_transfer"] = _chosen(problem.tensors, mapping.no_link_transfer[s])
    if mapping.no_multicast[s].any():
        # The first key is v3.0.3's, the second 4cf6d4c's; each ignores the other's.
        directive["no_multicast_no_reduction"] = _chosen(problem.tensors, mapping.no_multicast[s])
        directive["no_reuse"] = _chosen(problem.tensors, mapping.no_multicast[s])
    return directive


def _level(level: StorageLevel) -> dict[str, Any]:
    if level.is_dram and level.cluster_size != 1:
        raise SpecError(f"level '{level.name}': Timeloop allows no clusters of DRAM")
    attributes: dict[str, Any] = {**_size(level), "instances": level.instances}
    for part in level.parts:
        attributes |= flat_keys(part)
    return {"name": level.name, "class": storage_class(level), "attributes": attributes}


def _size(level: StorageLevel) -> dict[str, int]:
    """Return the size's key; numbers have 32 bits, so larger buffers go by sizeKB or depth."""
    if level.size_words is None:
        return {}
    if level.size_words <= _MOST_ENTRIES:
        return {"entries": level.size_words}
    kilobytes, part = divmod(level.size_words * level.word_bits, 1024 * 8)
    if not part and kilobytes <= _MOST_ENTRIES:
        return {"sizeKB": kilobytes}
    depth, rest = divmod(level.size_words, level.block_size)
    if rest or depth > _MOST_ENTRIES:
        raise SpecError(
            f"level '{level.name}': {level.size_words} words are more than Timeloop can read"
        )
    return {"depth": depth}


def storage_class(level: StorageLevel) -> str:
    """Return a class that Timeloop takes for storage, and for DRAM only if it is."""
    if level.is_dram:
        return "DRAM"
    if "DRAM" not in level.kind and any(c in level.kind for c in BUFFER_CLASSES):
        return level.kind
    return "SRAM"


def _compute(compute: Compute) -> dict[str, Any]:
    recognised = any(c in compute.kind for c in COMPUTE_CLASSES)
    storage = any(c in compute.kind for c in BUFFER_CLASSES)
    return {
        "name": compute.name,
        "class": compute.kind if recognised and not storage else "compute",
        "attributes": {"instances": compute.instances, **flat_keys(compute)},
    }


def _energies(name: str, actions: dict[str, float]) -> dict[str, Any]:
    return {
        "name": f"{_ROOT}.{name}",
        "actions": [
            {"name": action, "arguments": {}, "energy": pj} for action, pj in actions.items()
        ],
    }


def _chosen(names: Sequence[str], flags: np.ndarray[Any, np.dtype[np.bool_]]) -> list[str]:
    return [name for name, flag in zip(names, flags, strict=True) if flag]


def factor_texts(problem: Problem, mapping: Mapping, s: int, *, spatial: bool = False) -> list[str]:
    """Return the factors of level s, ``P=4``, or ``P=4,2`` where there is a remainder."""
    ends = mapping.spatial if spatial else mapping.temporal
    remainders = mapping.remainders[1 if spatial else 0]
    return [
        f"{name}={end}" if end == remainder else f"{name}={end},{remainder}"
        for name, end, remainder in zip(
            problem.dimensions, ends[s].tolist(), remainders[s].tolist(), strict=True
        )
    ]


def _order(problem: Problem, row: np.ndarray[Any, np.dtype[np.int8]]) -> str:
    return "".join(problem.dimensions[d] for d in row.tolist())


#: libyaml's emitter where PyYAML has it: a run writes some fifty files.
_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def _dump(tree: dict[str, Any]) -> str:
    text: str = yaml.dump(tree, Dumper=_DUMPER, sort_keys=False, default_flow_style=None, width=100)
    return text
