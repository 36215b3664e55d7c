"""Starlight: an encoder that knows the native model, and a Gaussian process on few recorded rows.

After Polaris (Sakhuja, Hong, Lin; arXiv 2412.15548): the encoder of a variational auto-encoder that
was trained on native samples (`dse.learned.encoder`) is kept, and a process with a deep kernel
is fitted on its latent by the marginal likelihood, which may tune the encoder on. Not in the paper,
as it says nothing of either: the kernel also sees the inputs, and the mean is a positive sum of
what the native model counts (`dse.learned.floor`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from dse.errors import SpecError
from dse.extras import torch_for
from dse.learned.design import ANSWERS, InputDesign
from dse.learned.encoder import LatentEncoder, pretrained, untrained
from dse.learned.encoding import Encoding
from dse.learned.floor import Floor, fitted_floor
from dse.learned.gaussian_process import GaussianProcess
from dse.learned.predictor import Arrays, OnStep, Prediction, Predictor
from dse.learned.rows import RecordedRows, RowTable
from dse.learned.samples import samples_like
from dse.learned.weights import checked
from dse.numeric import Floats
from dse.settings import setting
from dse.state.entries import CheckedEntries

#: Least rows to fit on.
LEAST_ROWS = 5
#: Weight of the prior on the lengths of the scales, and where it has its middle over sqrt(inputs).
SCALE_PRIOR = 0.01
#: Rows whose inputs are made at a time: what bounds the memory.
_CHUNK = 512
Singles = npt.NDArray[np.float32]


@dataclass(frozen=True)
class StarlightSettings:
    """Settings of Starlight."""

    latent: int = setting(8, "numbers of the latent")
    width: int = setting(128, "neurons of the encoder's hidden layers")
    pretrain: int = setting(20_000, "native samples that the encoder is trained on; 0: none")
    epochs: int = setting(30, "passes over them")
    steps: int = setting(80, "steps of the marginal likelihood")
    rows: int = setting(600, "rows of a step, drawn anew each time; 0: all")
    learning_rate: float = setting(0.15, "highest step of Adam, for scales and noise")
    tuning: float = setting(0.0, "the same for the encoder; 0 leaves it as it is, which is best")
    features: str = setting("", "blocks of features: BLOCK,BLOCK or +BLOCK beside the default")

    def __post_init__(self) -> None:
        least_of = {"latent": 1, "width": 1, "pretrain": 0, "epochs": 1, "steps": 1, "rows": 0}
        for name, least in least_of.items():
            if getattr(self, name) < least:
                raise SpecError(f"{name} = {getattr(self, name)}: expected {least} at least")


class Starlight(Predictor):
    """A Gaussian process with a deep kernel, whose encoder was trained on native samples."""

    summary = "Gaussian process on a latent that the native model has shaped"
    settings_type = StarlightSettings

    def __init__(
        self,
        design: InputDesign,
        encoder: LatentEncoder,
        scales: Floats,
        floor: Floor,
        process: GaussianProcess,
    ) -> None:
        """Take what was fitted.

        Args:
            design: the inputs.
            encoder: from inputs to the latent.
            scales: ``(Z + D,)``, what latent and inputs are multiplied by.
            floor: the mean.
            process: on what it leaves.
        """
        self._design, self._encoder, self._scales = design, encoder, scales
        self._floor, self._process = floor, process

    @classmethod
    def prepared(
        cls,
        rows: RecordedRows,
        encoding: Encoding,
        settings: Any,  # noqa: ANN401
        seed: int,
        report: OnStep,
    ) -> dict[str, Any]:
        """Train an encoder on native samples of the rows' problems and hardware."""
        if not settings.pretrain:
            return {}
        rng = np.random.default_rng([seed, 2])
        samples = samples_like(rows, encoder_encoding(encoding), settings.pretrain, rng)
        return {"encoder": cls.pretrain(samples, settings, seed, report)}

    @staticmethod
    def pretrain(
        samples: RowTable, settings: StarlightSettings, seed: int, report: OnStep
    ) -> LatentEncoder:
        """Train an encoder on native samples (`dse.learned.samples`), to be given to :meth:`fit`.

        Raises:
            ToolError: PyTorch is missing.
            SpecError: too few samples, or a block of features is missing.
        """
        widths = (settings.width, settings.width // 2 or 1)
        return pretrained(samples, widths, settings.latent, settings.epochs, seed, report)

    @classmethod
    def fit(
        cls,
        table: RowTable,
        settings: Any,  # noqa: ANN401
        seed: int,
        report: OnStep,
        encoder: LatentEncoder | None = None,
    ) -> Starlight:
        """See :meth:`dse.learned.predictor.Predictor.fit`.

        An ``encoder`` is one that was pre-trained on features of the same names; without one it
        begins at random.
        """
        if len(table) < LEAST_ROWS:
            raise SpecError(f"{len(table)} rows: expected {LEAST_ROWS} at least")
        design = InputDesign.of(table.names)
        inputs, quantities = design.expand(table.features)
        side = inputs[:, -1]
        if encoder is None:
            widths = (settings.width, settings.width // 2 or 1)
            encoder = untrained(inputs, widths, settings.latent, seed)
        elif len(encoder.shift) != inputs.shape[1]:
            raise SpecError(
                f"encoder of {len(encoder.shift)} inputs: the table's features make "
                f"{inputs.shape[1]}"
            )
        floor = fitted_floor(quantities, side, table.ln_cycles)
        left = table.ln_cycles - floor.of(quantities, side)
        encoder, scales, numbers = _trained(encoder, inputs, left, settings, seed, report)
        process = GaussianProcess.conditioned(
            _points(encoder, scales, inputs), left, numbers[0], numbers[1]
        )
        return cls(design, encoder, scales, floor, process)

    def refit(self, table: RowTable) -> Starlight:
        """Return one that is conditioned on another table, with all else as it is: in a second.

        Args:
            table: all rows, old and new, with features of the same names.

        Raises:
            SpecError: too few rows.
        """
        if len(table) < LEAST_ROWS:
            raise SpecError(f"{len(table)} rows: expected {LEAST_ROWS} at least")
        inputs, quantities = self._design.expand(table.features)
        left = table.ln_cycles - self._floor.of(quantities, inputs[:, -1])
        points = _points(self._encoder, self._scales, inputs)
        old = self._process
        process = GaussianProcess.conditioned(points, left, old.variance, old.noise)
        return Starlight(self._design, self._encoder, self._scales, self._floor, process)

    @property
    def encoder(self) -> LatentEncoder:
        """The encoder as it was tuned."""
        return self._encoder

    def predict(self, features: Floats, ln_native: Floats) -> Prediction:
        """See :meth:`dse.learned.predictor.Predictor.predict`."""
        known = np.flatnonzero(~np.isnan(ln_native))
        mean, deviation = np.full(len(ln_native), np.nan), np.full(len(ln_native), np.nan)
        for first in range(0, len(known), _CHUNK):
            rows = known[first : first + _CHUNK]
            inputs, quantities = self._design.expand(features[rows])
            left, wide = self._process.predict(_points(self._encoder, self._scales, inputs))
            mean[rows] = self._floor.of(quantities, inputs[:, -1]) + left
            deviation[rows] = wide
        return Prediction(mean, deviation)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """See :meth:`dse.learned.predictor.Predictor.arrays`."""
        return {
            **self._design.arrays(),
            "scales": self._scales,
            **self._encoder.arrays(),
            **self._floor.arrays(),
            **self._process.arrays(),
        }

    @property
    def facts(self) -> dict[str, Any]:
        """Names of the inputs."""
        return {"inputs": list(self._design.names)}

    @classmethod
    def load(cls, arrays: Arrays, facts: CheckedEntries, features: int) -> Starlight:
        """See :meth:`dse.learned.predictor.Predictor.load`."""
        names = facts.items("inputs", str)
        design = InputDesign.load(arrays, names, features)
        count = len(names)
        encoder = LatentEncoder.load(arrays, count)
        width = count + encoder.weights[-1].shape[1]
        return cls(
            design,
            encoder,
            checked(arrays, "scales", np.float64, (width,)),
            Floor.load(arrays, len(design.quantities)),
            GaussianProcess.load(arrays, width),
        )


def encoder_encoding(encoding: Encoding) -> Encoding:
    """Return an encoding without the blocks that the encoder is not shown."""
    return replace(encoding, blocks=tuple(b for b in encoding.blocks if b not in ANSWERS))


def _points(encoder: LatentEncoder, scales: Floats, inputs: Floats) -> Singles:
    x = encoder.standardised(inputs)
    both = np.hstack([encoder.latent(x), x])
    both *= scales.astype(np.float32)
    return both


def _trained(
    encoder: LatentEncoder,
    inputs: Floats,
    left: Floats,
    settings: StarlightSettings,
    seed: int,
    report: OnStep,
) -> tuple[LatentEncoder, Floats, tuple[float, float]]:
    """Maximise the marginal likelihood of what the floor leaves, ``(N,)``.

    Returns:
        The encoder, scales of latent and inputs, and variances of the process and of the noise.
    """
    rng = np.random.default_rng(seed)
    standardised = encoder.standardised(inputs)
    spread = encoder.latent(standardised).std(axis=0).astype(np.float64)
    latent, count = len(spread), inputs.shape[1]
    with torch_for("kind starlight", seed) as torch:
        x, y = torch.tensor(standardised.astype(np.float64)), torch.tensor(left)
        layers = [
            torch.tensor(a.astype(np.float64), requires_grad=True)
            for pair in zip(encoder.weights, encoder.biases, strict=True)
            for a in pair
        ]
        scale = -0.5 * float(np.log(latent + count))
        logs = np.concatenate([scale - np.log(np.maximum(spread, 1e-3)), np.full(count, scale)])
        middle = torch.tensor(logs)
        logs = torch.tensor(logs, requires_grad=True)
        variance = float(np.log(np.mean(left**2) + 1e-6))
        numbers = torch.tensor([variance, variance - 3.0], dtype=torch.float64, requires_grad=True)
        groups = [{"params": [logs, numbers], "lr": settings.learning_rate}]
        if settings.tuning > 0:
            groups.append({"params": layers, "lr": settings.tuning})
        optimizer = torch.optim.Adam(groups)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, settings.steps)
        size = min(settings.rows or len(left), len(left))
        for step in range(1, settings.steps + 1):
            chosen = torch.tensor(rng.permutation(len(left))[:size])
            hidden = x[chosen]
            for i in range(0, len(layers), 2):
                hidden = hidden @ layers[i] + layers[i + 1]
                if i + 2 < len(layers):
                    hidden = torch.relu(hidden)
            points = torch.cat([hidden, x[chosen]], dim=1) * torch.exp(logs)
            loss = _loss(torch, points, y[chosen], numbers)
            loss = loss + SCALE_PRIOR * ((logs - middle) ** 2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            report(
                step, settings.steps, f"negative log-likelihood of a row {float(loss.detach()):.3f}"
            )
        found = [a.detach().numpy().astype(np.float32) for a in layers]
        tuned = LatentEncoder(encoder.shift, encoder.scale, tuple(found[::2]), tuple(found[1::2]))
        ends = np.exp(numbers.detach().numpy())
        scales: Floats = np.exp(logs.detach().numpy())
        return tuned, scales, (float(ends[0]), float(ends[1]) + 1e-5)


def _loss(torch: Any, points: Any, y: Any, numbers: Any) -> Any:  # noqa: ANN401 - an untyped library
    """Return the negative marginal log-likelihood of a row, less a constant."""
    own = (points**2).sum(dim=1)
    square = (own[:, None] + own - 2.0 * points @ points.T).clamp(min=0.0)
    root = torch.sqrt(5.0 * square + 1e-12)
    kernel = torch.exp(numbers[0]) * (1.0 + root + root**2 / 3.0) * torch.exp(-root)
    noise = torch.exp(numbers[1]) + 1e-5
    lower = torch.linalg.cholesky(kernel + noise * torch.eye(len(y), dtype=torch.float64))
    fitted = torch.cholesky_solve(y[:, None], lower)[:, 0]
    return (0.5 * (y @ fitted) + lower.diagonal().log().sum()) / len(y)
