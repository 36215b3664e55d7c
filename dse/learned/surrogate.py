"""Starlight on one search space: it learns a search's answers, and stands in for the evaluator.

Answers are learned layer by layer, and questions answered at any level of optimism; the optimizer
``polaris`` searches on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dse.domain.architecture import HardwareBatch
from dse.domain.mapping import MappingBatch
from dse.domain.padding import mapped_problem
from dse.errors import SpecError
from dse.extras import require
from dse.goals.design import Design
from dse.learned.encoder import LatentEncoder
from dse.learned.encoding import Encoding, blocks_of
from dse.learned.evaluator import LearnedEvaluator
from dse.learned.features import FeatureNames
from dse.learned.folder import open_model
from dse.learned.model import LearnedModel
from dse.learned.rows import RowTable, joined
from dse.learned.samples import native_samples
from dse.learned.starlight import LEAST_ROWS, Starlight, StarlightSettings, encoder_encoding
from dse.space.search_space import SearchSpace
from dse.state.codec import State
from dse.state.entries import CheckedEntries

_ENCODER = "encoder."


class Surrogate:
    """What Starlight makes of the answers so far."""

    def __init__(self, space: SearchSpace, model: str | None, features: str) -> None:
        """Begin without answers.

        Args:
            space: what is searched.
            model: folder of a Starlight model whose encoder is taken; None: :meth:`pretrain` makes
                one.
            features: blocks of features, as `dse.learned.encoding.blocks_of` reads them.

        Raises:
            SpecError: the model is another kind's, or of other features.
            ToolError: PyTorch is not installed.
        """
        require("optimizer=polaris", "learned", "torch", "safetensors")
        problems = [layer.problem for layer in space.workload]
        self._space = space
        self._encoding = Encoding(
            FeatureNames.of(space.template.level_names, problems),
            blocks_of(features),
            space.timeloop_version,
        )
        self._settings = StarlightSettings()
        self._encoder = None if model is None else self._encoder_of(Path(model))
        # one for each answer, by features and cycles: equal ones count once
        self._tables: dict[tuple[bytes, float], RowTable] = {}
        self._fitted: Starlight | None = None

    def _encoder_of(self, folder: Path) -> LatentEncoder:
        opened = open_model(folder).model
        if not isinstance(opened.predictor, Starlight):
            raise SpecError(f"optimizer.model = {folder}: is of kind {opened.kind}, not starlight")
        if opened.encoding.names != self._encoding.names:
            raise SpecError(
                f"optimizer.model = {folder}: was trained on other features; expected those of "
                f"levels {', '.join(self._encoding.structure.levels)} and of the blocks "
                f"{', '.join(self._encoding.blocks)}"
            )
        return opened.predictor.encoder

    @property
    def is_pretrained(self) -> bool:
        """Whether there is an encoder."""
        return self._encoder is not None

    @property
    def can_fit(self) -> bool:
        """Whether there are answers enough."""
        return len(self._tables) >= LEAST_ROWS

    def pretrain(self, count: int, seed: int) -> None:
        """Train an encoder on mappings that the native model prices.

        Raises:
            SpecError: none that is drawn fits its hardware.
        """
        rng = np.random.default_rng(seed)
        samples = native_samples(self._space, encoder_encoding(self._encoding), count, rng)
        self._encoder = Starlight.pretrain(samples, self._settings, seed, _silent)

    def learn(self, design: Design, cycles: Sequence[float]) -> None:
        """Take the cycles that each layer of a design took."""
        batch = HardwareBatch.of(self._space.architecture(design.values))
        index = np.zeros(1, np.int32)
        for number, (layer, mapping, told) in enumerate(
            zip(self._space.workload, design.mappings or (), cycles, strict=True)
        ):
            mappings = MappingBatch.of([mapping])
            problem = mapped_problem(layer.problem, mapping)
            found = self._encoding.encode(batch, problem, mappings, index)
            if not (found.valid[0] and np.isfinite(told) and told >= 1):
                continue
            row = RowTable(
                *(self._encoding.names, found.features, np.log([told]), found.ln_native),
                *(found.native.energy_pj, np.array([number], np.int64)),
            )
            self._tables.setdefault((found.features.tobytes(), float(told)), row)

    def fit(self, seed: int) -> None:
        """Fit Starlight on all answers.

        Raises:
            SpecError: there are too few.
        """
        table = joined(list(self._tables.values()))
        self._fitted = Starlight.fit(table, self._settings, seed, _silent, self._encoder)

    def evaluator(self, optimism: float) -> LearnedEvaluator:
        """Return an evaluator that takes mappings to be so many deviations quicker than expected.

        Raises:
            RuntimeError: nothing was fitted yet.
        """
        if self._fitted is None:
            raise RuntimeError("asked before it was fitted")
        model = LearnedModel("starlight", self._fitted, self._encoding)
        version = self._space.timeloop_version
        return LearnedEvaluator(version, 1, model=model, optimism=optimism)

    def state_dict(self) -> dict[str, State]:
        """Return the encoder; the answers are the optimizer's to keep."""
        if self._encoder is None:
            return {}
        return {name.removeprefix(_ENCODER): a for name, a in self._encoder.arrays().items()}

    def load_state_dict(self, entries: CheckedEntries) -> None:
        """Take up what :meth:`state_dict` returned.

        Raises:
            SpecError: it is none.
        """
        arrays: dict[str, Any] = {}
        for key in ("shift", "scale", *(f"{x}{i}" for i in range(64) for x in ("weights", "bias"))):
            if key in entries:
                arrays[_ENCODER + key] = entries.take(key)
        entries.close()
        if not arrays:
            return
        for name, array in arrays.items():
            if not isinstance(array, np.ndarray):
                raise SpecError(f"optimizer: {name} is no array")
        self._encoder = LatentEncoder.load(arrays, len(arrays[f"{_ENCODER}shift"]))


def _silent(step: int, steps: int, line: str) -> None:
    """Report nothing: the study tells of progress."""
