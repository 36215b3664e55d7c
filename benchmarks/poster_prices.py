"""The chain ``table`` beside the energies that the GA poster used, component by component.

``python benchmarks/poster_prices.py FOLDER`` takes the folder with the poster's ERT.yaml and
ART.yaml (akarshkumar0101/hardware-final-project, made by Accelergy 0.4 at 32 nm). ``--json FILE``
writes the figures for programs.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from dse.components.chain import energy_chain
from dse.space import catalog


def main() -> int:
    """Print energies per action and areas, with ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    template = catalog.template("eyeriss_poster")
    bare = template.build(template.defaults or {})
    poster = energy_chain(f"ert:{given.folder}").price(bare)
    table = energy_chain("table").price(bare)
    rows = []
    for theirs, ours in zip(poster.levels[::-1], table.levels[::-1], strict=True):
        if theirs.kind == "dummy_storage":
            continue
        for action in ("read", "fill", "leak"):
            pair = (getattr(theirs.energy, f"{action}_pj"), getattr(ours.energy, f"{action}_pj"))
            rows.append((f"{theirs.name} {action} (pJ)", *pair))
        rows.append((f"{theirs.name} area (um^2)", theirs.area_um2, ours.area_um2))
    rows.append(("mac compute (pJ)", poster.compute.energy_pj, table.compute.energy_pj))
    rows.append(("mac area (um^2)", poster.compute.area_um2, table.compute.area_um2))
    rows.append(("whole area (um^2)", poster.area_um2, table.area_um2))
    if given.json:
        keys = ("what", "poster", "table")
        text = json.dumps([dict(zip(keys, row, strict=True)) for row in rows], indent=1)
        given.json.write_text(text, encoding="utf-8")
    print("| component | poster's ERT | table, 32 nm, 1 ns | ratio |\n|---|---|---|---|")
    for what, theirs_value, ours_value in rows:
        ratio = f"{ours_value / theirs_value:.3g}" if theirs_value else "-"
        print(f"| {what} | {theirs_value:.5g} | {ours_value:.5g} | {ratio} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
