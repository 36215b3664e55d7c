"""The conformance kit finds what it is there for."""

import numpy as np
import pytest

from dse.goals.design import Design
from dse.optimizers.random import RandomSearch
from dse.plugins import Plugin, find
from dse.settings import NoSettings
from dse.study.optimizer import Optimizer
from dse.testing import OptimizerConformance

pytestmark = pytest.mark.slow


class Counting(Optimizer[NoSettings]):
    """Asks for one mapping more each time."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.count = 0

    def ask(self):
        self.count += 1
        return [Design(self.space.sample_values(self.rng), mapping_samples=self.count)]

    def tell(self, designs, metrics):
        pass

    def state_dict(self):
        return {"count": self.count}

    def load_state_dict(self, state):
        (self.count,) = state.values()
        if state.keys() != {"count"} or not isinstance(self.count, int):
            raise ValueError("count")


class Forgetting(Counting):
    """Does not say what it counted."""

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        if state:
            raise ValueError("no keys")


class Lax(Counting):
    """Takes any state."""

    def load_state_dict(self, state):
        self.count = state.get("count", 0)


class Opaque(Counting):
    """Has a state that is no plain data."""

    def state_dict(self):
        return {"count": np.int64(self.count)}


class OtherRandom(Counting):
    """Takes randomness from elsewhere than its generator."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.other = self.rng.spawn(1)[0]

    def ask(self):
        self.rng.random()
        return [Design(self.space.sample_values(self.other), mapping_samples=2)]


def kit(monkeypatch, factory):
    """Return the kit's tests of a class."""
    place = f"{factory.__module__}:{factory.__qualname__}"
    made = Plugin("optimizer", "tried", factory, factory.settings_type, "tests", place)
    monkeypatch.setattr(
        "dse.plugins.find", lambda kind, name: made if name == "tried" else find(kind, name)
    )
    return type("Tried", (OptimizerConformance,), {"optimizer": "tried", "samples": 20})()


@pytest.mark.parametrize("factory", [Counting, RandomSearch])
def test_a_good_state_passes(monkeypatch, factory, tmp_path):
    tests = kit(monkeypatch, factory)
    (tmp_path / "a").mkdir()
    tests.test_goes_on_from_its_state_as_if_nothing_had_happened(tmp_path)
    tests.test_refuses_a_state_that_is_not_its_own(tmp_path / "a")


@pytest.mark.parametrize("factory", [Forgetting, OtherRandom])
def test_what_a_state_leaves_out_is_found(monkeypatch, factory, tmp_path):
    tests = kit(monkeypatch, factory)
    with pytest.raises(AssertionError):
        tests.test_goes_on_from_its_state_as_if_nothing_had_happened(tmp_path)


def test_a_state_that_is_taken_unseen_is_found(monkeypatch, tmp_path):
    with pytest.raises(AssertionError, match="no_such_key was taken"):
        kit(monkeypatch, Lax).test_refuses_a_state_that_is_not_its_own(tmp_path)


def test_a_state_that_is_no_plain_data_is_found(monkeypatch, tmp_path):
    with pytest.raises(TypeError, match=r"state.optimizer.state.count: int64 is no plain data"):
        kit(monkeypatch, Opaque).test_refuses_a_state_that_is_not_its_own(tmp_path)
