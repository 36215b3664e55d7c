"""Stands in for timeloop-model: replays what the real one wrote, or misbehaves on purpose."""

from __future__ import annotations

import gzip
import json
import stat
from pathlib import Path
from typing import Any

from record_timeloop_runs import RECORDS

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
