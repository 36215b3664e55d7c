"""``python -m dse validate``: the native model against a real Timeloop, or against its twin."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dse.cli.model import add_values, values_of
from dse.errors import SpecError, unknown_name

if TYPE_CHECKING:
    from dse.study.space import SearchSpace
    from dse.validation import Case, Report

#: Random mappings that the differentiable model is compared on, unless told otherwise.
_TWIN_MAPPINGS = 2000

_EPILOG = """\
what to compare:
  RUN folder           the best design of a run, and random mappings on hardware from its journal
  FILE ...             the mapping in Timeloop's input files
  --random N arch=NAME workload=NAME [variables.NAME=VALUE] [energy=CHAIN]
                       N random mappings on random hardware
  model=differentiable arch=NAME workload=NAME ... [--random N]
                       N (2000) random mappings: the differentiable model against the native one

exit codes: 0 they agree, 1 they differ, 2 usage or input error, 4 timeloop-model missing or failed
"""


def parser() -> argparse.ArgumentParser:
    """Return the command's argument parser."""
    result = argparse.ArgumentParser(
        prog="python -m dse validate",
        description="Evaluate mappings with the native model and with another, and compare.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    result.add_argument("inputs", nargs="*", metavar="RUN | FILE | SETTING=VALUE")
    result.add_argument("--random", type=int, metavar="N", help="compare N random mappings")
    result.add_argument(
        "--designs", type=int, default=10, metavar="N", help="designs of a run (default 10)"
    )
    result.add_argument("--seed", type=int, default=0, help="of the random mappings (default 0)")
    result.add_argument("--plot", type=Path, metavar="FILE", help="scatter plot, .png or .svg")
    result.add_argument("--json", action="store_true", help="write JSON to stdout")
    result.add_argument("-q", "--quiet", action="store_true", help="no progress")
    result.add_argument("--n-jobs", type=int, default=0, metavar="N", help="0 = all cores")
    result.add_argument(
        "--timeloop-version", metavar="V", help="the native model's; default: what the binary is"
    )
    result.add_argument("--binary", metavar="PATH", help="timeloop-model; default: from PATH")
    add_values(result)
    return result


def main(argv: Sequence[str]) -> int:
    """Run the command and return its exit code."""
    arguments = parser().parse_intermixed_args(argv)
    models = [text for text in arguments.inputs if text.startswith("model=")]
    if models:
        arguments.inputs = [text for text in arguments.inputs if text not in models]
        return _twin(arguments, models[-1].removeprefix("model="))
    from dse.model import evaluate_one  # noqa: PLC0415 - loads the compiled model
    from dse.timeloop import binaries  # noqa: PLC0415
    from dse.timeloop.model_run import ModelRunner  # noqa: PLC0415
    from dse.validation import compare, report_text, scatter  # noqa: PLC0415

    if arguments.n_jobs < 0:
        raise SpecError(f"--n-jobs {arguments.n_jobs}: expected 0 (all cores) or more")
    binary = binaries.find("timeloop-model", arguments.binary)
    known = binaries.version(binary)
    version = arguments.timeloop_version or known or "4cf6d4c"
    cases = _cases(arguments, version)
    runner = ModelRunner(binary)
    report = compare(
        cases,
        lambda c: evaluate_one(c.architecture, c.problem, c.mapping, version),
        lambda c: runner.stats(runner.text(c.architecture, c.problem, c.mapping), c.problem),
        arguments.n_jobs or os.cpu_count() or 1,
        None if arguments.quiet or not sys.stderr.isatty() else _progress(len(cases)),
    )
    back_ends = (f"native {version}", f"timeloop-model ({known or 'unknown version'})")
    if arguments.plot is not None:
        scatter(report, arguments.plot, back_ends)
    if arguments.json:
        sys.stdout.write(json.dumps(_as_dict(report, back_ends), indent=2) + "\n")
    else:
        sys.stdout.write(report_text(report, back_ends))
    return 0 if report.agrees else 1


def _twin(arguments: argparse.Namespace, model: str) -> int:
    """Compare the differentiable model with the native one."""
    from dse.relaxed.validation import compare_twin, report_text, scatter  # noqa: PLC0415

    if model != "differentiable":
        raise SpecError(unknown_name("model", model, ["differentiable"]))
    count = _TWIN_MAPPINGS if arguments.random is None else arguments.random
    if count < 1:
        raise SpecError(f"--random {count}: expected at least 1")
    files = [text for text in arguments.inputs if "=" not in text]
    if files:
        raise SpecError(f"{files[0]}: model=differentiable takes settings (arch=...), no files")
    space = _space(arguments.inputs)
    report = compare_twin(space, count, arguments.seed, arguments.timeloop_version)
    if arguments.plot is not None:
        scatter(report, arguments.plot)
    if arguments.json:
        told = {
            "title": report.title,
            "agrees": report.agrees,
            "rows": [dataclasses.asdict(row) for row in report.rows],
        }
        sys.stdout.write(json.dumps(told, indent=2) + "\n")
    else:
        sys.stdout.write(report_text(report))
    return 0 if report.agrees else 1


def _cases(arguments: argparse.Namespace, version: str) -> list[Case]:
    from dse.validation import random_cases  # noqa: PLC0415

    settings = [text for text in arguments.inputs if "=" in text]
    paths = [Path(text) for text in arguments.inputs if "=" not in text]
    if arguments.random is not None:
        if paths or arguments.random < 1:
            raise SpecError("--random N takes N of at least 1, and settings, but no files")
        space = _space(settings)
        return list(random_cases(space, arguments.random, arguments.seed))
    if settings or not paths:
        raise SpecError("validate takes a run folder, Timeloop files, or --random N arch=...")
    if len(paths) == 1 and (paths[0] / "config.yaml").is_file():
        return _run_cases(paths[0], arguments.designs, arguments.seed, version)
    return [_file_case(paths, version, values_of(arguments))]


def _file_case(paths: Sequence[Path], version: str, values: dict[str, object]) -> Case:
    from dse.timeloop.read import read_files  # noqa: PLC0415
    from dse.validation import Case  # noqa: PLC0415

    spec = read_files(paths, version, values)
    if spec.mapping is None:
        raise SpecError(f"{spec.source}: key 'mapping' is missing or empty, expected directives")
    return Case(paths[-1].name, spec.architecture, spec.problem, spec.mapping)


def _space(settings: Sequence[str]) -> SearchSpace:
    """Return the space that ``arch=... workload=...`` name; the other settings have no say."""
    from dse import catalog  # noqa: PLC0415
    from dse.components.chain import energy_chain  # noqa: PLC0415
    from dse.config import resolve  # noqa: PLC0415
    from dse.study.space import SearchSpace  # noqa: PLC0415

    given: dict[str, object] = {}
    variables: dict[str, int] = {}
    for text in settings:
        key, _, value = text.partition("=")
        if key.startswith("variables."):
            if not value.isdecimal():
                raise SpecError(f"{text}: expected an integer")
            variables[key.removeprefix("variables.")] = int(value)
        else:
            given[key] = value
    run = resolve({**given, "variables": variables}).run
    template = catalog.template(run.arch)
    chain = energy_chain(run.energy or template.energy)
    workload = catalog.workload(run.workload)
    return SearchSpace(
        template, workload, chain, run.variables, timeloop_version=run.timeloop_version
    )


def _run_cases(folder: Path, designs: int, seed: int, version: str) -> list[Case]:
    """The best design's files as they are, and random mappings on hardware from the journal."""
    import numpy as np  # noqa: PLC0415

    from dse.runner import resume  # noqa: PLC0415
    from dse.validation import random_case  # noqa: PLC0415

    cases = []
    best = folder / "best"
    shared = [best / name for name in ("arch.yaml", "ERT.yaml", "ART.yaml")]
    for problem in sorted(best.glob("*.problem.yaml")):
        mapping = problem.with_name(problem.name.replace(".problem.", ".mapping."))
        cases.append(_file_case([*shared, problem, mapping], version, {}))
    if not cases:
        raise SpecError(f"{best}: holds no design; did the run end?")
    space = resume(folder).space
    lines = (folder / "journal.jsonl").read_text(encoding="utf-8").splitlines()
    valid = [record for record in map(json.loads, lines) if record.get("valid")]
    rng = np.random.default_rng(seed)
    for index in rng.permutation(len(valid))[:designs]:
        architecture = space.architecture(valid[index]["values"])
        for layer in space.workload:
            draw = int(rng.integers(2**62))
            found = random_case(space, architecture, layer, draw, fits=True)
            if found is not None:
                cases.append(found)
    return cases


def _progress(total: int) -> Callable[[int], None]:
    def report(done: int) -> None:
        sys.stderr.write(f"\r{done:,}/{total:,} mappings" + ("\n" if done == total else ""))
        sys.stderr.flush()

    return report


def _as_dict(report: Report, back_ends: tuple[str, str]) -> dict[str, object]:
    return {
        "back_ends": list(back_ends),
        "agrees": report.agrees,
        "mappings": len(report.outcomes),
        "rejected": report.rejected,
        "verdicts_differ": report.verdicts_differ,
        "counts_differ": report.counts_differ,
        "metrics": [dataclasses.asdict(row) for row in report.rows],
    }
