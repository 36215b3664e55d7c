"""Maps a layer by AccelForge; `benchmarks/peers.py` runs this with a Python that has it.

The job is one of `peers_job.job_of`, as JSON; `peers_stdio` says how it comes. Nothing of dse is
imported, as that Python need not have it. One process, so that its CPU time is
all there is; a second stands for a cycle, a joule for a picojoule.
"""

from __future__ import annotations

import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from peers_stdio import Job, answered


def architecture(job: Job) -> str:
    """Return the job's hardware in AccelForge's YAML."""
    lines = ["arch:", "  nodes:"]
    for level in job["levels"]:
        speed, size = level["words_per_cycle"], level["size_words"]
        rate = "inf" if speed is None else repr(speed / level["block_words"])
        lines += [
            "  - !Memory",
            f"    name: {level['name']}",
            f"    size: {'inf' if size is None else size * level['word_bits']}",
            "    leak_power: 0",
            "    area: 0",
            f"    bits_per_value: {{All: {level['word_bits']}}}",
            f"    tensors: {{keep: {' | '.join(level['keep'])}}}",
            *_spatial(level["name"], level["fanout"]),
            "    actions:",
        ]
        lines += [
            f"    - {{name: {action}, energy: {level[f'{action}_pj']!r}, throughput: {rate}, "
            f"bits_per_action: {level['block_words'] * level['word_bits']}}}"
            for action in ("read", "write")
        ]
    lines += [
        "  - !Compute",
        f"    name: {job['compute']}",
        "    leak_power: 0",
        "    area: 0",
        *_spatial(job["compute"], job["mac_fanout"]),
        f"    actions: [{{name: compute, energy: {job['mac_pj']!r}, throughput: 1}}]",
    ]
    return "\n".join(lines) + "\n"


def _spatial(name: str, fanout: int) -> list[str]:
    return [f"    spatial: [{{name: X, fanout: {fanout}}}]"] if fanout > 1 else []


def workload(job: Job) -> str:
    """Return the job's layer in AccelForge's YAML; ranks are numbered."""
    lines = ["workload:", "  iteration_space_shape:"]
    lines += [f"    {d.lower()}: 0 <= {d.lower()} < {n}" for d, n in job["bounds"].items()]
    lines += ["  bits_per_value: {All: 8}", "  einsums:", "  - name: layer", "    tensor_accesses:"]
    for tensor in job["tensors"]:
        ranks = ", ".join(
            f"{tensor['name'][0]}{number}: "
            + " + ".join(
                f"{factor} * {d.lower()}" if factor != 1 else d.lower() for d, factor in rank
            )
            for number, rank in enumerate(tensor["ranks"])
        )
        output = ", output: True" if tensor["output"] else ""
        lines.append(f"    - {{name: {tensor['name']}, projection: {{{ranks}}}{output}}}")
    return "\n".join(lines) + "\n"


def nest(mapping: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - of AccelForge
    """Return a mapping's storage and loops, outermost first; see `peers_nest`.

    A tensor is where its words are reserved, not where its storage is written: of a tile that a
    loop goes through once, only what one iteration needs is held, as in Timeloop.
    """
    steps: list[dict[str, Any]] = []
    for node in mapping.nodes:
        kind = type(node).__name__
        if kind == "Reservation":
            steps.append({"store": node.resource, "tensors": [str(t) for t in node.purposes]})
        elif kind in ("Temporal", "Spatial"):
            step = {
                "loop": str(node.rank_variable).upper(),
                "count": int(node.calculated_n_iterations),
            }
            steps.append({**step, "into": node.component} if kind == "Spatial" else step)
        elif kind not in ("Storage", "Compute"):
            raise ValueError(f"AccelForge's mapping has a node of kind {kind}")
    return steps


def mapped(job: Job, folder: Path) -> dict[str, Any]:
    """Map a layer; the time is that of the mapper, without imports and the details of its find."""
    import accelforge as af  # noqa: PLC0415 - its Python has it, others do not
    from accelforge.mapper import Metrics  # noqa: PLC0415
    from accelforge.mapper.FFM.main import map_workload_to_arch  # noqa: PLC0415
    from accelforge.model.main import evaluate_mapping  # noqa: PLC0415

    af.set_n_parallel_jobs(1)
    paths = folder / "arch.yaml", folder / "workload.yaml"
    for path, text in zip(paths, (architecture(job), workload(job)), strict=True):
        path.write_text(text, encoding="utf-8")
    began, cpu = time.perf_counter(), time.process_time()
    spec = af.Spec.from_yaml(*paths)
    spec.mapper.metrics = Metrics.ENERGY_DELAY_PRODUCT
    spec.mapper._timeloop_style_even = job["even"]
    found = map_workload_to_arch(spec, print_progress=False, eval_in_detail=False)
    wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    row = found.data.iloc[0]["Total<SEP>mapping"]
    spec.model.metrics, spec.mapping = spec.mapper.info_metrics, row(_for_model=True)
    detail = evaluate_mapping(
        spec, flattened_arches=found.flattened_arches, evaluated_specs=found.evaluated_specs
    )
    return {
        "version": version("accelforge"),
        "cycles": float(detail.latency()),
        "energy_pj": float(detail.energy()),
        "nest": nest(row()),
        "wall_s": wall,
        "cpu_s": cpu,
    }


if __name__ == "__main__":
    sys.exit(answered(mapped))
