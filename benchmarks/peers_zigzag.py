"""Maps a layer by ZigZag; `benchmarks/peers.py` runs this with a Python that has it.

The job is one of `peers_job.job_of`, as JSON; `peers_stdio` says how it comes. Nothing of dse is
imported, as that Python need not have it.
"""

from __future__ import annotations

import logging
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml
from peers_stdio import Job, answered

#: ZigZag's words for the tensors: of a layer, and of the hardware.
_OPERANDS = {"Weights": ("W", "I2"), "Inputs": ("I", "I1"), "Outputs": ("O", "O")}
#: Its words for the dimensions of a convolution.
_DIMENSIONS = {"N": "B", "K": "K", "C": "C", "Q": "OY", "P": "OX", "S": "FY", "R": "FX"}
#: Bits of a memory without a size.
_UNLIMITED = 10**12


def accelerator(job: Job) -> dict[str, Any]:
    """Return the job's hardware: one shared port a memory, prices by its width.

    Raises:
        ValueError: the fan-outs are more than two, or compute has one of its own.
    """
    axes = [level["name"] for level in job["levels"] if level["fanout"] > 1]
    if len(axes) > 2 or job["mac_fanout"] > 1:
        raise ValueError(f"fan-outs into {axes}: ZigZag's array here has two axes at most")
    memories = {}
    for number, level in reversed(list(enumerate(job["levels"]))):
        block = level["block_words"] * level["word_bits"]
        speed = level["words_per_cycle"]
        width = block if speed is None else int(speed * level["word_bits"])
        operands = [_OPERANDS[tensor][1] for tensor in level["keep"]]
        inner = [one["name"] for one in job["levels"][number + 1 :]]
        memories[level["name"]] = {
            "size": _UNLIMITED
            if level["size_words"] is None
            else level["size_words"] * level["word_bits"],
            "r_cost": level["read_pj"] * width / block,
            "w_cost": level["write_pj"] * width / block,
            "area": 0,
            "latency": 1,
            "operands": operands,
            "ports": [
                {
                    "name": "rw_port_1",
                    "type": "read_write",
                    "bandwidth_min": min(width, block),
                    "bandwidth_max": width,
                    "allocation": [
                        f"{operand}, {way}"
                        for operand in operands
                        for way in (("fh", "tl", "fl", "th") if operand == "O" else ("fh", "tl"))
                    ],
                }
            ],
            "served_dimensions": [f"D{1 + axes.index(name)}" for name in axes if name in inner],
        }
    return {
        "name": "job",
        "memories": memories,
        "operational_array": {
            "unit_energy": job["mac_pj"],
            "unit_area": 1,
            "dimensions": [f"D{1 + number}" for number in range(len(axes))],
            "sizes": [level["fanout"] for level in job["levels"] if level["fanout"] > 1],
        },
    }


def workload(job: Job) -> list[dict[str, Any]]:
    """Return the job's layer as a convolution; sums are as wide as the memory just outside."""
    inputs = next(x for x in job["tensors"] if x["name"] == "Inputs")
    factors = {d: factor for rank in inputs["ranks"] for d, factor in rank}
    sums = next(x for x in reversed(job["levels"]) if "Outputs" in x["keep"])
    ends = next(x for x in job["levels"] if "Outputs" in x["keep"])
    width = {t: next(x for x in job["levels"] if t in x["keep"])["word_bits"] for t in _OPERANDS}
    return [
        {
            "id": 0,
            "name": "layer",
            "operator_type": "Conv",
            "equation": "O[b][k][oy][ox]+=W[k][c][fy][fx]*I[b][c][iy][ix]",
            "dimension_relations": [
                f"ix={factors.get('P', 1)}*ox+{factors.get('R', 1)}*fx",
                f"iy={factors.get('Q', 1)}*oy+{factors.get('S', 1)}*fy",
            ],
            "loop_dims": list(_DIMENSIONS.values()),
            "loop_sizes": [job["bounds"].get(d, 1) for d in _DIMENSIONS],
            "operand_precision": {
                "W": width["Weights"],
                "I": width["Inputs"],
                "O": sums["word_bits"],
                "O_final": ends["word_bits"],
            },
            "operand_source": {"I": 0, "W": 0},
        }
    ]


def nest(
    job: Job, temporal: dict[str, list[list[tuple[str, int]]]], spatial: list[list[tuple[str, int]]]
) -> list[dict[str, Any]]:
    """Return storage and loops, outermost first; see `peers_nest`.

    Args:
        job: the job.
        temporal: by operand of the layer, the loops inside each of its memories, from the inside
            out; all of an operand's together are the same sequence.
        spatial: of the outputs, the loops in space inside each of their memories.
    """
    ours = {theirs: d for d, theirs in _DIMENSIONS.items()}
    order = [loop for part in temporal["O"] for loop in part]
    steps: list[dict[str, Any]] = []
    places: dict[int, list[dict[str, Any]]] = {}
    for tensor, (operand, _) in _OPERANDS.items():
        holders = [x["name"] for x in reversed(job["levels"]) if tensor in x["keep"]]
        inside = 0
        for holder, part in zip(holders, temporal[operand], strict=True):
            inside += len(part)
            places.setdefault(inside, []).append({"store": holder, "tensors": [tensor]})
    depth = {level["name"]: number for number, level in enumerate(job["levels"])}
    for count in range(len(order), -1, -1):
        steps += sorted(places.get(count, []), key=lambda step: depth[step["store"]])
        if count:
            dimension, size = order[count - 1]
            steps.append({"loop": ours[dimension], "count": int(size)})
    return _with_spatial(job, steps, [[(ours[d], int(n)) for d, n in part] for part in spatial])


def _with_spatial(
    job: Job, steps: list[dict[str, Any]], spatial: list[list[tuple[str, int]]]
) -> list[dict[str, Any]]:
    """Put loops in space just outside of what they spread: they count the same there."""
    axes = [level["name"] for level in job["levels"] if level["fanout"] > 1]
    parts = [part for part in reversed(spatial) if part]
    if len(parts) > len(axes):
        raise ValueError(f"loops in space {spatial}: expected one group for each of {axes}")
    holders = [x["name"] for x in reversed(job["levels"]) if "Outputs" in x["keep"]]
    for number, part in enumerate(spatial):
        if not part:
            continue
        inner = [x["name"] for x in job["levels"]].index(holders[number])
        into = next(x["name"] for x in job["levels"][inner + 1 :] if x["fanout"] > 1)
        at = min(i for i, step in enumerate(steps) if step.get("store") == into)
        steps[at:at] = [{"loop": d, "count": n, "into": into} for d, n in part]
    return steps


def mapped(job: Job, folder: Path) -> dict[str, Any]:
    """Map a layer; the time is that of the whole pipeline, without imports."""
    from zigzag.api import get_hardware_performance_zigzag  # noqa: PLC0415 - its Python has it

    mapping = [{"name": "default", "memory_operand_links": dict(_OPERANDS.values())}]
    files = {"accelerator": accelerator(job), "workload": workload(job), "mapping": mapping}
    for name, content in files.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    logging.disable(logging.CRITICAL)
    began, cpu = time.perf_counter(), time.process_time()
    energy, cycles, found = get_hardware_performance_zigzag(
        **{name: str(folder / f"{name}.yaml") for name in files},
        temporal_mapping_type="even" if job["even"] else "uneven",
        opt="EDP",
        dump_folder=str(folder / "out"),
        loma_show_progress_bar=False,
    )
    wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    best = found[0][1][0][0]
    temporal = {
        str(operand): [[(str(d), n) for d, n in part] for part in parts]
        for operand, parts in best.temporal_mapping.mapping_dic_stationary.items()
    }
    spread = best.spatial_mapping.mapping_dict_origin
    spatial = next(parts for operand, parts in spread.items() if str(operand) == "O")
    return {
        "version": version("zigzag-dse"),
        "cycles": float(cycles),
        "energy_pj": float(energy),
        "nest": nest(job, temporal, [[(str(d), n) for d, n in part] for part in spatial]),
        "wall_s": wall,
        "cpu_s": cpu,
    }


if __name__ == "__main__":
    sys.exit(answered(mapped))
