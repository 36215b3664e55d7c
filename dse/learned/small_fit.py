"""The small network: an ensemble on the whole encoding, with a deviation of its own.

Each of five members learns from four folds and stops where the fifth says. All members run as one
batched product. Outputs are a mean and the logarithm of a variance; the variance learns from the
residuals of the mean, without moving it, and is scaled at the end so that it is right for the rows
that a member has not seen.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np

from dse.extras import torch_for
from dse.learned.folds import folds, honest_factor
from dse.learned.network import LOG_VARIANCE, NetworkEnsemble
from dse.learned.network_settings import NetworkSettings
from dse.learned.predictor import OnStep
from dse.learned.rows import RowTable
from dse.numeric import Floats, Ints

#: Epochs after which every member is held against its unseen fold.
_EVERY = 5
#: Share of the steps in which the learning rate rises.
_RISE = 0.1


def fit_small(
    table: RowTable, settings: NetworkSettings, seed: int, report: OnStep, *, residual: bool
) -> NetworkEnsemble:
    """Fit the ensemble; see :meth:`dse.learned.predictor.Predictor.fit`."""
    rng = np.random.default_rng(seed)
    fold = folds(table, settings.members, settings.folds, rng)
    varying = np.flatnonzero(np.ptp(table.features, axis=0) > 0)
    shift, scale = (f(table.features[:, varying], axis=0) for f in (np.mean, np.std))
    target = table.ln_cycles - table.ln_native if residual else table.ln_cycles
    target_shift, target_scale = float(target.mean()), max(float(target.std()), 1e-6)
    inputs = ((table.features[:, varying] - shift) / scale).astype(np.float32)
    wanted = ((target - target_shift) / target_scale).astype(np.float32)
    sizes = [len(varying), *(settings.width,) * settings.depth, 2]
    layers = _initial(sizes, settings.members, rng)
    with torch_for("network=small", seed) as torch:
        best = _trained(torch, layers, inputs, wanted, fold, settings, rng, report)
    network = NetworkEnsemble(
        columns=varying,
        shift=shift,
        scale=scale,
        weights=tuple(best[0::2]),
        biases=tuple(b[:, 0] for b in best[1::2]),
        activation="relu",
        head="gaussian",
        residual=residual,
        target_shift=target_shift,
        target_scale=target_scale,
        deviation=1.0,
    )
    return _calibrated(network, table, target, fold)


def _initial(sizes: list[int], members: int, rng: np.random.Generator) -> list[Any]:
    """Return weights and biases by turns, He's initialization."""
    found: list[Any] = []
    for inputs, outputs in itertools.pairwise(sizes):
        spread = np.sqrt(2.0 / inputs)
        found.append(rng.normal(0.0, spread, (members, inputs, outputs)).astype(np.float32))
        found.append(np.zeros((members, 1, outputs), np.float32))
    found[-2] *= 0.1
    return found


def _trained(
    torch: Any,  # noqa: ANN401
    layers: list[Any],
    inputs: Any,  # noqa: ANN401
    wanted: Any,  # noqa: ANN401
    fold: Ints,
    settings: NetworkSettings,
    rng: np.random.Generator,
    report: OnStep,
) -> list[Any]:
    """Train all members, and return each as it was when its unseen fold was predicted best."""
    members, count = settings.members, len(inputs)
    parameters = [torch.tensor(x, requires_grad=True) for x in layers]
    seen = torch.tensor((fold[None, :] != np.arange(members)[:, None]).astype(np.float32))
    x, y = torch.tensor(inputs), torch.tensor(wanted)

    def forward(rows: Any) -> Any:  # noqa: ANN401
        hidden = rows.expand(members, -1, -1)
        for i in range(0, len(parameters), 2):
            hidden = torch.baddbmm(parameters[i + 1], hidden, parameters[i])
            if i < len(parameters) - 2:
                hidden = torch.relu(hidden)
        return hidden

    batch = min(settings.batch or count, count)
    steps = -(-count // batch)
    epochs = settings.epochs
    optimizer = torch.optim.AdamW(
        parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    total = epochs * steps
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step / total))
    best = [p.detach().clone() for p in parameters]
    least = torch.full((members,), float("inf"))
    improved = 0
    for epoch in range(1, epochs + 1):
        order = torch.tensor(rng.permutation(count))
        for part in order.split(batch):
            outputs, weight = forward(x[part]), seen[:, part]
            error = outputs[:, :, 0] - y[part]
            log = outputs[:, :, 1].clamp(*LOG_VARIANCE)
            loss = torch.nn.functional.smooth_l1_loss(
                error, torch.zeros_like(error), reduction="none", beta=0.3
            )
            loss = loss + 0.05 * (log + error.detach() ** 2 * torch.exp(-log))
            optimizer.zero_grad()
            ((loss * weight).sum() / weight.sum().clamp(min=1.0) * members).backward()
            optimizer.step()
            schedule.step()
        if epoch % _EVERY and epoch < epochs:
            continue
        with torch.no_grad():
            error = (forward(x)[:, :, 0] - y).abs() * (1.0 - seen)
            unseen = error.sum(dim=1) / (1.0 - seen).sum(dim=1)
            better = unseen < least
            least = torch.where(better, unseen, least)
            for old, new in zip(best, parameters, strict=True):
                old[better] = new.detach()[better]
        improved = epoch if bool(better.any()) else improved
        report(epoch, epochs, f"mean error of unseen rows {float(least.mean()):.4f}")
        if epoch - improved >= (settings.patience or epochs):
            break
    return [p.numpy() for p in best]


def _rate(done: float) -> float:
    """Return the learning rate's share when so much is done: a rise, then half a cosine."""
    if done < _RISE:
        return 0.04 + 0.96 * done / _RISE
    return 0.5 + 0.5 * float(np.cos(np.pi * min(1.0, (done - _RISE) / (1 - _RISE))))


def _calibrated(
    network: NetworkEnsemble, table: RowTable, target: Floats, fold: Ints
) -> NetworkEnsemble:
    """Scale the deviation by what each member says of the rows that it has not seen."""
    outputs = network.outputs(table.features)[fold, np.arange(len(table))]
    mean = outputs[:, 0] * network.target_scale + network.target_shift
    log = np.clip(outputs[:, 1], *LOG_VARIANCE)
    deviation = np.exp(log / 2) * network.target_scale
    factor = honest_factor((target - mean) / deviation)
    return replace(network, deviation=factor)
