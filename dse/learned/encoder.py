"""Starlight's encoder: trained with decoder and heads on what the native model says.

A variational auto-encoder over the inputs of `InputDesign`, whose latent also has to tell native
cycles and energy, and so is ordered by EDP ("Starlight-Low" of Polaris, arXiv 2412.15548;
losses after VAESA: reconstruction + KL + heads). Decoder and heads are dropped afterwards. The
paper gives no sizes and rates; those here were chosen on rows of Gemmini.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from dse.errors import SpecError
from dse.extras import torch_for
from dse.learned.design import InputDesign
from dse.learned.predictor import Arrays, OnStep
from dse.learned.rows import RowTable
from dse.learned.weights import checked
from dse.numeric import Floats

#: Weights of the losses beside that of reconstruction, which is 1.
KL_WEIGHT, HEAD_WEIGHT = 1e-3, 5.0
#: Standardised inputs are held within this, so that nothing unseen runs away.
MOST_DEVIATIONS = 6.0
_LEAST_DEVIATION = 1e-6
Singles = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class LatentEncoder:
    """Scaling of D inputs, and the network from them to a latent of Z numbers.

    Attributes:
        shift: ``(D,)`` subtracted from inputs.
        scale: ``(D,)`` that they are then multiplied by; 0 where an input never changes.
        weights: of each layer, ``(I, O)``; ReLU between.
        biases: of each layer, ``(O,)``.
    """

    shift: Floats
    scale: Floats
    weights: tuple[Singles, ...]
    biases: tuple[Singles, ...]

    def standardised(self, inputs: Floats) -> Singles:
        """Return inputs ``(B, D)`` as the network takes them."""
        scaled = (inputs - self.shift) * self.scale
        return np.clip(scaled, -MOST_DEVIATIONS, MOST_DEVIATIONS).astype(np.float32)

    def latent(self, x: Singles) -> Singles:
        """Return the latent, ``(B, Z)``, of standardised inputs."""
        from dse.learned.inference import NONE, RELU, product  # noqa: PLC0415 - compiled code

        last = len(self.weights) - 1
        for i, (weights, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = product(x, weights, bias, NONE if i == last else RELU)
        return x

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return its arrays by name."""
        found: dict[str, npt.NDArray[Any]] = {
            "encoder.shift": self.shift,
            "encoder.scale": self.scale,
        }
        for i, (weights, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            found |= {f"encoder.weights{i}": weights, f"encoder.bias{i}": bias}
        return found

    @classmethod
    def load(cls, arrays: Arrays, inputs: int) -> LatentEncoder:
        """Take it from arrays that may be anyone's.

        Raises:
            SpecError: they are not those of an encoder.
        """
        shift = checked(arrays, "encoder.shift", np.float64, (inputs,))
        scale = checked(arrays, "encoder.scale", np.float64, (inputs,))
        weights: list[Singles] = []
        biases: list[Singles] = []
        width = inputs
        while f"encoder.weights{len(weights)}" in arrays:
            i = len(weights)
            weights.append(checked(arrays, f"encoder.weights{i}", np.float32, (width, None)))
            width = weights[-1].shape[1]
            biases.append(checked(arrays, f"encoder.bias{i}", np.float32, (width,)))
        if not weights:
            raise SpecError("weights: 'encoder.weights0' is missing")
        return cls(shift, scale, tuple(weights), tuple(biases))


def scaling(inputs: Floats) -> tuple[Floats, Floats]:
    """Return shift and scale that standardise inputs ``(N, D)``."""
    deviation = inputs.std(axis=0)
    known = deviation > _LEAST_DEVIATION
    scale = np.where(known, 1.0 / np.where(known, deviation, 1.0), 0.0)
    return inputs.mean(axis=0), scale


def untrained(inputs: Floats, widths: tuple[int, ...], latent: int, seed: int) -> LatentEncoder:
    """Return an encoder with random weights, scaled for these inputs ``(N, D)``."""
    rng = np.random.default_rng(seed)
    shift, scale = scaling(inputs)
    sizes = (inputs.shape[1], *widths, latent)
    weights = [
        (rng.standard_normal((a, b)) * np.sqrt(2.0 / a)).astype(np.float32)
        for a, b in pairwise(sizes)
    ]
    return LatentEncoder(
        shift, scale, tuple(weights), tuple(np.zeros(b, np.float32) for b in sizes[1:])
    )


def pretrained(
    samples: RowTable,
    widths: tuple[int, ...],
    latent: int,
    epochs: int,
    seed: int,
    report: OnStep,
    *,
    batch: int = 512,
    learning_rate: float = 2e-3,
) -> LatentEncoder:
    """Train encoder, decoder and heads together; return the encoder.

    Args:
        samples: features with native cycles and energy; recorded cycles are not looked at.
        widths: of the hidden layers.
        latent: its size.
        epochs: passes over the samples.
        seed: of all randomness.
        report: told of every pass.
        batch: samples of a step.
        learning_rate: highest step of Adam.

    Raises:
        ToolError: PyTorch is missing.
        SpecError: there are fewer than two samples, or a block of features is missing.
    """
    if len(samples) < 2:
        raise SpecError(f"{len(samples)} samples: expected two at least")
    inputs, _ = InputDesign.of(samples.names).expand(samples.features)
    start = untrained(inputs, widths, latent, seed)
    native = np.column_stack([samples.ln_native, np.log(samples.energy_pj)])
    native = np.column_stack([native, native.sum(axis=1)])
    target = (native - native.mean(axis=0)) / np.maximum(native.std(axis=0), _LEAST_DEVIATION)
    with torch_for("kind starlight", seed) as torch:
        x = torch.tensor(start.standardised(inputs))
        y = torch.tensor(target.astype(np.float32))
        encoder = _network(torch, (x.shape[1], *widths, latent))
        for layer, weights in zip(encoder[::2], start.weights, strict=True):
            layer.weight.data = torch.tensor(np.ascontiguousarray(weights.T))
            layer.bias.data.zero_()
        spread = torch.nn.Linear(widths[-1], latent)
        decoder = _network(torch, (latent, *reversed(widths), x.shape[1]))
        head = _network(torch, (latent, 64, y.shape[1]))
        modules = torch.nn.ModuleList([encoder, spread, decoder, head])
        steps = epochs * -(-len(samples) // batch)
        optimizer = torch.optim.Adam(modules.parameters(), lr=learning_rate)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, max_lr=learning_rate, total_steps=steps, pct_start=0.1
        )
        rng = np.random.default_rng(seed)
        for epoch in range(1, epochs + 1):
            for part in torch.tensor(rng.permutation(len(samples))).split(batch):
                hidden = encoder[:-1](x[part])
                mean, log = encoder[-1](hidden), spread(hidden).clamp(-10.0, 4.0)
                drawn = mean + torch.exp(0.5 * log) * torch.randn_like(mean)
                again = torch.nn.functional.mse_loss(decoder(drawn), x[part])
                told = torch.nn.functional.mse_loss(head(drawn), y[part])
                kl = 0.5 * (mean**2 + torch.exp(log) - 1.0 - log).sum(dim=1).mean()
                loss = again + HEAD_WEIGHT * told + KL_WEIGHT * kl
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
            line = f"reconstruction {float(again.detach()):.3f}, native {float(told.detach()):.4f}"
            report(epoch, epochs, line)
        layers = [layer for layer in encoder if isinstance(layer, torch.nn.Linear)]
        return LatentEncoder(
            *(start.shift, start.scale),
            tuple(np.ascontiguousarray(layer.weight.detach().numpy().T) for layer in layers),
            tuple(layer.bias.detach().numpy().copy() for layer in layers),
        )


def _network(torch: Any, sizes: tuple[int, ...]) -> Any:  # noqa: ANN401 - an untyped library
    layers: list[Any] = []
    for a, b in pairwise(sizes):
        layers += [torch.nn.Linear(a, b), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])
