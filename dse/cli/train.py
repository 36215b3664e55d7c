"""``python -m dse train``: recorded cycles become a model that ``evaluator=learned`` takes."""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from dse.cli.settings_help import setting_rows
from dse.errors import SpecError, unknown_name
from dse.plugins import typed

if TYPE_CHECKING:
    from dse.learned.predictor import OnStep
    from dse.learned.scores import Scores
    from dse.learned.train import Trained, TrainSettings

_USAGE = """\
usage: python -m dse train KIND data=PATH -o FOLDER [SETTING=VALUE ...] [--json]
       python -m dse train supernet -o FOLDER [SETTING=VALUE ...] [--json]

Learns the cycles of real hardware from recorded rows, says how well it predicts
rows that it has not seen, and writes a model folder. 'supernet' learns to tell
digits, all networks of workload=ofa_digits at once, for accuracy=digits:FOLDER.

  python -m dse train trees data=firesim_train.csv -o model/
  python -m dse run evaluator=learned evaluator.model=model/ arch=gemmini ...

  -o FOLDER      where the model goes; its files are replaced
  --json         print the result as one line of JSON
  -q, --quiet    no progress on stderr
  -h, --help     this text; after a KIND, its settings
"""
_SUPERNET = "supernet"
_EVERY_S = 5.0
_LIVE_S = 0.2


def main(argv: Sequence[str]) -> int:
    """Train a model and return the exit code."""
    words = list(argv)
    flags = {w for w in words if w in ("-h", "--help", "--json", "-q", "--quiet")}
    words = [w for w in words if w not in flags]
    folder = _taken_folder(words)
    kinds = [w for w in words if "=" not in w]
    if {"-h", "--help"} & flags:
        sys.stdout.write(_USAGE + _help(kinds))
        return 0
    for word in words:
        if word.startswith("-"):
            raise SpecError(f"train: unknown option '{word}'")
    if len(kinds) != 1:
        raise SpecError("train takes one KIND of predictor; --help lists them")
    if folder is None:
        raise SpecError("train: -o FOLDER is missing, expected where the model goes")

    report = _quiet if {"-q", "--quiet"} & flags else _progress()
    if kinds == [_SUPERNET]:
        return _train_supernet(words, folder, report, as_json="--json" in flags)

    from dse.learned.data import read_data  # noqa: PLC0415 - after the command line was read
    from dse.learned.folder import save_model  # noqa: PLC0415
    from dse.learned.kinds import kind  # noqa: PLC0415
    from dse.learned.train import train  # noqa: PLC0415

    predictor = kind(kinds[0])
    settings, common = _settings(predictor.settings_type, [w for w in words if "=" in w])
    if not common.data:
        raise SpecError("train: data=PATH is missing, expected recorded rows")
    rows = read_data(Path(common.data), used_arrays=common.used_arrays)
    trained = train(kinds[0], rows, settings, common, report)
    save_model(folder, trained)
    if "--json" in flags:
        sys.stdout.write(json.dumps(_as_dict(trained, folder)) + "\n")
    else:
        sys.stdout.write(_text(trained, folder))
    return 0


def _train_supernet(words: Sequence[str], folder: Path, report: OnStep, *, as_json: bool) -> int:
    """Train a supernet, and say how accurate its ends are."""
    from dse.learned.supernet_train import (  # noqa: PLC0415 - loads numpy
        SupernetSettings,
        save_supernet,
        train_supernet,
    )

    given: dict[str, object] = {}
    names = [f.name for f in dataclasses.fields(SupernetSettings)]
    for key, _, text in (word.partition("=") for word in words if "=" in word):
        if key not in names:
            raise SpecError(unknown_name("setting", key, names))
        given[key] = yaml.safe_load(text)
    trained = train_supernet(typed(SupernetSettings, given, ""), report)
    save_supernet(folder, trained)
    if as_json:
        told = {"folder": str(folder), "accuracies": trained.accuracies}
        sys.stdout.write(json.dumps(told) + "\n")
        return 0
    for name, accuracy in trained.accuracies.items():
        sys.stdout.write(f"{name:9} network: {accuracy:.1%} of the held-out images\n")
    sys.stdout.write(f"folder    {folder}\n")
    return 0


def _taken_folder(words: list[str]) -> Path | None:
    """Take ``-o FOLDER`` out of the words."""
    if "-o" not in words:
        return None
    at = words.index("-o")
    if at + 1 == len(words):
        raise SpecError("train: -o: expected a folder")
    folder = Path(words[at + 1])
    del words[at : at + 2]
    return folder


def _settings(own: type, words: Sequence[str]) -> tuple[object, TrainSettings]:
    """Return the kind's settings and those of all kinds."""
    from dse.learned.train import TrainSettings  # noqa: PLC0415

    given: dict[str, dict[str, object]] = {"own": {}, "common": {}}
    names = {f.name: "own" for f in dataclasses.fields(own)}
    names |= {f.name: "common" for f in dataclasses.fields(TrainSettings)}
    for word in words:
        key, _, text = word.partition("=")
        if key not in names:
            raise SpecError(unknown_name("setting", key, names))
        texts = key in ("data", "features")
        given[names[key]][key] = text if texts else yaml.safe_load(text)
    return typed(own, given["own"], ""), typed(TrainSettings, given["common"], "")


def _help(kinds: Sequence[str]) -> str:
    from dse.learned.kinds import KINDS, kind  # noqa: PLC0415
    from dse.learned.supernet_train import SupernetSettings  # noqa: PLC0415
    from dse.learned.train import TrainSettings  # noqa: PLC0415

    if kinds[:1] == [_SUPERNET]:
        return "\n".join(["", "settings:", *setting_rows("", SupernetSettings)]) + "\n"
    lines = ["", "kinds:"]
    lines += [f"  {name:10} {predictor.summary}" for name, predictor in KINDS.items()]
    lines.append(f"  {_SUPERNET:10} All networks of ofa_digits as one, learned from digits.")
    lines += ["", "settings:", *setting_rows("", TrainSettings)]
    for name in kinds[:1]:
        lines += ["", f"settings of {name}:", *setting_rows("", kind(name).settings_type)]
    return "\n".join(lines) + "\n"


def _quiet(done: int, total: int, text: str) -> None:
    """Say nothing."""


def _progress() -> OnStep:
    start = time.monotonic()
    live = sys.stderr.isatty()
    shown = start - _EVERY_S

    def report(done: int, total: int, text: str) -> None:
        nonlocal shown
        now = time.monotonic()
        if done < total and now - shown < (_LIVE_S if live else _EVERY_S):
            return
        shown = now
        left = (now - start) * (total - done) / done if done else 0.0
        eta = f", ETA {left:.0f} s" if done and done < total else ""
        line = f"{done:,}/{total:,}: {text}{eta}"
        sys.stderr.write(f"\r\x1b[K{line}" if live else f"{line}\n")
        if live and done == total:
            sys.stderr.write("\n")
        sys.stderr.flush()

    return report


def _as_dict(trained: Trained, folder: Path) -> dict[str, object]:
    from dse.learned.folder import scores_entries  # noqa: PLC0415

    return {
        "kind": trained.model.kind,
        "folder": str(folder),
        "rows": trained.rows,
        "data_sha256": trained.digest,
        "features": len(trained.model.encoding.names),
        "scores": scores_entries(trained),
    }


def _text(trained: Trained, folder: Path) -> str:
    encoding = trained.model.encoding
    lines = [
        f"kind         {trained.model.kind}",
        f"learned from {trained.rows:,} rows of {trained.source}, "
        f"{len(encoding.names)} features ({', '.join(encoding.blocks)})",
    ]
    if trained.scores is None or trained.native is None:
        lines.append("held out     nothing, so there are no scores")
    else:
        lines += [
            f"held out     {trained.scores.rows:,} rows",
            "             latency: Spearman  Pearson ln    MAPE    EDP: Spearman  Pearson ln",
            _row("native", trained.native),
            _row("learned", trained.scores),
            *_calibration(trained.scores),
        ]
    lines.append(f"folder       {folder}")
    return "\n".join(lines) + "\n"


def _row(name: str, s: Scores) -> str:
    return (
        f"  {name:11}         {s.spearman:8.4f}  {s.pearson:10.4f}  {s.mape:6.1%}"
        f"         {s.spearman_edp:8.4f}  {s.pearson_edp:10.4f}"
    )


def _calibration(s: Scores) -> list[str]:
    if s.coverage is None:
        return []
    told = ", ".join(f"{share} holds {seen:.0%}" for share, seen in s.coverage.items())
    return [f"calibration  interval of {told}; negative log-likelihood {s.nll:.3f}"]
