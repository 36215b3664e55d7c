"""``python -m dse explain``: what limits a run's layers or a mapping, and what more would buy."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dse.cli.energy import EnergyChoice, add_energy, strictly
from dse.cli.model import add_template_options, values_of
from dse.errors import InvalidMapping, SpecError
from dse.timeloop.yaml.parse import SUFFIXES

if TYPE_CHECKING:
    from dse.explain.layer import ExplainedLayer

_EPILOG = """\
RUN is the folder of a finished run, with the name of one of its layers behind
it where one is to be told in full; FILEs are Timeloop's: architecture, problem
and mapping, ERT and ART, as 'python -m dse model' takes them.

What one more of each resource would buy (a PE row or column, double the size of
a buffer, one more word a cycle) is evaluated exactly, with the mappings as they
are; with --samples N also with the better of these and what hill climbing finds
of N mappings a layer, on the hardware as it is, too. Of a run, one layer is
mapped anew so with 2000 samples, all layers are not, unless told. Of FILEs no
layer is: they do not say what may be mapped. Prices are those of the run's
energy chain at the changed sizes; the prices in FILEs stay as they are.

  python -m dse explain runs/20261120-155903_random_resnet50_s0
  python -m dse explain runs/20261120-155903_random_resnet50_s0 conv1
  python -m dse explain arch.yaml problem.yaml mapping.yaml --json

exit codes: 0 good, 2 usage or input error, 3 the mapping is rejected
"""
_LAYER_SAMPLES = 2000


def _parser() -> argparse.ArgumentParser:
    """Return the command's argument parser."""
    result = argparse.ArgumentParser(
        prog="python -m dse explain",
        description="Say what limits each layer, where its energy goes, and what more would buy.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    result.add_argument("words", nargs="+", metavar="RUN [LAYER] | FILE", help="see below")
    result.add_argument("--json", action="store_true", help="write JSON to stdout")
    result.add_argument(
        "--samples",
        type=int,
        default=None,
        metavar="N",
        help="map anew with so many",
    )
    result.add_argument(
        "--timeloop-version",
        default=None,
        metavar="V",
        help="of FILEs: 4cf6d4c (default), 3.0.3, or dosa (before commit 59fdc83)",
    )
    add_energy(result)
    add_template_options(result)
    return result


def main(argv: Sequence[str]) -> int:
    """Run the command and return its exit code.

    Raises:
        SpecError: a word is neither a run folder nor a file, or the input is wrong.
    """
    arguments = _parser().parse_intermixed_args(argv)
    if arguments.samples is not None and arguments.samples < 0:
        raise SpecError(f"--samples {arguments.samples}, expected 0 or more")
    words: list[str] = arguments.words
    if Path(words[0]).is_dir():
        _refuse_options(arguments)
        return _explain_run(Path(words[0]), words[1:], arguments.samples, arguments.json)
    missing = [word for word in words if not Path(word).is_file()]
    if missing and not missing[0].endswith(SUFFIXES):
        raise SpecError(f"explain: '{missing[0]}' is neither a run folder nor a file")
    return _explain_files(words, arguments)


def _refuse_options(arguments: argparse.Namespace) -> None:
    """Refuse what goes with files only."""
    given = {
        "--timeloop-version": arguments.timeloop_version,
        "--energy": arguments.energy,
        "--strict": arguments.strict,
        "-D": arguments.define,
        "--include-path": arguments.include_path,
    }
    for name, value in given.items():
        if value:
            raise SpecError(f"{name}: it goes with Timeloop's files, not with a run folder")


def _explain_run(folder: Path, names: list[str], samples: int | None, as_json: bool) -> int:
    from dse.cli.explained import layer_text, run_text  # noqa: PLC0415
    from dse.explain.run import explained_run  # noqa: PLC0415 - loads the compiled model

    if len(names) > 1:
        raise SpecError(f"explain takes one layer of a run, not {len(names)}")
    run = explained_run(folder)
    layers = [run.layer(names[0])] if names else list(run.layers)
    if samples is None:
        samples = _LAYER_SAMPLES if names else 0
    outcomes = run.what_if(layers, samples)
    if as_json:
        found = {
            "schema": "dse.explain/1",
            "run": str(folder),
            "evaluator": run.evaluator,
            "samples": samples,
            "layers": [layer.as_dict() for layer in layers],
            "changes": [outcome.as_dict() for outcome in outcomes],
        }
        sys.stdout.write(json.dumps(found, allow_nan=False) + "\n")
    elif names:
        sys.stdout.write(layer_text(layers[0], outcomes, samples))
    else:
        sys.stdout.write(run_text(run, outcomes, samples))
    if run.evaluator != "native":
        sys.stderr.write(
            f"note: the run's evaluator is {run.evaluator}; this is of Timeloop's model\n"
        )
    return 0


def _explain_files(files: Sequence[str], arguments: argparse.Namespace) -> int:
    from dse.cli.explained import layer_text  # noqa: PLC0415
    from dse.explain.changes import what_if  # noqa: PLC0415 - loads the compiled model
    from dse.explain.layer import ExplainedLayer  # noqa: PLC0415
    from dse.timeloop.evaluate import evaluate_files  # noqa: PLC0415

    if arguments.samples:
        raise SpecError("--samples: Timeloop's files do not say what may be mapped; use a run")
    try:
        with strictly(arguments.strict):
            evaluation = evaluate_files(
                files,
                arguments.timeloop_version or "4cf6d4c",
                values_of(arguments),
                arguments.include_path,
                EnergyChoice(arguments.energy),
            )
    except InvalidMapping as rejection:
        sys.stderr.write(f"{rejection}\n")
        return rejection.exit_code
    problem = evaluation.input.problem
    layer: ExplainedLayer = ExplainedLayer(problem.shape.name, 1, problem, evaluation)
    outcomes = what_if([layer], lambda architecture: architecture)
    if arguments.json:
        found = {
            "schema": "dse.explain/1",
            "layers": [layer.as_dict()],
            "changes": [outcome.as_dict() for outcome in outcomes],
        }
        sys.stdout.write(json.dumps(found, allow_nan=False) + "\n")
    else:
        sys.stdout.write(layer_text(layer, outcomes, 0))
    return 0
