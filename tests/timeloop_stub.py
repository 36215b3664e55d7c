"""Stands in for timeloop-model: replays what the real one wrote, or misbehaves on purpose."""

from __future__ import annotations

import gzip
import hashlib
import html
import json
import stat
from pathlib import Path
from typing import Any

from record_timeloop_runs import RECORDS

from dse.domain.architecture import Architecture
from dse.domain.mapping import Mapping
from dse.domain.problem import Problem
from dse.errors import InvalidMapping
from dse.model import evaluate_one
from dse.model.stats import Stats
from dse.timeloop.evaluate import Evaluation
from dse.timeloop.read.inputs import TimeloopInput
from dse.timeloop.write.stats import stats_text
from dse.tools.map_xml import _TENSOR_FIELDS
from dse.tools.model_run import ModelRunner

REPLAY = "cp {rich}/timeloop-model.* . ; cat {rich}/output"


def records() -> dict[str, dict[str, Any]]:
    with gzip.open(RECORDS, "rt", encoding="utf-8") as file:
        return json.load(file)


def stub(folder: Path, behaviour: str = REPLAY, version: str = "4cf6d4c") -> Path:
    """Make an executable that answers the version probe, and ``behaviour`` (sh) to all else."""
    places = {}
    for name in ("probe", "rich", "rejected"):
        record = records()[f"{version} {name}"]
        places[name] = folder / f"{version}-{name}"
        places[name].mkdir(parents=True, exist_ok=True)
        (places[name] / "output").write_text(record["output"])
        for file, text in record["files"].items():
            (places[name] / file).write_text(text)
    script = folder / "timeloop-model"
    script.write_text(
        "#!/bin/sh\n"
        "if grep -q 'entries: 64' input.yaml; then\n"
        f"  cp {places['probe']}/timeloop-model.* . ; exit 0\n"
        "fi\n" + behaviour.format(**places) + "\n"
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return script


def answering(folder: Path, cases: list[tuple[Architecture, Problem, Mapping]]) -> Path:
    """Make an executable that answers these cases as the native model does, and nothing else."""
    for case in cases:
        text = ModelRunner(folder).text(*case)
        place = folder / hashlib.sha256(text.encode()).hexdigest()
        place.mkdir(parents=True, exist_ok=True)
        try:
            stats = evaluate_one(*case, "4cf6d4c")
        except InvalidMapping as rejection:
            (place / "rejected").write_text(f"{rejection}\n")
            continue
        spec = TimeloopInput(*case, "4cf6d4c")
        (place / "timeloop-model.stats.txt").write_text(
            stats_text(Evaluation(spec, case[2], stats))
        )
        (place / "timeloop-model.map+stats.xml").write_text(_xml(stats, case[1].tensors))
    return stub(
        folder,
        f"h={folder}/$(sha256sum input.yaml | cut -c1-64)\n"
        "if [ -f $h/rejected ]; then cat $h/rejected; exit 1; fi\n"
        "cp $h/timeloop-model.* .",
    )


def _xml(stats: Stats, tensors: tuple[str, ...]) -> str:
    """Return what is read of ``timeloop-model.map+stats.xml``."""

    def table(name: str, values: list[float]) -> str:
        items = "".join(f"<item>{value!r}</item>" for value in values)
        return f"<{name}><PerDataSpace>{items}</PerDataSpace></{name}>"

    none = [0.0] * len(tensors)
    parts = [
        f'<px id="0"><Level><level_name>MACC</level_name><energy_>{stats.compute_energy_pj!r}'
        f"</energy_><maccs_>{stats.computes}</maccs_></Level></px>"
    ]
    for name, level in stats.levels.items():
        tables = [
            table(key, [getattr(level.tensors[t], field) for t in tensors])
            for key, field in _TENSOR_FIELDS.items()
        ]
        extra = [table(key, none) for key in ("temporal_reduction_energy", "addr_gen_energy")]
        parts.append(
            f'<px id="0"><Level><level_name>{name}</level_name><cycles>{level.cycles}</cycles>'
            f"<slowdown>{level.slowdown!r}</slowdown>{''.join(tables + extra)}</Level></px>"
        )
    for name, network in stats.networks.items():
        rows = {
            "link_transfers": [network[t].link_transfers for t in tensors],
            "spatial_reductions": [network[t].spatial_reductions for t in tensors],
            "energy": [network[t].energy_pj for t in tensors],
            "spatial_reduction_energy": none,
            "link_transfer_energy": [network[t].link_transfer_energy_pj for t in tensors],
        }
        tables = [table(key, values) for key, values in rows.items()]
        parts.append(
            f'<px id="0"><Network><name>{html.escape(name)}</name>{"".join(tables)}</Network></px>'
        )
    return "".join(parts) + "</workload_>"
