"""One layer, one piece of hardware, one price list: mappers of others, and ours.

    python benchmarks/peers.py --accelforge PYTHON --zigzag PYTHON [--layers ...] [--json FILE]

Each mapper runs in a process of its own, on one thread: AccelForge and ZigZag by the Python that
has them (``pip install accelforge``, ``pip install zigzag-dse six``, in environments of their own),
timeloop-mapper where $DSE_TIMELOOP_MAPPER or PATH has it, ours with the template's constraints,
with ``mapspace.free``, and with ``mapspace.uneven`` beside it. What a peer finds is priced by our
model, too, where Timeloop has words for it: models count differently, mappings of one model
compare. Code is compiled by a first run that is not counted.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from peers_job import job_of
from peers_nest import UnevenError, mapping_of

from dse.components.chain import energy_chain
from dse.domain.architecture import Architecture
from dse.domain.problem import Problem
from dse.errors import InvalidMapping, ToolError
from dse.model.evaluate import evaluate_one
from dse.space import catalog
from dse.tools import binaries

_HERE = Path(__file__).parent
_VERSION = "4cf6d4c"
LAYERS = ("resnet50/layer1.0.conv1", "resnet50/layer1.0.conv2", "bert_base/query_key_value")


@dataclass(frozen=True)
class Entry:
    """What a mapper found for a layer.

    Attributes:
        layer, mapper: which.
        own_edp: by the mapper's own model, in pJ x cycle; None: it did not end well.
        edp: by our model; None where that cannot say the mapping.
        search_s, search_cpu_s: of the search alone.
        process_s, process_cpu_s: of the process that it ran in, start and imports included.
        note: what is to be said of it.
    """

    layer: str
    mapper: str
    own_edp: float | None
    edp: float | None
    search_s: float | None
    search_cpu_s: float | None
    process_s: float
    process_cpu_s: float
    note: str = ""


def main() -> int:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--accelforge", metavar="PYTHON", help="a Python that has accelforge")
    parser.add_argument("--zigzag", metavar="PYTHON", help="a Python that has zigzag-dse")
    parser.add_argument("--arch", default="gemmini", help="template, at its own values")
    parser.add_argument("--layers", nargs="+", default=list(LAYERS), metavar="WORKLOAD/LAYER")
    parser.add_argument("--timeout", type=float, default=1800.0, help="seconds per search")
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    template = catalog.template(arguments.arch)
    if template.defaults is None:
        parser.error(f"--arch {arguments.arch}: its file gives no values of its own")
    architecture = energy_chain(template.energy).price(template.build(template.defaults))
    rows: list[Entry] = []
    for name in arguments.layers:
        workload, _, layer = name.rpartition("/")
        problem = catalog.workload(workload).layer(layer).problem
        rows += compared(name, architecture, problem, arguments)
    told = {"date": f"{datetime.now(UTC):%Y-%m-%d}", "machine": machine(), "rows": []}
    told["rows"] = [asdict(row) for row in rows]
    if arguments.json:
        arguments.json.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    print(f"{told['date']}, {told['machine']}\n\n{table(rows)}")
    return 0


def compared(
    name: str, architecture: Architecture, problem: Problem, arguments: argparse.Namespace
) -> list[Entry]:
    """Return what all mappers that are there find for a layer, ours first."""
    words = [sys.executable, str(_HERE / "peers_ours.py")]
    rows = []
    exact = {"name": "optimal", "threads": 1}
    asked = {
        "dse, template": {"mapper": exact, "mapspace": {"padding": "off"}},
        "dse, free": {"mapper": exact, "mapspace": {"padding": "off", "free": True}},
        "dse, free and uneven": {
            "mapper": exact,
            "samples": 20_000,
            "mapspace": {"padding": "off", "free": True, "uneven": True},
        },
    }
    try:
        binaries.find("timeloop-mapper")
        own = {"mapper": {"name": "timeloop"}, "samples": 20_000}
        asked["timeloop-mapper, free"] = {**own, "mapspace": {"padding": "off", "free": True}}
    except ToolError as error:
        sys.stderr.write(f"{error}\n")
    for label, settings in asked.items():
        job = {"layer": name, "settings": {"arch": arguments.arch, **settings}}
        if label.startswith("dse"):
            ask(words, job, arguments.timeout)  # compiles
        rows.append(entry(name, label, ask(words, job, arguments.timeout), architecture, problem))
    for label, python in (("accelforge", arguments.accelforge), ("zigzag", arguments.zigzag)):
        if python is None:
            continue
        for even in (False, True):
            job = job_of(architecture, problem, even=even)
            answer = ask([python, str(_HERE / f"peers_{label}.py")], job, arguments.timeout)
            kind = f"{label}, {'even' if even else 'uneven'}"
            rows.append(entry(name, kind, answer, architecture, problem))
    return rows


def ask(words: list[str], job: dict[str, Any], timeout_s: float) -> dict[str, Any]:
    """Run a mapper on a job; return its answer, with the process's seconds, or its ``error``."""
    began = time.perf_counter()
    before = os.times()
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    try:
        done = subprocess.run(
            words, input=json.dumps(job), capture_output=True, text=True, check=False,
            timeout=timeout_s, env=environment,
        )  # fmt: skip
        failed = done.returncode != 0
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        found: dict[str, Any] = {"error": last} if failed else json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        found = {"error": f"not done after {timeout_s:g} s"}
    after = os.times()
    used = sum(after[2:4]) - sum(before[2:4])  # of children that have ended, and theirs
    return {**found, "process_s": time.perf_counter() - began, "process_cpu_s": used}


def entry(
    layer: str, mapper: str, answer: dict[str, Any], architecture: Architecture, problem: Problem
) -> Entry:
    """Return a row of the table from a mapper's answer."""
    spent = answer["process_s"], answer["process_cpu_s"]
    if "error" in answer:
        return Entry(layer, mapper, None, None, None, None, *spent, answer["error"])
    own = answer["cycles"] * answer["energy_pj"]
    ours, note = own, "proven" if answer.get("proven") else ""
    if "nest" in answer:
        ours, note = priced(answer["nest"], problem, architecture)
    mapper = f"{mapper} ({answer['version']})"
    return Entry(layer, mapper, own, ours, answer["wall_s"], answer["cpu_s"], *spent, note)


def priced(
    nest: list[dict[str, Any]], problem: Problem, architecture: Architecture
) -> tuple[float | None, str]:
    """Return the EDP of a nest by our model, and why it has none."""
    try:
        mapping = mapping_of(nest, problem, architecture)
        stats = evaluate_one(architecture, problem, mapping, _VERSION)
    except (UnevenError, InvalidMapping) as error:
        return None, str(error)
    return float(stats.cycles) * stats.energy_pj, ""


def machine() -> str:
    """Return the processor, and how busy it was."""
    text = Path("/proc/cpuinfo")
    lines = text.read_text(encoding="utf-8").splitlines() if text.is_file() else []
    model = next((x.partition(":")[2].strip() for x in lines if x.startswith("model name")), "")
    load = f", load {os.getloadavg()[2]:.1f}" if hasattr(os, "getloadavg") else ""
    return f"{model or platform.machine()}, {os.cpu_count()} CPUs{load}"


def table(rows: list[Entry]) -> str:
    """Return rows as a table of Markdown, EDP over the least that our model knows of each layer."""
    heads = ["layer", "mapper", "EDP, own model", "EDP, our model", "over the best"]
    heads += ["search CPU s", "search s", "process CPU s", "note"]
    lines = [f"| {' | '.join(heads)} |", f"|---|---|{'---:|' * 6}---|"]
    for row in rows:
        known = [x.edp for x in rows if x.layer == row.layer and x.edp is not None]
        over = "-" if row.edp is None else f"{row.edp / min(known):.4f}"
        cells = [row.layer, row.mapper, _number(row.own_edp, ".5g"), _number(row.edp, ".5g"), over]
        cells += [_number(row.search_cpu_s, ".1f"), _number(row.search_s, ".1f")]
        cells += [f"{row.process_cpu_s:.1f}", row.note]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


if __name__ == "__main__":
    sys.exit(main())
