"""Small inputs on which people got stuck, where they lie beside the checkout: each ends rightly.

What each expects stands in its README; a number is what the real binary said. Inputs of the same
kinds that lie in the repository are in ``timeloop/test_small_inputs.py``, those of jinja2 in
``timeloop/test_templates.py``.
"""

import json
import re
import shutil
from pathlib import Path

import pytest

from dse.cli import main
from dse.space.workload import read_workload

CASES = Path(__file__).parents[2] / "shared" / "cases"
pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="no cases beside the checkout")
FILES = CASES / "timeloop-files"
#: Cycles of the base case, and its energy in pJ a compute, by timeloop-model.
BASE = (48, 102.25697)
MODELLED = {
    "auto-bypass": BASE,
    "bandwidth-scale": (248, BASE[1]),
    "base": BASE,
    "density-distribution": BASE,
    "density-without-sparse-optimizations": BASE,
    "duplicate-key": BASE,
    "hyphen-bandwidth": BASE,
    "neg-coefficient": BASE,
    "network-type": BASE,
    "overbooking": BASE,
    "power-gated": BASE,
    "sparse-gating": (24, 101.88746),
    "zero-coefficient": (48, 68.77082),
    "underscore-cluster-3.0.3": (12, 94.16677),
}
REFUSED = {
    "compute-class-name": "no compute found",
    "huge-depth": "at most 4294967295",
    "flatten": "flatten",
    "imperfect-factors": "product of all factors of dimension P",
    "layout": "layout: not supported",
    "long-dimension-name": "one letter",
    "negative-fills-3.0.3": "wraps around to 2^64",
    "user-network": "key 'action_name' is missing",
    "width-below-block": "word_bits x block_size",
}
#: Computes of the mapping, which take a cycle each on one MAC; padding makes for more.
MAPPED = {
    "base": 48,
    "con-default-max-factor": 48,
    "con-extra-mapping-constraints": 48,
    "con-factor-above-bound": 48,
    "con-mapspace-key": 48,
    "con-min-factor": 48,
    "con-nondividing-factor": None,
    "con-permutation-separator": 48,
    "con-utilization-constraint": 48,
    "map-takes-no-timeloop-files": 48,
}


def version(name):
    """Return the options of the Timeloop that a case was asked of."""
    return ["--timeloop-version", "3.0.3"] if name.endswith("3.0.3") else []


def files(name, *, mapping):
    """Return the files of a case, those that it lacks from the base."""
    unwanted = {"map.yaml"} if not mapping else {"mapper.yaml"}
    own = {p.name: p for p in (FILES / name).glob("*.yaml")}
    shared = {} if "in.yaml" in own else {p.name: p for p in (FILES / "base").glob("*.yaml")}
    return [str(p) for n, p in sorted({**shared, **own}.items()) if n not in unwanted]


@pytest.mark.parametrize("name", MODELLED)
def test_the_model_says_what_timeloop_says(name, capsys):
    assert main(["model", *files(name, mapping=True), "--json", *version(name)]) == 0
    told = json.loads(capsys.readouterr().out)
    cycles, pj = MODELLED[name]
    assert told["cycles"] == cycles
    assert told["energy_pj_per_compute"] == pytest.approx(pj, abs=6e-6)


def test_a_large_buffer_is_modelled_and_converted(tmp_path, capsys):
    case = files("convert-large-sizeKB", mapping=True)
    assert main(["model", *case, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["cycles"] == BASE[0]
    assert main(["convert", *case, "--to", "v0.4", "-o", str(tmp_path)]) == 0
    capsys.readouterr()
    assert main(["model", *map(str, tmp_path.glob("*.yaml")), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["energy_pj"] == pytest.approx(told["energy_pj"])


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_possible_is_refused_in_a_line(name, capsys):
    assert main(["model", *files(name, mapping=True), *version(name)]) == 2
    told = capsys.readouterr().err.partition("error: ")[2]
    assert REFUSED[name] in told


@pytest.mark.slow
@pytest.mark.parametrize("name", MAPPED)
def test_a_mapping_is_found(name, capsys):
    argv = ["map", *files(name, mapping=False), "mapper=hillclimb", "samples=300", "--json"]
    assert main(argv) == 0
    stats = json.loads(capsys.readouterr().out)["stats"]
    assert stats["cycles"] == stats["computes"]
    assert stats["computes"] == MAPPED[name] or (MAPPED[name] is None and stats["computes"] > 48)


REPORTS = CASES / "reports"
#: By folder: files, exit code, and what is said: cycles where it is a number.
HALO, TYPOS, NODES = "01-tl295-halo", "02-tl256-typos", "05-v04-nodes"
PRICES, PROBLEMS, PARALLEL = "08-energy-ert", "11-problems", "13-parallel-nodes"
MODEL_REPORTS = [
    (HALO, "arch prob map_RKP", 0, 192),
    (HALO, "arch prob mapB_RKP", 0, 192),
    (HALO, "arch prob map_flat_typo", 2, "did you mean 'permutation'"),
    (HALO, "arch prob_typo map_RKP", 0, "the shape has none of it: Wstride, Q"),
    (HALO, "arch prob_d2 map_RKP", 0, "no effect without sparse_optimizations"),
    (TYPOS, "arch prob m1", 2, "unknown dimension 'KK'"),
    (TYPOS, "arch prob m2", 2, "unknown data space 'Ouptus'"),
    (TYPOS, "arch prob m3", 2, "unknown dimension 'Z'"),
    (TYPOS, "arch prob m4", 2, "expected one of Buf, MainMem"),
    (TYPOS, "arch prob m5", 2, "expected a string such as"),
    (TYPOS, "arch prob m6", 2, "product of all factors of dimension R is 9"),
    (TYPOS, "arch prob m7", 0, "'K<=4' is ignored, as Timeloop does not read it"),
    (NODES, "expr map", 0, 64),
    (NODES, "expr2 map", 0, 64),
    (NODES, "expr3 map", 0, 64),
    (NODES, "splitexpr map", 0, 64),
    (NODES, "bwbad map", 0, 105),
    (NODES, "fill map", 0, 79),
    (NODES, "ge map", 0, 64),
    (NODES, "proj map", 0, 64),
    (NODES, "nodepthDRAM map", 0, 64),
    (NODES, "nodepthSRAM map", 2, "level 'GLB' has no size"),
    (NODES, "attrtypo map", 2, "did you mean 'datawidth'"),
    (NODES, "typo map", 2, "did you mean 'factors_only'"),
    (NODES, "typo2 map", 2, "did you mean 'permutation'"),
    (NODES, "expr map_typo", 2, "did you mean 'factors'"),
    (NODES, "expr map_flat_typo", 2, "did you mean 'permutation'"),
    (NODES, "defmax map", 2, "mapping violates architecture constraints"),
    (NODES, "disabled map", 2, "target storage level not found: GLB"),
    (NODES, "dw map", 2, "expected a multiple of word_bits x block_size"),
    (NODES, "dwblk map", 2, "cluster_size 2 does not divide 1 instances"),
    (NODES, "sparse map", 0, 64),
    ("07-tl218-bypass-dram", "arch prob map", 0, 9216),
    ("07-tl218-bypass-dram", "arch prob map_all", 0, 9216),
    ("07-tl218-bypass-dram", "arch_small prob map", 3, "4928 exceeds buffer capacity 2048"),
    ("07-tl218-bypass-dram", "arch prob map_fan", 3, "32 exceeds hardware instances 16"),
    (PRICES, "arch prob map ERT", 0, 9216),
    (PRICES, "arch prob map ERT_typo", 0, "no table of component 'GLB' ('GBL' is of no component)"),
    (PRICES, "arch prob map ERT_noread", 0, "table 'RF' has no action read"),
    (PRICES, "arch prob map ERTneg", 2, "expected a number of at least 0"),
    (PRICES, "arch prob_foo map", 2, "did you mean 'mapspace_constraints'"),
    (PROBLEMS, "arch16 dw dw_map", 0, 441),
    (PROBLEMS, "arch dw dw_map", 3, "X expansion 16 exceeds hardware instances 4"),
    (PROBLEMS, "arch p7 p7_map", 0, 2),
    (PROBLEMS, "arch p7 p7_map2", 2, "product of all factors of dimension P is 8"),
    (PROBLEMS, "arch ml ml_map", 2, "expected a name of one letter"),
    (PROBLEMS, "nocomp dw dw_map", 2, "no compute found"),
    (PARALLEL, "bw map", 0, 1554),
    (PARALLEL, "mb map", 0, 96),
    (PARALLEL, "pipe map", 0, 96),
    (PARALLEL, "hetero map", 2, "keep data space 'Weights'"),
]


@pytest.mark.parametrize(("folder", "names", "code", "said"), MODEL_REPORTS)
def test_a_reported_input_ends_rightly(folder, names, code, said, capsys, caplog):
    paths = [str(REPORTS / folder / f"{name}.yaml") for name in names.split()]
    assert main(["model", *paths, *(["--json"] if isinstance(said, int) else [])]) == code
    told = capsys.readouterr()
    if isinstance(said, int):
        assert json.loads(told.out)["cycles"] == said
    else:
        assert said in told.err + caplog.text


#: What a constraint becomes, or why it is none.
CONSTRAINTS = {
    "ge": "C>=4",
    "le": "C<=4",
    "defmax": "K<=8",
    "util": "min: 0.5",
    "sep": "RS_K",
    "noreuse": "no_link_transfer: [Inputs]",
    "contradict": "C=5",
    "mapspace_alias": "R=3 S=3",
    "list": "C<=4",
}


@pytest.mark.parametrize("name", CONSTRAINTS)
def test_a_constraint_is_carried_over(name, tmp_path):
    folder = REPORTS / "04-constraints-kinds"
    paths = [str(folder / f"{x}.yaml") for x in ("arch", "prob", name)]
    assert main(["convert", *paths, "--to", "v0.3", "-o", str(tmp_path)]) == 0
    assert CONSTRAINTS[name] in (tmp_path / "constraints.yaml").read_text()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("badkey", "unrecognized constraint type: temporl"),
        ("tl206", "'constraints' is empty: Timeloop would not look at 'targets'"),
    ],
)
def test_a_constraint_that_is_none_is_refused(name, said, capsys):
    folder = REPORTS / "04-constraints-kinds"
    paths = [str(folder / f"{x}.yaml") for x in ("arch", "prob", name)]
    assert main(["convert", *paths, "--to", "v0.3"]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.slow
def test_constraints_alone_find_a_mapping(capsys):
    folder = REPORTS / "03-tl271-constraints-as-mapping"
    paths = [str(folder / f"{x}.yaml") for x in ("arch", "prob", "cons")]
    assert main(["map", *paths, "mapper=hillclimb", "samples=300", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["stats"]["cycles"] == 192


def test_a_definition_that_no_template_uses_is_told(capsys):
    folder = REPORTS / "14-jinja"
    argv = ["model", str(folder / "top5.yaml.jinja2"), str(folder / "map.yaml"), "-D", "big="]
    assert main(argv) == 0
    capsys.readouterr()
    assert main([*argv, "-D", "pse=4"]) == 2
    assert "pse" in capsys.readouterr().err


#: MACs of the models, by hand.
MODELS = {
    "attn_dyn": 10 * 64 * (192 + 64 + 2 * 256) + 2 * 4 * 10 * 10 * 16,
    "attn_op23": 10 * 64 * (192 + 64 + 2 * 256) + 2 * 4 * 10 * 10 * 16,
    "einsum": 2 * 5 * 4 * 16 * 32,
    "fusedmix_vi": 196 * (8 * 8 * 9 + 8 * 512 * 9 + 512 * 16),
    "lstm": 12 * 256 * (32 + 64) + 64 * 10,
}


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_imported_as_a_whole(name, tmp_path, capsys):
    pytest.importorskip("onnx")
    argv = ["import", str(REPORTS / "06-onnx" / f"{name}.onnx"), "-o", str(tmp_path / "net.yaml")]
    if name == "attn_dyn":
        assert main(argv) == 2
        assert "seq (of input 'x'); --size seq=N" in capsys.readouterr().err
        argv += ["--size", "seq=10"]
    assert main(argv) == 0
    assert "skipped" not in capsys.readouterr().out
    assert read_workload(tmp_path / "net.yaml").macs == MODELS[name]


ROBUST = {
    "big_bw": (["model"], "2^64 cycles"),
    "size_1e999": (["map", "layer=alexnet/conv2", "arch={}"], "1e999"),
    "int32": (["map", "arch=gemmini", "layer={}/a"], "2147483648"),
    "shape_map": (["map", "arch=gemmini", "layer={}/a"], "shape"),
}


@pytest.mark.parametrize("name", ROBUST)
def test_a_hostile_number_is_one_line(name, capsys):
    words, said = ROBUST[name]
    path = str(CASES / "robust" / f"{name}.yaml")
    argv = [word.format(path) for word in words]
    assert main(argv if argv != words else [*argv, path]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert "Traceback" not in told


@pytest.mark.slow
def test_a_false_optimum_is_not_certified(tmp_path, capsys):
    proof, run = CASES / "proof", tmp_path / "run"
    for name in ("gem_rc.yaml", "rc2.yaml"):
        shutil.copy(proof / name, tmp_path)
    argv = [f"arch={tmp_path / 'gem_rc.yaml'}", f"workload={tmp_path / 'rc2.yaml'}"]
    argv += ["optimizer=optimal", "optimizer.nodes=1", "objective=energy", f"folder={run}"]
    main(["run", *argv])
    content = json.loads((run / "result.json").read_text())
    proved = content["certificate"]
    content["certificate"] = {**proved, "bound": proved["value"], "status": "optimal", "gap": 0}
    (run / "result.json").write_text(json.dumps(content))
    assert main(["certify", str(run)]) != 0
    assert "certified" not in capsys.readouterr().out.split()


#: What a template's constraints come to for a layer without padding, by exit code: cycles where
#: they leave one count only, or what is said.
NINE = REPORTS / "09-map-constraints"
MAPPED_REPORTS = [
    ("pin", "conv", 0, 112_896),
    ("kxy", "conv", 0, "K alone may run along X and along Y"),
    ("bad", "conv", 3, "K"),
    ("cap", "conv", 3, "exceeds"),
    ("tl187", "conv", 3, "R"),
    ("unkdim", "conv", 2, "the constraints name dimension 'M'"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "layer", "code", "said"), MAPPED_REPORTS)
def test_a_template_is_mapped_or_says_why_not(name, layer, code, said, tmp_path, capsys, caplog):
    found, told = mapped(NINE / f"{name}.yaml", NINE, layer, tmp_path, capsys, code, padding="off")
    if isinstance(said, int):
        assert found["stats"]["cycles"] == said
    else:
        assert said in told + caplog.text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "layer", "dimension", "least", "most"),
    [("minpar", "conv", "K", 8, 16), ("maxf", "conv", "K", 1, 8), ("bad", "conv", "K", 12, 12)],
)
def test_spatial_factors_are_as_a_template_asks(
    name, layer, dimension, least, most, tmp_path, capsys
):
    """Twelve divides no size here: there the layer is padded."""
    mapped(NINE / f"{name}.yaml", NINE, layer, tmp_path, capsys, padding="auto")
    told = (tmp_path / "run" / "best" / f"{layer}.mapping.yaml").read_text()
    spatial = [line for line in told.splitlines() if "GLB, type: spatial" in line]
    (factor,) = re.findall(rf" {dimension}=(\d+)", *spatial)
    assert least <= int(factor) <= most


@pytest.mark.slow
def test_prime_sizes_fill_the_array_by_padding(tmp_path, capsys):
    plain, _ = mapped(NINE / "prime.yaml", NINE, "prime", tmp_path / "a", capsys, padding="off")
    padded, _ = mapped(NINE / "prime.yaml", NINE, "prime", tmp_path / "b", capsys, padding="auto")
    assert plain["stats"]["utilization"] < 0.2
    assert padded["stats"]["cycles"] < plain["stats"]["cycles"] / 4
    assert padded["padding"]["unpadded"]["value"] > padded["objective"]["value"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "layer", "free"), [("istat", "conv", "CP"), ("zero", "fc", "CK"), ("zero", "conv", "")]
)
def test_other_constraints_are_kept_to(name, layer, free, tmp_path, capsys):
    """Weights pass by one, in one place; a factor of 0 is all that is left of a dimension."""
    mapped(NINE / f"{name}.yaml", NINE, layer, tmp_path, capsys, padding="off")
    told = (tmp_path / "run" / "best" / f"{layer}.mapping.yaml").read_text().splitlines()
    if name == "istat":
        (spatial,) = (line for line in told if "GLB, type: spatial" in line)
        factors = dict(re.findall(r" ([A-Z])=(\d+)", spatial))
        assert {d for d, n in factors.items() if n != "1"} <= set(free)
    else:
        (temporal,) = (line for line in told if "GLB, type: temporal" in line)
        taps = 3 if layer == "conv" else 1
        assert f"R={taps} S={taps}" in temporal


TWELVE = REPORTS / "12-run"


@pytest.mark.slow
def test_what_bypasses_memory_lies_on_the_chip_as_a_whole(tmp_path, capsys):
    """57,600 words of inputs and 50,176 of results do not fit 64 KB; 6,975 and 6,253 do."""
    arch, off = TWELVE / "tfuse.yaml", {"padding": "off"}
    large = {**off, "more": ["variables.buf_kb=64"]}
    for at, given in (("a", off), ("b", large)):
        _, told = mapped(arch, TWELVE, "conv", tmp_path / at, capsys, 3, **given)
        assert "GLB" in told
    found, _ = mapped(arch, TWELVE, "prime", tmp_path / "c", capsys, **off)
    held = found["stats"]["levels"]["GLB"]["tensors"]
    assert held["Inputs"]["utilized_capacity"] == 6_975
    assert held["Outputs"]["utilized_capacity"] == 6_253


@pytest.mark.slow
@pytest.mark.parametrize(("name", "said"), [("tbad", "K = 256"), ("tcap", "buffer capacity 64")])
def test_a_run_names_the_layer_that_cannot_be_mapped(name, said, tmp_path, capsys):
    argv = ["run", f"arch={TWELVE / name}.yaml", f"workload={TWELVE / 'net.yaml'}", "-q"]
    argv += ["optimizer=random", "samples=3", "mapspace.padding=off", f"folder={tmp_path / 'run'}"]
    assert main(argv) == 3
    told = capsys.readouterr()
    assert said in told.out + told.err
    assert "layer 'fc'" in told.out + told.err


@pytest.mark.slow
def test_a_run_adds_up_and_does_not_depend_on_threads(tmp_path, capsys):
    told = []
    for n in (1, 2):
        argv = ["run", f"arch={TWELVE / 't.yaml'}", f"workload={TWELVE / 'net.yaml'}", "-q"]
        argv += ["optimizer=random", "samples=40", f"n_jobs={n}", f"folder={tmp_path / str(n)}"]
        assert main(argv) == 0
        told.append(json.loads((tmp_path / str(n) / "result.json").read_text())["best"])
    capsys.readouterr()
    assert told[0] == told[1]
    for key in ("cycles", "energy_pj"):
        whole = sum(layer["count"] * layer[key] for layer in told[0]["layers"])
        assert told[0][key] == pytest.approx(whole, rel=1e-12)


def mapped(arch, folder, layer, tmp_path, capsys, code=0, *, padding, more=()):
    """Map a layer of the folder's network; return what is told as data, and as messages."""
    argv = ["map", f"arch={arch}", f"layer={folder / 'net.yaml'}/{layer}", "mapper=hillclimb"]
    argv += ["samples=400", f"mapspace.padding={padding}", f"folder={tmp_path / 'run'}", *more]
    assert main([*argv, "-q", "--json"]) == code
    told = capsys.readouterr()
    return (json.loads(told.out) if code == 0 else None), told.err
