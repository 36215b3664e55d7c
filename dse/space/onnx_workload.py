"""ONNX models as workload files of our own."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from pathlib import Path

from dse.errors import DseError, SpecError
from dse.files import TextSource
from dse.importers.onnx_model import from_onnx, symbolic_dimensions, workload_name

_LOG = logging.getLogger(__name__)
#: How the value of a symbolic dimension is given where a model is searched.
_OPTION = "parameters.{}=N"
_PARAMETER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


def onnx_source(name: str, parameters: Mapping[str, object]) -> TextSource:
    """Return an ONNX model as a workload.

    Those of the parameters that are its symbolic dimensions give their sizes. Its parameters are
    these, with no other value, so that a copy of the text is read with the same ones.

    Raises:
        SpecError: the model cannot be imported, or a dimension's value is no size.
        DseError: more than 1 % of its MACs is missing.
    """
    path = Path(name).expanduser()
    label = workload_name(path)
    sizes: dict[str, int] = {}
    for dimension in symbolic_dimensions(path):
        if dimension in parameters and _PARAMETER.fullmatch(dimension):
            value = parameters[dimension]
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise SpecError(
                    f"{name}: parameters.{dimension} = {value!r}, expected an integer of at least 1"
                )
            sizes[dimension] = value
    found = from_onnx(path, label, sizes, _OPTION)
    if found.is_partial:
        raise DseError(
            f"{name}: {found.missing} are missing: {'; '.join(found.told()[:5])}; "
            f"'python -m dse import {name} --allow-partial' writes a workload without them"
        )
    for text in (*found.notes, *found.told()):
        _LOG.warning("%s: %s", name, text)
    return TextSource(name, found.yaml(f"imported from {path.name}", f"ONNX file {name}", sizes))
