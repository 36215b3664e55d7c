"""Work that is given to an engine: the pricing of mappings, or the mapping of whole layers.

Where an evaluation takes long, its mappings are the tasks; where it does not, the mapper is what
takes time, and the layers are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import numpy as np
import numpy.typing as npt

from dse.domain.architecture import HardwareBatch
from dse.domain.mapping import MappingBatch
from dse.domain.padding import NO_PADDING, Padding
from dse.domain.problem import Problem
from dse.errors import ToolError
from dse.evaluators.base import Evaluator, Index
from dse.evaluators.wrapped import WrappedEvaluator
from dse.goals.metrics import Metrics
from dse.mappers.base import Mapped, Mapper
from dse.parallel.base import Engine
from dse.study.answers import REJECTED, Answer, AnswerStore
from dse.study.tasks import (
    EvaluatorRecipe,
    MapperRecipe,
    PricingTask,
    WholeLayerTask,
    code_of,
    dismiss,
    map_whole_layer,
    price,
)


class SpreadEvaluator(WrappedEvaluator):
    """Has an engine ask for metrics, of copies of an evaluator, and keeps the answers.

    A question is one mapping of one problem on one architecture; its digest is of all that the
    answer follows from. What a store has is not asked again. The engine is its caller's to close.

    Args:
        inner: the evaluator; it says why mappings are rejected.
        name: of its plug-in.
        engine: does the work.
        store: of answers; None: none are kept. Closed with the evaluator.
    """

    def __init__(
        self, inner: Evaluator[Any], name: str, engine: Engine[Any], store: AnswerStore | None
    ) -> None:
        super().__init__(inner)
        self._engine = engine
        self._store = store
        self._recipe = EvaluatorRecipe.of(name, inner)
        self._asker = _digest(self._recipe.code, self.timeloop_version, name, *inner.identity())

    def evaluate_batch(
        self,
        hardware: HardwareBatch,
        problem: Problem,
        mappings: MappingBatch,
        hardware_index: Index,
    ) -> Metrics:
        """See :meth:`dse.evaluators.base.Evaluator.evaluate_batch`.

        Raises:
            ToolError: as there; or workers were lost too often, or compute with other code.
        """
        count = len(mappings)
        answers: list[Answer | None] = [None] * count
        keys = (
            self._keys(hardware, problem, mappings, hardware_index)
            if self._store is not None
            else []
        )
        if self._store is not None:
            answers = [self._store.get(key) for key in keys]
        left = np.array([b for b, answer in enumerate(answers) if answer is None], np.intp)
        size = self._engine.settings.batch
        parts = [left[first : first + size] for first in range(0, len(left), size)]
        tasks = [self._task(hardware, problem, mappings, hardware_index, part) for part in parts]
        for place, found in self._engine.answers(price, tasks):
            for b, answer in zip(parts[place].tolist(), found, strict=True):
                if isinstance(answer, ToolError):
                    self.inner.unscored(answer)
                    answers[b] = REJECTED
                    continue
                answers[b] = answer
                if self._store is not None:
                    self._store.add(keys[b], answer)
        valid, *numbers = zip(*(answer or REJECTED for answer in answers), strict=True)
        return Metrics(np.array(valid, np.bool_), *(np.array(n, np.float64) for n in numbers))

    def close(self) -> None:
        """See :meth:`dse.evaluators.base.Evaluator.close`; the store's file is closed, too."""
        super().close()
        dismiss(self._recipe)
        if self._store is not None:
            self._store.close()

    def _task(
        self,
        hardware: HardwareBatch,
        problem: Problem,
        mappings: MappingBatch,
        index: Index,
        part: npt.NDArray[np.intp],
    ) -> PricingTask:
        """Return the task of pricing some of the mappings, with no more hardware than it needs."""
        used, own = np.unique(index[part], return_inverse=True)
        architectures = tuple(hardware.architectures[h] for h in used.tolist())
        return PricingTask(
            self._recipe, architectures, problem, mappings.take(part), own.astype(np.int32)
        )

    def _keys(
        self, hardware: HardwareBatch, problem: Problem, mappings: MappingBatch, index: Index
    ) -> list[str]:
        """Return the digest of each question."""
        used = np.unique(index).tolist()
        asked = {h: _digest(self._asker, hardware.architectures[h], problem) for h in used}
        return [
            _digest(asked[h], *mapping)
            for h, mapping in zip(index.tolist(), _contents(mappings), strict=True)
        ]


class SpreadMapper(Mapper[Any]):
    """Has an engine map whole layers, by copies of a mapper. The engine is its caller's to close.

    Args:
        inner: the mapper; it ranks, and says why a layer cannot be mapped.
        name: of its plug-in.
        evaluator: the name of its evaluator's.
        engine: does the work.
    """

    def __init__(self, inner: Mapper[Any], name: str, evaluator: str, engine: Engine[Any]) -> None:
        super().__init__(inner.evaluator, inner.constraints, inner.objective, inner.settings)
        self._engine = engine
        self._recipe = MapperRecipe(
            name,
            inner.settings,
            inner.constraints,
            inner.objective,
            EvaluatorRecipe.of(evaluator, inner.evaluator),
            code_of("mapper", name),
        )

    def map(
        self,
        hardware: HardwareBatch,
        problem: Problem,
        samples: npt.NDArray[np.int64],
        seed: int,
    ) -> Mapped:
        """See :meth:`dse.mappers.base.Mapper.map`."""
        return self.map_padded(hardware, problem, samples, seed, NO_PADDING)

    def map_padded(
        self,
        hardware: HardwareBatch,
        problem: Problem,
        samples: npt.NDArray[np.int64],
        seed: int,
        padding: Padding,
    ) -> Mapped:
        """See :meth:`dse.mappers.base.Mapper.map_padded`."""
        task = WholeLayerTask(self._recipe, hardware.architectures, problem, samples, seed, padding)
        ((_, found),) = self._engine.answers(map_whole_layer, [task])
        return found


def _contents(mappings: MappingBatch) -> Iterator[tuple[bytes, ...]]:
    """Yield the arrays of each mapping, with their shapes."""
    for b in range(len(mappings)):
        mapping = mappings[b]
        arrays = (np.ascontiguousarray(getattr(mapping, f.name)) for f in fields(mapping))
        yield tuple(f"{one.dtype} {one.shape} ".encode() + one.tobytes() for one in arrays)


def _digest(*parts: object) -> str:
    """Return what stands for these parts: equal only for equal ones."""
    digest = hashlib.sha256()
    for part in parts:
        content = part if isinstance(part, bytes) else repr(part).encode()
        digest.update(len(content).to_bytes(8, "big") + content)
    return digest.hexdigest()[:40]
