"""Checkpoints: the state of a study between two batches, as one file.

The state is pickled. Reading is restricted to classes of ``dse``, of the optimizer's own package,
and to what NumPy and the standard containers need, so that a run folder from elsewhere cannot
name arbitrary functions to call.
"""

from __future__ import annotations

import io
import pickle
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dse.errors import SpecError
from dse.goals.design import Design, DesignMetrics
from dse.goals.pareto import Front
from dse.space.search_space import SearchSpace
from dse.study.journal import replace_file
from dse.study.optimizer import Optimizer

_VERSION = 3
_SPACE = "space"
_NUMPY = {
    "_reconstruct",
    "_frombuffer",
    "ndarray",
    "dtype",
    "scalar",
    "__generator_ctor",
    "__bit_generator_ctor",
    "SeedSequence",
    "__pyx_unpickle_SeedSequence",
    "__pyx_unpickle_SeedlessSeedSequence",
}
_UNREADABLE = (
    *(pickle.UnpicklingError, EOFError, AttributeError, ImportError),
    *(IndexError, KeyError, TypeError, ValueError),
)
_CONTAINERS = {
    ("builtins", "set"),
    ("builtins", "frozenset"),
    ("builtins", "complex"),
    ("builtins", "slice"),
    ("builtins", "bytearray"),
    ("collections", "OrderedDict"),
    ("collections", "deque"),
    ("collections", "defaultdict"),
    ("copyreg", "_reconstructor"),
    ("builtins", "object"),
}


@dataclass
class State:
    """Everything that a study needs to go on.

    Attributes:
        journal_bytes: length of the journal that belongs to this state.
        asked: designs evaluated so far; also numbers the seeds of the next batch.
        samples: samples spent so far.
        feasible: valid designs so far.
        last_reason: why the last design that was not valid was not.
        front: what trades between the optimizer's objectives, where it has several.
    """

    optimizer: Optimizer[Any]
    journal_bytes: int = 0
    asked: int = 0
    samples: int = 0
    feasible: int = 0
    finished: bool = False
    best: Design | None = None
    best_metrics: DesignMetrics | None = None
    best_value: float = float("inf")
    last_reason: str = ""
    front: Front = field(default_factory=Front)


class _Pickler(pickle.Pickler):
    """Pickles a state; the space is left out, since the run's own files say it."""

    def __init__(self, file: io.BytesIO, space: SearchSpace) -> None:
        super().__init__(file, protocol=5)
        self._space = space

    def persistent_id(self, obj: object) -> str | None:
        return _SPACE if obj is self._space else None


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, space: SearchSpace, package: str) -> None:
        super().__init__(file)
        self._space = space
        self._package = package

    def persistent_load(self, pid: object) -> SearchSpace:
        if pid != _SPACE:
            raise pickle.UnpicklingError(f"unknown object {pid!r}")
        return self._space

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401
        root = module.partition(".")[0]
        if (module, name) in _CONTAINERS or (root == "numpy" and name in _NUMPY):
            return super().find_class(module, name)
        if root in ("dse", self._package, "numpy"):
            found = super().find_class(module, name)
            if isinstance(found, type) and found.__module__.partition(".")[0] == root:
                return found
        raise pickle.UnpicklingError(f"{module}.{name} may not be in a checkpoint")


def save(path: Path, state: State, space: SearchSpace) -> None:
    """Write the state, replacing the file in one step."""
    buffer = io.BytesIO()
    _Pickler(buffer, space).dump((_VERSION, state))
    replace_file(path, buffer.getvalue())


def load(path: Path, space: SearchSpace, optimizer_type: type[Any]) -> State | None:
    """Return the saved state; None when there is no file yet.

    Raises:
        SpecError: the file is not a checkpoint of this version, or of another optimizer.
    """
    if not path.exists():
        return None
    package = optimizer_type.__module__.partition(".")[0]
    try:
        version, state = _Unpickler(io.BytesIO(path.read_bytes()), space, package).load()
    except _UNREADABLE as error:
        raise SpecError(f"{path}: not a readable checkpoint: {error}") from error
    if version != _VERSION or not isinstance(state, State):
        raise SpecError(f"{path}: checkpoint version {version}, expected {_VERSION}")
    if type(state.optimizer) is not optimizer_type:
        raise SpecError(f"{path}: holds another optimizer than the run's config.yaml")
    return state
