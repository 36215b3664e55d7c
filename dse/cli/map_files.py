"""``python -m dse map FILE ...``: search what Timeloop's files say, as timeloop-mapper does."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dse.cli.columns import table
from dse.cli.energy import EnergyChoice, add_energy, strictly
from dse.cli.mapped import padded_text, progress_told, proof_text, tensor_table
from dse.cli.model import add_template_options, values_of
from dse.disk import write_files
from dse.errors import NothingFeasible, SpecError, unknown_name
from dse.timeloop.yaml.parse import SUFFIXES

if TYPE_CHECKING:
    from dse.timeloop.mapper_run import MapperTask
    from dse.timeloop.search import BestMapping

_EPILOG = """\
The files are those of timeloop-mapper, in any order: architecture, problem,
constraints, mapper, components, ERT; or timeloopfe's, with jinja2. What the
mapper block asks for is minimised (optimization_metrics, search_size,
num_threads, out_prefix); one line on stderr names what of it has no effect.
Several problem files are mapped one after the other.

settings:
  mapper=NAME         default: optimal, which proves, or says why it cannot
                      ('python -m dse list mappers': all)
  mapper.SETTING=X    as 'python -m dse map mapper=NAME --help' lists them
  objective=A,B       in place of the block's metrics: delay, energy, edp,
                      last_level_accesses, accesses-N
  samples=N           mappings to price (default: search_size, else 50000)
  seed=N  n_jobs=N  timeloop_version=4cf6d4c|3.0.3
  mapspace.padding=X  off (default); auto or P%: the problem's dimensions may be
                      padded to sizes that divide well, and what is mapped, and
                      written with -o, is the padded problem
  mapspace.free=true  any loops wherever fan-outs and sizes admit them, whatever
                      the constraints on dimensions, factors and orders
  mapspace.uneven=X   false (default); true, or [LEVEL,...]: each tensor that these
                      levels keep may stand at loops of its own; with -o also the
                      architecture in which Timeloop can say that

  python -m dse map arch.yaml prob.yaml constraints.yaml mapper.yaml -o out

exit codes: 0 good, 2 usage or input error, 3 no mapping for a problem
"""
_SETTINGS = ("mapper", "objective", "samples", "seed", "n_jobs", "timeloop_version", "mapspace")


def names_files(arguments: Sequence[str]) -> bool:
    """Whether the words of ``map`` name Timeloop's files in place of a layer."""
    words = [word for word in arguments if not word.startswith("-")]
    return any(_is_file(word) for word in words) and not any(
        word.startswith("layer=") for word in words
    )


def _is_file(word: str) -> bool:
    return "=" not in word and (word.endswith(SUFFIXES) or Path(word).is_file())


def _parser() -> argparse.ArgumentParser:
    """Return the command's argument parser."""
    result = argparse.ArgumentParser(
        prog="python -m dse map",
        description="Search the best mapping of the problem in Timeloop's files.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    result.add_argument("words", nargs="+", metavar="FILE|SETTING=VALUE", help="see below")
    result.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="DIR",
        help="write timeloop-mapper.map.yaml, .map.txt, .stats.txt, .map+stats.xml, .ERT.yaml and "
        ".ART.yaml there, .oaves.csv where log_oaves asks (of several problems: into a folder "
        "for each)",
    )
    result.add_argument("--json", action="store_true", help="write JSON to stdout")
    result.add_argument("-q", "--quiet", action="store_true", help="no progress, no notes")
    add_energy(result)
    add_template_options(result)
    return result


def main(argv: Sequence[str]) -> int:
    """Run the command and return its exit code.

    Raises:
        SpecError: the input or a setting is wrong, or DIR cannot be written.
    """
    arguments = _parser().parse_intermixed_args(argv)
    files = [word for word in arguments.words if _is_file(word)]
    settings = _settings([word for word in arguments.words if word not in files])
    from dse.timeloop.mapper_run import tasks  # noqa: PLC0415 - loads the reader and the mappers

    energy = EnergyChoice(arguments.energy, quiet=arguments.quiet)
    with strictly(arguments.strict):
        todo = tasks(files, values_of(arguments), settings, arguments.include_path, energy)
    results: list[tuple[MapperTask, BestMapping | NothingFeasible]] = []
    with progress_told(arguments.quiet):
        for task in todo:
            if not arguments.quiet:
                sys.stderr.write("".join(f"{note}\n" for note in task.directives.notes))
            try:
                results.append((task, task.run()))
            except NothingFeasible as error:
                results.append((task, error))
                sys.stderr.write(f"error: {task.name}: {error}\n")
    folders = _written(results, arguments.output)
    if arguments.json:
        told = [_as_dict(task, found) for task, found in results]
        sys.stdout.write(json.dumps(told if len(told) > 1 else told[0], allow_nan=False) + "\n")
    elif len(results) > 1:
        sys.stdout.write(_table(results))
    elif not isinstance(results[0][1], NothingFeasible):
        sys.stdout.write(_text(*results[0], folders[0]))
    return max(r.exit_code if isinstance(r, NothingFeasible) else 0 for _, r in results)


def _settings(words: Sequence[str]) -> dict[str, Any]:
    """Return settings of the command line as nested plain data."""
    from omegaconf import OmegaConf  # noqa: PLC0415 - slow to load
    from omegaconf.errors import OmegaConfBaseException  # noqa: PLC0415

    for word in words:
        key, equals, _ = word.partition("=")
        if not equals:
            raise SpecError(f"'{word}': expected a file that exists, or SETTING=VALUE")
        if key.partition(".")[0] not in _SETTINGS:
            raise SpecError(unknown_name("setting", key, _SETTINGS))
    plain = [word for word in words if not word.startswith("mapper=")]
    names = [word.removeprefix("mapper=") for word in words if word.startswith("mapper=")]
    try:
        given: Any = OmegaConf.to_container(OmegaConf.from_dotlist(list(plain)))
    except (OmegaConfBaseException, ValueError) as error:
        raise SpecError(f"settings {' '.join(words)}: {error}") from error
    if names:
        given["mapper"] = {"name": names[-1], **given.get("mapper", {})}
    return dict(given)


def _written(
    results: Sequence[tuple[MapperTask, BestMapping | NothingFeasible]], output: Path | None
) -> list[Path | None]:
    """Write the files of what was found; return the folders."""
    from dse.timeloop.write.mapper_files import mapper_files  # noqa: PLC0415

    folders: list[Path | None] = []
    for task, found in results:
        folder = None
        if output is not None and not isinstance(found, NothingFeasible):
            folder = output / task.name if len(results) > 1 else output
            asked = task.directives
            write_files(folder, mapper_files(found, asked.out_prefix, oaves=asked.oaves))
        folders.append(folder)
    return folders


def _as_dict(task: MapperTask, found: BestMapping | NothingFeasible) -> dict[str, Any]:
    from dse.timeloop.write.report import stats_json  # noqa: PLC0415

    head = {"schema": "dse.map-files/1", "problem": task.name, "search": task.as_dict()}
    if isinstance(found, NothingFeasible):
        return {**head, "error": str(found)}
    return {
        **head,
        "metrics": [{"name": n, "value": v, "unit": u} for n, v, u in found.metrics],
        "certificate": _certificate(found),
        **_padding(found),
        "notes": [*task.directives.notes, *found.notes],
        "stats": stats_json(found.evaluation),
    }


def _padding(found: BestMapping) -> dict[str, Any]:
    """Return what was padded, and the first metric without that."""
    if not found.sizes:
        return {}
    without = found.unpadded
    value = None if without is None else without.metrics[0][1]
    proof = None if without is None else _certificate(without)
    return {"padding": {"sizes": found.sizes, "unpadded": {"value": value, "certificate": proof}}}


def _certificate(found: BestMapping) -> dict[str, Any] | None:
    """Return the proof, which is of the first metric alone; None: the mapper proves nothing."""
    proof = found.certificate
    return None if proof is None else {"metric": found.metrics[0][0], **proof.as_dict()}


def _text(task: MapperTask, found: BestMapping | NothingFeasible, folder: Path | None) -> str:
    from dse.timeloop.write.report import map_text, summary_text  # noqa: PLC0415

    assert not isinstance(found, NothingFeasible)
    metrics = ", ".join(f"{name} = {value:.6g} {unit}" for name, value, unit in found.metrics)
    lines = [
        map_text(found.evaluation),
        tensor_table(found.evaluation),
        summary_text(found.evaluation),
        f"metrics      {metrics}",
        f"search       {task.text()}",
    ]
    if found.sizes:
        without = found.unpadded
        reached = None if without is None else without.metrics[0][1]
        proof = None if without is None else without.certificate
        lines.append(
            f"padded       {padded_text(found.sizes, found.metrics[0][1], reached, proof)}"
        )
    if found.certificate is not None:
        of = f"of {found.metrics[0][0]}, " if len(found.metrics) > 1 else ""
        lines.append(f"proof        {of}{proof_text(found.certificate)}")
    lines.append(f"mapspace     {task.mapspace}")
    lines += [f"note         {note}" for note in found.notes]
    if folder is not None:
        lines.append(f"folder       {folder}")
    return "\n".join(lines) + "\n"


def _table(results: Sequence[tuple[MapperTask, BestMapping | NothingFeasible]]) -> str:
    rows = [("problem", "cycles", "energy uJ", "EDP J x cycle", "utilization", "of its mapspace")]
    for task, found in results:
        if isinstance(found, NothingFeasible):
            rows.append((task.name, "-", "-", "-", "-", "no mapping"))
            continue
        stats, proof = found.evaluation.stats, found.certificate
        gap = None if proof is None else proof.gap
        word = "none" if gap is None else "optimal" if proof and proof.optimal else f"gap {gap:.2%}"
        rows.append(
            (
                task.name,
                f"{stats.cycles:,}",
                f"{stats.energy_uj:,.4f}",
                f"{stats.edp:.6g}",
                f"{stats.utilization:.2%}",
                word,
            )
        )
    return table(rows)
