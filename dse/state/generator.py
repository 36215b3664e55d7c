"""The state of a random generator, as plain data."""

from __future__ import annotations

from typing import Any

import numpy as np

from dse.errors import SpecError
from dse.state.codec import State
from dse.state.entries import CheckedEntries

#: Generators that one may have spawned; a bound for what files say.
_MAX_SPAWNED = 1_000_000


def generator_state(rng: np.random.Generator) -> dict[str, State]:
    """Return the state of a generator, to be set again by :func:`set_generator`."""
    spawned = getattr(rng.bit_generator.seed_seq, "n_children_spawned", 0)
    return {"bits": dict(rng.bit_generator.state), "spawned": spawned}


def set_generator(rng: np.random.Generator, state: object) -> None:
    """Let a generator go on from a state; it is one of the same seed and kind.

    Raises:
        SpecError: it is no such state.
    """
    with CheckedEntries(state, "generator") as entries:
        bits: Any = entries.take("bits")
        spawned = entries.integer("spawned", 0, _MAX_SPAWNED)
    now = rng.bit_generator.state
    if _form(bits) != _form(now):
        raise SpecError(f"generator: expected the state of a {now['bit_generator']}")
    try:
        rng.bit_generator.state = bits
    except (ValueError, TypeError, OverflowError) as error:
        raise SpecError(f"generator: {error}") from error
    seeds = rng.bit_generator.seed_seq
    have = getattr(seeds, "n_children_spawned", 0)
    if spawned > have and isinstance(seeds, np.random.SeedSequence):
        seeds.spawn(spawned - have)


def _form(state: object) -> object:
    """Return what two states of one kind of generator have in common: keys, names and types."""
    if isinstance(state, dict):
        return {key: _form(value) for key, value in state.items()}
    if isinstance(state, np.ndarray):
        return state.dtype.name, state.shape
    return state if isinstance(state, str) else type(state)
