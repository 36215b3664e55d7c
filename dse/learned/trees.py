"""Gradient-boosted trees on the residual: the simple baseline, and a strong one.

scikit-learn's histogram trees are fitted on ln(recorded / native), one booster for each of five
folds, on the rows of the others. The mean is that of all boosters. The deviation is learned from
what each booster says of the fold that it has not seen: further trees on the size of those
residuals, scaled so that it is right for those; the boosters' spread adds to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dse.errors import SpecError, ToolError
from dse.extras import needed
from dse.learned.folds import check_unit, folds, honest_factor
from dse.learned.predictor import Arrays, OnStep, Prediction, Predictor
from dse.learned.rows import RowTable
from dse.learned.weights import checked
from dse.numeric import Floats
from dse.settings import setting
from dse.state.entries import CheckedEntries

#: Least deviation of ln cycles: recorded runs of one program differ by as much.
LEAST_DEVIATION = 0.01
#: Largest logarithm of a residual's size that is believed.
_MOST_LN = 50.0
_COLUMNS = {
    "feature": np.int32,
    "threshold": np.float64,
    "left": np.int32,
    "right": np.int32,
    "value": np.float64,
}
_MOST_NODES = 10_000_000


@dataclass(frozen=True)
class TreesSettings:
    """Settings of the boosted trees."""

    iterations: int = setting(400, "most trees of a booster")
    learning_rate: float = setting(0.06, "share of a tree's answer that is taken")
    leaves: int = setting(15, "most leaves of a tree")
    least_rows: int = setting(5, "least rows in a leaf")
    regularization: float = setting(1.0, "L2 regularization of the leaves")
    members: int = setting(5, "boosters, one for each fold")
    folds: str = setting("rows", "what a fold is made of: rows or layers")
    features: str = setting("", "blocks of features: BLOCK,BLOCK or +BLOCK beside the default")

    def __post_init__(self) -> None:
        check_unit("folds", self.folds)
        for name, least in (("iterations", 1), ("leaves", 2), ("least_rows", 1), ("members", 2)):
            if getattr(self, name) < least:
                raise SpecError(f"{name} = {getattr(self, name)}: expected {least} at least")


@dataclass(frozen=True, eq=False)
class Booster:
    """Trees as one table of nodes; see `dse.learned.inference.boosted`."""

    feature: npt.NDArray[np.int32]
    threshold: Floats
    left: npt.NDArray[np.int32]
    right: npt.NDArray[np.int32]
    value: Floats
    roots: npt.NDArray[np.int32]
    baseline: float

    @classmethod
    def of(cls, fitted: Any) -> Booster:  # noqa: ANN401 - scikit-learn's regressor
        """Take the trees out of a fitted regressor, which has no public way to them.

        Raises:
            ToolError: this version of scikit-learn keeps them elsewhere.
        """
        try:
            baseline = float(vars(fitted)["_baseline_prediction"].item())
            tables = [trees[0].nodes for trees in vars(fitted)["_predictors"]]
        except (LookupError, AttributeError) as error:
            raise ToolError(
                f"kind trees: this version of scikit-learn keeps its trees elsewhere ({error!r}); "
                "scikit-learn 1.9 works"
            ) from error
        sizes = [len(nodes) for nodes in tables]
        roots = np.cumsum([0, *sizes[:-1]])
        leaf = np.concatenate([nodes["is_leaf"] for nodes in tables]).astype(bool)
        shift = np.repeat(roots, sizes)
        joined = {
            name: np.concatenate([nodes[key] for nodes in tables])
            for name, key in (
                ("feature", "feature_idx"),
                ("threshold", "num_threshold"),
                ("left", "left"),
                ("right", "right"),
                ("value", "value"),
            )
        }
        return cls(
            feature=np.where(leaf, -1, joined["feature"]).astype(np.int32),
            threshold=np.where(leaf, 0.0, joined["threshold"]),
            left=np.where(leaf, 0, joined["left"] + shift).astype(np.int32),
            right=np.where(leaf, 0, joined["right"] + shift).astype(np.int32),
            value=np.where(leaf, joined["value"], 0.0),
            roots=roots.astype(np.int32),
            baseline=baseline,
        )

    def predict(self, features: Floats) -> Floats:
        """Return the sum of all trees, ``(B,)``."""
        from dse.learned.inference import boosted  # noqa: PLC0415 - compiled

        out = np.empty(len(features))
        boosted(
            *(features, self.feature, self.threshold, self.left, self.right, self.value),
            *(self.roots, self.baseline, out),
        )
        return out

    def arrays(self, prefix: str) -> dict[str, npt.NDArray[Any]]:
        """Return its arrays, with names that begin so."""
        found = {f"{prefix}.{name}": getattr(self, name) for name in (*_COLUMNS, "roots")}
        found[f"{prefix}.baseline"] = np.array([self.baseline])
        return found

    @classmethod
    def load(cls, arrays: Arrays, prefix: str, features: int) -> Booster:
        """Take it from arrays, checked so that inference ends and stays within them.

        Raises:
            SpecError: they are not those of trees.
        """
        columns = {}
        count: int | None = None
        for name, dtype in _COLUMNS.items():
            columns[name] = checked(arrays, f"{prefix}.{name}", dtype, (count,))
            count = len(columns[name])
        roots = checked(arrays, f"{prefix}.roots", np.int32, (None,))
        baseline = checked(arrays, f"{prefix}.baseline", np.float64, (1,))
        inner = columns["feature"] >= 0
        places = np.arange(len(inner))
        children = np.stack([columns["left"], columns["right"]])
        sound = (
            count is not None
            and count <= _MOST_NODES
            and (columns["feature"] >= -1).all()
            and (columns["feature"] < features).all()
            # a child stands behind its parent, so every path ends
            and (children[:, inner] > places[inner]).all()
            and (children[:, inner] < len(inner)).all()
            and ((roots >= 0) & (roots < len(inner))).all()
        )
        if not sound:
            raise SpecError(f"weights: '{prefix}' are no trees of {features} features")
        return cls(**columns, roots=roots, baseline=float(baseline[0]))


class TreesPredictor(Predictor):
    """Boosted trees on the residual of the native model."""

    summary = "gradient-boosted trees on ln(recorded / native)"
    settings_type = TreesSettings

    def __init__(self, members: tuple[Booster, ...], spread: Booster, scale: float) -> None:
        """Take fitted trees.

        Args:
            members: whose mean is the residual.
            spread: its answer is ln of the size of a residual.
            scale: of that size.
        """
        self._members, self._spread, self._scale = members, spread, scale

    @classmethod
    def fit(cls, table: RowTable, settings: Any, seed: int, report: OnStep) -> TreesPredictor:  # noqa: ANN401
        """See :meth:`dse.learned.predictor.Predictor.fit`."""
        chosen: TreesSettings = settings
        rng = np.random.default_rng(seed)
        fold = folds(table, chosen.members, chosen.folds, rng)
        target = table.ln_cycles - table.ln_native
        steps = chosen.members + 1
        members, unseen = [], np.empty(len(table))
        for k in range(chosen.members):
            report(k, steps, f"booster {k + 1} of {chosen.members}")
            known = fold != k
            member = _fitted(table.features[known], target[known], chosen, seed + k)
            unseen[~known] = member.predict(table.features[~known])
            members.append(member)
        report(chosen.members, steps, "deviation")
        residual = target - unseen
        size = np.log(np.maximum(np.abs(residual), LEAST_DEVIATION))
        wide = TreesSettings(
            iterations=60, learning_rate=0.05, leaves=8, least_rows=max(10, len(table) // 40)
        )
        spread = _fitted(table.features, size, wide, seed)
        bare = cls(tuple(members), spread, 1.0)
        own = bare._own_deviation(table.features)
        scale = honest_factor(residual / own)
        report(steps, steps, f"deviation of unseen rows {np.std(residual):.3f}")
        return cls(tuple(members), spread, scale)

    def _own_deviation(self, features: Floats) -> Floats:
        spread = np.exp(np.minimum(self._spread.predict(features), _MOST_LN)) * self._scale
        return np.maximum(spread, LEAST_DEVIATION)

    def predict(self, features: Floats, ln_native: Floats) -> Prediction:
        """See :meth:`dse.learned.predictor.Predictor.predict`."""
        answers = [member.predict(features) for member in self._members]
        mean = sum(answers[1:], answers[0]) / len(answers)
        between = sum(((answer - mean) ** 2 for answer in answers), np.zeros(len(features)))
        deviation = np.sqrt(self._own_deviation(features) ** 2 + between / len(answers))
        known = ~np.isnan(ln_native)
        return Prediction(
            np.where(known, ln_native + mean, np.nan), np.where(known, deviation, np.nan)
        )

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """See :meth:`dse.learned.predictor.Predictor.arrays`."""
        found = self._spread.arrays("spread")
        for k, member in enumerate(self._members):
            found |= member.arrays(f"member{k}")
        return found

    @property
    def facts(self) -> dict[str, Any]:
        """Number of boosters, scale of the deviation."""
        return {"members": len(self._members), "scale": self._scale}

    @classmethod
    def load(cls, arrays: Arrays, facts: CheckedEntries, features: int) -> TreesPredictor:
        """See :meth:`dse.learned.predictor.Predictor.load`."""
        count = facts.integer("members", 1, 1000)
        members = tuple(Booster.load(arrays, f"member{k}", features) for k in range(count))
        spread = Booster.load(arrays, "spread", features)
        return cls(members, spread, facts.number("scale", finite=True))


def _fitted(features: Floats, target: Floats, settings: TreesSettings, seed: int) -> Booster:
    ensemble = needed("sklearn.ensemble", "kind trees")
    limits = needed("threadpoolctl", "kind trees")
    fitted = ensemble.HistGradientBoostingRegressor(
        max_iter=settings.iterations,
        learning_rate=settings.learning_rate,
        max_leaf_nodes=settings.leaves,
        min_samples_leaf=settings.least_rows,
        l2_regularization=settings.regularization,
        early_stopping=False,
        random_state=seed,
    )
    with limits.threadpool_limits(limits=1):
        fitted.fit(features, target)
    return Booster.of(fitted)
