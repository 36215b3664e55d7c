"""A certificate in one small file: what a run published of a certified optimum, and what of.

The file is JSON, compressed by xz (``xz -dc FILE`` shows it); ``docs/optimal-cosearch.md`` has the
format. It holds what the check of a run folder reads, and no more: no journal, no checkpoint, no
times, nothing of the machine.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from dse.certify.entry import Known, Provenance, entry_of, provenance_of
from dse.cosearch.certificate import OPTIMAL
from dse.disk import read_file, replace_file
from dse.errors import SpecError
from dse.state.entries import CheckedEntries
from dse.study import folder as run_folder
from dse.study.inputs import LOCAL

SCHEMA = "dse.certificate/1"
ENDING = ".json.xz"
#: Of one file of a run, and of all, unpacked and packed.
_MOST_BYTES, _MOST_IN_ALL = 4 * 1024 * 1024, 32 * 1024 * 1024
_PUBLISHED = (run_folder.CONFIG, run_folder.TEMPLATE, run_folder.WORKLOAD, run_folder.RESULT)
#: Settings that say where something lies, and those by which inputs were called.
_OF_A_MACHINE = LOCAL | {"include_path"}
_CALLED = ("arch", "workload")
_NAME = re.compile(rf"(?:{run_folder.BEST}/)?[A-Za-z0-9_-][A-Za-z0-9_.-]*\Z")


@dataclass(frozen=True)
class PackedCertificate:
    """What such a file holds.

    Attributes:
        key: of the space that its inputs describe, by :func:`dse.certify.content.key_of`.
        prices: of its hardware, by :func:`dse.certify.content.prices_of`.
        source: where it comes from.
        files: of the run folder, text by name: settings, copies of template and workload, the
            result with its certificate, and the best design as files for ``timeloop-model``.
        seal: the digest that stands in the file; see :attr:`is_intact`.
    """

    key: str
    prices: str
    source: Provenance
    files: Mapping[str, str]
    seal: str = ""

    @classmethod
    def of_run(cls, folder: Path, entry: Known) -> PackedCertificate:
        """Pack the run of a known optimum.

        Raises:
            SpecError: a file of it is missing, or too large.
        """
        best = sorted((folder / run_folder.BEST).glob("*.yaml"))
        paths = [*(folder / name for name in _PUBLISHED), *best]
        files = {
            path.relative_to(folder).as_posix(): read_file(path, _MOST_BYTES).decode()
            for path in paths
        }
        settings = yaml.safe_load(files[run_folder.CONFIG])
        kept = {name: value for name, value in settings.items() if name not in _OF_A_MACHINE}
        kept |= {name: _without_folders(kept[name]) for name in _CALLED}
        files[run_folder.CONFIG] = yaml.safe_dump(kept, sort_keys=False, default_flow_style=False)
        result = run_folder.read_result(folder)
        result |= {name: _without_folders(result[name]) for name in _CALLED}
        files[run_folder.RESULT] = json.dumps(result, indent=2) + "\n"
        run = f"optimizer={kept['optimizer']['name']} arch={kept['arch']} "
        run += f"workload={kept['workload']}"
        made = cls(entry.key, entry.prices, replace(entry.source, run=run), files)
        return replace(made, seal=made.digest)

    @classmethod
    def read(cls, path: Path) -> PackedCertificate:
        """Read such a file.

        Raises:
            SpecError: it is none, or too large.
        """
        return cls.parse(read_file(path, _MOST_IN_ALL), str(path))

    @classmethod
    def parse(cls, data: bytes, where: str) -> PackedCertificate:
        """Read the content of such a file; see :meth:`read`."""
        try:
            unpacker = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=8 * _MOST_IN_ALL)
            text = unpacker.decompress(data, max_length=_MOST_IN_ALL)
            if not unpacker.eof:
                raise SpecError(f"{where}: is cut off, or has more than {_MOST_IN_ALL} bytes")
            content = json.loads(text)
        except (lzma.LZMAError, ValueError, RecursionError) as error:
            raise SpecError(f"{where}: is no packed certificate ({error})") from error
        with CheckedEntries(content, where) as entries:
            schema = entries.text("schema")
            if schema != SCHEMA:
                raise SpecError(f"{where}: schema = {schema[:60]!r}, expected {SCHEMA!r}")
            source = provenance_of(entries.take("source"), f"{where}: source.")
            files = entries.take("files")
            if not isinstance(files, dict) or not all(map(_is_file, files.items())):
                raise SpecError(f"{where}: files: expected texts by their names in a run folder")
            return cls(entries.text("key"), entries.text("prices"), source, files,
                       entries.text("seal"))  # fmt: skip

    def write(self, place: Path) -> Path:
        """Write it to a file, or under its own name into a folder; return the file.

        Raises:
            SpecError: the result in it is not that of an optimum.
            dse.errors.DseError: it cannot be written.
        """
        path = place / self.file_name if place.is_dir() else place
        content = {"schema": SCHEMA, **asdict(self)}
        text = json.dumps(content, indent=1, sort_keys=True) + "\n"
        replace_file(path, lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME))
        return path

    def unpack(self, folder: Path) -> None:
        """Write its files into an empty folder, which is a run folder then."""
        run_folder.subfolder(folder, run_folder.BEST)
        for name, text in self.files.items():
            (folder / name).write_text(text, encoding="utf-8")

    @cached_property
    def digest(self) -> str:
        """Of all that it holds."""
        content = {**asdict(self), "seal": ""}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    @property
    def is_intact(self) -> bool:
        """Whether it is as it was written; tells damage, not who wrote it."""
        return self.seal == self.digest

    @property
    def title(self) -> str:
        """Template, workload and objective."""
        known = self.known
        return f"{known.arch}-{known.workload}-{known.objective}"

    @property
    def file_name(self) -> str:
        """What it is called in the package."""
        return f"{re.sub(r'[^A-Za-z0-9_.-]+', '_', self.title)}.{self.key}{ENDING}"

    @cached_property
    def known(self) -> Known:
        """The optimum that it claims.

        Raises:
            SpecError: there is none in it.
        """
        where = f"certificate {self.key}"
        try:
            result = json.loads(self.files[run_folder.RESULT])
            settings = yaml.safe_load(self.files[run_folder.CONFIG])
            proof = result["certificate"]
            if proof["status"] != OPTIMAL:
                raise SpecError(f"{where}: claims no optimum, its status is {proof['status']!r}")
            given: dict[str, Any] = {
                "key": self.key,
                **{name: result[name] for name in ("arch", "workload", "energy")},
                "objective": proof["objective"],
                "timeloop_version": result["timeloop_version"],
                "constraints": settings.get("constraints") or "",
                "value": proof["value"],
                "values": result["best"]["values"],
                "source": asdict(self.source),
                "prices": self.prices,
            }
        except (ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError) as error:
            raise SpecError(f"{where}: its files are not those of a run ({error!r})") from error
        return entry_of(given, f"{where}: ")


def _without_folders(name: str) -> str:
    """Return what a template or a workload is called, of its path."""
    return name.rpartition("/")[2]


def _is_file(item: tuple[object, object]) -> bool:
    name, text = item
    return isinstance(name, str) and isinstance(text, str) and bool(_NAME.match(name))
