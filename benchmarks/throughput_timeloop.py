"""timeloop-model and timeloop-mapper, where they are installed, on the benchmark's problems."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from throughput_cases import Case

from dse.domain.problem import Layer
from dse.mapspace import Mapspace, sample_valid
from dse.timeloop.write.inputs import write_design


def timeloop_rates(case: Case, native_per_s: float) -> list[dict[str, Any]]:
    """Evaluations a second of each Timeloop program found, and the native model's ratio to it."""
    rows = []
    model = os.environ.get("DSE_TIMELOOP_MODEL") or shutil.which("timeloop-model")
    if model:
        rate = _model_rate(case, model)
        rows.append({"program": "timeloop-model", "per_s": rate, "ratio": native_per_s / rate})
    else:
        rows.append({"program": "timeloop-model", "per_s": "not installed"})
    mapper = os.environ.get("DSE_TIMELOOP_MAPPER") or shutil.which("timeloop-mapper")
    if mapper:
        rate = _mapper_rate(case, mapper)
        rows.append({"program": "timeloop-mapper, valid mappings on 1 thread", "per_s": rate,
                     "ratio": native_per_s / rate})  # fmt: skip
    else:
        rows.append({"program": "timeloop-mapper", "per_s": "not installed"})
    return rows


def _model_rate(case: Case, program: str, repeats: int = 10) -> float:
    """Processes of timeloop-model a second, one mapping each."""
    problem = case.problems[3]
    space = Mapspace(problem, case.architecture, case.constraints)
    mapping = sample_valid(space, 1, 1, 10**6).mappings[0]
    with tempfile.TemporaryDirectory() as folder:
        write_design(Path(folder), case.architecture, [(Layer("layer", problem), mapping)])
        files = [str(x) for x in sorted(Path(folder).glob("*.yaml"))]
        start = time.perf_counter()
        for _ in range(repeats):
            subprocess.run([program, *files], cwd=folder, check=True, capture_output=True)
        return repeats / (time.perf_counter() - start)


def _mapper_rate(case: Case, program: str, wanted: int = 2000) -> float:
    """Valid mappings a second that timeloop-mapper evaluates by random sampling, one thread."""
    problem = case.problems[3]
    space = Mapspace(problem, case.architecture, case.constraints)
    mapping = sample_valid(space, 1, 1, 10**6).mappings[0]
    with tempfile.TemporaryDirectory() as folder:
        write_design(Path(folder), case.architecture, [(Layer("layer", problem), mapping)])
        (Path(folder) / "mapper.yaml").write_text(_mapper_input(case, wanted))
        files = [str(x) for x in sorted(Path(folder).glob("*.yaml")) if "mapping" not in x.name]
        start = time.perf_counter()
        done = subprocess.run(
            [program, *files], cwd=folder, check=True, capture_output=True, text=True, timeout=300
        )
        seconds = time.perf_counter() - start
        text = done.stdout + "".join(p.read_text() for p in Path(folder).glob("*.log"))
    valid = [int(n) for n in re.findall(r"valid mappings? (?:found|considered)\D*(\d+)", text)]
    return (max(valid) if valid else wanted) / seconds


def _mapper_input(case: Case, wanted: int) -> str:
    """Return the mapper block and the constraints of a case in Timeloop's words."""
    lines = [
        "mapper:",
        "  optimization-metrics: [edp]",
        "  optimization_metrics: [edp]",
        "  algorithm: random",
        "  num-threads: 1",
        "  num_threads: 1",
        f"  search-size: {wanted}",
        f"  search_size: {wanted}",
        "  victory-condition: 0",
        "  victory_condition: 0",
        "  timeout: 100000000",
        "mapspace_constraints:",
    ]
    for name, level in case.constraints.items():
        dimensions = case.problems[0].dimensions
        for kind, loops in (("temporal", level.temporal), ("spatial", level.spatial)):
            if kind == "spatial" and 1 in (
                case.architecture.fanout(case.architecture.level_index(name))[0],
            ):
                continue
            allowed = dimensions if loops.dimensions is None else loops.dimensions
            fixed = " ".join(f"{d}=1" for d in dimensions if d not in allowed)
            lines += [f"- target: {name}", f"  type: {kind}", f"  factors: {fixed or 'N=1'}"]
            if loops.permutation:
                lines.append(f"  permutation: {''.join(loops.permutation)}")
            elif kind == "spatial":
                lines.append("  split: 7")
        lines += [f"- target: {name}", "  type: bypass", f"  keep: [{', '.join(level.keep)}]",
                  f"  bypass: [{', '.join(level.bypass)}]"]  # fmt: skip
    return "\n".join(lines) + "\n"
