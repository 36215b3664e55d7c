"""Packed certificates: what ships with the package, how it is checked, and what is tampered."""

from __future__ import annotations

import json
import lzma
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

import dse
from dse.certify import known
from dse.certify.again import certify_packed
from dse.certify.content import key_of, prices_of
from dse.certify.packed import SCHEMA, PackedCertificate
from dse.certify.shipped import chosen, file_names, packed
from dse.certify.verdict import Decision
from dse.cli import main
from dse.components.chain import energy_chain
from dse.errors import SpecError
from dse.runner.run import space_of_run
from dse.space import catalog
from dse.space.search_space import SearchSpace
from dse.timeloop import pat

pytestmark = pytest.mark.usefixtures("apart")

BERT = "gemmini-dosa_bert-edp"
NETWORK = {
    "name": "net", "shape": "cnn-layer",
    "layers": [{"name": "a", "R": 3, "P": 8, "C": 6, "K": 32}, {"name": "b", "C": 24, "K": 8}],
}  # fmt: skip


@pytest.fixture
def bert() -> PackedCertificate:
    return packed(*chosen([BERT]))


def space(network: str = "dosa_bert") -> SearchSpace:
    return SearchSpace(catalog.template("gemmini"), catalog.workload(network), energy_chain("dosa"))


@pytest.mark.slow
@pytest.mark.parametrize("name", file_names())
def test_what_is_shipped_is_of_today_and_its_design_is_worth_what_it_says(name: str) -> None:
    certificate = packed(name)
    assert certificate.file_name == name
    found, _ = certify_packed(certificate, of_today=True, bound=False)
    assert (found.outcome, found.reason) == (
        Decision.UNDECIDED,
        "the bound was not to be rechecked",
    )
    assert found.value == pytest.approx(certificate.known.value, rel=1e-12)
    assert found.claim.bound == pytest.approx(certificate.known.value, rel=1e-11)


def test_a_shipped_certificate_is_small_and_says_nothing_of_a_machine() -> None:
    for name in file_names():
        certificate = packed(name)
        assert len(lzma.compress("".join(certificate.files.values()).encode())) < 20_000
        settings = yaml.safe_load(certificate.files["config.yaml"])
        assert not {"folder", "runs", "n_jobs", "store"} & settings.keys()
        assert {path.split("/")[0] for path in certificate.files} == {
            "best", "config.yaml", "result.json", "template.yaml", "workload.yaml",
        }  # fmt: skip


def test_the_known_optimum_is_that_of_the_certificate(bert: PackedCertificate) -> None:
    found = known.find(space())
    assert found is not None
    assert found == bert.known
    assert found.value == json.loads(bert.files["result.json"])["certificate"]["value"]


@pytest.mark.slow
def test_the_shipped_are_checked_by_one_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["certify", "--known", "dosa_bert", "--quiet"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith(f"{BERT} ")
    assert out[0].endswith("CPU s  certified")
    assert out[-1] == "verdict   1 of 1 certified"
    assert main(["certify", "--known", "edp", "--quiet", "--json", "--no-bound"]) == 3
    told = json.loads(capsys.readouterr().out)
    assert [one["certificate"] for one in told] == file_names()
    assert {one["verdict"] for one in told} == {"not decided"}
    assert all(one["seconds"] > 0 and one["cpu_seconds"] > 0 for one in told)
    assert not known.user_file().exists()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--known", "dosa_berd"], "unknown certificate 'dosa_berd'; did you mean"),
        (["--known", "dosa_bert", "--pack", "x"], "--pack: expected the folder of a run"),
        ([], "expected one RUN, or --known"),
        (["runs/here", "--known"], "expected one RUN, or --known"),
        (["none.json.xz"], "none.json.xz"),
    ],
)
def test_a_wrong_word_is_refused(words: list[str], expected: str, capsys: Any) -> None:
    assert main(["certify", *words]) == 2
    assert expected in capsys.readouterr().err


Change = Callable[[dict[str, str]], None]


def in_result(*path: str, factor: float = 1.0, value: object = None) -> Change:
    """Return what changes a value of the result."""

    def change(files: dict[str, str]) -> None:
        content = json.loads(files["result.json"])
        part = content
        for key in path[:-1]:
            part = part[key]
        part[path[-1]] = part[path[-1]] * factor if value is None else value
        files["result.json"] = json.dumps(content)

    return change


def in_text(name: str, old: str, new: str) -> Change:
    def change(files: dict[str, str]) -> None:
        assert old in files[name]
        files[name] = files[name].replace(old, new, 1)

    return change


MAPPING = "best/query.mapping.yaml"


def other_mapping(files: dict[str, str]) -> None:
    """Leave half of the array's rows idle."""
    in_text(MAPPING, "C=128", "C=64")(files)
    in_text(MAPPING, "C=6 ", "C=12 ")(files)


TAMPERED: dict[str, tuple[Change, str]] = {
    "value": (in_result("certificate", "value", factor=0.99), "certificate.value ="),
    "bound": (in_result("certificate", "bound", factor=1.001), "lies above the design's own"),
    "weaker bound": (in_result("certificate", "bound", factor=0.9), "but the bound leaves a gap"),
    "hardware": (
        in_result("best", "values", "scratchpad_kb", value=133),
        "describe other hardware",
    ),
    "other hardware": (
        in_result("best", "values", "pe_dim", value=64),
        "its mapping is not of the space",
    ),
    "mapping": (other_mapping, "certificate.value ="),
    "objective": (in_result("objective", "name", value="energy"), "objective.name ="),
    "template": (in_text("template.yaml", "max: 128", "max: 127"), "key = '64dcba24"),
    "workload": (in_text("workload.yaml", "count: 2", "count: 3"), "key = '64dcba24"),
    "settings": (in_text("config.yaml", "objective: edp", "objective: energy"), "key ="),
    "chain": (in_text("config.yaml", "energy: dosa", "energy: pat"), "key ="),
    "price": (in_text("best/ERT.yaml", "energy: 486.9", "energy: 486.8"), "describe other"),
}


@pytest.mark.slow
@pytest.mark.parametrize("what", TAMPERED)
def test_what_is_tampered_is_refuted(what: str, bert: PackedCertificate) -> None:
    change, expected = TAMPERED[what]
    files = dict(bert.files)
    change(files)
    forged = replace(bert, files=files)
    found, entry = certify_packed(forged, of_today=True)
    assert (found.outcome, entry) == (Decision.REFUTED, None)
    assert found.reason == "the file is not as it was written"
    sealed = replace(forged, seal=forged.digest)
    found, entry = certify_packed(sealed, of_today=True)
    assert (found.outcome, entry) == (Decision.REFUTED, None)
    assert expected in found.reason


@pytest.mark.slow
@pytest.mark.parametrize("what", ["template", "workload"])
def test_one_of_other_inputs_is_outdated_and_not_decided(
    what: str, bert: PackedCertificate, tmp_path: Path
) -> None:
    files = dict(bert.files)
    TAMPERED[what][0](files)
    other = replace(bert, files=files)
    (tmp_path / "run").mkdir()
    other.unpack(tmp_path / "run")
    key = key_of(space_of_run(tmp_path / "run"))
    assert key is not None
    other = replace(other, key=key, prices=prices_of(space_of_run(tmp_path / "run")))
    other = replace(other, seal=other.digest)
    found, entry = certify_packed(other, of_today=True)
    part = "layers" if what == "workload" else what
    assert (found.outcome, entry) == (Decision.UNDECIDED, None)
    assert found.reason == f"outdated: of other {part} than today's"


def test_a_key_of_its_own_choice_is_refuted(bert: PackedCertificate) -> None:
    forged = replace(bert, key="0" * 32)
    for one in (forged, replace(forged, seal=forged.digest)):
        found, entry = certify_packed(one, of_today=True)
        assert (found.outcome, entry) == (Decision.REFUTED, None)


def test_after_other_prices_it_is_outdated_and_not_known(
    bert: PackedCertificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert known.find(space()) is not None
    dearer = pat.dram_energy_pj(8, 64) * (1 + 1e-6)
    monkeypatch.setattr(pat, "dram_energy_pj", lambda *_: dearer)
    assert known.find(space()) is None
    found, entry = certify_packed(bert, of_today=True)
    assert (found.outcome, entry) == (Decision.UNDECIDED, None)
    assert found.reason == "outdated: of other prices than today's"
    assert found.exit_code == 3


def test_a_shipped_file_that_was_changed_is_not_believed(
    bert: PackedCertificate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    files = dict(bert.files)
    TAMPERED["value"][0](files)
    replace(bert, files=files).write(tmp_path)
    monkeypatch.setattr("dse.certify.shipped._FOLDER", tmp_path)
    known.shipped.cache_clear()
    try:
        with pytest.raises(SpecError, match="is not as it was written"):
            known.find(space())
    finally:
        known.shipped.cache_clear()
    assert main(["certify", "--known"]) == 1
    assert "refuted: the file is not as it was written" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"{}", "is cut off"),
        (b"{}" * 100, "is no packed certificate"),
        (lzma.compress(b"[]"), "expected a mapping"),
        (lzma.compress(b'{"schema": "dse.certificate/9"}'), "expected 'dse.certificate/1'"),
        (lzma.compress(b" " * (33 << 20)), "more than 33554432 bytes"),
        (lzma.compress(b"{" * 1000)[:-20], "is cut off"),
    ],
)
def test_what_is_no_certificate_is_refused(data: bytes, expected: str, tmp_path: Path) -> None:
    (tmp_path / "a.json.xz").write_bytes(data)
    with pytest.raises(SpecError, match=expected):
        PackedCertificate.read(tmp_path / "a.json.xz")


@pytest.mark.parametrize("name", ["../x", "/etc/x", "best/../x", "best/a/b", "", ".x", "a\n"])
def test_a_file_stays_in_its_folder(name: str, bert: PackedCertificate, tmp_path: Path) -> None:
    replace(bert, files={**bert.files, name: "x"}).write(tmp_path / "a.json.xz")
    with pytest.raises(SpecError, match="files: expected texts by their names"):
        PackedCertificate.read(tmp_path / "a.json.xz")


@pytest.mark.slow
def test_a_run_is_packed_and_checked_from_its_pack(tmp_path: Path, capsys: Any) -> None:
    content = yaml.safe_load(catalog.find("arch", "gemmini").read_text(encoding="utf-8"))
    ranges = {"pe_dim": 2, "scratchpad_kb": 1, "accumulator_kb": 1}
    content["variables"] = {name: {"min": low, "max": 8} for name, low in ranges.items()}
    content["mapspace"] = {"padding": "off"}  # optima are known of unpadded layers only
    (tmp_path / "arch.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    (tmp_path / "net.yaml").write_text(yaml.safe_dump(NETWORK), encoding="utf-8")
    inputs = {"arch": str(tmp_path / "arch.yaml"), "workload": str(tmp_path / "net.yaml")}
    run, pack = tmp_path / "run", tmp_path / "own.json.xz"
    dse.run(**inputs, optimizer="optimal", folder=run)
    assert main(["certify", str(run), "-q", "--forget", "--pack", str(pack)]) == 0
    assert f"packed    {pack} ({pack.stat().st_size:,} bytes)" in capsys.readouterr().out
    text = lzma.decompress(pack.read_bytes()).decode()
    assert json.loads(text)["schema"] == SCHEMA
    assert str(tmp_path) not in text
    assert main(["certify", str(pack), "-q"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "verdict   certified"
    (entry,) = json.loads(known.user_file().read_text())["optima"]
    assert entry["source"]["run"].startswith("optimizer=optimal arch=")
    assert entry["prices"] == PackedCertificate.read(pack).prices
    stopped = tmp_path / "stopped"
    dse.run(**inputs, optimizer={"name": "optimal", "nodes": 3}, folder=stopped)
    assert main(["certify", str(stopped), "-q", "--pack", str(tmp_path / "no.json.xz")]) == 2
    assert "no optimum that can be known: it leaves a gap" in capsys.readouterr().err
    assert not (tmp_path / "no.json.xz").exists()


@pytest.mark.slow
def test_a_false_optimum_that_agrees_with_itself_is_refuted(
    bert: PackedCertificate, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    dse.run(arch="gemmini", workload="dosa_bert", optimizer="lockstep", samples=200, folder=run)
    path = run / "result.json"
    content = json.loads(path.read_text())
    value = content["objective"]["value"]
    assert value > bert.known.value * 1.0001
    proof = json.loads(bert.files["result.json"])["certificate"]
    content["certificate"] = {**proof, "value": value, "bound": value}
    path.write_text(json.dumps(content), encoding="utf-8")
    forged = PackedCertificate.of_run(run, bert.known)
    found, entry = certify_packed(forged, of_today=True)
    assert (found.outcome, entry) == (Decision.REFUTED, None)
    assert found.reason.startswith("a design with ")
