"""The contract of an optimizer: ``ask`` for designs, be told what they are worth."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np

from dse.domain.mapping import Mapping
from dse.goals.design import Design, DesignMetrics
from dse.goals.meter import Meter
from dse.goals.objective import Objective
from dse.settings import NoSettings
from dse.space.search_space import SearchSpace
from dse.state.codec import State

S = TypeVar("S")

#: The mapper of runs that name none, unless their optimizer has one of its own.
DEFAULT_MAPPER = "random"


class Optimizer(ABC, Generic[S]):
    """Searches a space of designs.

    It must say its whole state in :meth:`state_dict`, take all randomness from ``rng``, and not
    read the clock: then a study can be resumed, and equal seeds give equal results. Subclasses
    keep this constructor and set ``settings_type``.

    Attributes:
        space: what may be asked for.
        settings: the settings, an instance of ``settings_type``.
        rng: the source of all randomness.
        samples: the study's whole budget, for schedules. The study enforces it, not the optimizer.
        meter: for models that the optimizer evaluates by itself: they charge it, and the study
            counts that.
        of_timeloop: whether the evaluator equals Timeloop's model; known from the first ``ask`` on.
        own_mapper: whether the mapper is the one that goes with it, as it is set; known as above.
    """

    #: a dataclass, every field with a default
    settings_type: ClassVar[type[Any]] = NoSettings
    #: the budget where the user sets none
    default_samples: ClassVar[int] = 1000
    #: whether it claims an optimum: it is of Timeloop's model, and other evaluators are refused
    proves: ClassVar[bool] = False
    #: whether its designs may have padded layers: not where it finds mappings by itself, which are
    #: of the layers' own sizes; then ``mapspace.padding`` is refused
    pads: ClassVar[bool] = True
    #: whether they may where nobody says so
    pads_unasked: ClassVar[bool] = True

    #: whether it searches networks, too, where the workload is a space of them: `space.variables`
    #: are then those of both, and mappings come from the mapper
    takes_networks: ClassVar[bool] = False
    #: whether layers of such networks are mapped on all hardware of an ``ask`` together, rather
    #: than on each by itself: faster where all of it is asked for the same networks
    maps_together: ClassVar[bool] = False

    #: whether it searches sparse designs, too: not where it has a model of dense tensors in it
    takes_sparse: ClassVar[bool] = True

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """The objectives between which it trades; the study keeps their Pareto front."""
        return ()

    @classmethod
    def default_mapper(cls, settings: S) -> dict[str, Any]:  # noqa: ARG003 - for subclasses
        """Return the mapper, by ``name`` and settings, of runs that name none."""
        return {"name": DEFAULT_MAPPER}

    @classmethod
    def budget(cls, settings: S, *, networks: bool) -> int:  # noqa: ARG003 - for subclasses
        """Return the budget where the user sets none.

        Args:
            settings: of the optimizer.
            networks: whether the workload is a space of networks.
        """
        return cls.default_samples

    @property
    def certificate(self) -> dict[str, Any] | None:
        """What it can prove of its result, as plain data for ``result.json``; None: nothing."""
        return None

    @property
    def note(self) -> str:
        """How it has searched, in a line for the result, where its settings leave that open."""
        return ""

    def unpadded(self, design: Design) -> tuple[Mapping, ...] | None:  # noqa: ARG002 - for subclasses
        """Return the best mappings of the layers' own sizes on a padded design's hardware.

        None: the mapper finds them. Only of interest where it knows better than the mapper, so
        that what padding buys is not overstated.
        """
        return None

    @property
    def model_samples(self) -> int:
        """Samples that a model of its own stood for, beside the budget, which is the evaluator's.

        Only where a sample of the evaluator is dear and the model's are not; the result says so.
        """
        return 0

    def __init__(
        self, space: SearchSpace, settings: S, rng: np.random.Generator, samples: int
    ) -> None:
        self.space = space
        self.settings = settings
        self.rng = rng
        self.samples = samples
        self.meter = Meter(samples, len(space.workload))
        self.of_timeloop = self.own_mapper = True
        #: a proof on its way tells it the best value, and what no design is below
        self.on_bound: Callable[[float, float], None] = lambda _value, _bound: None

    @abstractmethod
    def ask(self) -> list[Design]:
        """Return the next designs to evaluate; an empty list ends the study.

        Designs without mappings are completed by the mapper. Designs beyond the budget are not
        evaluated, and the last one may get fewer mappings than it asked for. What models have
        charged to ``meter`` counts before these designs do.
        """

    @abstractmethod
    def tell(self, designs: Sequence[Design], metrics: Sequence[DesignMetrics]) -> None:
        """Take the results of the evaluated designs of the last ``ask``, in its order.

        The designs hold their mappings now, except where ``metrics`` says that they are not
        valid. An invalid design has a reason and no numbers.
        """

    @abstractmethod
    def state_dict(self) -> dict[str, State]:
        """Return what it has learned, as plain data; asked for between ``tell`` and ``ask``.

        What follows from the constructor's arguments, or can be computed from the rest, need not
        be in it, nor need ``rng`` and ``meter``: the study keeps those. An optimizer that learns
        nothing returns ``{}``. See `dse.state.codec.State` for what may be in it.
        """

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`state_dict` returned; called before the first ``ask``.

        The data may come from a stranger's file, so nothing in it is taken for granted:
        `dse.state.entries.CheckedEntries` checks keys and types, `dse.state.in_space` designs.

        Raises:
            SpecError: a key is missing, unknown, or holds what it cannot.
        """
