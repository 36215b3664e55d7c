"""``python -m dse components``: what a component costs, where the figure is from, and a plot."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dse.components import logic
from dse.components.cacti import scaled_sram
from dse.domain.technology import DRAM_PJ_PER_BIT, Technology
from dse.errors import SpecError, unknown_name

_USAGE = """\
usage: python -m dse components KIND [KEY=VALUE ...] [plot=FILE.png] [--json]

What the energy chain 'table' says of one component, in pJ and um^2.

{kinds}
Common keys: node (nm, 40), clock (ns, 1). plot=FILE draws the figures over size
or width.

  python -m dse components sram size_kb=64 width=128 node=40
  python -m dse components intmac width=8 clock=5 plot=mac.png
"""

_CACTI = (
    "CACTI 7 runs (RAM, itrs-lstp, 300 K, least leakage) as Accelergy 0.4 scales them; log-log "
    "interpolation off the grid"
)
_ALADDIN = "Aladdin's tables at 40 nm (Accelergy's plug-in); nodes by Stillmaker & Baas 2017"
_DRAM = "pJ per bit of Accelergy's CACTI plug-in; DRAM has no area on the chip"
_WIRE = "Aladdin plug-in: a fifth of 1.627 fF per um switched at 1 V"


_Options = dict[str, float]
_Figures = dict[str, float]


@dataclass(frozen=True)
class _Kind:
    """One kind of component: its keys with defaults, what it costs, and what to plot it over."""

    defaults: _Options
    figures: Callable[[_Options], _Figures]
    source: str
    over: str
    values: tuple[float, ...]


def main(argv: Sequence[str]) -> int:
    """Print the figures of one component, and plot them where asked."""
    if not argv or {"-h", "--help"} & set(argv):
        lines = [
            f"  {name:9} {' '.join(f'{k}={v:g}' for k, v in kind.defaults.items())}"
            for name, kind in _KINDS.items()
        ]
        lines.append(f"  {'dram':9} type={'|'.join(DRAM_PJ_PER_BIT)} width=64")
        sys.stdout.write(_USAGE.format(kinds="kinds and keys:\n" + "\n".join(lines) + "\n"))
        return 0 if argv else 2
    name, *words = argv
    as_json = "--json" in words
    given = dict(map(_split, [word for word in words if word != "--json"]))
    plot = given.pop("plot", None)
    if name == "dram":
        return _dram(given, as_json)
    if name not in _KINDS:
        raise SpecError(unknown_name("component", name, [*_KINDS, "dram"]))
    kind = _KINDS[name]
    options = _options(kind.defaults, given)
    figures = kind.figures(options)
    _print(name, dict(options), figures, kind.source, as_json)
    if plot is not None:
        _plot(Path(plot), name, kind, options)
        sys.stderr.write(f"plot: {plot}\n")
    elif not as_json:
        sys.stdout.write(_table(kind, options))
    return 0


#: Far beyond any component, and small enough for every product of such numbers.
_MOST = 1e12


def _split(word: str) -> tuple[str, str]:
    key, sign, value = word.partition("=")
    if not sign or not key or not value:
        raise SpecError(f"'{word}': expected KEY=VALUE")
    return key, value


def _options(defaults: _Options, given: dict[str, str]) -> _Options:
    options = dict(defaults)
    for key, value in given.items():
        if key not in defaults:
            raise SpecError(unknown_name("key", key, defaults))
        try:
            options[key] = float(value)
        except ValueError as error:
            raise SpecError(f"{key}={value}: expected a number") from error
        if not 0 < options[key] <= _MOST:
            raise SpecError(f"{key}={value}: expected a number above 0 and at most {_MOST:g}")
        if key not in ("node", "clock", "size_kb", "length_mm") and options[key] % 1:
            raise SpecError(f"{key}={value}: expected a whole number")
    return options


def _technology(options: _Options) -> Technology:
    return Technology(options["node"], options["clock"])


def _sram(options: _Options) -> _Figures:
    width = int(options["width"])
    bits = options["size_kb"] * 8192
    depth = max(1, round(bits / width))
    made = scaled_sram(width, depth, int(options["ports"]), int(options["banks"]), options["node"])
    return {
        "read_pj": made.read_pj,
        "write_pj": made.write_pj,
        "read_pj_per_bit": made.read_pj / width,
        "leak_mw": made.leak_mw,
        "leak_pj_per_cycle": made.leak_mw * options["clock"],
        "area_um2": made.area_um2,
        "rows": float(depth),
    }


def _of(price: logic.LogicPrice) -> _Figures:
    return {
        "energy_pj": price.energy_pj,
        "leak_pj_per_cycle": price.leak_pj,
        "area_um2": price.area_um2,
    }


def _logic(make: Callable[[int, Technology], logic.LogicPrice]) -> Callable[[_Options], _Figures]:
    return lambda options: _of(make(int(options["width"]), _technology(options)))


def _register_file(options: _Options) -> _Figures:
    width, depth = int(options["width"]), int(options["depth"])
    return _of(logic.register_file(width, depth, _technology(options)))


def _wire(options: _Options) -> _Figures:
    return {"energy_pj": logic.wire_pj_per_bit_mm() * options["width"] * options["length_mm"]}


_AT: _Options = {"node": 40, "clock": 1}
_WIDTHS = (4.0, 8.0, 16.0, 24.0, 32.0)
_KINDS: dict[str, _Kind] = {
    "sram": _Kind(
        {"size_kb": 64, "width": 64, "ports": 1, "banks": 1, **_AT},
        _sram,
        _CACTI,
        "size_kb",
        tuple(2.0**k for k in range(15)),
    ),
    "regfile": _Kind(
        {"width": 16, "depth": 16, **_AT},
        _register_file,
        _ALADDIN,
        "depth",
        tuple(2.0**k for k in range(9)),
    ),
    "register": _Kind({"width": 8, **_AT}, _logic(logic.register), _ALADDIN, "width", _WIDTHS),
    "intmac": _Kind({"width": 8, **_AT}, _logic(logic.int_mac), _ALADDIN, "width", _WIDTHS),
    "fpmac": _Kind({"width": 16, **_AT}, _logic(logic.fp_mac), _ALADDIN, "width", _WIDTHS[1:]),
    "intadder": _Kind({"width": 32, **_AT}, _logic(logic.int_adder), _ALADDIN, "width", _WIDTHS),
    "wire": _Kind(
        {"width": 1, "length_mm": 1, **_AT}, _wire, _WIRE, "length_mm", (0.1, 0.3, 1.0, 3.0)
    ),
}


def _dram(given: dict[str, str], as_json: bool) -> int:
    kind = given.pop("type", "LPDDR4")
    if kind not in DRAM_PJ_PER_BIT:
        raise SpecError(unknown_name("DRAM", kind, DRAM_PJ_PER_BIT))
    options = _options({"width": 64}, given)
    figures = {"energy_pj": DRAM_PJ_PER_BIT[kind] * options["width"], "area_um2": 0.0}
    _print("dram", {"type": kind, **options}, figures, _DRAM, as_json)
    return 0


def _print(
    name: str, options: dict[str, object], figures: _Figures, source: str, as_json: bool
) -> None:
    if as_json:
        whole = {"component": name, "options": options, "figures": figures, "source": source}
        sys.stdout.write(json.dumps(whole, indent=2) + "\n")
        return
    about = " ".join(
        f"{k}={v:g}" if isinstance(v, float) else f"{k}={v}" for k, v in options.items()
    )
    lines = [f"{name} {about}"]
    lines += [f"  {key:18} {value:.6g}" for key, value in figures.items()]
    sys.stdout.write("\n".join([*lines, f"source: {source}"]) + "\n")


def _sweep(kind: _Kind, options: _Options) -> list[tuple[float, _Figures]]:
    """Return the figures over the kind's values; those that the tables lack are left out."""
    found = []
    for value in kind.values:
        try:
            found.append((value, kind.figures({**options, kind.over: value})))
        except SpecError:  # beyond the table: the plot ends there
            continue
    return found


def _table(kind: _Kind, options: _Options) -> str:
    rows = _sweep(kind, options)
    if not rows:
        return ""
    keys = [key for key in rows[0][1] if key in ("read_pj", "write_pj", "energy_pj", "area_um2")]
    most = max(figures[keys[0]] for _, figures in rows)
    lines = ["", f"{kind.over:>10} " + " ".join(f"{key:>12}" for key in keys)]
    for value, figures in rows:
        bar = "#" * max(1, round(30 * figures[keys[0]] / most))
        numbers = " ".join(f"{figures[key]:12.5g}" for key in keys)
        lines.append(f"{value:10g} {numbers}  {bar}")
    return "\n".join(lines) + "\n"


def _plot(path: Path, name: str, kind: _Kind, options: _Options) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - slow to load
    from matplotlib.figure import Figure  # noqa: PLC0415

    rows = _sweep(kind, options)
    figure = Figure(figsize=(9, 4), layout="constrained")
    FigureCanvasAgg(figure)
    energy, area = figure.subplots(1, 2)
    for axes, unit in ((energy, "pj"), (area, "um2")):
        for key in rows[0][1]:
            if key.endswith(f"_{unit}"):
                axes.plot([v for v, _ in rows], [f[key] for _, f in rows], "o-", label=key)
        axes.set(xscale="log", yscale="log", xlabel=kind.over, ylabel={"pj": "pJ"}.get(unit, "um2"))
        axes.grid(True, which="both", alpha=0.3)
        axes.legend()
    fixed = ", ".join(f"{k} = {v:g}" for k, v in options.items() if k != kind.over)
    figure.suptitle(f"{name}: {fixed}")
    try:
        figure.savefig(path, dpi=150)
    except (OSError, ValueError) as error:
        raise SpecError(f"plot={path}: {error}") from error
