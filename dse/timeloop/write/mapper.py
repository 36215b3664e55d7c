"""The files that timeloop-mapper writes of the mapping that it found, under its names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dse.domain.architecture import Architecture
from dse.domain.mapping import Mapping
from dse.domain.problem import Problem
from dse.numeric import Ints


def map_yaml(
    mapping: Mapping, architecture: Architecture, problem: Problem, *, whole: bool = False
) -> str:
    """Return ``timeloop-mapper.map.yaml``, as timeloop-mapper formats it (its ``FormatAsYaml``).

    timeloop-model reads it. Directives such as ``no_temporal_reuse`` are not part of the file.
    ``whole``: loops of one iteration keep their places, which matter to sparse designs.
    """
    lines = ["mapping:"]
    for s, level in enumerate(architecture.levels):
        kept = [t for t, keep in zip(problem.tensors, mapping.keep[s], strict=True) if keep]
        bypassed = [t for t in problem.tensors if t not in kept]
        lines += [f"  - target: {level.name}", "    type: datatype"]
        lines += ["    keep:", *_names(kept), "    bypass:", *_names(bypassed)]
    for s, level in enumerate(architecture.levels):
        spatial = mapping.spatial[s]
        order, split = mapping.spatial_permutation[s].tolist(), int(mapping.split[s])
        x, y = architecture.fanout(s)
        if (spatial > 1).any() or (whole and x * y > 1):
            runs = [d for d in order if whole or spatial[d] > 1]
            lines += _loops(level.name, "spatial", spatial, runs, problem)
            lines.append(f"    split: {sum(whole or spatial[d] > 1 for d in order[:split])}")
        runs = [d for d in mapping.permutation[s].tolist() if whole or mapping.temporal[s, d] > 1]
        lines += _loops(level.name, "temporal", mapping.temporal[s], runs, problem)
    return "\n".join(lines)


def _names(names: list[str]) -> Iterator[str]:
    if not names:
        yield "      []"
    for name in names:
        yield f"      - {name}"


def _loops(
    level: str, kind: str, factors: Ints, order: Iterable[int], problem: Problem
) -> list[str]:
    """Return one directive; loops of one iteration stand behind the others in the order."""
    names = problem.dimensions
    listed = [names[d] for d in order]
    idle = [name for name in names if name not in listed]
    return [
        f"  - target: {level}",
        f"    type: {kind}",
        "    factors: " + " ".join(f"{d}{n}" for d, n in zip(names, factors.tolist(), strict=True)),
        f"    permutation: {''.join([*listed, *idle])}",
    ]
