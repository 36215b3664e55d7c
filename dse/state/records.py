"""The domain's records that a state may hold: taken apart and built again, field by field."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dse.domain.mapping import Mapping as LayerMapping
from dse.domain.mapping import MappingBatch
from dse.goals.design import Design, DesignMetrics, LayerMetrics
from dse.state.entries import CheckedEntries


class Record(NamedTuple):
    """How a record is taken apart, and built from its fields."""

    kind: type[Any]
    fields: Callable[[Any], dict[str, Any]]
    build: Callable[[CheckedEntries], Any]


def _of_design(design: Design) -> dict[str, Any]:
    return {
        "values": design.values,
        "mappings": design.mappings,
        "mapping_samples": design.mapping_samples,
    }


def _design(entries: CheckedEntries) -> Design:
    values = entries.record("values", dict)
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int):
            entries.refuse(f"values.{name}", value, "an integer")
    mappings = entries.maybe("mappings", lambda key: tuple(entries.items(key, LayerMapping)))
    return Design(values, mappings, entries.integer("mapping_samples", 1))


def _of_metrics(metrics: DesignMetrics) -> dict[str, Any]:
    layers = metrics.layers
    numbers = [(x.cycles, x.energy_pj, x.utilization) for x in layers]
    return {
        **{name: getattr(metrics, name) for name in _METRICS},
        "layers": [[x.name, x.count] for x in layers],
        "numbers": np.array(numbers, np.float64).reshape(len(layers), 3),
        "networks": metrics.networks,
        **({} if metrics.accuracy is None else {"accuracy": metrics.accuracy}),
    }


_METRICS = (
    *("valid", "cycles", "energy_pj", "area_um2", "utilization"),
    *("reason", "operations", "clock_ns", "violation"),
)


def _metrics(entries: CheckedEntries) -> DesignMetrics:
    named = entries.items("layers", list)
    for layer in named:
        if [type(x) for x in layer] != [str, int]:
            entries.refuse("layers", layer, "names with counts")
    rows = entries.array("numbers", np.float64, (len(named), 3)).tolist()
    return DesignMetrics(
        valid=entries.flag("valid"),
        cycles=entries.number("cycles"),
        energy_pj=entries.number("energy_pj"),
        area_um2=entries.number("area_um2"),
        utilization=entries.number("utilization"),
        layers=tuple(
            LayerMetrics(name, count, *row) for (name, count), row in zip(named, rows, strict=True)
        ),
        reason=entries.text("reason"),
        operations=entries.integer("operations", 0),
        clock_ns=entries.maybe("clock_ns", entries.number),
        violation=entries.number("violation"),
        networks=tuple(entries.items("networks", DesignMetrics)),
        accuracy=entries.number("accuracy") if "accuracy" in entries else None,
    )


#: The arrays of a mapping: name, type, and their axes by L, D, T.
_FIELDS = {
    "temporal": ("int32", "LD"),
    "spatial": ("int32", "LD"),
    "permutation": ("int8", "LD"),
    "spatial_permutation": ("int8", "LD"),
    "split": ("int8", "L"),
    "keep": ("bool", "LT"),
    "no_temporal_reuse": ("bool", "LT"),
    "no_multicast": ("bool", "LT"),
    "no_link_transfer": ("bool", "LT"),
}


def _of_batch(batch: MappingBatch) -> dict[str, Any]:
    return {name: getattr(batch, name) for name in _FIELDS}


def _batch(entries: CheckedEntries) -> MappingBatch:
    factors = entries.record("temporal", np.ndarray)
    keep = entries.record("keep", np.ndarray)
    if factors.ndim != 3 or keep.ndim != 3:
        entries.refuse("temporal", factors, "3 axes, as of keep")
    levels, dimensions, count = factors.shape
    sizes = {"L": levels, "D": dimensions, "T": keep.shape[1]}
    arrays = {"temporal": factors, "keep": keep}
    arrays |= {name: entries.record(name, np.ndarray) for name in _FIELDS if name not in arrays}
    for name, (dtype, axes) in _FIELDS.items():
        array = arrays[name]
        own = (1, count) if name not in ("temporal", "spatial") else (count,)
        if (
            array.dtype != np.dtype(dtype)
            or array.shape[:-1] != tuple(sizes[axis] for axis in axes)
            or array.shape[-1] not in own
        ):
            entries.refuse(name, array, f"{dtype} for {count} mappings of {sizes}")
    _check_loops(entries, arrays)
    return MappingBatch(**arrays)


def _check_loops(entries: CheckedEntries, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Refuse factors and orders that no mapping has; compiled code takes them as they are."""
    dimensions = arrays["temporal"].shape[1]
    for name in ("temporal", "spatial"):
        if (arrays[name] < 1).any():
            entries.refuse(name, arrays[name].min(), "factors of at least 1")
    natural = np.arange(dimensions)[None, :, None]
    for name in ("permutation", "spatial_permutation"):
        if (np.sort(arrays[name], axis=1) != natural).any():
            entries.refuse(name, arrays[name], f"orders of {dimensions} dimensions")
    if ((arrays["split"] < 0) | (arrays["split"] > dimensions)).any():
        entries.refuse("split", arrays["split"], f"places from 0 to {dimensions}")


def _of_mapping(mapping: LayerMapping) -> dict[str, Any]:
    """Return a mapping as one row of numbers: there may be thousands."""
    levels, dimensions = mapping.temporal.shape
    rows = [getattr(mapping, name).ravel() for name in _FIELDS]
    return {
        "sizes": [levels, dimensions, mapping.keep.shape[1]],
        "numbers": np.concatenate(rows, dtype=np.int32, casting="unsafe"),
    }


def _mapping(entries: CheckedEntries) -> LayerMapping:
    given = entries.items("sizes", int, 3)
    if not all(0 < n < 1000 for n in given):
        entries.refuse("sizes", given, "numbers of levels, dimensions and tensors")
    sizes = dict(zip("LDT", given, strict=True))
    lengths = [math.prod(sizes[axis] for axis in axes) for _, axes in _FIELDS.values()]
    numbers = entries.array("numbers", np.int32, (sum(lengths),))
    arrays = {}
    parts = np.split(numbers, np.cumsum(lengths)[:-1])
    for (name, (dtype, axes)), part in zip(_FIELDS.items(), parts, strict=True):
        array = part.astype(dtype).reshape([sizes[axis] for axis in axes])
        if (array.ravel() != part).any():
            entries.refuse(name, part, dtype)
        arrays[name] = array
    _check_loops(entries, {name: array[..., None] for name, array in arrays.items()})
    return LayerMapping(**arrays)


#: Records by the key that stands for them in a file.
RECORDS = {
    "$design": Record(Design, _of_design, _design),
    "$metrics": Record(DesignMetrics, _of_metrics, _metrics),
    "$mapping": Record(LayerMapping, _of_mapping, _mapping),
    "$mappings": Record(MappingBatch, _of_batch, _batch),
}
