"""How a run reads Timeloop's files: by which version's rules, and what their templates get."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dse.timeloop.yaml.io import load_files
from dse.timeloop.yaml.nodes import Entry
from dse.timeloop.yaml.render import check_used


@dataclass(frozen=True)
class Reading:
    """How Timeloop's files are read, architecture and problems apart.

    Attributes:
        timeloop_version: whose rules hold.
        definitions: variables of jinja2 templates.
        include_path: folders beside the project's from which templates may include files.
        project: all files of the project, whose common folder templates may include from.
        used: gets the definitions that a template mentions.
    """

    timeloop_version: str = "4cf6d4c"
    definitions: Mapping[str, object] = field(default_factory=dict)
    include_path: Sequence[str | Path] = ()
    project: Sequence[Path] = ()
    used: set[str] = field(default_factory=set)

    def load(self, paths: Sequence[Path]) -> Entry:
        """Return files as one tree; SpecError where they are wrong."""
        return load_files(
            paths, self.definitions, self.include_path, project=self.project, used=self.used
        )

    def check_used(self) -> None:
        """Raise SpecError for a definition that no template mentions."""
        check_used(self.definitions, self.used)
