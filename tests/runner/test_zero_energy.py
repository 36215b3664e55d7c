"""Hardware that takes no energy: every search ends, and its results can be read."""

import json

import pytest

from dse.cli import main

ARCH = """\
name: free
energy: template
variables:
  pes: {min: 4, max: 8, sampling: powers_of_two, default: 4}
storage:
  - {name: DRAM, class: DRAM, word_bits: 8, shared_bandwidth: 8}
  - {name: Registers, word_bits: 8, size_words: 16, mesh_x: pes}
compute: {name: MACC, word_bits: 8, mesh_x: pes}
"""
NET = """\
name: net
shape: cnn-layer
layers: [{name: a, R: 3, P: 4, C: 2, K: 4}]
"""


@pytest.fixture
def files(tmp_path, monkeypatch):
    (tmp_path / "arch.yaml").write_text(ARCH, encoding="utf-8")
    (tmp_path / "net.yaml").write_text(NET, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DSE_KNOWN_OPTIMA", str(tmp_path / "known.json"))
    return tmp_path


@pytest.mark.parametrize("optimizer", ["random", "ga", "naas", "nsga2", "lockstep", "optimal"])
def test_a_search(files, optimizer, capsys):
    words = ["run", "arch=arch.yaml", "workload=net.yaml", f"optimizer={optimizer}", "folder=R"]
    budget = [] if optimizer == "optimal" else ["samples=100"]
    assert main([*words, *budget, "n_jobs=1", "-q"]) == 0
    assert "EDP" in capsys.readouterr().out
    result = json.loads((files / "R" / "result.json").read_text(encoding="utf-8"))
    assert result["best"]["energy_pj"] == 0.0
    assert result["best"]["cycles"] > 0
    if optimizer == "optimal":
        assert result["certificate"]["gap"] == 0.0
        assert main(["certify", "R"]) == 0


def test_gradients_are_refused(files, capsys):
    words = ["run", "arch=arch.yaml", "workload=net.yaml", "optimizer=dosa", "folder=R"]
    assert main([*words, "samples=100", "n_jobs=1", "-q"]) == 2
    assert "nothing takes energy" in capsys.readouterr().err


def test_a_proof_of_a_layer(files, capsys):
    words = ["map", "arch=arch.yaml", "layer=net.yaml/a", "mapper=optimal", "folder=M"]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "0 pJ x cycle" in out
    assert "optimal, of this mapspace: " in out
