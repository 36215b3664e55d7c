"""Run folders, and folders of them: a sweep, or all that is in ``runs``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dse.study.folder import CONFIG, RESULT

#: Folders between one that is given and a run folder: that of all runs holds sweeps.
_DEPTH = 3


def run_folders(given: Path) -> tuple[list[Path], list[Path]]:
    """Return the finished runs of a folder, and those that did not end.

    A folder that is a run, or that holds none, stands for itself.
    """
    if _is_run(given):
        return [given], []
    found = list(_within(given, _DEPTH))
    if not found:
        return [given], []
    ended = [folder for folder in found if (folder / RESULT).is_file()]
    return ended, [folder for folder in found if folder not in ended]


def _is_run(folder: Path) -> bool:
    return (folder / CONFIG).is_file() or (folder / RESULT).is_file()


def _within(folder: Path, depth: int) -> Iterator[Path]:
    if not depth or not folder.is_dir():
        return
    for inner in sorted(folder.iterdir()):
        if inner.is_symlink() or not inner.is_dir():
            continue
        if _is_run(inner):
            yield inner
        else:
            yield from _within(inner, depth - 1)
