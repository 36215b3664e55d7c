"""``python -m dse show NAME``: everything about one choice."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dse.cli.listing import KINDS, SHOWN, kind_of, networks_text
from dse.cli.settings_help import plugin_help
from dse.errors import SpecError
from dse.files import read_yaml
from dse.plugins import GROUPS, find
from dse.space import catalog

if TYPE_CHECKING:
    from dse.domain.problem import Workload
    from dse.space.network_space import NetworkSpace

_USAGE = """\
usage: python -m dse show NAME

Shows an architecture template or a workload (by name or path), an optimizer, a
mapper, an evaluator, what work is given to (loky, dask ..), an energy chain, an
objective or an accuracy predictor;
'python -m dse list' has the names. 'attributes' shows what describes storage
levels, networks and MACs.
"""
_NAMES_ARE_LISTED = f"'python -m dse list KIND' has the names of {', '.join(SHOWN)}"


def main(argv: Sequence[str]) -> int:
    """Show what has that name; a name may stand for several things."""
    if {"-h", "--help"} & set(argv):
        sys.stdout.write(_USAGE)
        return 0
    if len(argv) != 1:
        raise SpecError(
            f"show takes one name, not {len(argv)}: {' '.join(argv) or '(nothing)'}; "
            f"{_NAMES_ARE_LISTED}"
        )
    name = argv[0]
    if name.endswith((".yaml", ".yml", ".onnx")) or "/" in name:
        sys.stdout.write(_file(name))
        return 0
    parts = _named(name)
    if not parts:
        raise SpecError(_unknown(name))
    sys.stdout.write("\n".join(parts))
    return 0


def _named(name: str) -> list[str]:
    from dse.cli.attributes import attributes_text  # noqa: PLC0415

    parts = [attributes_text()] if name == "attributes" else []
    if name in catalog.names("arch"):
        parts.append(_template(name))
    if name in catalog.names("workload") or catalog.is_here(name):
        parts.append(_workload(name))
    parts += [plugin_help(kind, name) for kind in GROUPS if find(kind, name)]
    for kind in ("energy", "objectives", "accuracy"):
        parts += [f"{kind} {key}\n  {text}\n" for key, text in KINDS[kind]() if key == name]
    return parts


def _unknown(name: str) -> str:
    """Say that nothing has that name: of a kind, such as 'optimizer', what there is to show."""
    kind = kind_of(name)
    if kind in SHOWN:
        known = ", ".join(key for key, _ in KINDS[kind]())
        return f"'{name}' is a kind; show takes the name of one: {known}"
    names = sorted({"attributes", *(key for kind in SHOWN for key, _ in KINDS[kind]())})
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    return f"unknown name '{name}'{hint} ({_NAMES_ARE_LISTED})"


def _file(path: str) -> str:
    """Show a file: a workload if it has layers, else a template."""
    if path.endswith(".onnx"):
        return _workload(path)
    content = read_yaml(catalog.find("arch", path))
    is_workload = isinstance(content, dict) and "layers" in content
    return _workload(path) if is_workload else _template(path)


def _template(name: str) -> str:
    template = catalog.template(name)
    text = catalog.find("arch", name).read_text(encoding="utf-8")
    variables = ", ".join(v.name for v in template.variables) or "none"
    return f"architecture template {template.name} (variables: {variables})\n\n{text}"


def _workload(name: str) -> str:
    from dse.space.network_space import NetworkSpace  # noqa: PLC0415 - loads numpy

    found = catalog.networks(name)
    if isinstance(found, NetworkSpace):
        return f"{_variables(found)}\nThe network of the defaults:\n{_network(found.default)}"
    return _network(found)


def _variables(space: NetworkSpace) -> str:
    """Show what a space of networks leaves open."""
    from dse.space.network_spec import PREFIX, number_list  # noqa: PLC0415 - loads pydantic

    lines = [f"space of networks {space.name}: {networks_text(space)}", f"  {space.description}"]
    width = max(len(v.name) for v in space.variables)
    for v in space.variables:
        numbers = space.numbers_of(v.name.removeprefix(PREFIX))
        default = v.label(space.defaults[v.name])
        told = f"  {v.name:{width}}  {number_list(numbers)}, default {default}"
        lines.append(f"{told}: {v.description}" if v.description else told)
    return "\n".join(lines) + "\n"


def _network(workload: Workload) -> str:
    total = sum(layer.count for layer in workload)
    lines = [
        f"workload {workload.name}: {len(workload)} unique layers of {total}, "
        f"{workload.macs / 1e9:.3f} G MACs, {workload.weight_words / 1e6:.3f} M weights"
    ]
    width = max(len(layer.name) for layer in workload)
    for layer in workload:
        problem = layer.problem
        sizes = " ".join(f"{d}={n}" for d, n in problem.bounds.items() if n > 1)
        more = " ".join(f"{c}={n}" for c, n in problem.coefficients.items() if n > 1)
        shape = problem.shape.name
        bits = [f"{tensor} {n} bits" for tensor, n in layer.precision]
        notes = ", ".join(bits + [f"also {alias}" for alias in layer.aliases])
        told = f"  {layer.count:3} x {layer.name:{width}}  {shape}  {sizes} {more}".rstrip()
        lines.append(f"{told}  ({notes})" if notes else told)
    return "\n".join(lines) + "\n"
