"""NAAS's five scenarios, against the chips as built, and its ablations.

``python benchmarks/naas.py`` searches a free array within each chip's resources, maps the chip (its
own tree and dataflow) and the array found with equal effort, and prints speed-up, energy saving and
EDP reduction beside those of the paper (DAC 2021), with the largest that the resources leave
possible. ``--ablation`` compares what is searched, and how orders are encoded; ``--rate`` tells
evaluations per CPU second of the searches alone, on one thread. ``--bound SECONDS`` gives
``optimizer=optimal`` that long on each scenario's space, too, and tells what is proven of the best
design there is. ``--json FILE`` keeps the figures; ``--render FILE...`` makes the tables, with
``--plot FOLDER`` the plots, too.

Exits with 1 where a scenario misses the paper's figures, and with an error where a design lies
below the proven bound.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
from naas_cases import SCENARIOS, VARIANTS, Effort, ablation, array_of, compare, rate
from proven import at_most, beside, prove

#: Networks of the ablation, one per scenario, so that it takes minutes.
_ABLATION = {
    "edge_tpu": "vgg16",
    "nvdla_1024": "vgg16",
    "eyeriss": "squeezenet",
    "nvdla_256": "squeezenet",
    "shidiannao": "squeezenet",
}


def main() -> int:
    """Run what was asked for and print the tables."""
    given = _arguments()
    effort = Effort(
        population=given.population,
        generations=given.generations,
        mappings=given.mappings or (100 if given.ablation else 1000),
        final=given.final or (2000 if given.ablation else 10_000),
        threads=given.threads,
        optimizer=dict(_setting(word) for word in given.optimizer),
    )
    if given.rate:
        _print_rates([rate(SCENARIOS[chip], effort, given.seed) for chip in given.scenarios])
        return 0
    results: dict[str, list[dict[str, Any]]] = {"scenarios": [], "ablation": []}
    for path in given.render:
        for key, rows in json.loads(path.read_text(encoding="utf-8")).items():
            results[key] += rows
    for chip in given.scenarios if not given.render else ():
        scenario = SCENARIOS[chip]
        if given.ablation:
            network = given.network or _ABLATION[chip]
            results["ablation"].append(ablation(scenario, network, effort, given.seeds))
        else:
            row = compare(scenario, effort, given.seed)
            if given.bound:
                networks = "+".join(scenario.networks)
                row["proof"] = prove(f"naas_{chip}", networks, given.bound, threads=given.threads)
            results["scenarios"].append(row)
        if given.json:
            given.json.write_text(json.dumps(results, indent=1), encoding="utf-8")
    if given.plot:
        from naas_plots import plot  # noqa: PLC0415 - matplotlib

        plot(results, given.plot)
    missed = []
    if results["scenarios"]:
        missed += _print_scenarios(results["scenarios"])
    if results["ablation"]:
        missed += _print_ablation(results["ablation"])
    if missed:
        print("\nmissed: " + "; ".join(missed))
    return 1 if missed else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenarios", nargs="*", choices=SCENARIOS, default=list(SCENARIOS))
    parser.add_argument("--population", type=int, default=20, help="hardware per generation")
    parser.add_argument("--generations", type=int, default=15)
    parser.add_argument("--mappings", type=int, help="per layer and hardware (1000; ablation 100)")
    parser.add_argument(
        "--final", type=int, help="per layer, for the comparison (10000; ablation 2000)"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=0, help="0: all cores")
    parser.add_argument("--optimizer", nargs="*", default=[], help="further settings, NAME=VALUE")
    parser.add_argument(
        "--bound", type=float, metavar="SECONDS", help="for a proof of each scenario's space"
    )
    parser.add_argument("--ablation", action="store_true")
    parser.add_argument("--rate", action="store_true", help="evaluations per CPU second, no more")
    parser.add_argument("--seeds", type=int, default=5, help="of the ablation")
    parser.add_argument("--network", help="of the ablation, instead of each scenario's")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--render", type=Path, nargs="*", default=[], help="files of --json")
    parser.add_argument("--plot", type=Path, help="folder for the plots")
    return parser.parse_args()


def _setting(word: str) -> tuple[str, Any]:
    """Return a setting of the optimizer; numbers as numbers."""
    name, _, value = word.partition("=")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


def _ratios(network: dict[str, Any], one: str, other: str) -> tuple[float, float]:
    a, b = network[one], network[other]
    return a["cycles"] / b["cycles"], a["energy_pj"] / b["energy_pj"]


def _mean(values: list[float]) -> float:
    """Geometric mean: ratios multiply."""
    return math.exp(float(np.mean(np.log(values))))


def _print_scenarios(rows: list[dict[str, Any]]) -> list[str]:
    """Print results, limits and speeds; return what misses the paper's figures."""
    missed: list[str] = []
    heads = ["scenario", "network", "speed-up", "energy saving", "EDP reduction", "paper, averaged"]
    heads += ["largest speed-up", "largest saving", "speed-up on one tree", "saving on one tree"]
    print("| " + " | ".join(heads) + " |")
    print("|---|---|---:|---:|---:|---:|---:|---:|---:|---:|")
    for row in rows:
        scenario = SCENARIOS[row["chip"]]
        table = []
        for network in row["networks"]:
            found = _ratios(network, "chip", "searched")
            limit = _ratios(network, "chip", "bound")
            tree = _ratios(network, "copy", "searched")
            table.append((*found, found[0] * found[1], *limit, *tree))
            _row("", network["name"], table[-1], "")
        mean = tuple(_mean(list(column)) for column in zip(*table, strict=True))
        paper = f"{scenario.speed}x / {scenario.energy}x"
        _row(f"**{scenario.title}**", "mean", mean, paper)
        for name, value, target in (
            ("speed-up", mean[0], scenario.speed),
            ("energy saving", mean[1], scenario.energy),
        ):
            if value < target:
                limit_ = mean[3] if name == "speed-up" else mean[4]
                missed.append(
                    f"{scenario.title} {name} {value:.2f}x of {target}x (at most {limit_:.2f}x)"
                )
    _print_proofs([row for row in rows if "proof" in row])
    _print_hardware(rows)
    _print_speed(rows)
    return missed


def _print_proofs(rows: list[dict[str, Any]]) -> None:
    """Print what is proven of the best design of the spaces that were searched.

    EDP is the geometric mean over a scenario's networks, which is what all searches minimise. By
    its resources alone no design can gain more than the largest speed-up and saving together.
    """
    if not rows:
        return
    print("\n| scenario | EDP J x cycle: searched | by the proof's search | no design is below | "
          "gap | EDP reduction: searched | at most, proven | at most, by resources | gap | s | "
          "CPU s |")  # fmt: skip
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
    for row in rows:
        proof = row["proof"]
        chip, found, floor = (
            _mean([n[key]["cycles"] * n[key]["energy_pj"] for n in row["networks"]])
            for key in ("chip", "searched", "bound")
        )
        both = beside(proof, found)
        by_resources = beside({**proof, "bound": floor}, found)
        bound = f"{proof['bound'] / 1e12:.6g}" if proof["bound"] else f"nothing {proof['reason']}"
        print(f"| {SCENARIOS[row['chip']].title} | {found / 1e12:.6g} | "
              f"{proof['value'] / 1e12:.6g} | {bound} | {both['gap']:.1%} | {chip / found:.2f}x | "
              f"{at_most(chip, proof['bound'])} | {at_most(chip, floor)} | "
              f"{by_resources['gap']:.1%} | {proof['wall_s']:.0f} | "
              f"{proof['cpu_s']:.0f} |")  # fmt: skip


def _row(scenario: str, network: str, values: tuple[float, ...], paper: str) -> None:
    cells = [f"{value:.2f}x" for value in values]
    print(f"| {scenario} | {network} | " + " | ".join([*cells[:3], paper, *cells[3:]]) + " |")


def _print_hardware(rows: list[dict[str, Any]]) -> None:
    print("\n| scenario | array | L2 | sums per column | L1 per PE | words/cycle | utilisation: "
          "chip | searched |")  # fmt: skip
    print("|---|---|---:|---:|---:|---:|---|---|")
    for row in rows:
        h = row["hardware"]
        use = [
            " ".join(f"{n[key]['utilization']:.0%}" for n in row["networks"])
            for key in ("chip", "searched")
        ]
        array = " x ".join(f"{size} {dim}" for size, dim in array_of(h))
        scratchpads = f"{h['l1_bytes']} B + {h['l1_sums_bytes']} B"
        print(f"| {SCENARIOS[row['chip']].title} | {array} | {int(h['l2_bytes']) / 1024:.0f} KB | "
              f"{h.get('column_words', '')} | {scratchpads} | {h['bandwidth']} | "
              f"{use[0]} | {use[1]} |")  # fmt: skip


def _print_speed(rows: list[dict[str, Any]]) -> None:
    print("\n| scenario | hardware | evaluations | s | CPU s | evaluations/s | per CPU s | "
          "the evaluator alone, same batches | large batches | evaluating | drawing |")  # fmt: skip
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
    for row in rows:
        count = row["evaluations"]
        own = count / row["evaluator_seconds"]
        print(f"| {SCENARIOS[row['chip']].title} | {row['designs']} | {count:,} | "
              f"{row['seconds']:.0f} | {row['cpu_seconds']:.0f} | {count / row['seconds']:,.0f} | "
              f"{count / row['cpu_seconds']:,.0f} | {own:,.0f} | "
              f"{row['raw_per_second']:,.0f} | "
              f"{row['evaluator_seconds'] / row['cpu_seconds']:.0%} | "
              f"{row['drawing_seconds'] / row['cpu_seconds']:.0%} |")  # fmt: skip


def _print_rates(rows: list[dict[str, Any]]) -> None:
    print("| scenario | evaluations | CPU s | per CPU s | evaluating | drawing | objective |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for row in rows:
        count, cpu = row["evaluations"], row["cpu_seconds"]
        shares = [row[f"{part}_seconds"] / cpu for part in ("evaluator", "drawing")]
        print(f"| {SCENARIOS[row['chip']].title} | {count:,} | {cpu:.1f} | {count / cpu:,.0f} | "
              f"{shares[0]:.0%} | {shares[1]:.0%} | {row['value']:.4g} |")  # fmt: skip


def _print_ablation(rows: list[dict[str, Any]]) -> list[str]:
    """Print medians and spreads of EDP; return the comparisons that go the wrong way."""
    names = [*VARIANTS, "random"]
    missed = []
    print("\n| scenario | network | " + " | ".join(names) + " | +mapping over sizing | "
          "importance over index |")  # fmt: skip
    print("|---|---|" + "---:|" * (len(names) + 2))
    for row in rows:
        edp = row["edp"]
        middle = {name: float(np.median(edp[name])) for name in names}
        cells = [
            f"{middle[n]:.3g} ({min(edp[n]) / middle[n]:.2f}-{max(edp[n]) / middle[n]:.2f})"
            for n in names
        ]
        gains = {
            "the full search over sizing": middle["sizing"] / middle["+mapping"],
            "importance over index": middle["index"] / middle["importance"],
        }
        title = SCENARIOS[row["chip"]].title
        print(f"| {title} | {row['network']} | " + " | ".join(cells) + " | "
              + " | ".join(f"{gain:.2f}x" for gain in gains.values()) + " |")  # fmt: skip
        missed += [f"{title}: {k} {gain:.2f}x" for k, gain in gains.items() if gain <= 1]
    return missed


if __name__ == "__main__":
    sys.exit(main())
