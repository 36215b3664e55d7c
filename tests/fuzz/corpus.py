"""Inputs of every kind: small good ones, changed at random."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path
from random import Random

import timeloop_texts

from dse.evaluators.cycles import MemorySettings

from . import mutate
from .sandbox import CANARY, Case

ARCH = """\
name: small
energy: dosa
variables:
  pes: {min: 4, max: 16, sampling: powers_of_two, default: 4}
  buffer_kb: {min: 1, max: 8, step: 1, default: 2, unit: KB}
budget: {area_um2: 5.0e6, pes: 64}
storage:
  - {name: DRAM, class: DRAM, word_bits: 8, block_size: 64, shared_bandwidth: 8}
  - name: Buffer
    word_bits: 8
    size_words: buffer_kb * 1024
    block_size: 8
    read_bandwidth: min(pes, 8)
    constraints: {keep: [Weights, Inputs, Outputs], spatial: {x: [K, C]}}
  - {name: Registers, word_bits: 8, size_words: 16, mesh_x: pes}
compute: {name: MACC, word_bits: 8, mesh_x: pes}
"""
NET = """\
name: net
shape: cnn-layer
layers:
  - {name: a, R: 3, S: 3, P: 8, Q: 8, C: 4, K: 8, Wstride: 2, Hstride: 2}
  - {name: fc, C: 32, K: 10, count: 2}
"""
SHAPE = """\
name: own
shape:
  name: conv1d
  dimensions: [R, P]
  coefficients: [{name: stride, default: 1}]
  data_spaces:
  - {name: Weights, projection: [[[R]]]}
  - {name: Inputs, projection: [[[R], [P, stride]]]}
  - {name: Outputs, projection: [[[P]]], read_write: true}
layers:
  - {name: a, R: 3, P: 16, stride: 2}
"""
CONSTRAINTS = """\
mapspace_constraints:
  targets:
  - {target: GLB, type: temporal, factors: C<=4 P=2 Q=0 R=3, permutation: RS}
  - {target: GLB, type: spatial, factors: C>=2 K<=4, permutation: KC, split: 1}
  - {target: RF, type: bypass, keep: [Weights], bypass: [Inputs]}
  - {target: RF, type: utilization, min: 0.5}
"""
#: A template whose mapspace says all that one can.
HELD = ARCH.replace(
    "constraints: {keep: [Weights, Inputs, Outputs], spatial: {x: [K, C]}}",
    """constraints:
      keep: [Inputs, Outputs]
      bypass: [Weights]
      temporal: {dimensions: [C, P, Q, R], factors: {R: 0}, max_factors: {P: "min(pes, 4)"},
                 min_factors: {Q: 2}, permutation: [R, C], suffix: [P]}
      spatial: {dimensions: [K, C], x: [K], y: [C], max_factors: {K: pes}}
      min_parallelism: 0.01""",
).replace("mesh_x: pes}", "mesh_x: pes, constraints: {temporal: {factors: {S: 1}}}}", 1)
#: What a file may contain to run something; `` CANARY `` is the absolute path of the canary.
PAYLOADS = (
    "!!python/object/apply:os.system ['touch CANARY']",
    "!!python/object/new:subprocess.Popen [[touch, CANARY]]",
    "__import__('os').system('touch CANARY')",
    "[c for c in ().__class__.__base__.__subclasses__()]",
    "{{ cycler.__init__.__globals__.os.system('touch CANARY') }}",
    "{{ include.__globals__['__builtins__'].open('CANARY', 'w') }}",
    "${oc.env:HOME}",
    "$(touch CANARY)",
    "`touch CANARY`",
    "; touch CANARY",
    "CANARY",
)
JINJA = (
    *("{{ 2 ** 99 ** 9 }}", "{{ 'a' * 999999999 }}", "{{ '%999999999d' % 1 }}", "{{ x }}"),
    *("{% for i in range(99999999) %}x{% endfor %}", "{{ [1]|batch(1000000000, 'x')|list }}"),
    *("{{ 5|round(100000000000) }}", "{{ 1e400|int }}", "{{ '\\ud800' }}", "{% macro a() %}"),
    *("{{ include('arch.yaml') }}", "{{ include('top.yaml.j2', 'x') }}", "{{ include(1) }}"),
    *("{{ include_text('../beside/sentinel.yaml') }}", "{{ include_all('../**/*') }}"),
    *("{{ include_all('/etc/*') }}", "{{ find_path('/') }}", "{{ add_to_path('..') }}"),
    "{% set a = namespace(x='a') %}{% for i in range(40) %}{% set a.x = a.x ~ a.x %}{% endfor %}",
    *("{% include 'arch.yaml' %}", "{% import 'arch.yaml' as a %}", "{% extends 'x' %}"),
    *("{{ ''.__class__.__mro__ }}", "{{ 'a'|truncate(length=-1) }}", "{{ {}.a.b }}", "{{ 1/0 }}"),
    *("{% macro a(n) %}{{ a(n + 1) }}{% endmacro %}{{ a(0) }}", "{{ cwd() }}", "{#", "{% raw %}"),
)
RUN = ["run", "arch=arch.yaml", "workload=net.yaml", "samples=4", "n_jobs=1", "folder=R", "-q"]
#: The default looks for a proof, which takes its time on spaces that are strange enough.
RANDOM = [*RUN, "optimizer=random"]
MAP_FILES = ["samples=6", "n_jobs=1", "-q"]
MAP = ["map", "arch=arch.yaml", "layer=net.yaml/a", "samples=6", "n_jobs=1", "folder=R", "-q"]
OPTIMIZERS = {
    "random": ["optimizer.mappings_per_hardware=2"],
    "ga": ["optimizer.mappings_per_hardware=2", "optimizer.population=4"],
    "naas": ["optimizer.mappings_per_hardware=2", "optimizer.population=4"],
    "nsga2": ["optimizer.mappings_per_hardware=2", "optimizer.population=4"],
    "lockstep": ["optimizer.batch=4", "optimizer.population=4"],
    "dosa": ["optimizer.steps=6", "optimizer.round_every=3"],
}
SETTINGS = (
    *("arch", "workload", "variables.pes", "variables.buffer_kb", "variables", "parameters.x"),
    *("objective", "constraints", "samples", "seed", "energy", "timeloop_version", "n_jobs"),
    *("runs", "folder", "optimizer", "mapper", "evaluator", "optimizer.mappings_per_hardware"),
    *("mapper.max_draws", "evaluator.binary", "resume", "hydra.run.dir", "hydra/launcher", "layer"),
)
METRICS = ("cycles", "energy_pj", "area_um2", "area_mm2", "edp", "power_w", "macs", "pes", "x")
#: Commands without files, or with few, and words that follow them.
ARGUMENTS = (
    *(["list"], ["list", "workloads"], ["list", "archs", "--json"], ["show", "gemmini"]),
    *(["show", "lockstep"], ["doctor"], ["components", "sram", "size_kb=64", "width=128"]),
    *(["components", "intmac", "width=8", "clock=5", "--json"], ["--version"], ["--help"]),
    *(["components", "dram", "type=LPDDR4", "width=64"], ["show", "attributes"]),
    *(["validate", "--random", "2", "arch=arch.yaml", "workload=net.yaml", "-q"],),
    *(["import", "model.onnx", "-o", "new.yaml"], ["compare", "R", "R2"], ["certify", "R"]),
)
SHARED = Path(__file__).parents[3] / "shared" / "cases"


def _shared(*folders: str) -> list[dict[str, bytes]]:
    """Return the files of each folder of cases beside the repository, if they are there."""
    places = [p for name in folders for p in sorted((SHARED / name).glob("**")) if p.is_dir()]
    found = [
        {
            p.name: p.read_bytes()
            for p in sorted(place.iterdir())
            if ".yaml" in p.name and p.stat().st_size < 50_000
        }
        for place in places
    ]
    return [files for files in found if files]


class Corpus:
    """Makes cases; ``folders`` are of runs: ``done``, ``half``, ``cycles``, ``optimal``."""

    def __init__(self, seed: int, root: Path, folders: dict[str, dict[str, bytes]]) -> None:
        self._seed = seed
        self._canary = str(root / CANARY)
        self._folders = folders
        forms = [form for _, form in sorted(timeloop_texts.FORMS.items())]
        self._timeloop = [
            *({"all.yaml": form.encode()} for form in forms),
            *_shared("timeloop-files", "reports", "robust"),
        ]
        self._jinja = _shared("jinja", "reports/14-jinja")
        self.kinds: dict[str, Callable[[Random], Case]] = {
            "template": self.template,
            "workload": self.workload,
            "timeloop": self.timeloop,
            "constraints": self.constraints,
            "jinja2": self.jinja,
            "overrides": self.overrides,
            "objective": self.objective,
            "cycles": self.cycles,
            "arguments": self.arguments,
            "run folder": self.run_folder,
        }
        if "optimal" in folders:
            self.kinds["certificate"] = self.certificate
        models = SHARED / "reports" / "06-onnx"
        self._models = {p.name: p.read_bytes() for p in models.glob("*.onnx*")}
        if self._models and find_spec("onnx"):
            self.kinds["onnx"] = self.onnx

    def case(self, number: int, only: str | None = None) -> Case:
        """Return a case; with the same base material, it depends on seed and number only."""
        seed = f"{self._seed}/{number}"
        random = Random(seed)
        kinds = list(self.kinds)
        made = self.kinds[only or kinds[number % len(kinds)]](random)
        # what no operating system passes on: zero bytes, and surrogates that are no bytes
        argv = [
            os.fsencode(_passable(word)).decode("utf-8", "surrogateescape") for word in made.argv
        ]
        return Case(made.kind, argv, made.files, seed)

    def _payload(self, random: Random, content: bytes) -> bytes:
        """Now and then, put in what would run something."""
        if random.random() > 0.1:
            return content
        payload = random.choice(PAYLOADS).replace("CANARY", self._canary).encode()
        lines = content.split(b"\n")
        at = random.randrange(len(lines))
        lines[at] = lines[at].partition(b":")[0] + b": " + payload
        return b"\n".join(lines)

    def _changed(self, random: Random, files: dict[str, bytes], *names: str) -> dict[str, bytes]:
        name = random.choice(names or tuple(files))
        return {
            **files,
            name: self._payload(random, mutate.file(random, name, files[name])),
        }

    def _search(self, random: Random) -> list[str]:
        kind = random.random()
        if kind < 0.45:
            name = random.choice(("random", "random", *OPTIMIZERS))
            argv = [*RUN, f"optimizer={name}", *OPTIMIZERS[name]]
        elif kind < 0.8:
            argv = [*MAP, f"mapper={random.choice(('random', 'random', 'gamma', 'hillclimb'))}"]
        else:
            return ["show", "arch.yaml"]
        return argv + random.choice(([], ["--json"]))

    def template(self, random: Random) -> Case:
        arch = random.choice((ARCH, HELD))
        files = {"arch.yaml": arch.encode(), "net.yaml": NET.encode()}
        return Case("template", self._search(random), self._changed(random, files, "arch.yaml"))

    def workload(self, random: Random) -> Case:
        net = random.choice((NET, SHAPE))
        files = {"arch.yaml": ARCH.encode(), "net.yaml": net.encode()}
        argv = self._search(random)
        argv = ["show", "net.yaml"] if argv[0] == "show" else argv
        return Case("workload", argv, self._changed(random, files, "net.yaml"))

    def _on_files(self, random: Random, names: list[str]) -> list[str]:
        kind = random.random()
        if kind < 0.4:
            return ["model", *names, *random.choice(([], ["--json"], ["-o", "out"]))]
        if kind < 0.6:
            mapper = random.choice(("random", "random", "gamma", "hillclimb"))
            more = random.choice(([], ["--json"], ["-o", "out"], ["--strict"], ["-D", "x=1"]))
            return ["map", *names, *MAP_FILES, f"mapper={mapper}", *more]
        if kind < 0.7:
            arch, workload = random.choice(names), random.choice((*names, "net.yaml"))
            given = random.choice(
                ([], [f"constraints={names[-1]}"], ["variables.GLB.depth=[8,16]"])
            )
            return ["run", f"arch={arch}", f"workload={workload}", *given, *RANDOM[3:]]
        if kind < 0.9:
            to = random.choice(("v0.3", "v0.4", "template", "dse"))
            return ["convert", *names, "--to", to, *random.choice(([], ["-o", "out"]))]
        return ["validate", *names, "-q"]

    def timeloop(self, random: Random) -> Case:
        files = random.choice(self._timeloop)
        return Case("timeloop", self._on_files(random, list(files)), self._changed(random, files))

    def constraints(self, random: Random) -> Case:
        files = {
            "all.yaml": (timeloop_texts.tree() + timeloop_texts.AFTER).encode(),
            "constraints.yaml": CONSTRAINTS.encode(),
        }
        argv = self._on_files(random, list(files))
        return Case("constraints", argv, self._changed(random, files, "constraints.yaml"))

    def jinja(self, random: Random) -> Case:
        if self._jinja and random.random() < 0.3:
            files = random.choice(self._jinja)
            names = [random.choice(list(files))] if len(files) > 9 else list(files)
            files = self._changed(random, files, *names)
        else:
            arch = (timeloop_texts.tree() + timeloop_texts.AFTER).encode()
            names = ["top.yaml.j2"]
            text = "{{ include('arch.yaml') }}\n" if random.random() < 0.5 else arch.decode()
            lines = text.split("\n")
            snippet = random.choice(JINJA)
            if random.random() < 0.5:
                snippet = mutate.text(random, snippet)
            lines.insert(random.randrange(len(lines)), random.choice(("# ", "a: ", "")) + snippet)
            top = "\n".join(lines).encode("utf-8", "surrogatepass")
            files = {"top.yaml.j2": self._payload(random, top), "arch.yaml": arch}
        argv = self._on_files(random, names)
        if random.random() < 0.3:
            argv += ["-D", f"x={random.choice(mutate.WORDS)}"]
        return Case("jinja2", argv, files)

    def overrides(self, random: Random) -> Case:
        argv = list(random.choice((RANDOM, RANDOM, MAP)))
        for _ in range(random.choice((1, 1, 2, 3))):
            key = random.choice(SETTINGS)
            value = random.choice(mutate.WORDS)
            if key == "samples" and value.isdigit() and int(value) > 1000:
                value = "-" + value  # who asks for much work gets it
            argv.append(
                random.choice(("", "", "", "+", "~", "++")) + f"{key}={value}"
                if random.random() < 0.9
                else value
            )
        return Case("overrides", argv, {"arch.yaml": ARCH.encode(), "net.yaml": NET.encode()})

    def cycles(self, random: Random) -> Case:
        names = [f.name for f in fields(MemorySettings)]
        words = random.sample((*mutate.WORDS, "1", "2", "16", "64", "4096"), 3)
        memory = [f"evaluator.{random.choice(names)}={word}" for word in words]
        memory = memory[: random.randrange(4)]
        if random.random() < 0.3:
            folder = self._changed(random, self._folders["cycles"])
            return Case(
                "cycles", ["validate", "evaluator=cycles", "R", *memory], _under("R", folder)
            )
        size = f"variables.pe_dim={random.choice((2, 4, 8))}"
        argv = [*(random.choice((RANDOM, MAP))), "evaluator=cycles", size, *memory]
        argv[1] = "arch=gemmini"
        files = {"net.yaml": NET.encode()}
        return Case("cycles", argv, random.choice((files, self._changed(random, files))))

    def objective(self, random: Random) -> Case:
        def term(depth: int) -> str:
            if depth == 0 or random.random() < 0.3:
                return random.choice((*METRICS, *METRICS, "0", "2", "1e400", "0.5", "-1", "(1/0)"))
            shape = random.choice(("({} + {})", "({} - {})", "{} * {}", "{} / {}", "{} ** {}"))
            more = random.choice((shape, shape, shape, "min({}, {})", "log2({})", "ceil({})"))
            return more.format(*(term(depth - 1) for _ in range(more.count("{}"))))

        text = term(random.choice((1, 2, 3, 30)) if random.random() < 0.9 else 6)[:20_000]
        if random.random() < 0.3:
            text = mutate.text(random, text)
        if random.random() < 0.05:
            text = random.choice(PAYLOADS).replace("CANARY", self._canary)
        words = [f"objective='{text}'"]
        if random.random() < 0.3:
            words = [f"constraints='{text} {random.choice('<>')} {term(1)}'"]
        base = random.choice((RANDOM, MAP)) if words[0].startswith("o") else RANDOM
        argv = [*base, *words, *random.choice(([], ["--json"]))]
        return Case("objective", argv, {"arch.yaml": ARCH.encode(), "net.yaml": NET.encode()})

    def arguments(self, random: Random) -> Case:
        argv = list(random.choice(ARGUMENTS))
        for _ in range(random.choice((0, 1, 1, 2))):
            at = random.randrange(len(argv))
            word = random.choice(mutate.WORDS)
            match random.randrange(4):
                case 0:
                    argv.insert(at + 1, word)
                case 1:
                    argv[at] = argv[at].partition("=")[0] + "=" + word
                case 2:
                    argv[at] = mutate.text(random, argv[at])
                case _:
                    argv.append(random.choice(("--json", "-o", "--seed", "--x", "-", "..", "/")))
        return Case("arguments", argv, {"arch.yaml": ARCH.encode(), "net.yaml": NET.encode()})

    def run_folder(self, random: Random) -> Case:
        which = random.choice(("done", "half"))
        folder = self._folders[which]
        changed = self._changed(random, folder, *(n for n in folder if "/" not in n))
        if random.random() < 0.1:
            del changed[random.choice(list(changed))]
        if which == "half" or random.random() < 0.2:
            argv = ["run", "resume=R", "-q", *random.choice(([], ["n_jobs=1"], ["--json"]))]
        else:
            argv = random.choice(
                (
                    ["compare", "R", "R2"],
                    ["compare", "R2", "R", "--json"],
                    ["validate", "R", "-q"],
                    ["certify", "R", "-q", "--mappings", "1000000"],
                )
            )
        other = _under("R2", self._folders["done"]) if argv[0] == "compare" else {}
        return Case("run folder", argv, {**_under("R", changed), **other})

    def certificate(self, random: Random) -> Case:
        folder = dict(self._folders["optimal"])
        if random.random() < 0.5:
            result = json.loads(folder["result.json"])
            result["certificate"] = mutate.tree(random, result["certificate"])
            folder["result.json"] = json.dumps(result, default=str, skipkeys=True).encode()
        else:
            folder = self._changed(random, folder, *(n for n in folder if "/" not in n))
        flags = random.choice((["--no-bound"], [], ["--json"]))
        return Case(
            "certificate",
            ["certify", "R", "-q", "--mappings", "1000000", *flags],
            _under("R", folder),
        )

    def onnx(self, random: Random) -> Case:
        name = random.choice([n for n in self._models if n.endswith(".onnx")])
        content = mutate.data(random, self._models[name])
        files = {n: c for n, c in self._models.items() if n.startswith(name)}
        argv = ["import", name, "-o", "new.yaml", *random.choice(([], ["--size", "batch=1"]))]
        return Case("onnx", argv, {**files, name: content})


def _passable(word: str) -> str:
    return "".join("?" if c == "\0" or "\ud800" <= c <= "\udfff" else c for c in word)[:100_000]


def _under(folder: str, files: dict[str, bytes]) -> dict[str, bytes]:
    return {f"{folder}/{name}": content for name, content in files.items()}
