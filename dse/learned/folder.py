"""A trained model as a folder: ``model.json`` and, for the numbers, ``weights.safetensors``.

Nothing in it is executed. Sizes are bounded, types and shapes checked, and each of the two files
carries a checksum, so that a stranger's folder can be opened: at worst its numbers are bad.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dse.disk import read_file, replace_file
from dse.errors import DseError, SpecError
from dse.evaluators.cycles import MemorySettings
from dse.extras import needed
from dse.learned.encoding import Encoding
from dse.learned.features import FeatureNames
from dse.learned.kinds import kind
from dse.learned.libraries import versions
from dse.learned.model import LearnedModel
from dse.learned.predictor import Arrays
from dse.learned.train import Trained
from dse.plugins import typed
from dse.state.entries import CheckedEntries

CARD, WEIGHTS = "model.json", "weights.safetensors"
FORMAT = "dse-model-1"
_MOST_CARD, _MOST_WEIGHTS = 1 << 24, 1 << 29
_PURPOSE = "a model folder"
_MOST_NAMES = 1000


@dataclass(frozen=True, eq=False)
class OpenedModel:
    """A model from a folder.

    Attributes:
        card: what else ``model.json`` says: data, scores, settings, versions; for people.
    """

    model: LearnedModel
    card: Mapping[str, Any]


def save_model(folder: Path, trained: Trained) -> None:
    """Write a model folder; files of an older model in it are replaced.

    Raises:
        SpecError: a file stands in its place.
        DseError: it cannot be written.
        ToolError: safetensors is not installed.
    """
    save = needed("safetensors.numpy", _PURPOSE).save
    if folder.exists() and not folder.is_dir():
        raise SpecError(f"{folder}: is a file, expected a folder")
    model, encoding = trained.model, trained.model.encoding
    weights = save(model.predictor.arrays())
    card = {
        "format": FORMAT,
        "kind": model.kind,
        "encoding": {
            "structure": dataclasses.asdict(encoding.structure),
            "blocks": encoding.blocks,
            "timeloop_version": encoding.timeloop_version,
            "memory": dataclasses.asdict(encoding.memory),
            "features": encoding.names,
        },
        "facts": model.predictor.facts,
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
        "card": {
            "data": {
                "source": Path(trained.source).name,
                "sha256": trained.digest,
                "rows": trained.rows,
            },
            "seed": trained.seed,
            "settings": trained.settings,
            "scores": scores_entries(trained),
            "versions": versions(),
        },
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        replace_file(folder / WEIGHTS, weights)
        replace_file(folder / CARD, _sealed(card))
    except OSError as error:
        raise DseError(f"{folder}: cannot be written ({error.strerror or error})") from error


def scores_entries(trained: Trained) -> dict[str, Any]:
    """Return the scores as plain data; numbers that are none become null."""
    found = {}
    for name, scores in (("model", trained.scores), ("native", trained.native)):
        found[name] = (
            None
            if scores is None
            else {
                key: None if isinstance(value, float) and value != value else value  # noqa: PLR0124
                for key, value in dataclasses.asdict(scores).items()
            }
        )
    return found


def _sealed(card: dict[str, Any]) -> bytes:
    text = json.dumps({**card, "sha256": _digest(card)}, indent=1, allow_nan=False)
    return text.encode() + b"\n"


def _digest(card: Mapping[str, Any]) -> str:
    """Return the checksum of what a card says, however it is laid out."""
    text = json.dumps(card, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def open_model(folder: Path) -> OpenedModel:
    """Open a model folder, which may be anyone's.

    Raises:
        SpecError: it is none, or damaged; names file and key.
        ToolError: safetensors is not installed.
    """
    if not (folder / CARD).is_file():
        raise SpecError(f"model = {folder}: there is no {CARD}, so it is no model folder")
    path = folder / CARD
    with CheckedEntries(_card(path), str(path)) as entries:
        found = entries.text("format")
        if found != FORMAT:
            entries.refuse("format", found, FORMAT)
        name = entries.text("kind")
        predictor_of = kind(name)
        with entries.part("encoding") as part:
            encoding = _encoding(part, str(path))
        arrays = _arrays(folder / WEIGHTS, entries.text("weights_sha256"))
        card = entries.record("card", dict)
        with entries.part("facts") as facts:
            predictor = predictor_of.load(arrays, facts, len(encoding.names))
    return OpenedModel(LearnedModel(name, predictor, encoding), card)


def _card(path: Path) -> dict[str, Any]:
    try:
        card = json.loads(read_file(path, _MOST_CARD))
    except (ValueError, RecursionError) as error:
        raise SpecError(f"{path}: not JSON: {error}") from error
    if not isinstance(card, dict) or not isinstance(card.get("sha256"), str):
        raise SpecError(f"{path}: not a model's card: it has no checksum 'sha256'")
    seal = card.pop("sha256")
    if seal != _digest(card):
        raise SpecError(f"{path}: damaged: its checksum is another than that of its content")
    return card


def _encoding(entries: CheckedEntries, where: str) -> Encoding:
    def names(part: CheckedEntries, key: str) -> tuple[str, ...]:
        found = part.items(key, str)
        if len(found) > _MOST_NAMES or len(set(found)) != len(found):
            part.refuse(key, found, f"different names, at most {_MOST_NAMES}")
        return tuple(found)

    with entries.part("structure") as part:
        structure = FeatureNames(
            *(names(part, key) for key in ("levels", "dimensions", "coefficients", "tensors"))
        )
    if len(structure.levels) * (len(structure.dimensions) + len(structure.tensors)) > 10_000:
        raise SpecError(f"{where}: encoding.structure: more than 10,000 pairs of names")
    memory = typed(MemorySettings, entries.record("memory", dict), f"{where}: encoding.memory.")
    encoding = Encoding(
        *(structure, names(entries, "blocks"), entries.text("timeloop_version"), memory)
    )
    given = entries.items("features", str)
    if tuple(given) != encoding.names:
        entries.refuse("features", given, "the features of these blocks, as this version has them")
    return encoding


def _arrays(path: Path, digest: str) -> Arrays:
    """Return the numbers of a file of the safetensors format, which holds nothing but those."""
    load = needed("safetensors.numpy", _PURPOSE).load
    data = read_file(path, _MOST_WEIGHTS)
    if hashlib.sha256(data).hexdigest() != digest:
        raise SpecError(f"{path}: damaged: its checksum is another than that in {CARD}")
    try:
        arrays: Arrays = load(data)
    except Exception as error:  # safetensors raises its own, and what NumPy makes of its types
        raise SpecError(f"{path}: not in the safetensors format: {error}") from error
    return arrays
