"""``energy=accelergy``: prices from an Accelergy that is installed, cached by content.

Accelergy is run on the components that no run has priced yet, all in one call. What its dummy
table answers (1 pJ, 1 um^2 for whatever no plug-in knows) is an error here.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from dse.components.base import EnergyChain
from dse.components.ert import ErtChain
from dse.disk import cache_folder
from dse.domain.architecture import Architecture, Compute, StorageLevel
from dse.domain.technology import Technology
from dse.errors import SpecError, ToolError
from dse.process.folder import own_folder, result_text
from dse.process.limits import Limits
from dse.process.run import ending, run
from dse.timeloop.read.tables import EnergyTable

_LOG = logging.getLogger(__name__)
GUIDE = "https://accelergy.mit.edu/infra_instructions.html"
_VARIABLE = "DSE_ACCELERGY"
_LIMITS = Limits(timeout_s=600.0)
_SRAM = ("SRAM", "smartbuffer_SRAM", "smartbuffer", "storage")
_REGISTERS = ("regfile", "register", "smartbuffer_RF")
_STORAGE_ACTIONS = ["read", "write", "update", "leak"]
_COMPUTE_ACTIONS = ["compute", "leak"]
#: Accelergy 0.3 has other names for actions and ports, and a latency for the cycle time.
_ACTIONS_0_3 = {"compute": "mac_random", "leak": "idle"}
_ATTRIBUTES_0_3 = {"n_rw_ports": "n_rdwr_ports"}
#: Exponent and mantissa bits of floating-point numbers, as Accelergy's Aladdin tables have them.
_FLOATS = {16: (5, 10), 32: (8, 24), 64: (11, 53)}

#: A component's price: pJ by action, and um^2.
_Estimate = tuple[dict[str, float], float]


@dataclass(frozen=True)
class Accelergy:
    """An installed Accelergy."""

    path: Path
    version: str

    @property
    def is_0_3(self) -> bool:
        """Whether it reads version 0.3 of the input format."""
        return self.version.startswith(("0.1", "0.2", "0.3"))


def find() -> Accelergy:
    """Return the Accelergy that DSE_ACCELERGY names, or PATH.

    Raises:
        ToolError: there is none, or it does not run.
    """
    named = os.environ.get(_VARIABLE)
    found = shutil.which(named or "accelergy")
    if found is None:
        where = f"{_VARIABLE} names '{named}'" if named else f"not on PATH, and {_VARIABLE} not set"
        raise ToolError(f"accelergy is missing: {where}; how to install it: {GUIDE}")
    path = Path(found).absolute()
    return Accelergy(path, _version(path, path.stat().st_mtime_ns))


@lru_cache
def _version(path: Path, _modified_ns: int) -> str:
    """Ask the Python that runs Accelergy for its version."""
    with path.open("rb") as script:
        first = script.readline(4096).decode(errors="replace").strip()
    interpreter = first.removeprefix("#!").split(maxsplit=1)
    if not first.startswith("#!") or not interpreter:
        raise ToolError(f"{path}: is no Python script, so its version is unknown")
    question = "from importlib.metadata import version; print(version('accelergy'))"
    with own_folder() as folder:
        finished = run([*interpreter, "-c", question], folder, _LIMITS)
        if finished.returncode != 0:
            raise finished.failure(f"{path} does not say its version")
        return finished.output.strip().splitlines()[-1]


class AccelergyChain(EnergyChain):
    """Prices by the Accelergy that is installed, at the template's node and clock."""

    name = "accelergy"
    summary = "an installed Accelergy with its plug-ins, at a given node and clock"

    def price(self, architecture: Architecture) -> Architecture:
        """See :meth:`dse.components.base.EnergyChain.price`.

        Raises:
            SpecError: the architecture names no technology, or a component has no counterpart.
            ToolError: Accelergy is missing or failed, or only its dummy table knows a component.
        """
        technology = architecture.technology
        if technology is None:
            raise SpecError(
                f"architecture '{architecture.name}': energy chain 'accelergy' needs the key "
                "'technology' with node_nm and clock_ns"
            )
        if architecture.sparse is not None:
            raise SpecError(
                f"architecture '{architecture.name}': energy chain 'accelergy' prices no metadata; "
                "expected another one for sparse_optimizations, such as table"
            )
        named: list[tuple[str, dict[str, Any]]] = [
            (level.name, storage_component(level, technology))
            for level in architecture.levels
            if level.kind != "dummy_storage"
        ]
        compute = architecture.compute
        named.append((compute.name, compute_component(compute)))
        prices = price_components([component for _, component in named], technology)
        names = [name for name, _ in named]
        table = EnergyTable(
            {name: [actions] for name, (actions, _) in zip(names, prices, strict=True)}
        )
        areas = {name: area for name, (_, area) in zip(names, prices, strict=True)}
        return ErtChain(table, areas, "accelergy").price(architecture)

    def price_storage(self, level: StorageLevel, technology: Technology | None) -> StorageLevel:
        """See :meth:`dse.components.base.EnergyChain.price_storage`."""
        raise NotImplementedError("Accelergy prices whole architectures")

    def price_compute(self, compute: Compute, technology: Technology | None) -> Compute:
        """See :meth:`dse.components.base.EnergyChain.price_compute`."""
        raise NotImplementedError("Accelergy prices whole architectures")


def storage_component(level: StorageLevel, technology: Technology) -> dict[str, Any]:
    """Return a level as Accelergy's component: one cluster, whose row moves at once.

    Raises:
        SpecError: its class has no counterpart.
    """
    width_bits = level.word_bits * level.block_size * level.cluster_size
    attributes: dict[str, Any] = {"width": width_bits}
    if level.is_dram:
        attributes |= {"type": technology.dram, "datawidth": level.word_bits}
        return {"class": "DRAM", "attributes": attributes, "required_actions": _STORAGE_ACTIONS}
    if level.size_words is None:
        raise SpecError(f"level '{level.name}': has no size, so it has no energy")
    attributes["depth"] = max(-(-level.size_words // level.block_size), 1)
    if level.kind in _SRAM:
        attributes |= {"n_rw_ports": level.ports, "n_banks": level.banks}
        kind = "SRAM"
    elif level.kind in _REGISTERS:
        kind = "regfile"
    else:
        choices = ", ".join(("DRAM", *_SRAM, *_REGISTERS))
        raise SpecError(
            f"level '{level.name}': class '{level.kind}' is not one that Accelergy can price, "
            f"expected one of {choices}"
        )
    return {"class": kind, "attributes": attributes, "required_actions": _STORAGE_ACTIONS}


def compute_component(compute: Compute) -> dict[str, Any]:
    """Return the MACs as Accelergy's component.

    Raises:
        SpecError: the class, or the format of its numbers, has no counterpart.
    """
    attributes: dict[str, Any] = {"width": compute.word_bits, "datawidth": compute.word_bits}
    if compute.kind == "fpmac":
        if compute.word_bits not in _FLOATS:
            raise SpecError(
                f"compute '{compute.name}': fpmac of {compute.word_bits} bits, expected one of "
                f"{', '.join(map(str, _FLOATS))}"
            )
        exponent, mantissa = _FLOATS[compute.word_bits]
        attributes |= {"exponent": exponent, "mantissa": mantissa}
    elif compute.kind != "intmac":
        raise SpecError(
            f"compute '{compute.name}': class '{compute.kind}', expected intmac or fpmac"
        )
    return {
        "class": compute.kind,
        "attributes": attributes,
        "required_actions": _COMPUTE_ACTIONS,
    }


def price_components(
    components: Sequence[dict[str, Any]], technology: Technology
) -> list[_Estimate]:
    """Return the prices of components, from the cache or from one run of Accelergy.

    Raises:
        ToolError: Accelergy is missing or failed, or only its dummy table knows a component.
    """
    tool = find()
    keys = [_key(tool, component, technology) for component in components]
    known = {key: price for key in set(keys) if (price := _cached(key)) is not None}
    missing = {
        key: component for key, component in zip(keys, components, strict=True) if key not in known
    }
    if missing:
        fresh = _ask(tool, list(missing.values()), technology)
        for key, price in zip(missing, fresh, strict=True):
            _store(key, price)
            known[key] = price
    return [known[key] for key in keys]


def accelergy_input(
    tool: Accelergy, components: Sequence[dict[str, Any]], technology: Technology
) -> str:
    """Return the architecture that Accelergy is asked to price."""
    node = f"{technology.node_nm:g}nm"
    local = []
    for index, component in enumerate(components):
        entry = {"name": f"C{index}", **component}
        if tool.is_0_3:
            entry = {k: v for k, v in entry.items() if k != "required_actions"}
            given = {_ATTRIBUTES_0_3.get(k, k): v for k, v in component["attributes"].items()}
            entry["attributes"] = {**given, "latency": f"{technology.clock_ns:g}ns"}
        local.append(entry)
    top: dict[str, Any] = {"technology": node}
    if not tool.is_0_3:
        top["global_cycle_seconds"] = technology.clock_ns * 1e-9
    tree = {
        "architecture": {
            "version": 0.3 if tool.is_0_3 else 0.4,
            "subtree": [{"name": "system", "attributes": top, "local": local}],
        }
    }
    # JSON is YAML with all words in quotes, without which Accelergy takes them for arithmetic
    return json.dumps(tree, indent=1) + "\n"


def _ask(
    tool: Accelergy, components: Sequence[dict[str, Any]], technology: Technology
) -> list[_Estimate]:
    with own_folder() as folder:
        text = accelergy_input(tool, components, technology)
        (folder / "input.yaml").write_text(text, encoding="utf-8")
        finished = run([str(tool.path), "input.yaml", "-o", "."], folder, _LIMITS)
        if finished.returncode != 0:
            raise finished.failure(f"accelergy {ending(finished.returncode)}")
        try:
            tables = {
                name: yaml.safe_load(result_text(folder / f"{name}.yaml"))
                for name in ("ERT", "ERT_summary", "ART", "ART_summary")
            }
            dummy = _dummies(tables["ERT_summary"]) | _dummies(tables["ART_summary"])
            prices = _prices(tables["ERT"], tables["ART"], len(components), tool)
        except FileNotFoundError as error:
            raise finished.failure(f"accelergy wrote no {Path(error.filename).name}") from error
        except (KeyError, TypeError, ValueError, yaml.YAMLError) as error:
            raise finished.failure(f"accelergy's tables cannot be read: {error!r}") from error
        if dummy:
            worst = components[min(dummy)]
            raise finished.failure(
                f"no plug-in of accelergy knows a '{worst['class']}' with {worst['attributes']} at "
                f"{technology.node_nm:g} nm: its dummy table would price it with 1 pJ and 1 um^2"
            )
        return prices


def _prices(ert: Any, art: Any, count: int, tool: Accelergy) -> list[_Estimate]:  # noqa: ANN401
    """Return the prices of components C0, C1, ..."""
    renamed = {v: k for k, v in _ACTIONS_0_3.items()} if tool.is_0_3 else {}
    energies = {
        _index(table["name"]): {
            renamed.get(a["name"], a["name"]): float(a["energy"]) for a in table["actions"]
        }
        for table in ert["ERT"]["tables"]
    }
    areas = {_index(table["name"]): float(table["area"]) for table in art["ART"]["tables"]}
    return [(energies[i], areas[i]) for i in range(count)]


def _dummies(summary: Any) -> set[int]:  # noqa: ANN401
    """Return the components that the dummy table estimated."""
    found = set()
    (content,) = summary.values()
    for table in content["table_summary"]:
        for key, estimations in table.items():
            if not key.startswith("primitive_estimation"):
                continue
            listed = estimations if isinstance(estimations, list) else [{"estimator": estimations}]
            if any("dummy" in str(e.get("estimator", "")).lower() for e in listed):
                found.add(_index(table["name"]))
    return found


def _index(name: str) -> int:
    return int(name.rpartition(".")[2].partition("[")[0].removeprefix("C"))


def _key(tool: Accelergy, component: dict[str, Any], technology: Technology) -> str:
    content = [
        str(tool.path),
        tool.path.stat().st_mtime_ns,
        tool.version,
        accelergy_input(tool, [component], technology),
    ]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


@lru_cache(maxsize=4096)
def _read_price(path: Path) -> _Estimate:
    content = json.loads(path.read_text(encoding="utf-8"))
    actions = {str(name): float(pj) for name, pj in content["energy_pj"].items()}
    return actions, float(content["area_um2"])


def _cached(key: str) -> _Estimate | None:
    path = cache_folder("accelergy") / f"{key}.json"
    try:
        return _read_price(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        _LOG.warning("%s: is not used, and priced anew (%s)", path, error)
        return None


def _store(key: str, price: _Estimate) -> None:
    """Keep a price; it is written whole or not at all."""
    folder = cache_folder("accelergy")
    content = {"energy_pj": price[0], "area_um2": price[1]}
    part = folder / f"{key}.{os.getpid()}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(content) + "\n", encoding="utf-8")
        part.replace(folder / f"{key}.json")
    except OSError as error:
        _LOG.warning("%s: prices cannot be kept there (%s)", folder, error)
