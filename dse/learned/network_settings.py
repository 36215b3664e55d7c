"""Settings of the predictors that are networks."""

from __future__ import annotations

from dataclasses import dataclass

from dse.errors import SpecError, unknown_name
from dse.learned.folds import check_unit
from dse.settings import setting

NETWORKS = ("small", "dosa")


@dataclass(frozen=True)
class NetworkSettings:
    """Settings of the networks; those left null are the network's own."""

    network: str = setting("small", "small: an ensemble on our encoding; dosa: the published one")
    features: str = setting("", "blocks of features: BLOCK,BLOCK or +BLOCK beside the default")
    folds: str = setting("rows", "what is held out to stop early: rows or layers")
    learning_rate: float | None = setting(None, "step of Adam; small: 0.003, dosa: 0.0001")
    batch: int | None = setting(None, "rows of a step, 0: all; small: 64, dosa: 64")
    patience: int | None = setting(
        None, "epochs (small: 100) or iterations (dosa: 1000) without a gain, after which it stops"
    )
    members: int = setting(5, "small: networks of the ensemble")
    width: int = setting(64, "small: neurons of a hidden layer")
    depth: int = setting(2, "small: hidden layers")
    epochs: int = setting(300, "small: most passes over the rows")
    weight_decay: float = setting(0.01, "small: of AdamW")
    iterations: int = setting(3000, "dosa: most steps; 50000 as published")

    def __post_init__(self) -> None:
        check_unit("folds", self.folds)
        if self.network not in NETWORKS:
            raise SpecError(unknown_name("network", self.network, NETWORKS))
        for name, least in (("members", 2), ("width", 1), ("depth", 1), ("epochs", 1)):
            if getattr(self, name) < least:
                raise SpecError(f"{name} = {getattr(self, name)}: expected {least} at least")
        own = {
            "small": {"learning_rate": 0.003, "batch": 64, "patience": 100},
            "dosa": {"learning_rate": 1e-4, "batch": 64, "patience": 1000},
        }[self.network]
        for name, value in own.items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)
