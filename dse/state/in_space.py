"""Parts of a state that belong to a search space: values of its variables, mappings of its layers.

Compiled code takes mappings as they are, so one that is read from a file is checked against the
layer that it is for.
"""

from __future__ import annotations

from collections.abc import Sequence

from dse.domain.mapping import Mapping, MappingBatch
from dse.domain.problem import Layer, Workload
from dse.goals.design import Design
from dse.space.search_space import SearchSpace
from dse.space.variable import Values
from dse.state.entries import CheckedEntries


def take_values(entries: CheckedEntries, key: str, space: SearchSpace) -> Values:
    """Return an entry with the values of all variables, in the template's order.

    Raises:
        SpecError: it is missing or no such thing, as from `CheckedEntries`.
    """
    return _values(entries, key, entries.record(key, dict), space)


def take_design(entries: CheckedEntries, key: str, space: SearchSpace) -> Design:
    """Return a design of the space.

    Raises:
        SpecError: as :func:`take_values`.
    """
    design = entries.record(key, Design)
    values = _values(entries, key, design.values, space)
    if design.mappings is not None:
        workload = space.workload_of(values)
        check_mappings(entries, key, design.mappings, space, workload)
    return Design(values, design.mappings, design.mapping_samples)


def check_mappings(
    entries: CheckedEntries,
    key: str,
    mappings: Sequence[Mapping | MappingBatch | None],
    space: SearchSpace,
    workload: Workload | None = None,
) -> None:
    """Refuse mappings that are not one, or a batch, or None for each layer, of its sizes.

    The layers are those of the workload, or of the space's own.
    """
    layers = workload or space.workload
    if len(mappings) != len(layers):
        entries.refuse(key, len(mappings), f"mappings of {len(layers)} layers")
    levels = len(space.template.level_names)
    for layer, mapping in zip(layers, mappings, strict=True):
        if mapping is None:
            continue
        wanted = (levels, *_sizes(layer))
        found = (*mapping.temporal.shape[:2], mapping.keep.shape[1])
        if found != wanted:
            entries.refuse(
                key, found, f"{wanted} levels, dimensions and tensors for layer '{layer.name}'"
            )


def _sizes(layer: Layer) -> tuple[int, int]:
    return len(layer.problem.dimensions), len(layer.problem.tensors)


def _values(entries: CheckedEntries, key: str, given: dict[str, int], space: SearchSpace) -> Values:
    values = space.check(given)
    if len(values) != len(space.variables) or not space.fixed.items() <= values.items():
        entries.refuse(key, given, "values of all variables of the space")
    return values
