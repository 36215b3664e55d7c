"""Finding architecture templates and workloads, by name in the package or by path."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TYPE_CHECKING

from dse.errors import SpecError, unknown_name
from dse.files import Source, TextSource

if TYPE_CHECKING:
    from dse.domain.problem import Workload
    from dse.space.network_space import NetworkSpace
    from dse.space.template import ArchTemplate
    from dse.space.timeloop_files import Reading

_PACKAGES = {"arch": "dse.arch_templates", "workload": "dse.layers"}


def names(kind: str) -> list[str]:
    """Return the names of the built-in ``arch`` templates or ``workload`` files, sorted."""
    folder = files(_PACKAGES[kind])
    found = (f.name for f in folder.iterdir() if f.name.endswith(".yaml"))
    return sorted(name.removesuffix(".yaml") for name in found)


def find_workload(
    name: str,
    reading: Reading | None = None,
    parameters: Mapping[str, object] | None = None,
) -> Source:
    """Return the file of a workload; of several, where names or paths are joined by ``+``.

    A problem file of Timeloop, or a folder of them, is a workload, too, and so is an ONNX model.

    Args:
        name: of a built-in workload, or of a file ``NAME.yaml`` in this folder; or a path.
        reading: how Timeloop's files are read.
        parameters: values of an ONNX model's symbolic dimensions, among others.

    Raises:
        SpecError: there is no such file; the message lists the choices.
        DseError: more than 1 % of an ONNX model's MACs cannot be imported.
    """
    if "/" in name or "." in name:  # else it is not read: loading the reader takes time
        from dse.space.timeloop_workload import workload_files, workload_source  # noqa: PLC0415

        problems = workload_files(name)
        if problems is not None:
            return workload_source(name, problems, reading)
    parts = name.split("+")
    if len(parts) == 1 or Path(name).expanduser().is_file():
        return _network(name, parameters)
    from dse.space.workload import networks_text  # noqa: PLC0415

    return TextSource(name, networks_text([_network(part, parameters) for part in parts]))


def _network(name: str, parameters: Mapping[str, object] | None) -> Source:
    """Return the file of one network."""
    if name.endswith(".onnx"):
        from dse.space.onnx_workload import onnx_source  # noqa: PLC0415

        return onnx_source(name, parameters or {})
    return Path(f"{name}.yaml") if is_here(name) else find("workload", name)


def is_here(name: str) -> bool:
    """Whether a name that no built-in workload has is that of a file in this folder."""
    is_plain = "/" not in name and not name.endswith((".yaml", ".yml"))
    return is_plain and name not in names("workload") and Path(f"{name}.yaml").is_file()


def find(kind: str, name: str) -> Path | Traversable:
    """Return the file for a name, or for a path (anything that ends in .yaml or has a slash).

    Raises:
        SpecError: there is no such file; the message lists the choices.
    """
    if name.endswith((".yaml", ".yml")) or "/" in name:
        path = Path(name).expanduser()
        if not path.is_file():
            raise SpecError(f"{kind} '{name}': there is no such file")
        return path
    known = names(kind)
    if name not in known:
        ending = ".yaml or .onnx" if kind == "workload" else ".yaml"
        raise SpecError(f"{unknown_name(kind, name, known)}; a path must end in {ending}")
    return files(_PACKAGES[kind]).joinpath(f"{name}.yaml")


def template(name: str) -> ArchTemplate:
    """Return the architecture template of that name or path.

    Raises:
        SpecError: unknown, or the file is wrong.
    """
    from dse.space.template import ArchTemplate  # noqa: PLC0415

    return ArchTemplate.read(find("arch", name))


def workload(name: str, parameters: Mapping[str, object] | None = None) -> Workload:
    """Return the workload of that name or path, with these values of its parameters.

    Several joined by ``+`` are one workload, whose objective is their geometric mean. A space of
    networks stands for the network of its defaults.

    Raises:
        SpecError: unknown, or the file is wrong.
    """
    from dse.space.network_space import NetworkSpace  # noqa: PLC0415

    found = networks(name, parameters)
    return found.default if isinstance(found, NetworkSpace) else found


def networks(name: str, parameters: Mapping[str, object] | None = None) -> Workload | NetworkSpace:
    """Return the workload of that name or path; a space of networks as it is.

    Raises:
        SpecError: unknown, or the file is wrong.
    """
    from dse.space.network_space import read_networks  # noqa: PLC0415

    return read_networks(find_workload(name, None, parameters), parameters)
