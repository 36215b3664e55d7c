"""What settings make of a template's constraints."""

from __future__ import annotations

from dataclasses import replace

from dse.domain.constraints import ONCHIP, PHYSICAL
from dse.errors import SpecError, unknown_name
from dse.space.schema import ConstraintSpec
from dse.space.template import ArchTemplate


def held_on_chip(template: ArchTemplate, rule: str) -> ArchTemplate:
    """Return a template under another rule for what bypasses the outermost level.

    Args:
        template: any.
        rule: see `dse.domain.constraints.LevelConstraint`.

    Raises:
        SpecError: there is no such rule.
    """
    if rule not in ONCHIP:
        raise SpecError(f"mapspace.onchip: {unknown_name('rule', rule, ONCHIP)}")
    outermost = template.spec.storage[0]
    own = outermost.constraints.model_copy(update={"onchip": rule})
    return template.reconstrained({outermost.name: own})


def freed(template: ArchTemplate) -> ArchTemplate:
    """Return a template without the constraints that are no facts of its hardware.

    Fan-outs, capacities, the levels, and what `dse.domain.constraints.PHYSICAL` names stay;
    dimensions, factors, orders and a least parallelism go, and so do keeps and bypasses of tensors
    that the level calls ``optional``.

    Raises:
        SpecError: named choices of the template stand for dimensions. Such a template searches as
            hardware what would be lifted.
    """
    choices = [v.name for v in template.variables if v.choices]
    if choices:
        raise SpecError(
            f"mapspace.free = true: template '{template.name}' searches what runs in parallel as "
            f"hardware (variable {choices[0]}), so it is no choice of the mapping; expected false, "
            "or a template without choices"
        )
    levels = template.spec.storage
    return replace(
        template.reconstrained({level.name: _freed(level.constraints) for level in levels}),
        is_free=True,
    )


def _freed(rules: ConstraintSpec) -> ConstraintSpec:
    kept = {key: getattr(rules, key) for key in PHYSICAL if key in rules.model_fields_set}
    for key in ("keep", "bypass"):
        if key in kept:
            kept[key] = tuple(x for x in kept[key] if x not in rules.optional)
    return ConstraintSpec(**kept)
