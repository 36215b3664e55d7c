"""Timeloop's files: reading, writing, converting, evaluating and mapping them; from Python, too.

Import ``evaluate``, ``convert``, ``mapper_run``, ``pat``, and from ``read``, ``write`` and
``yaml`` what their heads name. What users of timeloopfe look for stands in the package itself:
``Specification``, ``call_model``, ``call_mapper``, ``call_accelergy_verbose``, ``OutputStats`` and
``OutputStatsList``. No other program is run here; that is ``dse.tools``.
"""

from typing import Any

_RESULTS = ("OutputStats", "OutputStatsList")
_OWN = (*_RESULTS, "Specification", "call_accelergy_verbose", "call_mapper", "call_model")


def __getattr__(name: str) -> Any:  # noqa: ANN401
    """Load timeloopfe's words on use: they bring numpy and the readers along."""
    if name not in _OWN:
        raise AttributeError(f"module 'dse.timeloop' has no attribute '{name}'")
    from dse.timeloop import output, specification  # noqa: PLC0415

    return getattr(output if name in _RESULTS else specification, name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_OWN])
