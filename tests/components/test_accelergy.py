"""energy=accelergy: with a stand-in for the tool, and live where it is."""

from __future__ import annotations

import logging
import os
import shutil
import sys
from pathlib import Path

import pytest

from dse.components import accelergy
from dse.components.chain import energy_chain
from dse.disk import cache_folder
from dse.domain.architecture import StorageLevel
from dse.domain.technology import Technology
from dse.errors import SpecError, ToolError
from dse.space import catalog

TECHNOLOGY = Technology(40, 5.0)
LIVE = os.environ.get("DSE_ACCELERGY") or shutil.which("accelergy")

#: Prices component Ci with i pJ per read, and counts its runs.
TOOL = """\
import json, pathlib, sys
here = pathlib.Path(sys.argv[0]).parent
with (here / "runs").open("a") as runs:
    runs.write("run\\n")
tree = json.loads(pathlib.Path("input.yaml").read_text())["architecture"]["subtree"][0]
energies, areas, estimators = [], [], []
for i, c in enumerate(tree["local"]):
    name = "system." + c["name"]
    pj = c["attributes"]["width"] / 100
    actions = [{"name": a, "arguments": {}, "energy": pj} for a in c["required_actions"]]
    energies.append({"name": name, "actions": actions})
    areas.append({"name": name, "area": 10.0 * c["attributes"]["width"]})
    used = [{"name": name, "estimator": ESTIMATOR}]
    estimators.append({"name": name, "primitive_estimation(s)": used})
files = {
    "ERT": {"ERT": {"version": "0.4", "tables": energies}},
    "ART": {"ART": {"version": "0.4", "tables": areas}},
    "ERT_summary": {"ERT_summary": {"table_summary": estimators}},
    "ART_summary": {"ART_summary": {"table_summary": estimators}},
}
for name, content in files.items():
    pathlib.Path(name + ".yaml").write_text(json.dumps(content))
"""


@pytest.fixture
def tool(tmp_path, monkeypatch):
    """Return a function that installs a stand-in made of this Python code."""
    monkeypatch.setenv("DSE_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "accelergy"

    def install(code, version="0.4"):
        path.write_text(f"#!{sys.executable}\n{code}")
        path.chmod(0o755)
        monkeypatch.setattr(accelergy, "find", lambda: accelergy.Accelergy(path, version))
        return tmp_path / "runs"

    return install


def hardware():
    return catalog.template("gemmini").build(
        {"pe_dim": 16, "scratchpad_kb": 128, "accumulator_kb": 32}
    )


def test_prices_are_the_tools_and_are_kept(tool):
    runs = tool('ESTIMATOR = "CactiSRAM"\n' + TOOL)
    chain = energy_chain("accelergy")
    first = chain.price(hardware())
    assert first.level("Scratchpad").energy.read_pj == 1.28
    assert first.level("Scratchpad").area_um2 == 1280.0
    assert first.level("DRAM").energy.update_pj == 5.12
    assert first.compute.energy_pj == 0.08
    accelergy._read_price.cache_clear()
    assert chain.price(hardware()) == first
    assert runs.read_text().count("run") == 1


def test_only_what_is_new_is_asked_for(tool):
    runs = tool('ESTIMATOR = "CactiSRAM"\n' + TOOL)
    small, large = (
        accelergy.storage_component(StorageLevel("L", size_words=n), TECHNOLOGY) for n in (64, 128)
    )
    accelergy.price_components([small, small], TECHNOLOGY)
    accelergy.price_components([small, large], TECHNOLOGY)
    accelergy.price_components([large, small], TECHNOLOGY)
    accelergy.price_components([small], Technology(40, 1.0))
    assert runs.read_text().count("run") == 3


def test_a_broken_cache_is_priced_anew(tool, caplog):
    runs = tool('ESTIMATOR = "CactiSRAM"\n' + TOOL)
    component = accelergy.storage_component(StorageLevel("L", size_words=64), TECHNOLOGY)
    accelergy.price_components([component], TECHNOLOGY)
    (kept,) = cache_folder("accelergy").iterdir()
    kept.write_text('{"energy_pj"')
    accelergy._read_price.cache_clear()
    with caplog.at_level(logging.WARNING):
        accelergy.price_components([component], TECHNOLOGY)
    assert "priced anew" in caplog.text
    assert runs.read_text().count("run") == 2


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ('ESTIMATOR = "dummy_table"\n' + TOOL, "its dummy table would price it with 1 pJ"),
        ("raise SystemExit(3)", "ended with exit status 3"),
        ("import os; os.kill(os.getpid(), 9)", "was killed by signal 9"),
        ("print('all is well')", "wrote no ERT.yaml"),
        ("open('ERT.yaml', 'w').write('{')", "wrote no|cannot be read"),
        ('ESTIMATOR = "x"\n' + TOOL.replace('"energy": pj', '"energy": "?"'), "cannot be read"),
    ],
)
def test_a_failing_tool_is_an_error(tool, code, said):
    tool(code)
    with pytest.raises(ToolError, match=said) as error:
        energy_chain("accelergy").price(hardware())
    assert "to reproduce: cd " in str(error.value)
    assert not list(cache_folder("accelergy").glob("*"))


def test_what_has_no_counterpart_is_an_error(tool, tmp_path, monkeypatch):
    tool('ESTIMATOR = "x"\n' + TOOL)
    odd = StorageLevel("L", kind="memristor", size_words=4)
    with pytest.raises(SpecError, match="class 'memristor' is not one that Accelergy can price"):
        accelergy.storage_component(odd, TECHNOLOGY)
    monkeypatch.undo()
    monkeypatch.delenv("DSE_ACCELERGY", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    with pytest.raises(ToolError, match="accelergy is missing: not on PATH"):
        accelergy.find()


def test_versions_of_the_input(tool):
    component = accelergy.compute_component(hardware().compute)
    texts = [
        accelergy.accelergy_input(accelergy.Accelergy(Path("x"), v), [component], TECHNOLOGY)
        for v in ("0.3", "0.4")
    ]
    assert '"latency": "5ns"' in texts[0]
    assert "required_actions" not in texts[0]
    memory = accelergy.storage_component(StorageLevel("L", size_words=64, ports=2), TECHNOLOGY)
    old = accelergy.accelergy_input(accelergy.Accelergy(Path("x"), "0.3"), [memory], TECHNOLOGY)
    assert '"n_rdwr_ports": 2' in old
    assert '"technology": "40nm"' in texts[1]
    assert '"global_cycle_seconds": 5' in texts[1]


@pytest.mark.skipif(not LIVE, reason="no accelergy here")
def test_live_prices_are_those_of_the_tables(tmp_path, monkeypatch):
    monkeypatch.setenv("DSE_CACHE", str(tmp_path))
    asked = energy_chain("accelergy").price(hardware())
    table = energy_chain("table").price(hardware())
    # 0.3 asks CACTI for 40 nm, 0.4 and the tables interpolate between its nodes
    error = 0.15 if accelergy.find().is_0_3 else 1e-5
    for name in ("Accumulator", "Scratchpad", "DRAM"):
        mine, theirs = table.level(name), asked.level(name)
        assert theirs.energy.read_pj == pytest.approx(mine.energy.read_pj, rel=error)
        assert theirs.area_um2 == pytest.approx(mine.area_um2, rel=error)
    assert asked.compute.energy_pj == pytest.approx(0.5608)
