"""The store of known optima: what enters it, how entries merge, and what contradicts them."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

import dse
from dse.certify import known
from dse.certify.content import key_of
from dse.certify.entry import Known, Provenance
from dse.cli import main
from dse.components.chain import energy_chain
from dse.errors import ProofError, SpecError
from dse.goals.limits import limits
from dse.report.comparable import contradictions
from dse.report.finished import read_result
from dse.runner.run import space_of_run
from dse.space import catalog
from dse.space.search_space import SearchSpace


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(known.VARIABLE, str(tmp_path / "known.json"))
    return tmp_path / "known.json"


def entry(value: float = 100.0, run: str = "runs/a", key: str = "k") -> Known:
    return Known(
        key=key, arch="arch", workload="net", objective="energy", energy="dosa",
        timeloop_version="4cf6d4c", constraints="", value=value, values={"pe_dim": 4},
        source=Provenance(run, "2026-11-28", "0.1.0", "every mapping"),
    )  # fmt: skip


def test_entries_come_back_with_their_source(store: Path) -> None:
    known.remember(entry())
    known.remember(entry(5.0, key="other"))
    content = json.loads(store.read_text())
    assert content["schema"] == "dse.known-optima/2"
    assert content["optima"] == [asdict(entry()), asdict(entry(5.0, key="other"))]


@pytest.mark.parametrize(("first", "second"), [(100.0, 100.0 - 1e-9), (100.0 - 1e-9, 100.0)])
def test_of_values_that_differ_by_rounding_the_lower_is_kept(
    first: float, second: float, store: Path
) -> None:
    known.remember(entry(first, "runs/a"))
    known.remember(entry(second, "runs/b"))
    kept = json.loads(store.read_text())["optima"]
    assert [e["value"] for e in kept] == [100.0 - 1e-9]


@pytest.mark.parametrize(("first", "second"), [(100.0, 99.0), (99.0, 100.0)])
def test_two_optima_of_one_space_are_an_error_and_change_nothing(
    first: float, second: float, store: Path
) -> None:
    known.remember(entry(first, "runs/a"))
    before = store.read_text()
    with pytest.raises(ProofError) as caught:
        known.remember(entry(second, "runs/b"))
    for text in ("runs/a, certified on 2026-11-28", "runs/b, certified on 2026-11-28", "99.0"):
        assert text in str(caught.value)
    assert "one of the two is wrong" in str(caught.value)
    assert store.read_text() == before


def test_an_entry_that_contradicts_a_shipped_one_is_an_error() -> None:
    template = catalog.template("gemmini")
    space = SearchSpace(template, catalog.workload("dosa_bert"), energy_chain("dosa"))
    shipped = known.find(space)
    assert shipped is not None
    with pytest.raises(ProofError, match="optimizer=optimal arch=gemmini workload=dosa_bert"):
        known.remember(replace(shipped, value=shipped.value * 1.01))
    known.remember(replace(shipped, value=shipped.value * (1.0 - 1e-12)))
    assert known.find(space) != shipped


def test_two_entries_of_one_space_in_a_file_must_agree(store: Path) -> None:
    both = [asdict(entry(100.0)), asdict(entry(99.0, "runs/b"))]
    store.write_text(json.dumps({"schema": known.SCHEMA, "optima": both}))
    with pytest.raises(ProofError, match="runs/b"):
        known.remember(entry(key="other"))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({}, "expected schema 'dse.known-optima/2'"),
        ([], "expected schema 'dse.known-optima/2'"),
        ({"schema": "dse.known-optima/1", "optima": []}, "of an older version.*certify its runs"),
        ({"schema": "dse.known-optima/2"}, "a list of optima"),
        ({"schema": "dse.known-optima/2", "optima": [1]}, "optima.0"),
        ({"value": -1.0}, "optima.0.value"),
        ({"value": 0.0}, "optima.0.value"),
        ({"value": "1"}, "optima.0.value"),
        ({"values": {"a": 1.5}}, "optima.0.values.a"),
        ({"source": "me"}, "optima.0.source"),
        ({"bound": 1.0}, "optima.0.bound"),
    ],
)
def test_what_is_no_entry_is_named(content: Any, expected: str, store: Path) -> None:
    if isinstance(content, dict) and content and "schema" not in content:
        content = {"schema": known.SCHEMA, "optima": [{**asdict(entry()), **content}]}
    store.write_text(json.dumps(content))
    with pytest.raises(SpecError, match=rf"known.json: .*{expected}"):
        known.remember(entry(key="other"))


@pytest.fixture
def inputs(tmp_path: Path) -> dict[str, str]:
    content = yaml.safe_load(catalog.find("arch", "gemmini").read_text(encoding="utf-8"))
    content["variables"] = {
        "pe_dim": {"min": 2, "max": 4}, "scratchpad_kb": {"min": 1, "max": 4},
        "accumulator_kb": {"min": 1, "max": 4},
    }  # fmt: skip
    content["mapspace"] = {"padding": "off"}  # optima are known of unpadded layers only
    network = {"name": "net", "shape": "cnn-layer", "layers": [{"name": "a", "P": 4, "C": 8}]}
    (tmp_path / "arch.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    (tmp_path / "net.yaml").write_text(yaml.safe_dump(network), encoding="utf-8")
    return {"arch": str(tmp_path / "arch.yaml"), "workload": str(tmp_path / "net.yaml")}


def test_a_design_below_a_known_optimum_is_an_error(inputs, tmp_path: Path, capsys) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        dse.run(**inputs, optimizer="random", samples=30, folder=folder)
    value = read_result(folders[0]).value
    assert value is not None
    key = key_of(space_of_run(folders[0]))
    assert key is not None
    known.remember(replace(entry(value * 1.5, "runs/wrong", key), objective="edp"))
    assert main(["compare", *map(str, folders)]) == 1
    said = capsys.readouterr().err
    assert f"error: {folders[0]}: edp = {value!r} lies below" in said
    assert "runs/wrong, certified on" in said
    assert len(contradictions([read_result(folders[0])])) == 1
    given = [f"{k}={v}" for k, v in inputs.items()]
    command = ["run", *given, "optimizer=random", "samples=30", f"folder={tmp_path / 'three'}"]
    assert main([*command, "--quiet"]) == 1
    out, err = capsys.readouterr()
    assert "hardware" in out
    assert "runs/wrong, certified on" in err


def test_a_file_of_an_older_version_stops_no_search(inputs, store, tmp_path, capsys) -> None:
    store.write_text(json.dumps({"schema": "dse.known-optima/1", "optima": []}))
    given = [f"{k}={v}" for k, v in inputs.items()]
    command = ["run", *given, "optimizer=random", "samples=5", f"folder={tmp_path / 'run'}"]
    assert main([*command, "--quiet"]) == 0
    assert "of an older version" in capsys.readouterr().err


def test_resources_are_of_the_space(inputs) -> None:
    def key(constraints: str) -> str | None:
        template, network = (catalog.template(inputs["arch"]), catalog.workload(inputs["workload"]))
        bounds = limits(constraints)
        return key_of(SearchSpace(template, network, energy_chain("dosa"), limits=bounds))

    texts = ("", "pes <= 8", "pes <= 9", "area_um2 < 8", "on_chip_bytes <= 9000")
    assert len({key(text) for text in texts}) == len(texts)
