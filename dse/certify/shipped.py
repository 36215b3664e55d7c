"""The certificates that come with the package, found by the content that they are of."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from importlib.resources import files

from dse.certify.entry import Known
from dse.certify.packed import ENDING, PackedCertificate
from dse.errors import SpecError, unknown_name

_FOLDER = files("dse.certify").joinpath("certificates")


def file_names() -> list[str]:
    """Return the names of all files, ``TEMPLATE-WORKLOAD-OBJECTIVE.KEY.json.xz``, sorted."""
    return sorted(file.name for file in _FOLDER.iterdir() if file.name.endswith(ENDING))


def chosen(words: Sequence[str]) -> list[str]:
    """Return the files that words ask for.

    Args:
        words: each the name of a file up to its key, or a template, workload or objective in it;
            none: all files.

    Raises:
        SpecError: a word is of none; the message lists the names.
    """
    titles = {name: name.partition(".")[0] for name in file_names()}
    for word in words:
        if not any(_is_of(title, word) for title in titles.values()):
            raise SpecError(unknown_name("certificate", word, sorted(titles.values())))
    return [n for n, title in titles.items() if not words or any(_is_of(title, w) for w in words)]


def _is_of(title: str, word: str) -> bool:
    return word == title or word in title.split("-")


def packed(name: str) -> PackedCertificate:
    """Return what a file of that name holds; SpecError where it is no packed certificate."""
    return PackedCertificate.parse(_FOLDER.joinpath(name).read_bytes(), name)


@lru_cache(maxsize=64)
def shipped(key: str) -> Known | None:
    """Return the optimum of the content with that key; None: none is shipped.

    Raises:
        SpecError: the certificate is not as it was written.
    """
    found = [name for name in file_names() if name.endswith(f".{key}{ENDING}")]
    if not found:
        return None
    certificate = packed(found[0])
    if not certificate.is_intact or certificate.key != key:
        raise SpecError(f"{found[0]}: is not as it was written; certify --known tells more")
    return certificate.known
