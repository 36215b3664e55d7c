"""Every command that README.md and docs/ show works: page by page, in a folder with what it names.

Budgets are small here, by settings that stand in place of the page's or behind them. What cannot be
run is composed as far as it goes, and `ONLY_COMPOSED` says why. The tutorial and the guides to
plug-ins have tests of their own, which run their blocks.
"""

from __future__ import annotations

import shutil
import sys
from importlib import import_module
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import pytimeloop_stub
import timeloop_files
from doc_commands import GUIDES, PAGES, Command, commands
from learned_cases import write_dosa_rows

import dse
from dse.cli import COMMANDS, main
from dse.cli.hydra_front import is_sweep, jobs_of, run_with_hydra
from dse.extras import is_installed
from dse.runner.config import resolve
from dse.space import catalog

pytestmark = pytest.mark.slow

#: Commands, or words of commands, that are composed and not run.
ONLY_COMPOSED = {
    "evaluator=timeloop": "needs timeloop-model",
    "hydra/launcher=submitit_slurm": "needs Slurm; a test has a stand-in",
    "validate FILES": "no files in particular",
    "show mine": "a plug-in that the reader has yet to write",
}
#: Words that stand for others: a stand-in for what may be missing here, equal in all it answers.
INSTEAD = {
    "evaluator=rtl": "evaluator=cycles",
    "arch=glob(*)": "arch=glob(nvdla_*)",
    "workload=glob(*,exclude=ofa_*)": "workload=glob(dosa_be*)",
}
#: Modules without which commands with such a word are only composed.
EXTRAS = {
    "optimizer=bo": ("botorch", "gpytorch"),
    "optimizer=spotlight": ("botorch", "gpytorch"),
    "optimizer=bo_dosa": ("sklearn",),
    "optimizer=polaris": ("torch", "safetensors"),
    "train": ("torch", "sklearn", "safetensors"),
    "evaluator=learned": ("torch", "sklearn", "safetensors"),
    "--optuna": ("optuna",),
    "parallel=dask": ("distributed",),
    "hydra/launcher=joblib": ("hydra_plugins.hydra_joblib_launcher",),
    "hydra/launcher=submitit_local": ("hydra_plugins.hydra_submitit_launcher",),
    "workload=model.onnx": ("onnx",),
    "import": ("onnx",),
    "workload=mynet": ("onnx",),
}
#: Settings of a small budget, by a word of the command; None: of every search.
SMALL: dict[str | None, tuple[str, ...]] = {
    None: ("samples=2", "n_jobs=1"),
    "optimizer=optimal": ("optimizer.time=0.5",),
    "constraints=cycles <= 3e6": ("optimizer.time=120",),
    "constraints=area_mm2 < 6": ("variables.scratchpad_kb=64", "variables.accumulator_kb=64"),
    "mapper=optimal": ("mapper.nodes=100", "mapper.seeding=4"),
    "mapspace.uneven=[Buffer]": ("samples=40",),
    "optimizer=dosa": ("optimizer.steps=4", "optimizer.round_every=4"),
    "optimizer=polaris": (
        *("optimizer.pretrain=100", "optimizer.search=20"),
        *("optimizer.warmup=1", "optimizer.batch=1", "samples=2"),
    ),
    "seed=0,1,2": ("seed=0,1",),
    "seed=range(0,5)": ("seed=range(0,2)",),
    "optimizer=bo": ("samples=8", "optimizer.mappings_per_hardware=2", "optimizer.candidates=20"),
    "optimizer=spotlight": ("samples=16", "optimizer.mappings_per_hardware=4"),
    "optimizer=bo_dosa": (
        *("optimizer.training=3", "optimizer.trials=1"),
        *("optimizer.mappings_per_hardware=3", "samples=9"),
    ),
}
#: The same of other commands.
OTHERS = {
    "validate": ("--only", "pytimeloop", "--designs", "1", "-q"),
    "certify": ("--forget",),
    "layer1.0.conv1": ("--samples", "2"),
    "supernet": ("epochs=1", "batch=400"),
    "trees": ("iterations=3", "members=2"),
    "starlight": ("pretrain=40", "epochs=1", "steps=2"),
}

COMPONENT = """
compound_components:
  version: 0.4
  classes:
  - name: pair
    attributes: {technology: 40nm, width: 8}
    subcomponents:
    - {name: "adder[1..2]", class: intadder, attributes: {width: width}}
    actions:
    - {name: compute, subcomponents: [{name: "adder[1..2]", actions: [{name: add}]}]}
"""
SPARSE = """
sparse_optimizations:
  targets:
  - name: Buffer
    action_optimization:
    - {type: gating, options: [{target: W, condition_on: [I]}]}
"""
CONSTRAINTS = """
mapspace_constraints:
  targets:
  - {target: DRAM, type: temporal, factors: P=1}
"""
TEMPLATE = """
{% set name = architecture | default('eyeriss_like') %}
architecture: {{include('arch/' ~ name ~ '.yaml', 'architecture')}}
problem: {{include(problem | default('problem.yaml'), 'problem')}}
{% if problem is defined %}mapping: {{include('mapping.yaml', 'mapping')}}{% endif %}
"""
NET = """
name: vit
layers:
  - {name: head, C: 12, K: 37}
"""
SIMULATOR = """
import json, sys
asked = json.load(open(sys.argv[1]))
json.dump({"cycles": 10**9 + len(str(asked["mapping"]))}, open(sys.argv[2], "w"))
"""


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Path:
    """A folder with all that commands name, in the folder ``here``."""
    here = tmp_path_factory.mktemp("site") / "here"
    texts = {
        "arch.yaml": timeloop_files.CHIP,
        "arch/eyeriss_like.yaml": timeloop_files.CHIP,
        "components/pair.yaml": COMPONENT,
        "problem.yaml": timeloop_files.PROBLEM % 16,
        "prob.yaml": timeloop_files.PROBLEM % 16,
        "problems/a.yaml": timeloop_files.PROBLEM % 16,
        "../layer_shapes/alexnet/3.yaml": timeloop_files.PROBLEM % 16,
        "mapping.yaml": timeloop_files.CHIP_MAPPING,
        "constraints.yaml": CONSTRAINTS,
        "sparse.yaml": SPARSE,
        "mapper.yaml": timeloop_files.MAPPER % "edp",
        "top.yaml.jinja2": TEMPLATE,
        "my_chip.yaml": catalog.find("arch", "gemmini").read_text(),
        "vit.yaml": NET,
        "sim.py": SIMULATOR,
    }
    for name, text in texts.items():
        path = here / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    write_dosa_rows(here / "firesim_train.csv")
    small = {"arch": "gemmini", "workload": "dosa_bert", "samples": 8, "n_jobs": 1, "report": False}
    for seed in (0, 1):
        folder = here / "runs" / "SWEEP" / f"{seed}"
        dse.run(**small, optimizer="random", seed=seed, folder=str(folder))
    few = {"pe_dim": 16, "scratchpad_kb": 64}
    dse.run(**small, optimizer="optimal", variables=few, folder=str(here / "runs" / "FOLDER"))
    files = [str(here / name) for name in ("arch.yaml", "problem.yaml", "mapping.yaml")]
    assert main(["convert", *files, "--to", "v0.4", "-o", str(here / "flat")]) == 0
    for name in ("ERT.yaml", "ART.yaml"):
        shutil.copy(here / "flat" / name, here / name)
    if find_spec("onnx"):
        write_model(here / "model.onnx")
    return here


def write_model(path: Path) -> None:
    """Write a model of one product, over a symbolic length."""
    from onnx_models import node, parameter, save, value

    save(path, [node("MatMul", "x w", "y")], [value("x", 1, "seq", 8)], [parameter("w", 8, 16)])


@pytest.fixture
def here(prepared, tmp_path, monkeypatch) -> Path:
    """A copy of that folder, in which the test is; a Timeloop answers there."""
    shutil.copytree(prepared.parent, tmp_path / "site")
    monkeypatch.chdir(tmp_path / "site" / "here")
    monkeypatch.setenv("DSE_PYTIMELOOP_PYTHON", pytimeloop_stub.stub(tmp_path / "bin"))
    monkeypatch.setattr(sys, "argv", ["dse"])
    return Path()


def shown(page: Path) -> list[Command]:
    """Return the commands of a page that no other test runs."""
    ran = ("",) if page.stem in (*GUIDES, "tutorial") else ()
    return [command for command in commands(page) if command.language not in ran]


@pytest.mark.parametrize("page", [p for p in PAGES if shown(p)], ids=lambda page: page.stem)
def test_the_commands_of_a_page_work(here, page, capsys):
    failed = []
    for command in shown(page):
        if not is_run(command) or set(command.words) & set(INSTEAD):
            check_composed(command)
        if not is_run(command):
            continue
        words = small([path for word in command.words for path in expanded(word)])
        supply(words)
        code = main(words)
        out, err = capsys.readouterr()
        if code != 0:
            failed.append(f"{command}\n(as {' '.join(words)}): {code}\n{out[-500:]}{err[-500:]}")
    assert not failed, "\n".join(failed)


def test_little_is_only_composed():
    every = [command for page in PAGES for command in shown(page)]
    assert len(every) > 100
    found = [c for c in every if kept_back(c)]
    assert {word for c in found for word in kept_back(c)} == set(ONLY_COMPOSED)
    assert len(found) <= 5


def kept_back(command: Command) -> set[str]:
    """Return what of `ONLY_COMPOSED` a command is."""
    return {*command.words, " ".join(command.words)} & set(ONLY_COMPOSED)


def is_run(command: Command) -> bool:
    """Whether a command is one to run, and all that it needs is installed."""
    names_a_command = command.language is None and len(command.words) == 1
    if names_a_command or kept_back(command):
        return False
    wanted = [module for word in command.words for module in EXTRAS.get(word, ())]
    return all(map(is_installed, wanted))


def check_composed(command: Command) -> None:
    """Check a command as far as that goes without running it."""
    name, *rest = command.words
    assert name in COMMANDS, command
    module = import_module(COMMANDS[name][0])
    settings = [word for word in rest if "=" in word and not word.startswith(("layer=", "resume="))]
    if name == "run" and "--help" not in rest:
        jobs: list[dict[str, Any]] = []
        if is_sweep(rest):
            jobs, _ = jobs_of([*settings, "-m"])
        else:
            run_with_hydra(settings, jobs.append)
        for job in jobs:
            resolve(job)
    elif hasattr(module, "_parser") and (rest or command.language is not None):
        module._parser().parse_intermixed_args(rest)


def expanded(word: str) -> list[str]:
    """Return the files that a pattern names, or the word."""
    return (sorted(map(str, Path().glob(word))) if "*" in word else []) or [word]


def small(words: list[str]) -> list[str]:
    """Return a command's words with a small budget."""
    name = words[0]
    words = [INSTEAD.get(word, word) for word in words]
    if "--help" in words:
        return words
    more = [x for word, given in OTHERS.items() if word in words for x in given]
    if name in ("run", "map") and not any(word.startswith("resume=") for word in words):
        searches = name == "run" and not any(w.startswith("optimizer=") for w in words)
        more += ["optimizer.nodes=10"] if searches else []
        more += [x for word, given in SMALL.items() if word is None or word in words for x in given]
        more += ["report=false"] if name == "run" else []
    last = {setting.partition("=")[0]: setting for setting in more if "=" in setting}
    kept = [word for word in words if word.partition("=")[0] not in last]
    kept = ["2" if before == "--random" else word for before, word in pairwise(["", *kept])]
    return [*kept, *last.values(), *(word for word in more if "=" not in word)]


def supply(words: list[str]) -> None:
    """Put the run there that a command names."""
    for word in words[1:]:
        name = word.removeprefix("resume=")
        run = Path(name)
        if (name.startswith("runs/") or name == "FOLDER") and not run.exists():
            kind = "SWEEP" if words[0] == "compare" else "FOLDER"
            shutil.copytree(Path("runs") / kind, run)
