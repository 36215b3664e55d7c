"""DOSA's network: 256-512-2048-2048-512-256-64, GELU, dropout 0.3, softplus, L1 on cycles.

As published it runs 50,000 iterations of Adam over all rows at once, at a rate of 1e-5: hours
without an accelerator. By default it takes batches of 64 rows at a larger rate and fewer of them,
keeps the iteration that predicts a held-out tenth best, and stops once that gets no better;
``iterations=50000 batch=0 learning_rate=1e-5 patience=50000`` is as published.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from dse.extras import torch_for
from dse.learned.folds import held_out
from dse.learned.network import SOFTPLUS_BETA, NetworkEnsemble, softplus
from dse.learned.network_settings import NetworkSettings
from dse.learned.predictor import OnStep
from dse.learned.rows import RowTable
from dse.numeric import Flags, Floats

_WIDTHS = (256, 512, 2048, 2048, 512, 256, 64)
_DROPOUT = 0.3
_SHARE = 0.1
#: Iterations after which the held-out rows are predicted.
_EVERY = 50


def fit_dosa(
    table: RowTable, settings: NetworkSettings, seed: int, report: OnStep, *, residual: bool
) -> NetworkEnsemble:
    """Fit the network; see :meth:`dse.learned.predictor.Predictor.fit`.

    A feature is divided by its training maximum. Of the mapping, only what varies is taken.
    """
    rng = np.random.default_rng(seed)
    unseen = held_out(table, _SHARE, settings.folds, rng)
    taken = _columns(table)
    top = np.abs(table.features[:, taken]).max(axis=0)
    top[top == 0] = 1.0
    cycles, native = np.exp(table.ln_cycles), np.exp(table.ln_native)
    most = float(cycles.max())
    inputs = (table.features[:, taken] / top).astype(np.float32)
    offset = (native if residual else np.zeros_like(native)) / most
    with torch_for("network=dosa", seed) as torch:
        model = _model(torch, len(taken))
        _train(torch, model, inputs, offset, cycles / most, unseen, settings, rng, report)
        state = [p.detach().numpy().copy() for p in model.parameters()]
    network = NetworkEnsemble(
        columns=taken,
        shift=np.zeros(len(taken)),
        scale=top,
        weights=tuple(np.ascontiguousarray(w.T)[None] for w in state[0::2]),
        biases=tuple(b[None] for b in state[1::2]),
        activation="gelu",
        head="cycles",
        residual=residual,
        target_shift=0.0,
        target_scale=most,
        deviation=1.0,
    )
    mean = network.predict(table.features[unseen], table.ln_native[unseen]).mean
    spread = float(np.sqrt(np.mean((mean - table.ln_cycles[unseen]) ** 2)))
    return replace(network, deviation=max(spread, 0.01))


def _columns(table: RowTable) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return hardware, problem, and of the mapping what varies."""
    loops = tuple(f"raw.{kind}." for kind in ("spatial", "temporal", "place"))
    constant = np.ptp(table.features, axis=0) == 0
    zero = constant & (table.features[0] == 0)
    dropped = [
        zero[i] or (constant[i] and name.startswith(loops)) for i, name in enumerate(table.names)
    ]
    return np.flatnonzero(~np.array(dropped))


def _model(torch: Any, inputs: int) -> Any:  # noqa: ANN401
    parts, width = [], inputs
    for size in _WIDTHS:
        parts += [torch.nn.Linear(width, size), torch.nn.GELU(), torch.nn.Dropout(_DROPOUT)]
        width = size
    return torch.nn.Sequential(*parts, torch.nn.Linear(width, 1))


def _train(
    torch: Any,  # noqa: ANN401
    model: Any,  # noqa: ANN401
    inputs: Any,  # noqa: ANN401
    offset: Floats,
    target: Floats,
    unseen: Flags,
    settings: NetworkSettings,
    rng: np.random.Generator,
    report: OnStep,
) -> None:
    """Train; leave the model as it was when it predicted the held-out rows best."""
    x = torch.tensor(inputs)
    base, wanted = (torch.tensor(v.astype(np.float32)) for v in (offset, target))
    known = np.flatnonzero(~unseen)
    batch = min(settings.batch or len(known), len(known))
    optimizer = torch.optim.Adam(model.parameters(), lr=settings.learning_rate)
    activation = torch.nn.Softplus(beta=SOFTPLUS_BETA)
    best, least, improved = None, np.inf, 0
    for iteration in range(1, settings.iterations + 1):
        part = torch.tensor(rng.permutation(known)[:batch] if batch < len(known) else known)
        model.train()
        found = base[part] + activation(model(x[part])[:, 0])
        loss = (found - wanted[part]).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if iteration % _EVERY and iteration < settings.iterations:
            continue
        model.eval()
        with torch.no_grad():
            raw = model(x[torch.tensor(np.flatnonzero(unseen))])[:, 0].numpy()
        error = float(np.abs(offset[unseen] + softplus(raw) - target[unseen]).mean())
        if error < least:
            least, improved = error, iteration
            best = {k: v.clone() for k, v in model.state_dict().items()}
        report(iteration, settings.iterations, f"held-out error {error:.5f}, least {least:.5f}")
        if iteration - improved >= (settings.patience or settings.iterations):
            break
    if best is not None:
        model.load_state_dict(best)
