"""Checking a packed certificate again: that it is of what it says, and then as any run's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from dse.certify.content import content_of, key_of, prices_of
from dse.certify.entry import Known
from dse.certify.packed import PackedCertificate
from dse.certify.published import Claim
from dse.certify.run import Certified, certify
from dse.certify.verdict import MOST_MAPPINGS, Decision
from dse.errors import SpecError
from dse.runner.config import resolve
from dse.runner.files import read_inputs
from dse.runner.run import space_of_run
from dse.runner.setup import space_of
from dse.space.search_space import SearchSpace
from dse.study import folder as run_folder

#: What a certificate is called that holds for other inputs than those of today.
OUTDATED = "outdated"


def certify_packed(
    packed: PackedCertificate,
    *,
    of_today: bool = False,
    bound: bool = True,
    report: Callable[[str], None] | None = None,
    most_mappings: int = MOST_MAPPINGS,
) -> tuple[Certified, Known | None]:
    """Check a packed certificate.

    Its key has to be that of the template and the workload in it. Where prices are not what they
    were, or, if that is asked for, the package has another template or workload under the name,
    nothing is decided: the reason begins with ``outdated``. Everything else is checked as
    :func:`dse.certify.run.certify` checks the run folder that it is unpacked to.

    Args:
        packed: the certificate.
        of_today: whether it has to be of the package's template and workload of that name.
        bound: as for a run, as are ``report`` and ``most_mappings``.
        report: see there.
        most_mappings: see there.

    Returns:
        What was found, and the entry for the known optima, as for a run.

    Raises:
        SpecError: a file in it is broken, or missing.
        ToolError: timeloop-model is there, but failed.
    """
    with TemporaryDirectory() as place:
        folder = Path(place)
        packed.unpack(folder)
        claim = Claim.read(folder)
        if not packed.is_intact:
            return _ended(Decision.REFUTED, "the file is not as it was written", claim), None
        space = space_of_run(folder)
        own = key_of(space)
        if own != packed.key:
            reason = f"key = {packed.key!r}, but its template and workload are {own!r}"
            return _ended(Decision.REFUTED, reason, claim), None
        others = _not_of_today(folder, space, packed, of_today=of_today)
        if others:
            reason = f"{OUTDATED}: of other {', '.join(others)} than today's"
            return _ended(Decision.UNDECIDED, reason, claim), None
        found, entry = certify(folder, bound=bound, report=report, most_mappings=most_mappings)
    if entry is not None:
        entry = replace(entry, source=replace(entry.source, run=packed.source.run))
    return found, entry


def _not_of_today(
    folder: Path, space: SearchSpace, packed: PackedCertificate, *, of_today: bool
) -> list[str]:
    """Return which of its inputs are not what they are today."""
    found = []
    if of_today:
        settings = run_folder.read_settings(folder)
        inputs = read_inputs(resolve(settings))
        today = space_of(inputs.config, inputs.template, inputs.workload)
        then, now = content_of(space), content_of(today)
        if then is None or now is None:
            raise SpecError(f"{packed.source.run}: of this, nothing can be known")
        found += [part for part, content in then.items() if content != now[part]]
    if packed.prices != prices_of(space):
        found.append("prices")
    return found


def _ended(outcome: Decision, reason: str, claim: Claim) -> Certified:
    return Certified(outcome, reason, None, claim, "not asked", None)
