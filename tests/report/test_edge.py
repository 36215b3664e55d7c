"""The best design's place in the ranges of the variables, in result and table."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

import dse
from dse.report.table import result_text
from dse.space import catalog


def test_variables_at_an_end_of_their_range_are_named(tmp_path: Path) -> None:
    content = yaml.safe_load(catalog.find("arch", "gemmini").read_text(encoding="utf-8"))
    content["variables"] = {
        "pe_dim": {"values": [2, 3, 4]},
        "scratchpad_kb": {"min": 1, "max": 64},
        "accumulator_kb": {"min": 1, "max": 64},
        "reduced": {"choices": ["C", "R"]},
        "bandwidth": {"values": [8]},
    }
    content["storage"][0]["shared_bandwidth"] = "bandwidth"
    content["storage"][2]["constraints"]["spatial"] = {"dimensions": ["reduced"]}
    network = {"name": "net", "shape": "cnn-layer", "layers": [{"name": "a", "P": 4, "C": 64}]}
    for name, file in (("arch", content), ("net", network)):
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(file), encoding="utf-8")
    result = dse.run(
        arch=tmp_path / "arch.yaml", workload=tmp_path / "net.yaml", optimizer="optimal",
        variables={"accumulator_kb": 64}, folder=tmp_path / "run",
    )  # fmt: skip
    # neither what is fixed, nor has no choice, nor no order; and nothing in the middle
    assert result.design.values["accumulator_kb"] == 64
    assert result.at_edge == {"pe_dim": "maximum", "scratchpad_kb": "minimum"}
    stored = json.loads((tmp_path / "run" / "result.json").read_text())
    assert stored["best"]["at_edge"] == result.at_edge
    said = "edge      pe_dim=4 is the largest, scratchpad_kb=1 is the smallest that the template"
    assert said in result_text(result)
    inside = dse.run(
        arch=tmp_path / "arch.yaml", workload=tmp_path / "net.yaml", optimizer="random", samples=3,
        variables={"pe_dim": 3, "scratchpad_kb": 5, "accumulator_kb": 5}, folder=tmp_path / "fixed",
    )  # fmt: skip
    assert inside.at_edge == {}
    assert "edge " not in result_text(inside)
