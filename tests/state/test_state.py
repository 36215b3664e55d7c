"""State as data: round trips, what is refused when written, what is refused when read."""

import io
import json
import math
import zipfile

import numpy as np
import pytest

from dse.domain.mapping import Mapping, MappingBatch
from dse.errors import SpecError
from dse.goals.design import Design, DesignMetrics, LayerMetrics
from dse.state.codec import dumps, loads
from dse.state.entries import CheckedEntries
from dse.state.generator import generator_state, set_generator

pytestmark = pytest.mark.slow


def mapping(levels=3, dimensions=4, tensors=2):
    made = Mapping.trivial(levels, dimensions, tensors)
    made.temporal[1] = 7
    made.permutation[0] = made.permutation[0][::-1].copy()
    made.keep[1, 0] = False
    made.split[-1] = 1
    return made


def metrics(**changes):
    layers = (LayerMetrics("a", 2, 10.0, 0.1 + 0.2, 0.5), LayerMetrics("b", 1, 3.0, 1e300, 1.0))
    whole = {"area_um2": 3.5, "operations": 12, "clock_ns": 5.0}
    return DesignMetrics(True, 23.0, 4.0, utilization=0.25, layers=layers, **{**whole, **changes})


PLAIN = {
    "none": None,
    "flag": True,
    "whole": 2**127,
    "numbers": [0.1, -0.0, 1e-320, math.inf, -math.inf],
    "text": 'ünïcode\n"\\$ \ud800',
    "nested": {"a": [{"b": []}], "": {}},
    "design": Design({"pe": 4, "kb": 8}, (mapping(), mapping(2, 3, 1)), 5),
    "hardware": Design({"pe": 4}),
    "metrics": metrics(networks=(metrics(), metrics(clock_ns=None))),
}


def test_plain_data_survives():
    again = loads(dumps(PLAIN))
    assert again == PLAIN
    assert repr(again["numbers"]) == repr(PLAIN["numbers"])
    assert dumps(again) == dumps(PLAIN)


def test_tuples_become_lists_and_nan_stays():
    again = loads(dumps({"a": (1, (2.0,)), "b": math.nan, "c": np.float64(0.1)}))
    assert again["a"] == [1, [2.0]]
    assert math.isnan(again["b"])
    assert type(again["c"]) is float


def test_metrics_that_are_not_valid_survive():
    one = DesignMetrics.infeasible("too large", 3.0)
    (again,) = loads(dumps({"m": one})).values()
    assert (again.valid, again.reason, again.area_um2) == (False, "too large", 3.0)
    assert math.isnan(again.cycles)
    assert again.violation == math.inf


@pytest.mark.parametrize(
    "name", ["bool", "int8", "uint16", "int64", "uint64", "float32", "float64"]
)
def test_arrays_survive_with_type_and_shape_and_can_be_written(name):
    arrays = [
        np.arange(24).reshape(2, 3, 4).astype(name),
        np.arange(12).astype(name)[::3],
        np.asfortranarray(np.ones((3, 2), name)),
        np.empty((0, 5), name),
        np.array(1, name),
    ]
    again = loads(dumps({"arrays": arrays}))["arrays"]
    for one, other in zip(arrays, again, strict=True):
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        assert np.array_equal(one, other)
        other[...] = 0


def test_batches_survive_with_what_is_the_same_for_all():
    batch = MappingBatch.of([mapping()] * 3)
    shared = MappingBatch.concatenate([MappingBatch.of([mapping()]), MappingBatch.of([mapping()])])
    assert shared.keep.shape[-1] == 1
    for one in (batch, shared, batch.take(np.empty(0, np.intp))):
        (again,) = loads(dumps({"b": one})).values()
        for name in ("temporal", "spatial", "permutation", "split", "keep", "no_multicast"):
            left, right = getattr(one, name), getattr(again, name)
            assert left.dtype == right.dtype
            assert np.array_equal(left, right)


class Anything:
    pass


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (Anything(), r"state.a.b\[0\]: Anything is no plain data"),
        ({1, 2}, "set is no plain data"),
        (b"bytes", "bytes is no plain data"),
        (np.int64(3), "int64 is no plain data"),
        (np.array([Anything()]), "array of object"),
        (np.array(["text"]), "array of str"),
        ({3: 4}, "key 3, expected a text"),
        ({"$array": 4}, "expected a text that begins without"),
        (print, "builtin_function_or_method is no plain data"),
    ],
)
def test_what_is_no_plain_data_is_named(value, message):
    with pytest.raises(TypeError, match=message):
        dumps({"a": {"b": [value]}})


# what is read


def written(content, **arrays):
    archive = io.BytesIO()
    np.savez(archive, **arrays)
    return json.dumps(content).encode() + b"\n" + archive.getvalue()


def archive_of(name, data, compression=zipfile.ZIP_STORED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        archive.writestr(name, data)
    return buffer.getvalue()


def header(dtype, shape, data=b""):
    buffer = io.BytesIO()
    fields = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(buffer, fields)
    return buffer.getvalue() + data


EMPTY = archive_of("int32.npy", header("<i4", (0,)))

BAD = {
    "empty": b"",
    "no archive": b"{}\n",
    "no JSON": b"{\n" + EMPTY,
    "not UTF-8": b'{"a": "\xff"}\n' + EMPTY,
    "deep": b'{"a":' + b"[" * 100_000 + b"\n" + EMPTY,
    "a list": b"[]\n" + EMPTY,
    "a class": written({"a": {"$os.system": ["true"]}}),
    "two tags": written({"a": {"$design": {}, "b": 1}}),
    "unknown type": written({"a": {"$array": ["object", 1]}}),
    "no type": written({"a": {"$array": []}}),
    "negative length": written({"a": {"$array": ["int32", -1]}}, int32=np.ones(3, np.int32)),
    "true length": written({"a": {"$array": ["int32", True]}}, int32=np.ones(1, np.int32)),
    "more than there is": written({"a": {"$array": ["int32", 4]}}, int32=np.ones(3, np.int32)),
    "far more": written({"a": {"$array": ["int32", 2**33, 2**33]}}, int32=np.ones(3, np.int32)),
    "none by many": written({"a": {"$array": ["int32", 0, 2**70]}}),
    "many axes": written({"a": {"$array": ["int32", *[1] * 40]}}, int32=np.ones(1, np.int32)),
    "less than there is": written({"a": {"$array": ["int32", 2]}}, int32=np.ones(3, np.int32)),
    "an object array": b"{}\n" + archive_of("int32.npy", header("|O", (1,), b"\x80\x04N.")),
    "a header of 8 GiB": b"{}\n" + archive_of("int8.npy", header("|i1", (2**33,))),
    "a header that lies": b"{}\n" + archive_of("int32.npy", header("<f8", (0,))),
    "two axes": b"{}\n" + archive_of("int8.npy", header("|i1", (1, 1), b"a")),
    "another member": b"{}\n" + archive_of("object.npy", header("|O", (0,))),
    "a packed member": b"{}\n" + archive_of("int8.npy", header("|i1", (0,)), zipfile.ZIP_DEFLATED),
    "a broken header": b"{}\n" + archive_of("int8.npy", b"\x93NUMPY\x01\x00\x10\x00{'descr': "),
    "no magic": b"{}\n" + archive_of("int8.npy", b"nonsense"),
    "neither true nor false": written({"a": {"$array": ["bool", 1]}})[:3]
    + b"\n"
    + archive_of("bool.npy", header("|b1", (1,), b"\x07")),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_data_is_refused(name):
    with pytest.raises(SpecError):
        loads(BAD[name])


def changed(value, **fields):
    """Return the bytes of a record with some of its fields changed."""
    text, _, archive = dumps({"r": value}).partition(b"\n")
    content = json.loads(text)
    (record,) = content["r"].values()
    record.update(fields)
    return json.dumps(content).encode() + b"\n" + archive


@pytest.mark.parametrize(
    ("value", "fields"),
    [
        (Design({"a": 1}), {"values": {"a": 1.5}}),
        (Design({"a": 1}), {"values": [1]}),
        (Design({"a": 1}), {"mapping_samples": 0}),
        (Design({"a": 1}), {"mapping_samples": True}),
        (Design({"a": 1}), {"mappings": ["text"]}),
        (Design({"a": 1}), {"more": 1}),
        (metrics(), {"valid": 1}),
        (metrics(), {"cycles": "many"}),
        (metrics(), {"cycles": 10**400}),
        (metrics(), {"layers": [["a", 1.0], ["b", 1]]}),
        (metrics(), {"layers": [["a", 1]]}),
        (metrics(), {"networks": [{}]}),
        (mapping(), {"sizes": [3, 4]}),
        (mapping(), {"sizes": [3, 5, 2]}),
        (mapping(), {"sizes": [0, 4, 2]}),
        (MappingBatch.of([mapping()]), {"split": {"$array": ["int8", 0]}}),
    ],
)
def test_records_are_checked_by_field(value, fields):
    with pytest.raises(SpecError):
        loads(changed(value, **fields))


def test_loops_that_are_none_are_refused():
    for name, place, value in (
        ("temporal", (0, 0), 0),
        ("spatial", (0, 0), -3),
        ("permutation", (0, 0), 100),
        ("permutation", (0, 0), 1),
        ("spatial_permutation", (2, 3), -1),
        ("split", 0, 5),
        ("split", 0, -1),
    ):
        bad = mapping()
        getattr(bad, name)[place] = value
        for record in (bad, MappingBatch.of([bad]), MappingBatch.of([mapping(), bad])):
            with pytest.raises(SpecError, match=name):
                loads(dumps({"m": record}))


# generators


@pytest.mark.parametrize("kind", ["PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64"])
def test_generators_go_on_with_their_children(kind):
    def made():
        bits = getattr(np.random, kind)(np.random.SeedSequence(5))
        return np.random.Generator(bits)

    rng, again = made(), made()
    rng.random(7, np.float32)
    rng.spawn(3)
    set_generator(again, loads(dumps({"rng": generator_state(rng)}))["rng"])
    assert np.array_equal(rng.random(9), again.random(9))
    assert np.array_equal(rng.integers(0, 9, 9, np.int8), again.integers(0, 9, 9, np.int8))
    assert rng.spawn(1)[0].random() == again.spawn(1)[0].random()


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s.update(spawned=-1),
        lambda s: s.update(spawned=10**12),
        lambda s: s.pop("bits"),
        lambda s: s.update(bits=3),
        lambda s: s["bits"].update(bit_generator="MT19937"),
        lambda s: s["bits"].update(state=3),
        lambda s: s["bits"]["state"].update(state=-1),
        lambda s: s["bits"]["state"].update(inc=2**200),
        lambda s: s["bits"].update(uinteger=2**70),
        lambda s: s["bits"].update(more=1),
    ],
)
def test_a_wrong_state_of_a_generator_is_refused(change):
    rng = np.random.default_rng(0)
    state = generator_state(rng)
    change(state)
    with pytest.raises(SpecError, match="generator"):
        set_generator(rng, state)


# entries


def test_entries_name_what_is_wrong():
    content = {"a": 3, "b": {"c": [{"d": "x"}]}, "n": None, "f": 1, "v": np.ones((2, 3))}
    with CheckedEntries(content, "file") as e:
        assert e.integer("a", 0, 3) == 3
        with e.part("b") as part:
            (each,) = part.each("c")
            assert each.text("d") == "x"
        assert e.maybe("n", e.integer) is None
        assert e.number("f") == 1.0
        assert e.array("v", np.float64, (None, 3)).shape == (2, 3)
    for read, message in (
        (lambda e: e.integer("x"), "file: key 'x' is missing"),
        (lambda e: e.integer("a", 4), "file: a = 3, expected an integer of at least 4"),
        (lambda e: e.integer("a", 0, 2), "file: a = 3, expected an integer from 0 to 2"),
        (lambda e: e.text("a"), "file: a = 3, expected a text"),
        (lambda e: e.flag("a"), "file: a = 3, expected true or false"),
        (lambda e: e.number("b"), "file: b = {'c': .*, expected a number"),
        (lambda e: e.array("v", np.int8, (2, 3)), "an array of float64 and shape .2, 3., expected"),
        (lambda e: e.array("v", np.float64, (3, 3)), r"expected an array of float64.*\(3, 3\)"),
        (lambda e: e.items("b", int), "expected a list of int"),
        (lambda e: next(e.part("b").each("c")).integer("d"), r"file: b.c\[0\].d = 'x', expected"),
        (lambda e: e.close(), "file: unknown key 'a'"),
    ):
        with pytest.raises(SpecError, match=message):
            read(CheckedEntries(content, "file"))
    with pytest.raises(SpecError, match="file: holds 3, expected a mapping"):
        CheckedEntries(3, "file")
