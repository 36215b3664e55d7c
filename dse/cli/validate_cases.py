"""Which mappings ``validate`` compares: of a run, of files, or random ones."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dse.cli.model import values_of
from dse.errors import SpecError
from dse.runner.config import resolve
from dse.space import catalog

if TYPE_CHECKING:
    from dse.space.search_space import SearchSpace
    from dse.validate.model import Case


def cases_of(arguments: argparse.Namespace, version: str) -> list[Case]:
    """Return what the command's arguments ask to compare, read as a version of Timeloop reads it.

    Raises:
        SpecError: they name nothing that can be compared.
    """
    from dse.validate.model import random_cases  # noqa: PLC0415

    settings = [text for text in arguments.inputs if "=" in text]
    paths = [Path(text) for text in arguments.inputs if "=" not in text]
    if arguments.random is not None:
        if paths or arguments.random < 1:
            raise SpecError("--random N takes N of at least 1, and settings, but no files")
        space = space_of(settings)
        return list(random_cases(space, arguments.random, arguments.seed))
    if settings or not paths:
        raise SpecError("validate takes a run folder, Timeloop files, or --random N arch=...")
    if len(paths) == 1 and (paths[0] / "config.yaml").is_file():
        return _run_cases(paths[0], arguments.designs, arguments.seed, version)
    return [_file_case(paths, version, values_of(arguments), arguments.include_path)]


def _file_case(
    paths: Sequence[Path],
    version: str,
    values: dict[str, object] | None = None,
    include_path: Sequence[str] = (),
) -> Case:
    from dse.timeloop.read.inputs import read_files  # noqa: PLC0415
    from dse.validate.model import Case  # noqa: PLC0415

    spec = read_files(paths, version, values, include_path)
    if spec.mapping is None:
        raise SpecError(f"{spec.source}: key 'mapping' is missing or empty, expected directives")
    return Case(paths[-1].name, spec.architecture, spec.problem, spec.mapping)


def space_of(settings: Sequence[str]) -> SearchSpace:
    """Return the space that ``arch=... workload=...`` name; the other settings have no say."""
    from dse.components.chain import energy_chain  # noqa: PLC0415
    from dse.space.search_space import SearchSpace  # noqa: PLC0415

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

    from dse.runner.run import space_of_run  # noqa: PLC0415
    from dse.validate.model import design_cases, random_case  # noqa: PLC0415

    space = space_of_run(folder)
    cases = design_cases(folder, space, version)
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
