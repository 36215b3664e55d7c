"""Whether finished runs compare, and whether what they found can be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dse.errors import ProofError
from dse.plugins import GROUPS
from dse.report.compare import Comparison
from dse.report.finished import FinishedRun
from dse.report.varied import SEED, differing, shown
from dse.study.folder import TEMPLATE

#: What must agree for results to be comparable, and what differs otherwise.
_SAME = {
    "energy": "energy chains",
    "timeloop_version": "Timeloop versions",
    "padding": "paddings",
    "model": "models",
}
#: Settings that go with these, or with the optimizer, and are not told by themselves.
_IMPLIED = frozenset({"energy", "timeloop_version", "mapspace.padding", "n_jobs", *GROUPS})


def warnings(tables: Sequence[Comparison]) -> list[str]:
    """Return why the runs of tables should not be compared; empty: nothing speaks against it."""
    found = [doubt for table in tables for run in table.runs for doubt in run.doubts]
    for table in tables:
        found += [
            *_models(table.runs),
            *_clocks(table),
            *_nodes(table.runs),
            *_settings(table),
            *_seeds(table),
            *_times(table.runs),
        ]
    return list(dict.fromkeys(found))


def _models(runs: Sequence[FinishedRun]) -> Iterator[str]:
    for key, what in _SAME.items():
        values = sorted({str(getattr(run, key)) for run in runs})
        if len(values) > 1:
            yield f"the runs have different {what} ({', '.join(values)})"


def _clocks(table: Comparison) -> Iterator[str]:
    """Yield that cycles are of several lengths, and what energy times delay is in seconds."""
    runs = [run for run in table.runs if run.cycles is not None]
    clocks = {run.clock_ns for run in runs}
    if len(clocks) < 2:
        return
    if None in clocks:
        yield "some runs have a clock and others none: cycles do not compare as times"
        return
    told = ", ".join(f"{1e3 / clock:.4g} MHz" for clock in sorted(c for c in clocks if c))
    best = "; ".join(
        f"{search.name} {min(run.edp_js for run in search.runs if run.edp_js is not None):.4g}"
        for search in table.searches
        if any(run.edp_js is not None for run in search.runs)
    )
    yield (
        f"the runs have different clocks ({told}), so cycles do not compare as times; least "
        f"energy x delay in J x s: {best}"
    )


def _nodes(runs: Sequence[FinishedRun]) -> Iterator[str]:
    """Yield that energies and areas are those of several technology nodes."""
    nodes = sorted({run.node_nm for run in runs if run.node_nm is not None})
    if len(nodes) > 1:
        told = ", ".join(f"{node:g} nm" for node in nodes)
        yield f"the runs have different technology nodes ({told}), as do energies and areas"


def _settings(table: Comparison) -> Iterator[str]:
    """Yield the settings that differ, but are not what the searches are told apart by."""
    runs = table.runs
    for key in differing([run.settings for run in runs]):
        if key in (*table.varied, *_IMPLIED, "arch") or key.partition(".")[0] in GROUPS:
            continue
        values = ", ".join(sorted({shown(key, run.settings.get(key)) for run in runs}))
        if key.endswith(".yaml"):
            yield from _files(runs, key)
        elif key == "samples":
            at = f"compared at {table.samples:,.0f}"
            yield f"the runs have different budgets ({values} samples): {at}"
        else:
            yield f"the runs have different {key} ({values})"


def _files(runs: Sequence[FinishedRun], key: str) -> Iterator[str]:
    """Yield the names that stand for several templates or workloads, by the digests of these."""
    label = "arch" if key == TEMPLATE else "workload"
    digests: dict[str, set[object]] = {}
    for run in runs:
        digests.setdefault(str(getattr(run, label)), set()).add(run.settings.get(key))
    for name, found in digests.items():
        if len(found) > 1:
            yield f"the runs have different files that are called {label}={name}"


def _seeds(table: Comparison) -> Iterator[str]:
    counts = [len(search.runs) for search in table.searches]
    if len(set(counts)) > 1:
        told = ", ".join(map(str, counts))
        yield f"the searches have different numbers of runs ({told})"
    for search in table.searches:
        seeds = [run.settings.get(SEED, run.seed) for run in search.runs]
        if len(set(seeds)) < len(seeds):
            name = f" of {search.name}" if search.name else ""
            yield f"runs{name} have the same seed, so they count more than once"


def _times(runs: Sequence[FinishedRun]) -> Iterator[str]:
    for what, values in (
        ("machines", {run.machine for run in runs if run.machine}),
        ("n_jobs", {str(run.settings.get("n_jobs", 0)) for run in runs}),
        ("parallel", {str(run.settings.get("parallel", "threads")) for run in runs}),
    ):
        if len(values) > 1:
            yield f"the runs have different {what} ({'; '.join(sorted(values))}): times differ, too"


def contradictions(runs: Sequence[FinishedRun]) -> list[str]:
    """Return which runs found what cannot be, by the known optima of their spaces."""
    found = []
    for run in runs:
        if run.known is not None and run.value is not None and run.evaluator == "native":
            try:
                run.known.check(run.value, run.folder)
            except ProofError as error:
                found.append(str(error))
    return found
