"""Primitive components as Accelergy knows them, priced by class, attributes, node and clock.

The classes are those of Accelergy's library of primitives and of its Aladdin, CACTI and library
plug-ins, under all their names; the prices those of the energy chain ``table``. An area and a
leakage are of all ``n_instances``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from dse.components import logic
from dse.components.logic import LogicPrice
from dse.components.memory import memory
from dse.domain.formula import Value
from dse.domain.technology import DRAM_PJ_PER_BIT, Technology
from dse.errors import SpecError, unknown_name

#: Actions in which a component waits.
_WAITING = ("leak", "idle")
_STORAGE_ACTIONS = ("read", "write", "update", "leak")
#: Other words for a read or a write of storage.
_STORAGE_WORDS = {"access": "read", "fill": "write"}
#: Part of an SRAM's energy that depends on the data, the rest on the address (Accelergy's rule).
_DATA_SHARE = 0.7
#: What a multiplication with an operand of the one before costs (Accelergy's rule).
_REUSED = 0.85
_DEFAULT_CLOCK_S = 1e-9
#: A FIFO's where none is given, as in Accelergy's library of primitives.
_FIFO_DEPTH = 2.0
#: Width in the tables of the library plug-in, which takes it where none is given.
_LIBRARY_WIDTH = 32.0
#: The fastest row of the tables of logic.
_FASTEST_NS = 0.5
_LENGTHS_UM = {"mm": 1e3, "um": 1.0, "nm": 1e-3}


@dataclass(frozen=True)
class Dynamic:
    """Energy of an action in pJ, and how much of it moving other data than before takes."""

    energy_pj: float
    data_pj: float | None = None

    def of(self, arguments: Mapping[str, Value]) -> float:
        """Return the energy where ``data_delta`` or ``address_delta`` may be 0: nothing changes."""
        if self.data_pj is None:
            return self.energy_pj
        data, address = (arguments.get(key, 1) for key in ("data_delta", "address_delta"))
        if data and address:
            return self.energy_pj
        return (self.data_pj if data else 0.0) + (self.energy_pj - self.data_pj if address else 0.0)


@dataclass(frozen=True)
class Price:
    """What one primitive component costs.

    Attributes:
        actions: energies by action.
        other: energy of any action that is not listed (logic); None: there is no other.
        leak_pj: per cycle.
        area_um2: of the component.
        estimator: where the figures are from.
    """

    actions: Mapping[str, Dynamic]
    other: Dynamic | None
    leak_pj: float
    area_um2: float
    estimator: str

    def energy_pj(self, action: str, arguments: Mapping[str, Value]) -> float:
        """Return the energy of an action.

        Raises:
            SpecError: the component has no such action.
        """
        if action in _WAITING:
            return self.leak_pj
        found = self.actions.get(_STORAGE_WORDS.get(action, action), self.actions.get(action))
        if found is None:
            found = self.other
        if found is None:
            raise SpecError(unknown_name("action", action, [*self.actions, *_WAITING]))
        return found.of(arguments)


_ALADDIN = "table: Aladdin logic"
_DRAM = "table: pJ per bit of DRAM"
_FREE = Price({}, Dynamic(0.0), 0.0, 0.0, "none: nothing there")


class Attributes:
    """A component's attributes, worked out."""

    def __init__(self, values: Mapping[str, Value]) -> None:
        self._values = values

    def number(self, *names: str) -> float:
        """Return the first of these attributes that is given.

        Raises:
            SpecError: none is, or it is not a number of at least 0.
        """
        found = self.given(*names)
        if found is None:
            raise SpecError(f"attribute '{names[0]}' is missing")
        return found

    def given(self, *names: str) -> float | None:
        """Return the first of these attributes that is given; None where none is."""
        for name in names:
            value = self._values.get(name)
            if value is None:
                continue
            try:
                number = float(value)
            except ValueError:
                number = math.nan
            if not 0 <= number < math.inf:
                raise SpecError(f"attribute '{name}' = '{value}', expected a number of at least 0")
            return number
        return None

    def word(self, name: str, default: str) -> str:
        """Return an attribute as text."""
        return str(self._values.get(name, default))

    def node_nm(self) -> float:
        """Return the technology node: 45, '45' or '45nm'.

        Raises:
            SpecError: it is missing or no length.
        """
        value = self._values.get("technology")
        if value is None:
            raise SpecError(
                "attribute 'technology' is missing, expected a node such as '45nm' "
                "(--energy table:45nm gives one)"
            )
        text = str(value).strip().lower().removesuffix("nm").strip()
        try:
            node = float(text)
        except ValueError:
            node = math.nan
        if not 1 <= node <= 1000:
            raise SpecError(f"attribute 'technology' = '{value}', expected a node such as '45nm'")
        return node

    def clock_ns(self) -> float:
        """Return the clock period: ``global_cycle_seconds``, or ``latency`` in older files."""
        value = self._values.get("global_cycle_seconds", self._values.get("latency"))
        if value is None:
            return _DEFAULT_CLOCK_S * 1e9
        text = str(value).strip().lower()
        try:
            seconds = float(text[:-2]) * 1e-9 if text.endswith("ns") else float(text)
        except ValueError:
            seconds = math.nan
        if not 0 < seconds < math.inf:
            raise SpecError(f"clock period '{value}', expected seconds such as 1e-9, or '5ns'")
        return seconds * 1e9

    def technology(self) -> Technology:
        """Return node and clock of logic, which is no faster than the tables' first row."""
        cycles = self.given("action_latency_cycles") or 1.0
        return Technology(self.node_nm(), max(self.clock_ns() * cycles, _FASTEST_NS))


def _logic(price: LogicPrice, actions: Mapping[str, float] | None = None) -> Price:
    """Return the price of logic, in which any action but waiting takes the same energy."""
    listed = {name: Dynamic(pj) for name, pj in (actions or {}).items()}
    return Price(listed, Dynamic(price.energy_pj), price.leak_pj, price.area_um2, _ALADDIN)


def _sram(a: Attributes) -> Price:
    width, depth = (math.ceil(a.number(name)) for name in ("width", "depth"))
    if not width or not depth:
        return _no_storage()
    apart = [a.given(name) for name in ("n_rdwr_ports", "n_rd_ports", "n_wr_ports")]
    ports = round(a.given("n_rw_ports") or sum(n or 0 for n in apart) or 1)
    banks = round(a.given("n_banks") or 1)
    made, estimator = memory(width, depth, ports, banks, a.node_nm())
    read, write = (Dynamic(pj, _DATA_SHARE * pj) for pj in (made.read_pj, made.write_pj))
    # mW x ns = pJ
    leak_pj = made.leak_mw * a.clock_ns()
    actions = {"read": read, "write": write, "update": write}
    return Price(actions, None, leak_pj, made.area_um2, estimator)


def _dram(a: Attributes) -> Price:
    kind = a.word("type", "LPDDR4")
    if kind not in DRAM_PJ_PER_BIT:
        raise SpecError(unknown_name("DRAM type", kind, DRAM_PJ_PER_BIT))
    access = Dynamic(DRAM_PJ_PER_BIT[kind] * a.number("width"))
    return Price(dict.fromkeys(("read", "write", "update"), access), None, 0.0, 0.0, _DRAM)


def _register_file(a: Attributes) -> Price:
    width, depth = (math.ceil(a.number(name)) for name in ("width", "depth"))
    if not width or not depth:
        return _no_storage()
    price = logic.register_file(width, depth, a.technology())
    access = Dynamic(price.energy_pj, logic.register(width, a.technology()).energy_pj)
    listed = dict.fromkeys(("read", "write", "update"), access)
    return Price(listed, None, price.leak_pj, price.area_um2, _ALADDIN)


def _no_storage() -> Price:
    listed = dict.fromkeys(("read", "write", "update"), Dynamic(0.0))
    return Price(listed, None, 0.0, 0.0, _FREE.estimator)


def _of_width(
    price: Callable[[float, Technology], LogicPrice], *names: str, default: float | None = None
) -> Callable[[Attributes], Price]:
    """Return what prices logic by a width; without a bit there is none."""

    def priced(a: Attributes) -> Price:
        found = a.given(*names)
        width = found if found is not None or default is None else default
        if width is None:
            width = a.number(*names)
        return _logic(price(width, a.technology())) if width else _FREE

    return priced


def _fifo(a: Attributes) -> Price:
    """Registers of a word, and a comparator of the address."""
    depth = a.given("depth")
    width, depth = a.number(*_WIDTH), _FIFO_DEPTH if depth is None else depth
    if not width or not depth:
        return _FREE
    price = logic.register(width, a.technology())
    if depth > 1:
        price = price.plus(logic.comparator(math.log2(depth), a.technology()))
    return _logic(price)


def _crossbar(a: Attributes) -> Price:
    technology = a.technology()
    inputs, outputs = a.number("n_inputs"), a.number("n_outputs")
    return _logic(logic.crossbar(inputs, outputs, a.number(*_WIDTH), technology))


def _wire(a: Attributes) -> Price:
    text = a.word("length", "").strip().lower()
    unit = next((unit for unit in _LENGTHS_UM if text.endswith(unit)), "")
    try:
        length_um = float(text.removesuffix(unit)) * _LENGTHS_UM.get(unit, 1.0)
    except ValueError:
        length_um = math.nan
    if not length_um >= 0:
        raise SpecError(f"attribute 'length' = '{text}', expected a length such as '2mm'")
    per_bit = logic.wire_pj_per_bit_mm() * length_um / 1000.0
    return _logic(LogicPrice(per_bit * a.number(*_WIDTH), 0.0, 0.0))


def _multiplied(multiplier: LogicPrice, adder: LogicPrice | None, *, stops: bool = True) -> Price:
    """Return the price of a multiplier with the adder behind it, which does not know its tricks."""
    added_pj = adder.energy_pj if adder is not None else 0.0
    price = multiplier.plus(adder) if adder is not None else multiplier
    if not stops:
        return _logic(price)
    reused = multiplier.energy_pj * _REUSED + added_pj
    gated = multiplier.leak_pj + added_pj
    words = ("mult", "mac", "multiply")
    listed = {f"{word}_{end}": reused for word in words for end in ("reused", "reuse")}
    return _logic(price, listed | {f"{word}_gated": gated for word in words})


def _int_multiplier(a: Attributes) -> Price:
    one, other = a.given("width_a"), a.given("width_b")
    if one is None or other is None:
        width = a.number(*_WIDTH)
    else:
        width = math.sqrt(one * other)
    return _multiplied(logic.int_multiplier(width, a.technology()), None) if width else _FREE


def _library_multiplier(a: Attributes) -> Price:
    if a.given("width_a", *_WIDTH) is not None:
        return _int_multiplier(a)
    return _multiplied(logic.int_multiplier(_LIBRARY_WIDTH, a.technology()), None)


def _int_mac(a: Attributes) -> Price:
    multiplier = a.number("multiplier_width", *_WIDTH)
    adder = a.number("adder_width", *_WIDTH)
    if not multiplier or not adder:
        return _FREE
    technology = a.technology()
    made = logic.int_multiplier(multiplier, technology), logic.int_adder(adder, technology)
    return _multiplied(*made)


def _float_bits(a: Attributes) -> int:
    """Return the bits of exponent and mantissa; a width of 16 has a sign beside them."""
    if a.given("exponent") is not None or a.given("mantissa") is not None:
        return round(a.number("exponent") + a.number("mantissa"))
    width = round(a.number(*_WIDTH))
    return width if width in (32, 64) else width - 1


def _fp_adder(a: Attributes) -> Price:
    return _logic(logic.fp_adder(_float_bits(a), a.technology()))


def _fp_multiplier(a: Attributes) -> Price:
    return _multiplied(logic.fp_multiplier(_float_bits(a), a.technology()), None)


def _fp_mac(a: Attributes) -> Price:
    bits, technology = _float_bits(a), a.technology()
    made = logic.fp_multiplier(bits, technology), logic.fp_adder(bits, technology)
    return _multiplied(*made, stops=False)


@dataclass(frozen=True)
class Primitive:
    """A class of primitive components.

    Attributes:
        price: what a component of it costs.
        actions: those that Timeloop or Accelergy's library ask of it.
    """

    price: Callable[[Attributes], Price]
    actions: tuple[str, ...]


_WIDTH = ("width", "datawidth", "n_bits", "word_bits", "word-bits", "word_width", "word-width")
_MACS = ("mac_random", "mac_reused", "mac_gated", "compute", "leak")
_MULTIPLIERS = ("mult_random", "mult_reused", "mult_gated", "leak")

_ONE_OF = {
    "SRAM": Primitive(_sram, _STORAGE_ACTIONS),
    "DRAM": Primitive(_dram, _STORAGE_ACTIONS),
    "regfile": Primitive(_register_file, _STORAGE_ACTIONS),
    "reg": Primitive(
        _of_width(logic.register, *_WIDTH, default=1.0),
        (*_STORAGE_ACTIONS[:-1], "access", "leak"),
    ),
    "FIFO": Primitive(_fifo, ("push", "pop", "leak")),
    "intadder": Primitive(_of_width(logic.int_adder, *_WIDTH), ("add", "leak")),
    "intmultiplier": Primitive(_int_multiplier, _MULTIPLIERS),
    "intmac": Primitive(_int_mac, _MACS),
    "fpadder": Primitive(_fp_adder, ("add", "leak")),
    "fpmultiplier": Primitive(_fp_multiplier, _MULTIPLIERS),
    "fpmac": Primitive(_fp_mac, _MACS),
    "comparator": Primitive(_of_width(logic.comparator, "n_bits", *_WIDTH), ("compare", "leak")),
    "counter": Primitive(_of_width(logic.counter, *_WIDTH), ("count", "leak")),
    "bitwise": Primitive(_of_width(logic.bitwise, *_WIDTH), ("process", "leak")),
    "crossbar": Primitive(_crossbar, ("transfer_random", "leak")),
    "wire": Primitive(_wire, ("transfer_random", "leak")),
    "dummy_storage": Primitive(lambda _: _FREE, _STORAGE_ACTIONS),
    "dummy_compute": Primitive(lambda _: _FREE, ("compute", "leak")),
}
#: The library plug-in's, which have a width of their own.
_LIBRARY = {
    "aladdin_adder": Primitive(
        _of_width(logic.int_adder, *_WIDTH, default=_LIBRARY_WIDTH), ("add", "read", "leak")
    ),
    "aladdin_multiplier": Primitive(_library_multiplier, ("multiply", "read", "leak")),
    "aladdin_comparator": Primitive(
        _of_width(logic.comparator, "n_bits", *_WIDTH, default=_LIBRARY_WIDTH),
        ("compare", "read", "leak"),
    ),
    "aladdin_counter": Primitive(
        _of_width(logic.counter, *_WIDTH, default=_LIBRARY_WIDTH), ("count", "read", "leak")
    ),
}
#: The same under other names, and buffers whose parts no file describes.
_ALIASES = {
    "sram": "SRAM",
    "smartbuffer_SRAM": "SRAM",
    "smartbuffer": "SRAM",
    "dram": "DRAM",
    "smartbuffer_RF": "regfile",
    "register": "reg",
    "aladdin_register": "reg",
    "adder": "intadder",
    "multiplier": "intmultiplier",
}
PRIMITIVES = _ONE_OF | _LIBRARY | {alias: _ONE_OF[name] for alias, name in _ALIASES.items()}


def price(kind: str, values: Mapping[str, Value]) -> Price:
    """Return what a primitive component costs.

    Args:
        kind: a class of ``PRIMITIVES``.
        values: its attributes, worked out.

    Raises:
        SpecError: an attribute is missing or out of bounds, or beyond the tables.
    """
    attributes = Attributes(values)
    found = PRIMITIVES[kind].price(attributes)
    instances = attributes.given("n_instances")
    if instances is None or instances == 1:
        return found
    return replace(found, leak_pj=found.leak_pj * instances, area_um2=found.area_um2 * instances)
