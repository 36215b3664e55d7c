"""Numbers that make no sense, through the commands: a number, or one line and an exit code."""

import json
import resource
from pathlib import Path

import pytest

from dse.cli import main

MODEL = """\
architecture:
  version: 0.4
  subtree:
  - name: system
    local:
    - {name: DRAM, class: DRAM, attributes: {word-bits: 8, DRAM_OWN}}
    - {name: Buffer, class: SRAM, attributes: {entries: 2147483647, word-bits: 8, BUFFER_OWN}}
    - {name: MACC, class: intmac, attributes: {word-bits: 8}}
problem: {shape: cnn-layer, R: 1, S: 1, P: 1, Q: 1, C: SIZE, K: SIZE, N: 1}
mapping:
- {target: DRAM, type: temporal, factors: C=OUTER K=OUTER N=1, permutation: NKC}
- {target: Buffer, type: temporal, factors: C=1000 K=1000 N=1, permutation: NKC}
ERT:
  version: 0.3
  tables:
  - {name: "system.DRAM[1..1]", actions: [{name: read, energy: PRICE}, {name: write, energy: 1}]}
  - {name: "system.Buffer[1..1]", actions: [{name: read, energy: 1}, {name: leak, energy: LEAK}]}
  - {name: "system.MACC[1..1]", actions: [{name: compute, energy: 1}]}
"""
PLAIN = {"DRAM_OWN": "", "BUFFER_OWN": "", "SIZE": "16000", "PRICE": "2", "LEAK": "0"}
ARCH = """\
name: small
energy: dosa
variables:
  pes: {min: 4, max: MOST_PES, step: 4, default: 4}
  buffer_kb: {min: 1, max: MOST_KB, step: 1, default: 2, unit: KB}
storage:
  - {name: DRAM, class: DRAM, word_bits: 8, block_size: 64, shared_bandwidth: BANDWIDTH}
  - name: Buffer
    word_bits: 8
    size_words: WORDS
    block_size: 8
    constraints: {keep: [Weights, Inputs, Outputs], spatial: {x: [K, C]}}
  - {name: Registers, word_bits: 8, size_words: 16, mesh_x: pes}
compute: {name: MACC, word_bits: 8, mesh_x: pes}
"""
GOOD = {"MOST_PES": "16", "MOST_KB": "8", "BANDWIDTH": "8", "WORDS": "buffer_kb * 1024"}
NET = """\
name: net
shape: cnn-layer
layers:
  - {name: a, R: 3, S: 3, P: 8, Q: 8, C: 4, K: 8}
  - {name: fc, C: 32, K: 10, count: 2}
"""
SMALL = ("samples=40", "n_jobs=1", "folder=R", "-q")


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.yaml").write_text(NET, encoding="utf-8")


def _write(path, text, values):
    for name, value in values.items():
        text = text.replace(name, value)
    Path(path).write_text(text, encoding="utf-8")


def _peak_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _model(capsys, **values):
    """Return the exit code of `model --json`, its output, and its last line of errors."""
    values = {**PLAIN, **values}
    _write("all.yaml", MODEL, {**values, "OUTER": str(int(values["SIZE"]) // 1000)})
    code = main(["model", "all.yaml", "--json"])
    out, err = capsys.readouterr()
    return code, out, err.strip().rpartition("\n")[2]


def _run(capsys, *words, **values):
    """Return the exit code of a run, and its last line of errors."""
    _write("arch.yaml", ARCH, {**GOOD, **values})
    code = main(["run", "arch=arch.yaml", "workload=net.yaml", "optimizer=random", *SMALL, *words])
    return code, capsys.readouterr().err.strip().rpartition("\n")[2]


@pytest.mark.parametrize("bandwidth", ["0.05", "1e-17"])
def test_more_cycles_than_timeloop_counts_are_refused(capsys, bandwidth):
    own = f"read_bandwidth: {bandwidth}, write_bandwidth: {bandwidth}"
    code, out, err = _model(capsys, DRAM_OWN=own, SIZE="1000000000")
    assert (code, out) == (2, "")
    assert "level DRAM: its bandwidth makes for 2^64 cycles or more" in err


def test_cycles_beyond_63_bits_are_counted(capsys):
    code, out, _ = _model(capsys, DRAM_OWN="read_bandwidth: 0.06", SIZE="1000000000")
    assert code == 0
    # 1e18 words of weights and 1e15 of inputs
    assert json.loads(out)["cycles"] == pytest.approx(1.001e18 / 0.06, rel=1e-9)


@pytest.mark.parametrize("own", ["PRICE", "LEAK"])
def test_energies_may_be_zero_and_never_negative(capsys, own):
    found = []
    for energy in ("1", "0", "-0.0"):
        code, out, _ = _model(capsys, **{own: energy})
        assert code == 0
        found.append(json.loads(out)["energy_pj"])
    assert found[0] > found[1] == found[2] > 0
    for energy in ("-1", "-1e-300", ".nan", ".inf", "1e400", "no"):
        code, out, err = _model(capsys, **{own: energy})
        assert (code, out) == (2, "")
        assert "all.yaml:" in err
        assert f"energy = '{energy}': expected a number of at least 0" in err


@pytest.mark.parametrize(
    ("attribute", "zero_counts"),
    [
        ("block-size", False),
        ("cluster-size", False),
        ("instances", False),
        ("meshX", False),
        ("read_bandwidth", False),
        ("multiple_buffering", False),
        ("min_utilization", True),
        ("vector_access_energy", True),
    ],
)
def test_counts_and_widths(capsys, attribute, zero_counts):
    for value in ("-1", ".nan", ".inf", "1e400", "no"):
        code, out, err = _model(capsys, BUFFER_OWN=f"{attribute}: {value}")
        assert (code, out) == (2, "")
        assert f"attributes.{attribute} = '{value}': expected " in err
    code, out, err = _model(capsys, BUFFER_OWN=f"{attribute}: 0")
    assert code == (0 if zero_counts else 2), err


def test_a_buffer_of_too_many_usable_words_is_refused(capsys):
    code, out, err = _model(capsys, BUFFER_OWN="multiple_buffering: 1e-320")
    assert (code, out) == (2, "")
    assert "level 'Buffer': multiple_buffering = 9.99989e-321 makes for 2^62 words or more" in err


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        ("{name: a, K: 2147483648}", "K = 2147483648, expected at most 2147483647"),
        ("{name: a, shape: {x: 1}, K: 8}", "shape = {'x': 1}, expected the name of a shape"),
    ],
)
def test_layers_are_refused_by_run_and_map(capsys, layer, expected):
    _write("net.yaml", f"name: w\nshape: cnn-layer\nlayers:\n  - {layer}\n", {})
    code, err = _run(capsys)
    assert code == 2
    assert err.startswith("error: net.yaml: layers[0] ('a'): ")
    assert expected in err
    assert main(["map", "arch=arch.yaml", "layer=net.yaml/a", *SMALL]) == 2
    assert expected in capsys.readouterr().err


@pytest.mark.parametrize("optimizer", ["random", "ga", "nsga2", "naas", "lockstep"])
@pytest.mark.parametrize("objective", ["edp/0", "0/0*edp", "edp/(area_um2-area_um2)"])
def test_an_objective_without_a_value_is_no_score(capsys, optimizer, objective):
    code, err = _run(capsys, f"optimizer={optimizer}", f"objective={objective}")
    assert code == 3
    assert f"objective = {objective} has no value: a division by zero" in err


def test_a_mapping_without_a_value_is_no_best_one(capsys):
    _write("arch.yaml", ARCH, GOOD)
    for mapper in ("random", "hillclimb"):
        words = ["arch=arch.yaml", "layer=net.yaml/a", f"mapper={mapper}", "objective=edp/0"]
        assert main(["map", *words, *SMALL]) == 3
        assert "layer 'a': objective = edp/0 has no value" in capsys.readouterr().err


@pytest.mark.parametrize("constraint", ["edp/0 > 5", "0/0*edp < 5", "edp < edp/0"])
def test_a_constraint_without_a_value_is_missed(capsys, constraint):
    code, err = _run(capsys, f"constraints='{constraint}'")
    assert code == 3
    assert f"constraint {constraint}: " in err
    assert "compares no numbers" in err


def test_a_size_beyond_floating_point_is_refused(capsys):
    code, err = _run(capsys, WORDS='"1e999"')
    assert code == 2
    assert "arch.yaml: storage[1].size_words: '1e999': a number in it is too large" in err


@pytest.mark.parametrize("optimizer", ["random", "lockstep", "naas", "dosa", "optimal"])
def test_hardware_too_slow_to_count_is_infeasible(capsys, optimizer):
    code, err = _run(capsys, f"optimizer={optimizer}", BANDWIDTH="1.0e-30")
    assert code == 3
    assert "level DRAM: its bandwidth makes for 2^64 cycles or more" in err


@pytest.mark.parametrize("variable", ["MOST_PES", "MOST_KB"])
@pytest.mark.parametrize(
    "optimizer", ["random", "ga", "nsga2", "naas", "lockstep", "dosa", "optimal"]
)
def test_so_many_values_take_no_memory(capsys, optimizer, variable):
    before = _peak_mb()
    code, err = _run(capsys, f"optimizer={optimizer}", **{variable: str(10**12)})
    assert _peak_mb() - before < 1000
    if optimizer in ("lockstep", "dosa"):
        assert code == 2
        assert "values, expected at most 1,048,576" in err
    else:
        assert code in (0, 3)


@pytest.mark.parametrize("word", ["~optimizer=[[]]", "~optimizer=[{}]", "optimizer={a:1}"])
def test_a_choice_that_is_no_name_is_refused(capsys, word):
    code, err = _run(capsys, word)
    assert code == 2
    assert err.startswith("error: ")
