"""The best design as a finished run left it: Timeloop's files, a problem and a mapping a layer."""

from __future__ import annotations

from pathlib import Path

from dse.errors import SpecError
from dse.space.search_space import SearchSpace
from dse.study.folder import BEST
from dse.timeloop.read.inputs import TimeloopInput, read_files
from dse.timeloop.write.inputs import SPARSE, layer_stem


def best_files(
    folder: Path, space: SearchSpace, version: str, design: str = BEST
) -> list[TimeloopInput]:
    """Return what a design's files say of every layer.

    Args:
        folder: of the run.
        space: what was searched.
        version: of Timeloop, by whose rules to read them.
        design: folder of its files within the run's.

    Raises:
        SpecError: a file is missing or broken.
    """
    best = folder / design
    if not (best / "arch.yaml").is_file():
        raise SpecError(f"{best}: holds no design; did the run end?")
    shared = [best / name for name in ("arch.yaml", "ERT.yaml", "ART.yaml")]
    found = []
    for layer in space.workload:
        stem = layer_stem(layer.name)
        own = [best / f"{stem}.problem.yaml", best / f"{stem}.mapping.yaml"]
        if space.template.is_sparse:
            own.append(best / (stem + SPARSE))
        spec = read_files([*shared, *own], version, {})
        if spec.mapping is None:
            raise SpecError(f"{own[1]}: holds no mapping")
        found.append(spec)
    return found
