"""The files that settings name: a template and a workload, ours or Timeloop's."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from dse.domain.padding import Padding
from dse.domain.problem import Workload
from dse.errors import SpecError
from dse.files import Source
from dse.runner.config import ResolvedConfig, RunConfig
from dse.space import catalog
from dse.space.network_space import NetworkSpace, read_networks
from dse.space.template import ArchTemplate
from dse.space.timeloop_files import Reading
from dse.space.timeloop_template import template_files, template_source
from dse.space.timeloop_workload import workload_files

_YAML = (".yaml", ".yml")


@dataclass(frozen=True)
class InputFiles:
    """What a search starts from.

    Attributes:
        config: the settings, those that were meant for Timeloop's files carried out.
        template, workload: as read.
        template_file, workload_file: their content.
    """

    config: ResolvedConfig
    template: ArchTemplate
    workload: Workload | NetworkSpace
    template_file: Source
    workload_file: Source


def read_inputs(config: ResolvedConfig, workload: str | None = None) -> InputFiles:
    """Read the template and the workload that settings name.

    Timeloop's architecture becomes a template: ``variables.COMPONENT.ATTRIBUTE`` frees or sets an
    attribute, and ``constraints=FILE`` joins it.

    Args:
        config: the settings.
        workload: in place of the settings' own.

    Raises:
        SpecError: a file is missing or wrong, or a setting does not fit it.
    """
    run = config.run
    rules = run.constraints if run.constraints and run.constraints.endswith(_YAML) else None
    paths = _timeloop_files(run, rules)
    name = workload or run.workload
    project = [*(paths or ()), *(workload_files(name) or ())]
    reading = Reading(run.timeloop_version, run.definitions, run.include_path, project)
    workload_file = catalog.find_workload(name, reading, run.parameters)
    network = read_networks(workload_file, run.parameters, run.network)
    if paths is None:
        reading.check_used()
        if rules:
            raise SpecError(
                f"constraints = {rules}: a file of constraints goes with Timeloop's architecture "
                f"files, and arch = {run.arch} is a template, which has its own"
            )
        template_file: Source = catalog.find("arch", run.arch)
    else:
        first = network.default if isinstance(network, NetworkSpace) else network
        problem = first.layers[0].problem
        template_file, variables = template_source(run.arch, paths, problem, run.variables, reading)
        reading.check_used()
        run = replace(run, variables=variables, constraints=None if rules else run.constraints)
    template = ArchTemplate.read(template_file)
    config = _with_padding(replace(config, run=run), template)
    return InputFiles(config, template, network, template_file, workload_file)


def _with_padding(config: ResolvedConfig, template: ArchTemplate) -> ResolvedConfig:
    """Return the settings with the padding that they or the template ask for, or the default.

    Built-in templates stand for published comparisons, which pad nothing, and optimizers that find
    mappings by themselves cannot; both leave dimensions as they are unless told otherwise.
    """
    run = config.run
    asked = run.mapspace.padding or template.spec.mapspace.padding
    if asked is None:
        factory = config.plugins["optimizer"].factory
        pads = factory.pads and factory.pads_unasked
        asked = "auto" if pads and run.arch not in catalog.names("arch") else "off"
    padding = Padding.parse(asked)
    mapspace = replace(run.mapspace, padding=padding.text)
    return replace(config, run=replace(run, mapspace=mapspace))


def _timeloop_files(run: RunConfig, rules: str | None) -> list[Path] | None:
    """Return Timeloop's files of the architecture; None: it is not Timeloop's."""
    if not any(sign in run.arch for sign in "/.+"):
        return None
    paths = template_files(run.arch)
    if paths is None:
        return None
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise SpecError(f"arch = {run.arch}: there is no file {missing[0]}")
    return [*paths, Path(rules).expanduser()] if rules else paths
