"""What is sent to workers, and what they do with it.

A task is plain data: it says how to make the evaluator, or the mapper, and what to ask. Its answer
follows from the task alone, so it may be done twice, and by whom is no matter; a worker whose code
is not that of the sender refuses it.
"""

from __future__ import annotations

import hashlib
import socket
import threading
from dataclasses import dataclass, fields
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dse.domain.architecture import Architecture, HardwareBatch
from dse.domain.constraints import Constraints
from dse.domain.mapping import MappingBatch
from dse.domain.padding import Padding
from dse.domain.problem import Problem
from dse.errors import ToolError
from dse.evaluators.base import Evaluator, Index
from dse.goals.metrics import Metrics
from dse.goals.objective import Objective
from dse.mappers.base import Mapped, Mapper
from dse.plugins import plugin
from dse.process.together import Stopped
from dse.study.answers import Answer

#: Packages whose numbers enter an answer.
_PACKAGES = ("numpy", "numba")


@dataclass(frozen=True)
class EvaluatorRecipe:
    """How another process makes the evaluator.

    Attributes:
        name: of the plug-in.
        timeloop_version: whose numbers are expected.
        settings: as `dse.evaluators.base.Evaluator.elsewhere` returns them.
        code: what `code_of` says of the sender.
        host: of the sender.
        n_jobs: threads of one worker; 0: as many as it has cores.
    """

    name: str
    timeloop_version: str
    settings: Any
    code: str
    host: str
    n_jobs: int

    @classmethod
    def of(cls, name: str, evaluator: Evaluator[Any]) -> EvaluatorRecipe:
        """Return the recipe of an evaluator of that name."""
        return cls(
            name,
            evaluator.timeloop_version,
            evaluator.elsewhere(),
            code_of("evaluator", name),
            socket.gethostname(),
            # a task takes one core of a worker, but where it waits for a program
            1 if evaluator.is_quick else 0,
        )


@dataclass(frozen=True)
class PricingTask:
    """Mappings of one problem to price.

    Attributes:
        recipe: of the evaluator.
        architectures: those that the mappings run on.
        problem: that they map.
        mappings: B mappings.
        index: ``(B,)`` which architecture each runs on.
    """

    recipe: EvaluatorRecipe
    architectures: tuple[Architecture, ...]
    problem: Problem
    mappings: MappingBatch
    index: Index


@dataclass(frozen=True)
class MapperRecipe:
    """How another process makes the mapper.

    Attributes:
        name: of the plug-in.
        settings: its own.
        constraints: of the mapspace.
        objective: by which mappings are compared.
        evaluator: that prices them.
        code: what `code_of` says of the sender.
    """

    name: str
    settings: Any
    constraints: Constraints
    objective: Objective
    evaluator: EvaluatorRecipe
    code: str


@dataclass(frozen=True)
class WholeLayerTask:
    """A problem to map; the arguments of `dse.mappers.base.Mapper.map_padded`."""

    recipe: MapperRecipe
    architectures: tuple[Architecture, ...]
    problem: Problem
    samples: npt.NDArray[np.int64]
    seed: int
    padding: Padding


def price(task: PricingTask) -> list[Answer | ToolError]:
    """Price the mappings of a task; the error stands for what the tool failed at.

    Raises:
        ToolError: the code here is other code, the tool is missing, or it is being ended.
        SpecError: the problem is outside what the evaluator can represent.
    """
    evaluator = _evaluator(task.recipe)
    hardware = HardwareBatch(task.architectures)
    try:
        return rows_of(evaluator.evaluate(hardware, task.problem, task.mappings, task.index))
    except Stopped:
        raise
    except ToolError as error:
        if len(task.mappings) == 1:
            return [_from_here(error, task.recipe.host)]
    found: list[Answer | ToolError] = []
    for at in range(len(task.mappings)):
        one = np.array([at])
        mappings, index = task.mappings.take(one), task.index[one]
        found += price(PricingTask(task.recipe, task.architectures, task.problem, mappings, index))
    return found


def map_whole_layer(task: WholeLayerTask) -> Mapped:
    """Map the problem of a task.

    Raises:
        SpecError, ToolError: as `dse.mappers.base.Mapper.map_padded`; or the code here is other
            code.
    """
    mapper = _mapper(task.recipe)
    hardware = HardwareBatch(task.architectures)
    return mapper.map_padded(hardware, task.problem, task.samples, task.seed, task.padding)


def rows_of(metrics: Metrics) -> list[Any]:
    """Return the numbers of each mapping, as Python's own."""
    columns = [getattr(metrics, field.name).tolist() for field in fields(Metrics)]
    return list(zip(*columns, strict=True))


def dismiss(recipe: EvaluatorRecipe) -> None:
    """Close the evaluator that was made of a recipe in this process, if there is one."""
    with _LOCK:
        made = _MADE.pop(repr(recipe), None)
    if made is not None:
        made.close()


@cache
def code_of(kind: str, name: str) -> str:
    """Return what stands for all code that a plug-in computes with: sources and versions."""
    digest = hashlib.sha256()
    package = Path(__file__).parents[1]
    for path in sorted(package.rglob("*.py")):
        digest.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes())
    outside = plugin(kind, name).distribution
    packages = [*_PACKAGES, *([] if outside in ("dse-accel", "?") else [outside])]
    versions = [f"{name} {_version_of(name)}" for name in packages]
    return ", ".join([f"dse {digest.hexdigest()[:16]}", *versions])


def _version_of(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"


#: Evaluators of this process, by recipe: making one may take seconds, and it can be asked by
#: several threads.
_MADE: dict[str, Evaluator[Any]] = {}
_LOCK = threading.Lock()


def _evaluator(recipe: EvaluatorRecipe) -> Evaluator[Any]:
    key = repr(recipe)
    with _LOCK:
        if key not in _MADE:
            _check_code(recipe.code, code_of("evaluator", recipe.name))
            try:
                _MADE[key] = plugin("evaluator", recipe.name).factory(
                    timeloop_version=recipe.timeloop_version,
                    n_jobs=recipe.n_jobs,
                    settings=recipe.settings,
                )
            except ToolError as error:
                raise _from_here(error, recipe.host) from error
        return _MADE[key]


def _mapper(recipe: MapperRecipe) -> Mapper[Any]:
    _check_code(recipe.code, code_of("mapper", recipe.name))
    evaluator = _evaluator(recipe.evaluator)
    made: Mapper[Any] = plugin("mapper", recipe.name).factory(
        evaluator, recipe.constraints, recipe.objective, recipe.settings
    )
    return made


def _check_code(wanted: str, here: str) -> None:
    if wanted != here:
        raise ToolError(
            f"the worker on {socket.gethostname()} computes with other code: it has {here}; "
            f"expected {wanted}"
        )


def _from_here(error: ToolError, sender: str) -> ToolError:
    """Return an error that says where it happened, if that is another machine."""
    host = socket.gethostname()
    return error if host == sender else type(error)(f"on {host}: {error}")
