"""Hydra in front of a run: config groups, overrides, sweeps and launchers.

Hydra's own folders and logging are switched off; what it says of a wrong override becomes one
line with the nearest match.
"""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, get_type_hints

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from dse.errors import SpecError, ToolError, unknown_name
from dse.extras import is_installed
from dse.plugins import GROUPS, Plugin, explain, find, names, plugins
from dse.runner.config import DEFAULT_PLUGINS, FREE_TEXT, RunConfig, known_keys
from dse.space import catalog

_Command = Callable[[dict[str, Any]], None]

#: Options of ``run``, Hydra's own that make sense here among them.
_FLAGS = (
    *("--json", "--quiet", "--help", "--multirun", "--cfg", "--config-dir", "-q", "-h", "-m"),
    *("-D", "--define", "--include-path"),
)
_FLAGS_WITH_VALUE = ("--cfg", "--config-dir")
#: Launchers of Hydra's own project, by the package of each.
_LAUNCHERS = {
    "joblib": "hydra-joblib-launcher",
    "ray": "hydra-ray-launcher",
    "rq": "hydra-rq-launcher",
    "submitit_local": "hydra-submitit-launcher",
    "submitit_slurm": "hydra-submitit-launcher",
}
_HYDRA = {
    "run": {"dir": "."},
    "sweep": {"dir": "${runs}", "subdir": "."},
    "output_subdir": None,
    "job": {"name": "dse"},
}
#: A number with an exponent, no larger than any integer may be.
_EXPONENT = re.compile(r"\d+(\.\d*)?[eE]\+?(\d|1\d)")
#: Settings of Hydra's that would have it make folders of its own, or leave the one it is in.
_HYDRAS_FOLDERS = re.compile(r"hydra(\.(run|sweep|output_subdir|job\.chdir)(\..*)?)?")


def run_with_hydra(arguments: Sequence[str], task: _Command, folder: Path | None = None) -> None:
    """Compose the settings from command-line overrides and call ``task``, once per job.

    Args:
        arguments: settings and flags.
        task: gets the settings.
        folder: of a sweep, in which Hydra leaves what it notes of it; None: in ``runs``.

    Raises:
        SpecError: an override is malformed, or names an unknown setting or choice.
    """
    arguments = _without_template_flags(arguments)
    sweep = is_sweep(arguments)
    flags, words = _flags_apart(arguments)
    has_files = any(flag.partition("=")[0] == "--config-dir" for flag in flags)
    words = [named(word) for word in words]
    chosen = _choices(words)
    words = [_checked(word, sweep, chosen) for word in words]
    # a configuration file may choose any
    _store({kind: names(kind) for kind in GROUPS} if has_files else chosen)

    # the optimizer may go with a mapper of its own; a configuration file may choose one, too
    names_mapper = has_files or any(
        word.lstrip("+~").partition("=")[0].partition(".")[0] == "mapper" for word in words
    )

    def job(config: DictConfig) -> None:
        settings = OmegaConf.to_container(config, resolve=True)
        if not isinstance(settings, dict):
            raise TypeError("the configuration is not a mapping")
        if not names_mapper:
            settings.pop("mapper", None)
        task({str(key): value for key, value in settings.items()})

    main = hydra.main(config_path=None, config_name="run", version_base="1.3")(job)
    if folder is not None:
        words.append(f"hydra.sweep.dir={_text(str(folder))}")
    # Hydra takes settings on one side of its flags only
    with _command_line([*flags, *words]):
        try:
            main()
        except HydraException as error:
            raise SpecError(_one_line(error)) from error
        except OmegaConfBaseException as error:
            raise SpecError(explain(error)) from error


def _flags_apart(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the flags that Hydra knows with their values, and the other words."""
    flags: list[str] = []
    words: list[str] = []
    for before, word in zip(["", *arguments], arguments, strict=False):
        is_flag = before in _FLAGS_WITH_VALUE or word.partition("=")[0] in _FLAGS
        (flags if is_flag else words).append(word)
    return flags, words


def is_sweep(arguments: Sequence[str]) -> bool:
    """Whether the words are those of several runs."""
    return bool({"-m", "--multirun"} & set(arguments))


def jobs_of(arguments: Sequence[str]) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the settings of every job of a sweep, and the settings that have several values.

    Raises:
        SpecError: as :func:`run_with_hydra`; or another sweeper than Hydra's own is named, which
            would choose values by what came before.
    """
    words = [word for word in arguments if not _is_of_launcher(word)]
    if any(word.lstrip("+~").startswith("hydra/sweeper") for word in words):
        raise SpecError("hydra/sweeper: a sweep takes all combinations of its values")
    jobs: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as notes:
        run_with_hydra(words, jobs.append, Path(notes))
    parser = OverridesParser.create()
    read = [parser.parse_override(_quoted(w, sweep=True)) for w in words if not w.startswith("-")]
    return jobs, [one.key_or_group for one in read if one.is_sweep_override()]


def names_launcher(arguments: Sequence[str]) -> bool:
    """Whether the jobs of a sweep are a launcher's to call."""
    return any(_is_of_launcher(word) for word in arguments)


def launch(arguments: Sequence[str], task: Callable[[int], None], folder: Path) -> None:
    """Call ``task`` with the number of every job of a sweep, by the launcher that is named.

    Raises:
        SpecError: there is none of that name.
    """

    def job(_: dict[str, Any]) -> None:
        task(int(HydraConfig.get().job.num))

    run_with_hydra(arguments, job, folder)


def _check_launcher(name: str) -> None:
    """Refuse a launcher that cannot work here; the message says what is missing."""
    package = _LAUNCHERS.get(name)
    if package is not None and not is_installed(f"hydra_plugins.{package.replace('-', '_')}"):
        raise SpecError(f"hydra/launcher={name} needs {package}: pip install {package}")
    if name == "submitit_slurm" and shutil.which("srun") is None:
        raise ToolError(
            "hydra/launcher=submitit_slurm: there is no srun on PATH; expected a machine of a "
            "Slurm cluster, or hydra/launcher=submitit_local"
        )


def _is_of_launcher(word: str) -> bool:
    return word.lstrip("+~").startswith(("hydra/launcher", "hydra.launcher"))


def _without_template_flags(arguments: Sequence[str]) -> list[str]:
    """Return the words with what ``-D`` and ``--include-path`` set as settings.

    Raises:
        SpecError: a flag has no value, or ``-D`` no name.
    """
    left: list[str] = []
    folders: list[str] = []
    words = iter(arguments)
    for word in words:
        flag, equals, value = word.partition("=")
        if word.startswith("-D") and len(word) > 2:
            flag, value, equals = "-D", word[2:], "="
        if flag not in ("-D", "--define", "--include-path"):
            left.append(word)
            continue
        value = value if equals else next(words, "")
        name, equals, content = value.partition("=")
        if flag == "--include-path":
            folders.append(value)
        elif equals and name.isidentifier():
            left.append(f"++definitions.{name}={_text(content)}")
        else:
            raise SpecError(f"{flag} {value}: expected NAME=VALUE")
    if folders:
        left.append(f"include_path=[{','.join(map(_text, folders))}]")
    return left


def _text(value: str) -> str:
    """Return a text as Hydra's grammar has it."""
    # a backslash is one, but for those before a quote
    escaped = re.sub(r"(\\*)('|$)", lambda m: m[1] * 2 + (m[2] and f"\\{m[2]}"), value)
    return f"'{escaped}'"


def named(word: str) -> str:
    """Write the names that a ``glob(PATTERN)`` stands for, as Hydra does for config groups.

    Raises:
        SpecError: no name is like that, or the setting is no choice of a name.
    """
    key, _, value = word.partition("=")
    if not value.startswith("glob("):
        return word
    try:
        pattern: Any = OverridesParser.create().parse_override(word).value()
    except HydraException as error:
        raise SpecError(f"'{word}': {_one_line(error)}") from error
    if not isinstance(pattern, Glob):
        return word
    if key in GROUPS:
        known = list(names(key))
    elif key in ("arch", "workload"):
        known = catalog.names(key)
    else:
        choices = ", ".join(("arch", "workload", *GROUPS))
        raise SpecError(f"'{word}': glob chooses among names, expected one of {choices}")
    found = pattern.filter(known)
    if not found:
        raise SpecError(f"'{word}': no name is like that (choices: {', '.join(known)})")
    return f"{key}={','.join(found)}"


def _choices(words: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the names of plug-ins that are the default or that words may choose, by kind."""
    found = {kind: [name] for kind, name in DEFAULT_PLUGINS.items()}
    for word in words:
        key, _, value = word.lstrip("+~").partition("=")
        if key in GROUPS:
            found[key] += [name for name in names(key) if name in value]
    return {kind: tuple(dict.fromkeys(some)) for kind, some in found.items()}


def _store(chosen: Mapping[str, Sequence[str]]) -> None:
    """Register the settings of a run and of the plug-ins that may be chosen, by kind."""
    store = ConfigStore.instance()
    for kind, some in chosen.items():
        for name in some:
            if (item := find(kind, name)) is not None:
                store.store(group=kind, name=name, node=_group_node(item))
    defaults: list[Any] = [
        *({kind: name} for kind, name in DEFAULT_PLUGINS.items()),
        "_self_",
        {"override hydra/job_logging": "none"},
        {"override hydra/hydra_logging": "none"},
    ]
    schema = dataclasses.make_dataclass(
        "RunSettings",
        [
            ("defaults", list[Any], dataclasses.field(default_factory=lambda: defaults)),
            ("hydra", Any, dataclasses.field(default_factory=lambda: _HYDRA)),
        ],
        bases=(_WithoutGroups,),
    )
    store.store(name="run", node=schema)


def _group_node(item: Plugin) -> DictConfig:
    """Return a plug-in's settings as a typed configuration node with its ``name``."""
    own = item.settings_type
    schema = dataclasses.make_dataclass(
        own.__name__,
        [("name", str, dataclasses.field(default=item.name))],
        bases=(own,),
        # a frozen dataclass cannot inherit from one that is not
        frozen=own.__dataclass_params__.frozen,
    )
    node: DictConfig = OmegaConf.structured(schema)
    # settings are frozen dataclasses, whose nodes would be read-only
    OmegaConf.set_readonly(node, False)
    return node


_WithoutGroups = dataclasses.make_dataclass(
    "_WithoutGroups",
    [
        (f.name, get_type_hints(RunConfig)[f.name], f)
        for f in dataclasses.fields(RunConfig)
        if f.name not in GROUPS
    ],
    # launchers pickle it; by its name, so that what they send back does not change it
    namespace={"__module__": __name__},
)


def _checked(word: str, sweep: bool, chosen: Mapping[str, Sequence[str]]) -> str:
    """Return an override as Hydra wants it, after a check of its key and choice."""
    if word.startswith("-"):
        raise SpecError(unknown_name("option", word, _FLAGS))
    word = _whole(_quoted(word, sweep))
    try:
        override = OverridesParser.create().parse_override(word)
    except HydraException as error:
        detail = f" ({_one_line(error)})" if "=" in word else ""
        raise SpecError(f"'{word}' is not a setting, expected SETTING=VALUE{detail}") from error
    key = override.key_or_group
    if key.partition(".")[0].partition("/")[0] == "hydra":
        if _HYDRAS_FOLDERS.fullmatch(key):
            raise SpecError(
                f"'{word}': Hydra's own folders are not used; expected runs=DIR, in which the run "
                "folders are made, or folder=DIR"
            )
        if "/" in key and any(not isinstance(value, str) for value in _values(override)):
            raise SpecError(f"'{word}': expected the name of a choice")
        if key == "hydra/launcher":
            _check_launcher(str(override.value()))
        return word
    if override.is_sweep_override() and not sweep:
        raise SpecError(f"'{word}' has several values: -m runs one after the other")
    if key in GROUPS:
        for value in _values(override):
            if not isinstance(value, str) or find(key, value) is None:
                raise SpecError(unknown_name(key, str(value), plugins(key)))
        return word
    if key.startswith(("variables.", "parameters.", "definitions.", "network.")):
        # which there are is the template's or the workload's to say
        return word if word.startswith(("+", "~")) else f"++{word}"
    if key not in _keys(chosen):
        # of the other plug-ins, too: the word may be right, and miss the choice beside it
        known = _keys({kind: names(kind) for kind in GROUPS})
        if key not in known:
            raise SpecError(unknown_name("setting", key, known))
    return word


def _keys(chosen: Mapping[str, Sequence[str]]) -> set[str]:
    """Return all settings as dotted keys, for these plug-ins by kind."""
    return {key for kind, some in chosen.items() for n in some for key in known_keys({kind: n})}


def _whole(word: str) -> str:
    """Write whole numbers with an exponent, as in ``samples=1e4``, as the integers they are."""
    key, equals, value = word.partition("=")
    parts = value.split(",")
    if not equals or not all(_EXPONENT.fullmatch(part) for part in parts):
        return word
    numbers = [Decimal(part) for part in parts]
    if any(number != number.to_integral_value() for number in numbers):
        return word
    return f"{key}={','.join(str(int(number)) for number in numbers)}"


def _quoted(word: str, sweep: bool) -> str:
    """Quote arithmetic and commands, which Hydra does not parse; commas of a sweep stay."""
    key, equals, value = word.partition("=")
    if key.lstrip("+") not in FREE_TEXT or not equals or value[:1] in "'\"":
        return word
    if sweep and key == "objective" and not set(value) & set("()<>"):
        return word
    return word if value in ("", "null") else f"{key}={_text(value)}"


def _values(override: Override) -> list[Any]:
    if override.is_sweep_override():
        return list(override.sweep_iterator())
    return [override.value()]


def _one_line(error: Exception) -> str:
    if isinstance(error.__cause__, OmegaConfBaseException):
        return explain(error.__cause__)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2]) if lines else type(error).__name__


@contextmanager
def _command_line(words: list[str]) -> Iterator[None]:
    """Let Hydra read these words as the command line, and raise errors instead of printing."""
    argv, full = sys.argv, os.environ.get("HYDRA_FULL_ERROR")
    sys.argv = ["dse run", *words]
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        yield
    finally:
        sys.argv = argv
        if full is None:
            del os.environ["HYDRA_FULL_ERROR"]
        else:
            os.environ["HYDRA_FULL_ERROR"] = full
