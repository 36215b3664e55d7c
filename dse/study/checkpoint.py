"""Checkpoints: the state of a study between two batches, as one file.

The first line names format, version and the SHA-256 of what follows; then stands the state, as
``dse.state.codec`` writes it. A file with any bit changed is refused. The checksum is no
signature: what a file from elsewhere says is checked for type and size, and none of it is run.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dse.disk import read_file, replace_file
from dse.errors import DseError, SpecError
from dse.goals.design import Design, DesignMetrics
from dse.goals.pareto import Front, FrontMember
from dse.state import codec
from dse.state.entries import CheckedEntries
from dse.state.generator import generator_state, set_generator
from dse.state.in_space import take_design
from dse.study.inputs import Inputs, refuse_changes
from dse.study.optimizer import Optimizer

VERSION = 4
_HEAD = re.compile(rb"dse-checkpoint ([0-9]{1,9}) sha256 ([0-9a-f]{64})\n")
_PICKLED = re.compile(rb"\x80[\x02-\x05]")
_MAX_BYTES = 1 << 32
#: What an optimizer's own reading of its state may raise where the state is not of its making.
_MISREAD = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError)


@dataclass
class StudyState:
    """Everything that a study needs to go on.

    Attributes:
        journal_bytes, journal_crc: length and checksum of the journal that belongs to this state.
        asked: designs evaluated so far; also numbers the seeds of the next batch.
        samples: samples spent so far.
        feasible: valid designs so far.
        best_value: the objective of the best design; follows from its metrics.
        last_reason: why the last design that was not valid was not.
        front: what trades between the optimizer's objectives, where it has several.
    """

    optimizer: Optimizer[Any]
    journal_bytes: int = 0
    journal_crc: int = 0
    asked: int = 0
    samples: int = 0
    feasible: int = 0
    finished: bool = False
    best: Design | None = None
    best_metrics: DesignMetrics | None = None
    best_value: float = float("inf")
    last_reason: str = ""
    front: Front = field(default_factory=Front)


def save(path: Path, state: StudyState, inputs: Inputs) -> None:
    """Write the state, replacing the file in one step.

    Raises:
        DseError: it cannot be written.
        TypeError: the optimizer's state is no plain data.
    """
    body = codec.dumps(
        {
            "inputs": inputs.text,
            "study": _of_study(state),
            "optimizer": optimizer_state(state.optimizer),
        }
    )
    if len(body) > _MAX_BYTES:
        raise DseError(f"{path}: the state has {len(body)} bytes, expected at most {_MAX_BYTES}")
    head = f"dse-checkpoint {VERSION} sha256 {hashlib.sha256(body).hexdigest()}\n"
    replace_file(path, head.encode() + body)


def load(path: Path, optimizer: Optimizer[Any], inputs: Inputs) -> StudyState | None:
    """Return the saved state; None when there is no file yet.

    Args:
        path: of the checkpoint.
        optimizer: as it was at the start of the study; it takes up its saved state.
        inputs: what the study is set to.

    Raises:
        SpecError: the file is damaged, of another version or optimizer, or of a study with other
            inputs.
    """
    if not (path.exists() or path.is_symlink()):
        return None
    try:
        return _state(codec.loads(_body(read_file(path, _MAX_BYTES + 200))), optimizer, inputs)
    except SpecError as error:
        message = str(error)
        raise SpecError(message if message.startswith(str(path)) else f"{path}: {error}") from error


def _body(data: bytes) -> bytes:
    """Return what the checksum is of."""
    head = _HEAD.match(data)
    if head is None:
        if _PICKLED.match(data):
            raise SpecError(
                "a pickled checkpoint, as up to version 0.1.0; such files can run code, so they "
                "are not read: start the run again, or go on with version 0.1.0"
            )
        raise SpecError("not a checkpoint, or damaged")
    if int(head.group(1)) != VERSION:
        found = head.group(1).decode()
        raise SpecError(f"checkpoint version {found}, expected {VERSION}; or it is damaged")
    body = data[head.end() :]
    if hashlib.sha256(body).hexdigest().encode() != head.group(2):
        raise SpecError("damaged: its checksum does not match")
    return body


def _state(content: dict[str, Any], optimizer: Optimizer[Any], inputs: Inputs) -> StudyState:
    with CheckedEntries(content, "state") as entries, entries.part("study") as study:
        finished = study.flag("finished")
        try:
            before = Inputs.parse(entries.text("inputs"))
        except (ValueError, RecursionError) as error:
            raise SpecError(f"state: inputs: {error}") from error
        # what is finished needs no package to go on with
        refuse_changes(before, inputs, versions=not finished)
        with entries.part("optimizer") as own:
            load_optimizer(own, optimizer)
        return _load_study(study, optimizer, finished)


# the study


def _of_study(state: StudyState) -> dict[str, codec.State]:
    return {
        "journal_bytes": state.journal_bytes,
        "journal_crc": state.journal_crc,
        "asked": state.asked,
        "samples": state.samples,
        "feasible": state.feasible,
        "finished": state.finished,
        "best": state.best,
        "best_metrics": state.best_metrics,
        "last_reason": state.last_reason,
        "front": [{"design": m.design, "metrics": m.metrics} for m in state.front.members],
    }


def _load_study(entries: CheckedEntries, optimizer: Optimizer[Any], finished: bool) -> StudyState:
    space, goals = optimizer.space, optimizer.objectives
    members = []
    for each in entries.each("front"):
        with each as entry:
            design = take_design(entry, "design", space)
            metrics = entry.record("metrics", DesignMetrics)
        if not goals:
            entries.refuse("front", "a design", "none, as the optimizer has one objective")
        members.append(FrontMember(design, metrics, tuple(goal(metrics) for goal in goals)))
    return StudyState(
        optimizer,
        journal_bytes=entries.integer("journal_bytes", 0),
        journal_crc=entries.integer("journal_crc", 0),
        asked=entries.integer("asked", 0),
        samples=entries.integer("samples", 0),
        feasible=entries.integer("feasible", 0),
        finished=finished,
        best=entries.maybe("best", lambda key: take_design(entries, key, space)),
        best_metrics=entries.maybe("best_metrics", lambda key: entries.record(key, DesignMetrics)),
        last_reason=entries.text("last_reason"),
        front=Front(members),
    )


# the optimizer


def optimizer_state(optimizer: Optimizer[Any]) -> dict[str, codec.State]:
    """Return the state of an optimizer, its generator and its meter."""
    return {
        "type": _name(optimizer),
        "rng": generator_state(optimizer.rng),
        "meter": optimizer.meter.state_dict(),
        "state": optimizer.state_dict(),
    }


def load_optimizer(entries: CheckedEntries, optimizer: Optimizer[Any]) -> None:
    """Let an optimizer, as it was at its start, go on from what :func:`optimizer_state` gave.

    Raises:
        SpecError: that is of another optimizer, or damaged.
    """
    name = entries.text("type")
    if name != _name(optimizer):
        raise SpecError(f"holds another optimizer than the run's config.yaml: {name[:80]}")
    set_generator(optimizer.rng, entries.take("rng"))
    with entries.part("meter") as meter:
        counts = ("evaluations", "designs", "settled")
        optimizer.meter.load_state_dict({key: meter.integer(key, 0) for key in counts})
    state = entries.record("state", dict)
    try:
        optimizer.load_state_dict(state)
    except _MISREAD as error:
        detail = f"{type(error).__name__}: {error}"
        raise SpecError(f"the optimizer cannot read its state ({detail})") from error


def _name(optimizer: Optimizer[Any]) -> str:
    """Return what the optimizer's class is called; it is compared, never looked up."""
    return f"{type(optimizer).__module__}.{type(optimizer).__qualname__}"
