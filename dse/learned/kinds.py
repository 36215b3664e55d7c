"""Which predictors there are: one table, that training, model folders and the command look into."""

from __future__ import annotations

from dse.errors import SpecError, unknown_name
from dse.learned.networks import DnnPredictor, ResidualPredictor
from dse.learned.predictor import Predictor
from dse.learned.starlight import Starlight
from dse.learned.trees import TreesPredictor

KINDS: dict[str, type[Predictor]] = {
    "residual": ResidualPredictor,
    "dnn": DnnPredictor,
    "trees": TreesPredictor,
    "starlight": Starlight,
}


def kind(name: str) -> type[Predictor]:
    """Return the predictor of that name.

    Raises:
        SpecError: there is none; the message lists the choices.
    """
    if name not in KINDS:
        raise SpecError(unknown_name("kind of predictor", name, KINDS))
    return KINDS[name]
