"""A comparison as plain data, as JSON and as CSV."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from dse.report.comparable import warnings
from dse.report.compare import Comparison, Standing, overall
from dse.report.finished import FinishedRun
from dse.report.statistics import Summary


def as_dict(tables: Sequence[Comparison]) -> list[dict[str, Any]]:
    """Return the tables as plain data; what is infinite or not known is None."""
    return [
        {
            **table.of,
            "unit": table.unit,
            "varied": list(table.varied),
            "samples": table.samples,
            "seconds": table.seconds,
            "baseline": table.baseline.labels,
            "searches": [_row_dict(row) for row in table.rows],
        }
        for table in tables
    ]


def _row_dict(row: Standing) -> dict[str, Any]:
    """Return a row as plain data."""
    contrast = row.contrast
    return {
        "settings": row.search.labels,
        "folders": [run.folder for run in row.search.runs],
        "runs": len(row.search.runs),
        "feasible": row.search.feasible,
        "takes_s": _finite(row.search.takes_s),
        "at_samples": _summary(row.at_samples),
        "at_seconds": None if row.at_seconds is None else _summary(row.at_seconds),
        "end": _summary(row.end),
        "to_baseline": 1.0 if contrast is None else _finite(contrast.ratio),
        "p": contrast.p if contrast else None,
        "better": contrast.better if contrast else None,
        "optimum": row.optimum,
        "to_optimum": _finite(row.to_optimum),
    }


def _summary(found: Summary) -> dict[str, float | None]:
    return {
        "median": _finite(found.median),
        "q1": _finite(found.low),
        "q3": _finite(found.high),
    }


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def comparison_json(tables: Sequence[Comparison]) -> str:
    """Return runs, tables and warnings as one line of JSON."""
    told = {
        "runs": [_run_dict(run) for table in tables for run in table.runs],
        "tables": as_dict(tables),
        "overall": [asdict(one) for one in overall(tables)],
        "warnings": warnings(tables),
    }
    return json.dumps(told, allow_nan=False)


def _run_dict(run: FinishedRun) -> dict[str, Any]:
    """Return a run as plain data; what could not be checked stands among the warnings."""
    left_out = ("doubts", "course", "known", "settings")
    told = {key: value for key, value in vars(run).items() if key not in left_out}
    known = asdict(run.known) if run.known else None
    seconds = run.course.end_seconds
    return {**told, "known": known, "seconds": seconds if math.isfinite(seconds) else None}


def comparison_csv(tables: Sequence[Comparison]) -> str:
    """Return one line for each search of each table, under names with units."""
    lines: list[dict[str, Any]] = []
    for table in as_dict(tables):
        searches = table.pop("searches")
        del table["varied"], table["baseline"]
        for search in searches:
            line = {**table, **search.pop("settings")}
            del search["folders"]
            for key, value in search.items():
                if isinstance(value, dict):
                    line |= {f"{key}_{name}": number for name, number in value.items()}
                elif key != "at_seconds":
                    line[key] = value
            lines.append(line)
    columns = list(dict.fromkeys(key for line in lines for key in line))
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return buffer.getvalue()
