"""All files that timeloop-mapper and timeloop-model write, by name."""

from __future__ import annotations

import json
import logging
from dataclasses import replace

from dse.timeloop.evaluate import Evaluation
from dse.timeloop.search import BestMapping
from dse.timeloop.write.inputs import architecture_yaml, art_yaml, ert_yaml, problem_yaml
from dse.timeloop.write.map_stats_xml import map_stats_xml
from dse.timeloop.write.mapper import map_yaml
from dse.timeloop.write.oaves import oaves_csv
from dse.timeloop.write.report import map_text, stats_json
from dse.timeloop.write.stats import stats_text

_LOG = logging.getLogger(__name__)
_SPARSE = "of a sparse design"


def mapper_files(
    found: BestMapping, prefix: str = "timeloop-mapper", *, oaves: bool = False
) -> dict[str, str]:
    """Return the files of a search's result, each name begun with ``prefix``.

    Of a padded problem, that is one of them: the mapping is one of it, and of no other. So is the
    architecture, with parts of levels as levels of their own, of an uneven mapping.
    ``oaves`` asks for ``oaves.csv``, of the mapping found.
    """
    if isinstance(found.as_timeloop, str):
        return _of_numbers(found.evaluation, prefix, "of a mapping that they cannot say")
    if found.as_timeloop is not None:
        found = replace(found, evaluation=found.as_timeloop)
    spec = found.evaluation.input
    whole = spec.architecture.sparse is not None
    text = map_yaml(found.evaluation.mapping, spec.architecture, spec.problem, whole=whole)
    texts = {f"{prefix}.map.yaml": text}
    if found.as_timeloop is not None:
        texts[f"{prefix}.arch.yaml"] = architecture_yaml(spec.architecture)
    if found.padded:
        texts[f"{prefix}.problem.yaml"] = problem_yaml(spec.problem)
    if oaves:
        texts[f"{prefix}.oaves.csv"] = oaves_csv(found.evaluation)
    if spec.architecture.sparse is not None:
        return {**texts, **_of_numbers(found.evaluation, prefix, _SPARSE)}
    return {**texts, **_of_both(found.evaluation, prefix)}


def model_files(evaluation: Evaluation, prefix: str = "timeloop-model") -> dict[str, str]:
    """Return the files of an evaluation, and ``stats.json``, which holds all of its numbers.

    Of a sparse design these are that and the loop nest, as the others would leave out what is
    sparse of it.
    """
    if evaluation.input.architecture.sparse is not None:
        return _of_numbers(evaluation, prefix, _SPARSE)
    return {**_of_both(evaluation, prefix), "stats.json": _stats(evaluation)}


def _stats(evaluation: Evaluation) -> str:
    return json.dumps(stats_json(evaluation), indent=2, allow_nan=False) + "\n"


def _of_numbers(evaluation: Evaluation, prefix: str, why: str) -> dict[str, str]:
    _LOG.warning(
        "%s: stats.txt, map+stats.xml, ERT.yaml and ART.yaml are not written %s; stats.json has "
        "all numbers",
        *(prefix, why),
    )
    return {f"{prefix}.map.txt": map_text(evaluation), "stats.json": _stats(evaluation)}


def _of_both(evaluation: Evaluation, prefix: str) -> dict[str, str]:
    architecture = evaluation.input.architecture
    texts = {
        f"{prefix}.map.txt": map_text(evaluation),
        f"{prefix}.stats.txt": stats_text(evaluation),
        f"{prefix}.ERT.yaml": ert_yaml(architecture, ranges=True),
        f"{prefix}.ART.yaml": art_yaml(architecture, ranges=True),
    }
    if architecture.networks:
        _LOG.warning("%s.map+stats.xml: not written of declared networks", prefix)
        return texts
    return {**texts, f"{prefix}.map+stats.xml": map_stats_xml(evaluation)}
