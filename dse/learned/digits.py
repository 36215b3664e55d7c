"""Accuracies of the networks of a trained supernet, measured on images held out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dse.errors import SpecError
from dse.extras import torch_for
from dse.learned.digit_images import digit_images
from dse.learned.supernet import channels_of, largest, measured_accuracy, supernet_space
from dse.learned.supernet_train import CALIBRATION, CARD, PURPOSE, WEIGHTS, load_supernet
from dse.space.accuracy import AccuracyPredictor
from dse.space.network_space import NetworkSpace


class DigitsAccuracy(AccuracyPredictor):
    """Accuracies measured: a network of the supernet classifies 600 held-out digits.

    The supernet is a folder of ``python -m dse train supernet``.
    """

    def __init__(self, networks: NetworkSpace, argument: str) -> None:
        super().__init__(networks, argument)
        self.files(argument)
        most, own = supernet_space(), channels_of(networks, largest(networks))
        limit = channels_of(most, largest(most))
        pairs = zip(own.stages, limit.stages, strict=True)
        fits = own.stem <= limit.stem and all(
            a <= b and len(x) <= len(y) and all(i <= j for i, j in zip(x, y, strict=False))
            for (a, x), (b, y) in pairs
        )
        if not fits:
            raise SpecError(f"workload '{networks.name}': is larger than the supernet's networks")
        self._weights = load_supernet(Path(argument).expanduser())
        self._train, self._held_out = digit_images()

    @classmethod
    def files(cls, argument: str) -> list[Path]:
        """See :meth:`dse.space.accuracy.AccuracyPredictor.files`."""
        if not argument:
            raise SpecError("accuracy = digits: expected digits:FOLDER, of 'dse train supernet'")
        folder = Path(argument).expanduser()
        return [folder / CARD, folder / WEIGHTS]

    def predict(self, values: Mapping[str, int]) -> float:
        """See :meth:`dse.space.accuracy.AccuracyPredictor.predict`."""
        channels = channels_of(self.networks, values)
        with torch_for(PURPOSE, 0) as torch:
            return measured_accuracy(
                torch,
                {name: torch.from_numpy(array) for name, array in self._weights.items()},
                channels,
                torch.from_numpy(self._train.images[:CALIBRATION]),
                torch.from_numpy(self._held_out.images),
                self._held_out.labels,
            )
