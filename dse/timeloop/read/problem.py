"""Reads Timeloop's ``problem``: a shape, given in full or by name, and its instance."""

from __future__ import annotations

import difflib
import logging

from dse.domain.problem import LARGEST, SHAPES, DataSpace, Problem, Shape, Term
from dse.errors import SpecError, unknown_name
from dse.timeloop.read.densities import check_densities
from dse.timeloop.yaml.nodes import Entry

_LOG = logging.getLogger(__name__)
#: What stands beside the sizes of an instance.
_BESIDE = frozenset({"shape", "instance", "version", "name", "densities", "commonDensity"})
_M, _N, _K = (Term("M"),), (Term("N"),), (Term("K"),)

#: Shapes by the names of Timeloop's own shape files, and the project's own beside them. Timeloop
#: calls "gemm" what adds a third operand; the plain product is "gemm-ABZ" there.
_NAMED_SHAPES = {
    **SHAPES,
    "gemm-ABZ": SHAPES["gemm"],
    "gemm": Shape(
        "gemm",
        ("M", "N", "K"),
        (
            DataSpace("A", (_M, _K)),
            DataSpace("B", (_N, _K)),
            DataSpace("C", (_M, _N)),
            DataSpace("D", (_M, _N), read_write=True),
        ),
    ),
}


def read_problem(entry: Entry, timeloop_version: str, *, sparse: bool = False) -> Problem:
    """Read the ``problem`` of a Timeloop input.

    Densities change nothing unless it is ``sparse``: has ``sparse_optimizations``. Else what they
    say is checked, and a warning says so.

    Raises:
        SpecError: naming file, key and value.
    """
    if not entry.is_map:
        raise entry.fail(
            "expected a map with shape and instance; fused workloads are not supported "
            "(Timeloop aborts)"
        )
    shape_entry = entry.get("shape")
    if shape_entry is None:
        shape = _NAMED_SHAPES["cnn-layer"]
    elif shape_entry.is_scalar:
        shape = _named_shape(shape_entry)
    else:
        shape = _read_shape(shape_entry)
    instance = entry.get("instance") or entry
    if not sparse:
        check_densities(instance, timeloop_version)
    bounds = {}
    for dimension in shape.dimensions:
        bound = instance.get(dimension)
        if bound is None:
            raise instance.refuse(f"dimension '{dimension}' has no bound")
        bounds[dimension] = bound.integer(1, LARGEST)
    coefficients = {}
    for name in shape.coefficients:
        value = instance.get(name)
        if value is not None:
            coefficients[name] = value.integer(-LARGEST, LARGEST)
    _check_spelling(instance, shape)
    try:
        return Problem(shape, bounds, coefficients)
    except SpecError as error:
        raise SpecError(f"{entry.where}: {error}") from error


def _named_shape(entry: Entry) -> Shape:
    name = entry.text()
    stem = name.removesuffix(".yaml").removesuffix(".yml").removesuffix(".cfg").replace("_", "-")
    if stem not in _NAMED_SHAPES:
        raise entry.fail(unknown_name("problem shape", name[:80], _NAMED_SHAPES))
    return _NAMED_SHAPES[stem]


def _read_shape(entry: Entry) -> Shape:
    """Read a full problem shape."""
    flatten = entry.get("flatten")
    if flatten is not None:
        raise flatten.refuse(
            "flattened dimensions are not supported: their tiles are no boxes, and only those are "
            "modelled"
        )
    name_entry = entry.get("name")
    dimension_entries = entry.need("dimensions", "a list of dimension names").items()
    for dimension in dimension_entries:
        if len(dimension.text()) != 1:
            raise dimension.fail(
                "expected a name of one letter; ERROR: unfortunately, dimension names can only "
                "be 1 character in length."
            )
    coefficients = {}
    coefficient_list = entry.get("coefficients")
    for item in coefficient_list.items() if coefficient_list is not None else []:
        name = item.need("name", "the coefficient's name").text()
        if name in coefficients:
            raise item.refuse(f"coefficient '{name[:80]}' is declared twice")
        coefficients[name] = item.need("default", "an integer").integer(-LARGEST, LARGEST)
    spaces = entry.need("data_spaces", "a list of data spaces").items()
    try:
        return Shape(
            name_entry.text() if name_entry is not None else "",
            tuple(d.text() for d in dimension_entries),
            tuple(_data_space(space) for space in spaces),
            coefficients,
        )
    except SpecError as error:
        message = str(error)
        if message.startswith(entry.node.source):
            raise
        raise SpecError(f"{entry.where}: {message}") from error


def _data_space(entry: Entry) -> DataSpace:
    flag = entry.get("read_write")
    projection = entry.need("projection", "a list of rows")
    rows: list[tuple[Term, ...]] = []
    for row in projection.items("expected a list of rows, each a list of [dimension] terms"):
        if row.is_scalar:
            # The short form: a plain list of dimensions, one row each.
            rows.append((Term(row.text()),))
            continue
        rows.append(tuple(_term(term) for term in row.items("expected a list of terms")))
    return DataSpace(
        entry.need("name", "the data space's name").text(),
        tuple(rows),
        flag.boolean() if flag is not None else False,
    )


def _term(entry: Entry) -> Term:
    expected = "expected [dimension] or [dimension, coefficient]"
    names = entry.names(expected)
    if len(names) not in (1, 2):
        raise entry.fail(expected)
    return Term(names[0], names[1] if len(names) == 2 else None)


def _check_spelling(instance: Entry, shape: Shape) -> None:
    """Refuse a key that looks like a coefficient which then keeps its default."""
    known = set(shape.coefficients)
    unread: list[str] = []
    for key, entry in instance.pairs():
        if key in known or key in shape.dimensions or key in _BESIDE:
            continue
        near = difflib.get_close_matches(key, sorted(known), n=1, cutoff=0.85)
        if not near or len(key) < 4:
            unread.append(key)
            continue
        if near and instance.get(near[0]) is not None:
            # Timeloop passes over it; the coefficient that it resembles has a value of its own
            _LOG.warning("%s: is ignored, '%s' holds", entry.where, near[0])
        elif near:
            raise entry.refuse(f"unknown coefficient '{key[:80]}'; did you mean '{near[0]}'?")
    if unread:
        names = ", ".join(key[:80] for key in unread[:8])
        _LOG.warning("%s: ignored, as the shape has none of it: %s", instance.where, names)
