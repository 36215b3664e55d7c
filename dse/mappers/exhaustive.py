"""Exhaustive mapper: every mapping of a small space."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from dse.domain.architecture import HardwareBatch
from dse.domain.problem import Problem
from dse.errors import SpecError
from dse.mappers.search import Course, Search, at_least
from dse.settings import setting

_LOG = logging.getLogger(__name__)
#: Tilings of the largest space that is enumerated unless a limit is set.
_SMALL = 10_000_000


@dataclass(frozen=True)
class ExhaustiveSettings:
    """Settings of the exhaustive mapper."""

    limit: int | None = setting(
        None,
        "tilings (factors, axes, keeps) to look at, evenly spread over a larger space; null: all, "
        "and spaces of more than 10 million are refused",
    )
    chunk: int = setting(16384, "mappings evaluated at a time")


class ExhaustiveMapper(Search[ExhaustiveSettings]):
    """Every mapping that fits, in order; the best is optimal where the budget covers the space."""

    settings_type = ExhaustiveSettings

    def check(self) -> None:
        """See :meth:`dse.mappers.search.Search.check`."""
        if self.settings.limit is not None:
            at_least("limit", self.settings.limit, 1)
        at_least("chunk", self.settings.chunk, 1)

    def course(
        self,
        hardware: HardwareBatch,
        h: int,
        problem: Problem,
        samples: int,
        seed: int,  # noqa: ARG002 - nothing is random here
    ) -> Course:
        """See :meth:`dse.mappers.search.Search.course`.

        Raises:
            SpecError: the space is too large and no limit was set.
        """
        from dse.mapspace.enumeration import (  # noqa: PLC0415 - compiled code
            LARGEST,
            enumerate_valid,
            tilings,
        )

        space = self.space_of(problem, hardware.architectures[h])
        if space.infeasible:
            return
        total, limit = tilings(space), self.settings.limit
        if total >= LARGEST or (limit is None and total > _SMALL):
            raise SpecError(
                f"mapper=exhaustive: the mapspace has {total:.3g} tilings, more than "
                f"{_SMALL if total < LARGEST else LARGEST:.3g}: set mapper.limit to look at so "
                "many of them, or take another mapper"
                if total < LARGEST
                else f"mapper=exhaustive: the mapspace has {total:.3g} tilings, too many to number"
            )
        stride = 1 if limit is None else -(-total // limit)
        spent = 0
        # full only where it is asked for: evaluators other than the native one are slow
        for batch in enumerate_valid(space, min(self.settings.chunk, samples), stride=stride):
            spent += len(batch)
            yield batch
        _LOG.info(
            "exhaustive: %s of %s tilings seen, %s mappings fit", -(-total // stride), total, spent
        )
