"""``python -m dse map``: the best mapping of one layer on fixed hardware."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dse.cli import map_files
from dse.cli.mapped import padded_text, progress_told, proof_text, tensor_table
from dse.cli.plain_settings import plain_settings
from dse.cli.settings_help import settings_help
from dse.errors import DseError, SpecError

if TYPE_CHECKING:
    from dse.runner.map_layer import MappedLayer

_USAGE = """\
usage: python -m dse map layer=WORKLOAD/LAYER [SETTING=VALUE ...] [-m] [--json]
       python -m dse map FILE ... [SETTING=VALUE ...] [-o DIR]

With Timeloop's files in place of a layer, it searches what they say, as
timeloop-mapper does: 'python -m dse map FILE --help' tells more of that.

Searches the best mapping of a layer on hardware of an architecture template,
with the values of its variables that the file gives (variables.NAME=VALUE sets
others). Prints the loop nest and the costs per level and tensor, and writes a
folder with the files for timeloop-model in best/.

  python -m dse map arch=eyeriss layer=vgg16/conv1_1 mapper=gamma samples=20000

  -q, --quiet    no progress on stderr (of mappers that report any)
  --json         print the result as one line of JSON
  -m, --multirun sweep over comma-separated values
  -h, --help     this text; with mapper=NAME, the settings of that mapper
"""

#: Settings of `run` that are of designs, or of their search.
_NOT_TAKEN = ("optimizer", "workload", "constraints", "record", "report")


def main(argv: Sequence[str]) -> int:
    """Map a layer, or several one after the other; return the exit code."""
    arguments = list(argv)
    if map_files.names_files(arguments):
        return map_files.main(arguments)
    if {"-h", "--help"} & set(arguments):
        sys.stdout.write(_USAGE + settings_help(arguments, skip=_NOT_TAKEN))
        return 0
    as_json = "--json" in arguments
    layers = [word for word in arguments if word.startswith("layer=")]
    if len(layers) != 1:
        raise SpecError("map takes one layer=WORKLOAD/LAYER")
    for word in arguments:
        if word.lstrip("+~").partition("=")[0].partition(".")[0] in (*_NOT_TAKEN, "resume"):
            raise SpecError(f"'{word}': map has no such setting")
    quiet = bool({"-q", "--quiet"} & set(arguments))
    rest = [word for word in arguments if word not in (layers[0], "--json", "-q", "--quiet")]

    codes: list[int] = []
    layer = layers[0].removeprefix("layer=")
    with progress_told(quiet):
        plain = plain_settings(rest)
        if plain is not None:
            return _map(plain, layer, as_json)
        from dse.cli.hydra_front import run_with_hydra  # noqa: PLC0415

        run_with_hydra(rest, lambda settings: codes.append(_map(settings, layer, as_json)))
    return max(codes, default=0)


def _map(settings: dict[str, object], layer: str, as_json: bool) -> int:
    from dse.jit_tiers import interpreting_first  # noqa: PLC0415 - loads numba
    from dse.runner.map_layer import map_layer  # noqa: PLC0415 - after the settings were read

    try:
        with interpreting_first():
            result = map_layer(settings, layer)
    except DseError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    if as_json:
        sys.stdout.write(json.dumps({**result.as_dict(), "folder": str(result.folder)}) + "\n")
    else:
        sys.stdout.write(_text(result))
    return 0


def _measured(result: MappedLayer) -> list[str]:
    """Return what an evaluator says whose numbers are not those of the tables."""
    if result.measured is None:
        return []
    cycles, energy_pj = result.measured
    name = result.settings["evaluator"]["name"]
    return [
        f"evaluator    {name}: {cycles:,.0f} cycles, {energy_pj / 1e6:.4f} uJ; the tables are of "
        "Timeloop's model"
    ]


def _text(result: MappedLayer) -> str:
    from dse.report.table import rates_rows  # noqa: PLC0415 - rich
    from dse.timeloop.write.report import map_text, summary_text  # noqa: PLC0415

    settings = result.settings
    hardware = "  ".join(f"{name}={value}" for name, value in result.values.items())
    lines = [
        map_text(result.evaluation),
        tensor_table(result.evaluation),
        summary_text(result.evaluation),
        *(f"{label:12} {text}" for label, text in rates_rows(result.rates, what="run")),
        f"hardware     {result.evaluation.input.architecture.name}  {hardware}",
        f"objective    {settings['objective']} = {result.value:.6g} {result.unit}".rstrip(),
        *_measured(result),
        f"search       mapper {settings['mapper']['name']}, {settings['samples']:,} samples, "
        f"seed {settings['seed']}, timeloop {settings['timeloop_version']}, "
        f"energy chain {settings['energy']}",
        f"mapspace     {result.mapspace}",
        f"folder       {result.folder}",
    ]
    if result.unpadded is not None:
        without = result.unpadded
        told = padded_text(result.padding, result.value, without.value, without.certificate)
        lines.insert(-1, f"padded       {told}")
    if result.unwritten is not None:
        lines.insert(-1, f"files        none for timeloop-model: {result.unwritten}")
    if result.certificate is not None:
        lines.insert(-1, f"proof        {proof_text(result.certificate)}")
    return "\n".join(lines) + "\n"
