"""Training: rows in, a model and its scores on rows that it has not seen out."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from dse.errors import SpecError
from dse.learned.encoding import Encoding, blocks_of
from dse.learned.folds import check_unit, held_out
from dse.learned.kinds import kind as kind_of
from dse.learned.model import LearnedModel
from dse.learned.predictor import OnStep, Prediction
from dse.learned.rows import RecordedRows
from dse.learned.scores import Scores, scores
from dse.settings import setting


@dataclass(frozen=True)
class TrainSettings:
    """What training takes whatever the kind."""

    data: str = setting("", "rows: a run folder, a .jsonl file of rows, or DOSA's firesim_*.csv")
    seed: int = setting(0, "of all randomness")
    held_out: float = setting(0.08, "share of the rows that scores are of; 0: none")
    held_out_by: str = setting("rows", "what is held out: rows, or whole layers")
    used_arrays: bool = setting(
        False, "DOSA's rows: the array that ran the mapping, not the one that the row names"
    )
    n_jobs: int = setting(1, "threads that encode the rows")

    def __post_init__(self) -> None:
        check_unit("held_out_by", self.held_out_by)
        if not 0 <= self.held_out < 1:
            raise SpecError(f"held_out = {self.held_out}: expected a share from 0 to below 1")
        if self.n_jobs < 1:
            raise SpecError(f"n_jobs = {self.n_jobs}: expected 1 at least")


@dataclass(frozen=True, eq=False)
class Trained:
    """A model and how it came to be.

    Attributes:
        scores: of the held-out rows; None where nothing was held out.
        native: scores of the native model on the same rows.
        rows: that it learned from.
    """

    model: LearnedModel
    scores: Scores | None
    native: Scores | None
    rows: int
    digest: str
    source: str
    seed: int
    settings: dict[str, Any]


def train(
    kind: str,
    rows: RecordedRows,
    settings: Any,  # noqa: ANN401
    common: TrainSettings,
    report: OnStep,
) -> Trained:
    """Fit a predictor on all rows but those held out, and score it on those.

    Args:
        kind: of predictor.
        rows: to learn from.
        settings: the kind's own.
        common: whatever the kind.
        report: told of every step.

    Raises:
        SpecError: an unknown kind or block, too few rows, a mapping that the native model rejects.
        ToolError: a library is missing.
    """
    predictor_of = kind_of(kind)
    blocks = blocks_of(getattr(settings, "features", ""), predictor_of.blocks(settings))
    encoding = Encoding(rows.structure, blocks, rows.timeloop_version)
    table = rows.encoded(encoding, common.n_jobs)
    unseen = np.zeros(len(table), np.bool_)
    if common.held_out:
        rng = np.random.default_rng([common.seed, 1])
        unseen = held_out(table, common.held_out, common.held_out_by, rng)
    before = predictor_of.prepared(rows, encoding, settings, common.seed, report)
    predictor = predictor_of.fit(table.take(~unseen), settings, common.seed, report, **before)
    found = native = None
    if unseen.any():
        test = table.take(unseen)
        prediction = predictor.predict(test.features, test.ln_native)
        found = scores(prediction, test.ln_cycles, test.energy_pj)
        nothing = Prediction(test.ln_native, np.full(len(test), np.nan))
        native = scores(nothing, test.ln_cycles, test.energy_pj)
    return Trained(
        LearnedModel(kind, predictor, encoding),
        *(found, native, int((~unseen).sum()), rows.digest, rows.source, common.seed),
        {**dataclasses.asdict(settings), **dataclasses.asdict(common)},
    )
