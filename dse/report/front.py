"""A Pareto front as a table and as a plot."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table

from dse.study.result import RunResult

#: Members that the table shows; all of them are in the files.
_ROWS = 20


def print_front(console: Console, result: RunResult, lines: box.Box) -> None:
    """Print the members of the front, evenly picked where there are many."""
    goals, members = result.front_objectives, result.front_members
    table = Table(title=f"Pareto front: {len(members)} designs", box=lines)
    table.add_column("files", no_wrap=True)
    for goal in goals:
        table.add_column(f"{goal.name} {goal.unit}".rstrip(), justify="right", no_wrap=True)
    table.add_column("hardware", overflow="fold")
    step = max(1, -(-len(members) // _ROWS))
    for number, member in list(enumerate(members))[::step]:
        hardware = " ".join(f"{k}={v}" for k, v in result.labels_of(member.design).items())
        table.add_row(
            result.front_folder(number).name, *(f"{v:.5g}" for v in member.value), hardware
        )
    console.print(table)
