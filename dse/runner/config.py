"""The settings of a run: one dataclass, and one per plug-in, checked wherever they come from.

Command line, Python and a run folder's ``config.yaml`` all end in :func:`resolve`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dse.errors import SpecError, unknown_name
from dse.plugins import GROUPS, Plugin, chosen, find, typed
from dse.settings import setting

#: The plug-in that a run uses of each kind, unless told otherwise.
DEFAULT_PLUGINS = {
    "optimizer": "auto",
    "mapper": "random",
    "evaluator": "native",
    "parallel": "threads",
}

#: Settings whose values are texts whatever they look like.
FREE_TEXT = ("objective", "constraints", "accuracy", "evaluator.command")


@dataclass
class MapspaceConfig:
    """Which mappings are searched, besides what the template's constraints say."""

    free: bool = setting(
        False,
        "whether any loops may run wherever the hardware's fan-outs and sizes admit them; false: "
        "as the template constrains dimensions, factors and orders",
    )
    uneven: Any = setting(
        False,
        "levels each of whose tensors may stand at loops of its own: true, all that can be; or "
        "names, as in mapspace.uneven=[Scratchpad]; false: none",
    )
    onchip: str | None = setting(
        None,
        "what a tensor that bypasses the outermost level asks of the next: whole, all of it has "
        "to fit; timeloop, any tile will do; null: the template's own rule, mostly whole",
    )
    padding: str | None = setting(
        None,
        "whether dimensions may be padded to sizes that divide well: off; auto, to all useful "
        "sizes; 10%, to those of up to so much more; null: the template's own, else off for "
        "built-in templates and with optimizer=auto, and auto for others",
    )


@dataclass
class RunConfig:
    """Settings of ``run``; the plug-ins' own settings stand under ``optimizer`` and so on."""

    optimizer: Any = setting(None, "how designs are searched")
    mapper: Any = setting(None, "how mappings are found for hardware that has none")
    evaluator: Any = setting(None, "what prices a mapping")
    parallel: Any = setting(None, "where work is done that takes long")
    arch: str = setting("gemmini", "architecture template: a name, or the path of a YAML file")
    workload: str = setting("resnet50", "network: a name, or a YAML or ONNX file")
    # the values are for the template to check: numbers, or names of choices
    variables: dict[str, Any] = setting({}, "fixed template variables, as variables.NAME=VALUE")
    parameters: dict[str, int] = setting(
        {}, "parameters of the workload (a context length), as parameters.NAME=VALUE"
    )
    # the values are for the space of networks to check
    network: dict[str, Any] = setting(
        {},
        "fixed variables of a space of networks, as network.NAME=VALUE; a name also stands for all "
        "NAME_...",
    )
    accuracy: str | None = setting(
        None,
        "what says how accurate the networks of a space are: macs, table:FILE, mlp:FILE, "
        "digits:FOLDER, or a function of your own, module:function; null: macs, a stand-in",
    )
    # as text, for templates to make of it what they like
    definitions: dict[str, str] = setting(
        {}, "variables of Timeloop's files that are jinja2 templates; short: -D NAME=VALUE"
    )
    include_path: list[str] = setting(
        [], "folders from which such templates may include files; short: --include-path DIR"
    )
    mapspace: MapspaceConfig = field(
        default_factory=MapspaceConfig, metadata={"help": "which mappings are searched"}
    )
    objective: str = setting(
        "edp",
        "what is minimised: edp energy delay area adp eadp, arithmetic over metrics, as in "
        "objective='2*cycles + energy_pj', or a function of your own, module:function",
    )
    constraints: str | None = setting(
        None, "what every design has to satisfy, as in constraints='area_mm2 < 4, power_w < 2'"
    )
    samples: int | None = setting(
        None,
        "budget: mappings evaluated for every unique layer; null: the optimizer's own, mostly 1000",
    )
    seed: int = setting(0, "seed of all randomness")
    energy: str | None = setting(None, "energy chain; null: the template's own")
    timeloop_version: str = setting("4cf6d4c", "Timeloop to equal: 4cf6d4c 3.0.3 dosa")
    n_jobs: int = setting(
        0, "threads, or workers started here, 0 = all cores; results do not depend on it"
    )
    store: str | None = setting(
        None,
        "folder in which the answers of a slow evaluator are kept: a run that is resumed, or asks "
        "the same, finds them there; machines may share one; null: nowhere",
    )
    record: bool = setting(
        False,
        "leave every mapping that the evaluator prices, with its cycles, in the run folder's "
        "rows.jsonl, which 'python -m dse train' learns from",
    )
    report: bool = setting(
        True, "leave report.html in the run folder: what was found and why, in one file"
    )
    runs: str = setting("runs", "folder in which the run folder is made")
    folder: str | None = setting(None, "the run folder itself; null: a new one in 'runs'")


@dataclass(frozen=True)
class ResolvedConfig:
    """Checked settings, with the plug-ins they name and instances of their settings."""

    run: RunConfig
    plugins: dict[str, Plugin]
    settings: dict[str, Any]

    @property
    def has_own_mapper(self) -> bool:
        """Whether the mapper is the one that goes with the optimizer, as it is set."""
        named = _own_mapper(self.plugins["optimizer"], self.settings["optimizer"])
        item, options = chosen("mapper", named, DEFAULT_PLUGINS["mapper"])
        own = typed(item.settings_type, options, "mapper.")
        return (item.name, own) == (self.plugins["mapper"].name, self.settings["mapper"])

    @property
    def contents(self) -> list[Path]:
        """The files elsewhere, and the folders of such, that settings name."""
        found = [
            Path(value)
            for kind in GROUPS
            for field in dataclasses.fields(self.settings[kind])
            if field.metadata.get("contents")
            and (value := getattr(self.settings[kind], field.name))
        ]
        if self.run.accuracy is not None:
            from dse.accuracy.choice import files_of  # noqa: PLC0415 - loads numpy and pydantic

            found += files_of(self.run.accuracy)
        return found

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain data, defaults included; :func:`resolve` reads it back."""
        whole = dataclasses.asdict(self.run)
        plain = {key: value for key, value in whole.items() if key not in GROUPS}
        groups = {
            kind: {"name": self.plugins[kind].name, **dataclasses.asdict(self.settings[kind])}
            for kind in GROUPS
        }
        return {**groups, **plain}


def resolve(given: Mapping[str, Any]) -> ResolvedConfig:
    """Check settings and fill in the defaults.

    Args:
        given: plain data; a plug-in is its name, or a mapping of ``name`` and its settings.

    Raises:
        SpecError: an unknown setting or plug-in, or a value of the wrong type.
    """
    fields = [f.name for f in dataclasses.fields(RunConfig)]
    for key in given:
        if key not in fields:
            raise SpecError(unknown_name("setting", str(key), fields))
    found: dict[str, Plugin] = {}
    settings: dict[str, Any] = {}
    for kind in GROUPS:
        named = given.get(kind) or DEFAULT_PLUGINS[kind]
        if kind == "mapper" and not given.get(kind):
            named = _own_mapper(found["optimizer"], settings["optimizer"])
        found[kind], options = chosen(kind, named, DEFAULT_PLUGINS[kind])
        settings[kind] = typed(found[kind].settings_type, options, f"{kind}.")
    plain = {key: value for key, value in given.items() if key not in GROUPS}
    return ResolvedConfig(typed(RunConfig, plain, ""), found, settings)


def _own_mapper(optimizer: Plugin, settings: Any) -> Any:  # noqa: ANN401
    """Return the mapper that an optimizer goes with; a name, or a mapping with settings."""
    own = getattr(optimizer.factory, "default_mapper", None)
    return DEFAULT_PLUGINS["mapper"] if own is None else own(settings)


def known_keys(chosen: Mapping[str, str]) -> list[str]:
    """Return all settings as dotted keys, for these plug-ins by kind."""
    keys = [f.name for f in dataclasses.fields(RunConfig)]
    keys += [f"mapspace.{f.name}" for f in dataclasses.fields(MapspaceConfig)]
    for kind in GROUPS:
        options = find(kind, chosen.get(kind, DEFAULT_PLUGINS[kind]))
        if options is not None:
            keys += [f"{kind}.{f.name}" for f in dataclasses.fields(options.settings_type)]
    return keys
