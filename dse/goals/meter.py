"""Counting the model evaluations that an optimizer makes by itself, outside of designs."""

from __future__ import annotations


class Meter:
    """What an optimizer has spent, and what is left of the budget.

    Whatever evaluates mappings for an optimizer (`dse.relaxed.twin.Twin`, or
    `dse.evaluators.metered.MeteredEvaluator`) is built with its meter and charges it; the study
    adds that to the samples before it counts the designs of the same ``ask``. A sample is one
    mapping for every layer, so evaluations of single layers are pooled; one begun counts whole.

    Args:
        samples: the budget; None: without a limit, for use outside of a study.
        layers: unique layers of the workload.
    """

    def __init__(self, samples: int | None, layers: int) -> None:
        self._samples = samples
        self._layers = layers
        self._evaluations = 0
        self._designs = 0
        self._settled = 0

    @property
    def spent(self) -> int:
        """Samples spent by models and on designs."""
        return -(-self._evaluations // self._layers) + self._designs

    @property
    def left(self) -> int:
        """Samples that may still be spent; where there is no limit, very many."""
        return (1 << 62 if self._samples is None else self._samples) - self.spent

    def charge(self, evaluations: int) -> None:
        """Charge evaluations of single mappings of single layers.

        Raises:
            ValueError: they exceed the budget; nothing is charged then.
        """
        self._evaluations += evaluations
        if self.left < 0:
            over = -self.left
            self._evaluations -= evaluations
            raise ValueError(f"{evaluations} evaluations are {over} samples over the budget")

    def charge_design(self, samples: int) -> None:
        """Charge what a design of the study costs; for the study only."""
        self._designs += samples

    def settle(self) -> int:
        """Return the samples that models have spent since the last call; for the study only."""
        spent = -(-self._evaluations // self._layers)
        new, self._settled = spent - self._settled, spent
        return new

    def state_dict(self) -> dict[str, int]:
        """Return what was charged; for the study only."""
        return {
            "evaluations": self._evaluations,
            "designs": self._designs,
            "settled": self._settled,
        }

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on from what :meth:`state_dict` returned."""
        self._evaluations = state["evaluations"]
        self._designs = state["designs"]
        self._settled = state["settled"]
