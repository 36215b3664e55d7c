"""Results as pandas DataFrames; pandas is loaded on use."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from dse.domain.padding import mapped_problem
from dse.explain.layer import ExplainedLayer
from dse.extras import needed
from dse.study.journal import read_journal
from dse.study.result import RunResult
from dse.study.study import JOURNAL
from dse.study.times import times_of

if TYPE_CHECKING:
    import pandas as pd

#: Columns of a journal, before those of the variables.
_COLUMNS = (
    *("samples", "seconds", "valid", "objective", "best"),
    *("cycles", "energy_pj", "area_um2", "utilization", "reason"),
)


def layers_frame(result: RunResult) -> pd.DataFrame:
    """Return a row for each layer, run once; the network runs it ``count`` times."""
    pandas = _pandas("layers")
    columns = ("count", "macs", "cycles", "energy_pj", "edp_pj_cycles", "utilization")
    rows = [
        (m.count, layer.problem.macs, m.cycles, m.energy_pj, m.edp, m.utilization)
        for layer, m in zip(result.workload, result.metrics.layers, strict=True)
    ]
    names = pandas.Index([m.name for m in result.metrics.layers], name="layer")
    return pandas.DataFrame(rows, names, columns)


def journal_rows(folder: Path) -> list[dict[str, Any]]:
    """Return a row for each design in the order of their evaluation; see :func:`journal_frame`.

    Raises:
        SpecError: the journal is missing or damaged.
    """
    times = times_of(folder)
    place, rows = 0, []
    for record in read_journal(folder / JOURNAL):
        while place < len(times) - 1 and times[place][0] < record["samples"]:
            place += 1
        told = {**record, "seconds": times[place][1] if times else None}
        row = {"design": record["design"], **{key: told.get(key) for key in _COLUMNS}}
        rows.append({**row, **record["values"]})
    return rows


def journal_frame(folder: Path) -> pd.DataFrame:
    """Return a row for each design: what it is worth, and the values of its variables.

    ``samples`` and ``seconds`` are those spent up to it (seconds: up to the end of its batch),
    ``best`` the best value so far.
    """
    pandas = _pandas("journal")
    frame = pandas.DataFrame(journal_rows(folder))
    return frame.set_index("design") if len(frame) else frame


def front_frame(result: RunResult) -> pd.DataFrame:
    """Return a row for each design on the Pareto front; empty where one objective was searched."""
    pandas = _pandas("front")
    rows = [
        {
            **{goal.name: x for goal, x in zip(result.front_objectives, member.value, strict=True)},
            "cycles": member.metrics.cycles,
            "energy_pj": member.metrics.energy_pj,
            "area_um2": member.metrics.area_um2,
            "utilization": member.metrics.utilization,
            **result.labels_of(member.design),
        }
        for member in result.front_members
    ]
    return pandas.DataFrame(rows)


def levels_frame(result: RunResult) -> pd.DataFrame:
    """Return a row for each part of each layer's energy, by the native model.

    Rows of ``kind`` access, addresses, leakage, network and compute at each ``place`` add up to
    the layer's energy; where a tensor is accessed, there is how often, by all instances together.
    """
    pandas = _pandas("levels")
    rows = []
    for layer in explained_layers(result):
        for part in layer.energy:
            level = layer.stats.levels.get(part.place)
            found = (
                level.tensors.get(part.tensor or "") if level and part.kind == "access" else None
            )
            used = found.utilized_instances if found else 0.0
            rows.append(
                {
                    "layer": layer.name,
                    "place": part.place,
                    "kind": part.kind,
                    "tensor": part.tensor,
                    "energy_pj": part.energy_pj,
                    "reads": found.reads * used if found else None,
                    "fills": found.fills * used if found else None,
                    "updates": found.updates * used if found else None,
                    "utilized_capacity": found.utilized_capacity if found else None,
                }
            )
    return pandas.DataFrame(rows)


def explained_layers(result: RunResult) -> list[ExplainedLayer]:
    """Return what the native model says of every layer of the best design."""
    version = result.settings["timeloop_version"]
    mapped = zip(result.workload, result.design.mappings or (), strict=True)
    return [
        ExplainedLayer.of(
            *(layer.name, layer.count, layer.problem, result.architecture),
            *(mapped_problem(layer.problem, mapping), mapping, version),
        )
        for layer, mapping in mapped
    ]


def _pandas(what: str) -> Any:  # noqa: ANN401 - a module
    return needed("pandas", f"result.{what}", "notebook")
