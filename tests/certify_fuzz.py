"""Attacks on the search and on the certifier: random spaces, objectives and claims.

    python tests/certify_fuzz.py --count 500 --seed 0

Every combination is a random space with an objective, whose optimum is known by brute force. The
search has to find it, with its bound; the certifier has to accept it, or say what it does not
cover; and of claims that are false none may be accepted. One in eight is far larger: there search
and certifier have to agree. Exit code 1: something passed that should
not, or was refused that should not.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from certify_spaces import Recipe, aimed, large_recipe, optimum, random_recipe

from dse.certify.recheck import recheck
from dse.certify.verdict import Decision, Effort
from dse.cosearch.goal import CoSearchGoal
from dse.cosearch.search import CoSearch, UnsolvableSpace

#: False claims: the optimum times each of these.
FACTORS = (1.0 + 1e-9, 1.0 + 1e-6, 1.0024, 1.3, 10.0)
#: Mappings that the certifier may look at: these spaces are small.
_EFFORT = 30_000_000
#: Nodes after which a search of a large space is stopped.
_NODES = 400


@dataclass
class Tally:
    """What happened."""

    counts: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def fault(self, text: str, recipe: Recipe) -> None:
        """Note what should not be."""
        self.faults.append(f"{text}\n  {recipe}")


def attack(recipe: Recipe, rng: np.random.Generator, tally: Tally) -> None:
    """Search a space, have the truth certified, and lies refused."""
    space = recipe.space()
    best = optimum(space)
    _check_search(recipe, best, rng, tally)
    if not 0.0 < best < math.inf:
        tally.counts["empty"] += 1
        claim = 1e6
        verdict = recheck(space, claim, effort=Effort(most_mappings=_EFFORT))
        if verdict.outcome is Decision.REFUTED and best > claim:
            tally.fault(f"nothing feasible, yet a claim is refuted: {verdict}", recipe)
        return
    truth = recheck(space, best, effort=Effort(most_mappings=_EFFORT))
    tally.counts[f"truth {truth.outcome}"] += 1
    tally.counts[f"by {truth.how}"] += 1
    if truth.outcome is Decision.REFUTED:
        tally.fault(f"the optimum {best!r} is refuted: {truth}", recipe)
    if truth.outcome is Decision.UNDECIDED:
        tally.reasons[truth.reason.partition(": ")[2][:60] or truth.reason[:60]] += 1
    for factor in FACTORS:
        verdict = recheck(space, best * factor, effort=Effort(most_mappings=_EFFORT))
        tally.counts[f"lie {verdict.outcome}"] += 1
        if verdict.outcome is Decision.CERTIFIED:
            tally.fault(f"{best * factor!r} is certified, the optimum is {best!r}", recipe)
        if (verdict.outcome is Decision.UNDECIDED) != (truth.outcome is Decision.UNDECIDED):
            tally.counts["lie decided otherwise"] += 1
    weak = recheck(
        space, best * float(rng.uniform(0.05, 1.0)), effort=Effort(most_mappings=_EFFORT)
    )
    if weak.outcome is Decision.REFUTED:
        tally.fault(f"a bound below the optimum {best!r} is refuted: {weak}", recipe)


def attack_large(recipe: Recipe, tally: Tally) -> None:
    """Have search and certifier judge each other on a space without brute force."""
    space = recipe.space()
    goal = CoSearchGoal.of(space.objective, space.limits, space.template.max_area_um2)
    try:
        search = CoSearch(space, goal, 1)
    except UnsolvableSpace:
        tally.counts["large, unsolved"] += 1
        return
    if not search.tables.closed_form:
        tally.counts["large, no closed form"] += 1
        return
    for _ in search.run():
        if search.nodes > _NODES:
            tally.counts["large, stopped"] += 1
            break
    if search.incumbent is None or search.bound <= 0.0:
        return
    effort = Effort(most_mappings=_EFFORT)
    verdict = recheck(space, search.bound, effort=effort)
    tally.counts[f"large {verdict.outcome}"] += 1
    if verdict.outcome is Decision.REFUTED:
        tally.fault(f"the search's bound {search.bound!r} is refuted: {verdict}", recipe)
    value = search.incumbent.value
    lie = recheck(space, value * (1.0 + 1e-9), effort=Effort(most_mappings=_EFFORT))
    tally.counts[f"large lie {lie.outcome}"] += 1
    if lie.outcome is Decision.CERTIFIED:
        tally.fault(f"{value!r} was found, and more is certified", recipe)


def _check_search(recipe: Recipe, best: float, rng: np.random.Generator, tally: Tally) -> None:
    """Compare the search with brute force, at its end and at a moment before."""
    space = recipe.space()
    template = space.template
    goal = CoSearchGoal.of(space.objective, space.limits, template.max_area_um2, template.clock_ns)
    stop = int(rng.integers(1, 12))
    try:
        search = CoSearch(space, goal, 300_000)
        for _ in search.run():
            if search.nodes == stop and search.bound > best * (1.0 + 1e-12):
                tally.fault(f"bound {search.bound!r} after {stop} nodes, optimum {best!r}", recipe)
    except UnsolvableSpace as error:
        tally.counts["unsolved"] += 1
        tally.reasons[f"search: {str(error)[:50]}"] += 1
        return
    found = math.inf if search.incumbent is None else search.incumbent.value
    tally.counts["closed form" if search.tables.closed_form else "enumerated"] += 1
    # limits that slower mappings meet may leave a gap
    settled = not goal.planes or goal.settles_limits
    wrong = settled or found < best * (1.0 - 1e-12)
    if wrong and not (found == best or math.isclose(found, best, rel_tol=1e-12)):
        tally.fault(f"the search ends at {found!r}, the optimum is {best!r}", recipe)
    if search.bound > best * (1.0 + 1e-12):
        tally.fault(f"the search's bound is {search.bound!r}, the optimum {best!r}", recipe)


def run(count: int, seed: int, seconds: float = math.inf, *, say: bool = False) -> Tally:
    """Attack with so many spaces, or for so long."""
    tally, start = Tally(), time.monotonic()
    for number in range(count):
        if time.monotonic() - start > seconds:
            break
        rng = np.random.default_rng([seed, number])
        before = len(tally.faults)
        if number % 8 == 7:
            attack_large(large_recipe(rng), tally)
        else:
            recipe = random_recipe(rng)
            attack(aimed(recipe, rng) if number % 8 in (2, 5) else recipe, rng, tally)
        tally.counts["spaces"] += 1
        for fault in tally.faults[before:]:
            sys.stderr.write(f"{number}: {fault}\n")
        if say and number % 20 == 19:
            sys.stderr.write(f"{number + 1} spaces, {time.monotonic() - start:.0f} s\n")
    return tally


def main() -> int:
    """Run the command; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--count", type=int, default=500, help="spaces (default 500)")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    tally = run(arguments.count, arguments.seed, say=True)
    for name, number in sorted(tally.counts.items()):
        sys.stdout.write(f"{number:6} {name}\n")
    for name, number in tally.reasons.most_common():
        sys.stdout.write(f"{number:6} not decided: {name}\n")
    sys.stdout.write(f"{len(tally.faults)} faults\n")
    return 1 if tally.faults else 0


if __name__ == "__main__":
    sys.exit(main())
