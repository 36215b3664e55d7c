"""``--energy`` and ``--strict`` of the commands that read Timeloop's files, from end to end."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from dse.cli import main
from dse.components import cacti

PROBLEM = """\
problem:
  version: 0.3
  shape: cnn-layer
  instance: {C: 4, K: 8, R: 1, S: 1, P: 2, Q: 2, N: 1}
"""
MAPPING = """\
mapping:
- {target: Dram, type: temporal, factors: C=1 K=1 R=1 S=1 P=2 Q=2 N=1, permutation: RSPQCKN}
- {target: GLB, type: temporal, factors: C=4 K=2 P=1 Q=1 R=1 S=1 N=1, permutation: CPQRSKN}
- {target: GLB, type: spatial, factors: K=4, permutation: KCRSPQN, split: 7}
"""
ARCH = """\
architecture:
  version: 0.3
  subtree:
  - name: System
    attributes: {technology: 40nm}
    local:
    - {name: Dram, class: DRAM, attributes: {width: 32, block-size: 4, word-bits: 8}}
    - {name: GLB, class: storage, subclass: smartbuf, attributes: {depth: 1024, width: 32,
       block-size: 4, word-bits: 8}}
    subtree:
    - name: PE[0..3]
      local:
      - {name: MAC, class: intmac, attributes: {datawidth: 8}}
"""
COMPONENTS = """\
compound_components:
  version: 0.3
  classes:
  - name: smartbuf
    attributes: {technology: must_specify, depth: must_specify, width: must_specify}
    subcomponents:
    - {name: storage, class: SRAM, attributes: {width: width, depth: depth}}
    - {name: "generator[0..1]", class: intadder, attributes: {width: log2(depth)}}
    actions:
    - name: read
      subcomponents:
      - {name: storage, actions: [{name: read}]}
      - {name: "generator[0]", actions: [{name: add}]}
    - name: write
      subcomponents:
      - {name: storage, actions: [{name: write}]}
      - {name: "generator[1]", actions: [{name: add}]}
"""
FILES = {"arch": ARCH, "problem": PROBLEM, "mapping": MAPPING, "components": COMPONENTS}
CASE = Path(__file__).parents[3] / "shared/cases/reports/08-energy-ert"


@pytest.fixture
def names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, text in FILES.items():
        Path(f"{name}.yaml").write_text(text)
    return [f"{name}.yaml" for name in FILES]


def test_model_prices_compounds(names, capsys):
    assert main(["model", *names, "--energy", "table", "-o", "out", "--json"]) == 0
    out, err = capsys.readouterr()
    sources = "Aladdin logic, CACTI SRAM, pJ per bit of DRAM"
    assert err == f"energy: table, 3 components ({sources})\n"
    found = json.loads(out)
    # 128 MACs of 0.210 * 8/32 + 12.68 * (8/32)^2 pJ
    mac = 0.0525 + 0.7925
    energy = {table["name"]: table for table in _tables("ERT")}
    assert energy["System.PE[0..3].MAC"]["actions"][0]["energy"] == pytest.approx(mac, rel=1e-12)
    read = {a["name"]: a["energy"] for a in energy["System.GLB"]["actions"]}
    made = cacti.scaled_sram(32, 1024, 1, 1, 40)
    add = 0.21 * 10 / 32
    assert read == pytest.approx({"read": made.read_pj + add, "write": made.write_pj + add})
    (summary,) = (t for t in _summary("ERT") if t["name"] == "System.GLB")
    parts = summary["primitive_estimation(s)"][0]["subaction_estimations"]
    assert [p["estimator"] for p in parts] == ["table: CACTI SRAM", "table: Aladdin logic"]
    # the tables that were written, read back in the place of the components
    tables = ["out/timeloop-model.ERT.yaml", "out/timeloop-model.ART.yaml"]
    assert main(["model", *names, *tables, "--json"]) == 0
    again, err = capsys.readouterr()
    assert err == ""
    assert json.loads(again) == found
    assert len(_summary("ART")) == 3


def _tables(kind):
    return yaml.safe_load(Path(f"out/timeloop-model.{kind}.yaml").read_text())[kind]["tables"]


def _summary(kind):
    whole = yaml.safe_load(Path(f"out/timeloop-model.{kind}_summary.yaml").read_text())
    return whole[f"{kind}_summary"]["table_summary"]


def test_the_default_is_timeloops_and_says_what_it_leaves_out(names, capsys):
    assert main(["model", *names, "--json"]) == 0
    out, err = capsys.readouterr()
    assert err == (
        "energy: pat, built into Timeloop, as the files have no ERT; not of smartbuf: "
        "--energy table prices compounds\n"
    )
    assert main(["model", *names, "--energy", "pat", "--json"]) == 0
    again, err = capsys.readouterr()
    assert err == "energy: pat, built into Timeloop, as the files have no ERT\n"
    assert json.loads(again) == json.loads(out)


def test_classes_that_cannot_be_read_do_not_matter_to_pat(names, capsys):
    Path("components.yaml").write_text(COMPONENTS.replace("name: smartbuf", "title: smartbuf"))
    assert main(["model", *names]) == 0
    said = "energy: pat, built into Timeloop, as the files have no ERT\n"
    assert capsys.readouterr().err == said
    assert main(["model", *names, "--energy", "table"]) == 2
    assert "components.yaml:4: " in capsys.readouterr().err


def test_convert_writes_the_prices(names, capsys):
    assert main(["convert", *names, "--to", "v0.4", "--energy", "table", "-o", "new"]) == 0
    tables = yaml.safe_load(Path("new/ERT.yaml").read_text())["ERT"]["tables"]
    (glb,) = (t for t in tables if t["name"].endswith("GLB"))
    read = cacti.scaled_sram(32, 1024, 1, 1, 40).read_pj + 0.21 * 10 / 32
    assert glb["actions"][0]["energy"] == pytest.approx(read, rel=1e-12)
    assert "energy: table" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("tabel", "unknown --energy 'tabel'; did you mean 'table'"),
        ("table:45", "--energy table:45: expected table:NODE or table:NODE,CLOCK"),
        ("pat:45nm", "--energy pat:45nm: expected"),
    ],
)
def test_bad_choices(names, capsys, option, message):
    assert main(["model", *names, "--energy", option]) == 2
    assert message in capsys.readouterr().err


def test_prices_and_a_table_contradict_each_other(names, capsys):
    Path("ERT.yaml").write_text("ERT: {version: 0.4, tables: []}\n")
    assert main(["model", *names, "ERT.yaml", "--energy", "table"]) == 2
    assert "ERT.yaml:1: ERT: the files give energies" in capsys.readouterr().err


def test_node_and_clock_from_outside(names, capsys):
    Path("arch.yaml").write_text(ARCH.replace("{technology: 40nm}", "{}"))
    assert main(["model", *names, "--energy", "table"]) == 2
    assert "attribute 'technology' of class 'smartbuf' is not given" in capsys.readouterr().err
    assert main(["model", *names, "--energy", "table:40nm,5ns", "-o", "out"]) == 0
    (mac,) = (t for t in _tables("ERT") if t["name"].endswith("MAC"))
    energy = 0.0857 / 4 + 8.63 / 16
    assert mac["actions"][0]["energy"] == pytest.approx(energy, rel=1e-12)


@pytest.mark.skipif(not CASE.is_dir(), reason="the cases do not lie beside the repository")
@pytest.mark.parametrize(
    ("table", "energy_uj", "warning"),
    [
        ("ERT", 0.8612, None),
        ("ERT04", 0.8612, None),
        ("ERT_typo", 1.1315, "no table of component 'GLB' ('GBL' is of no component)"),
        ("ERT_noread", 1.0326, "table 'RF' has no action read"),
    ],
)
def test_tables_with_gaps(tmp_path, capsys, caplog, table, energy_uj, warning):
    for name in ("arch", "prob", "map", table):
        shutil.copy(CASE / f"{name}.yaml", tmp_path)
    files = [str(tmp_path / f"{name}.yaml") for name in ("arch", "prob", "map", table)]
    assert main(["model", *files]) == 0
    out = capsys.readouterr().out
    assert f"energy       {energy_uj:.4f} uJ" in out
    said = [record.getMessage() for record in caplog.records]
    assert bool(said) == bool(warning)
    code = main(["model", *files, "--strict"])
    strict = capsys.readouterr()
    assert code == (2 if warning else 0)
    if warning:
        assert any(warning in message for message in said)
        assert strict.err.startswith("error: ")
        assert warning in strict.err
        assert strict.out == ""
