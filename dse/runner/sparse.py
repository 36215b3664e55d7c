"""Which settings go with a sparse design, of which models of dense tensors know nothing."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace

from dse.errors import SpecError
from dse.plugins import plugin, plugins
from dse.runner.config import ResolvedConfig
from dse.space.template import ArchTemplate

_log = logging.getLogger(__name__)
#: The mapper that proves, and the one that searches where nothing can be proven.
_PROVER, _HEURISTIC = "optimal", "hillclimb"
_VERSIONS = ("4cf6d4c", "3.0.3")


def for_sparse(config: ResolvedConfig, template: ArchTemplate) -> ResolvedConfig:
    """Return the settings with which a sparse template is searched.

    The proving mapper's bounds hold for dense tensors: another one searches in its place, which a
    note says.

    Raises:
        SpecError: optimizer, mapper, evaluator or version know dense tensors only.
    """
    version = config.run.timeloop_version
    if version not in _VERSIONS:
        raise SpecError(
            f"timeloop_version = {version}: template '{template.name}' has sparse_optimizations; "
            f"expected one of {', '.join(_VERSIONS)}"
        )
    if config.plugins["mapper"].name == _PROVER:
        _log.warning(
            "mapper=%s searches in place of %s, whose bounds hold for dense tensors: template '%s' "
            "has sparse_optimizations",
            *(_HEURISTIC, _PROVER, template.name),
        )
        config = _with_mapper(config, _HEURISTIC)
    for kind in ("optimizer", "mapper", "evaluator"):
        if not config.plugins[kind].factory.takes_sparse:
            able = [name for name, one in plugins(kind).items() if one.factory.takes_sparse]
            raise SpecError(
                f"{kind}={config.plugins[kind].name} knows dense tensors only, and template "
                f"'{template.name}' has sparse_optimizations; expected one of {_listed(able)}"
            )
    return config


def _with_mapper(config: ResolvedConfig, name: str) -> ResolvedConfig:
    chosen = plugin("mapper", name)
    return replace(
        config,
        plugins={**config.plugins, "mapper": chosen},
        settings={**config.settings, "mapper": chosen.settings_type()},
    )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
