"""Timeloop's files: reading, writing, converting, evaluating and mapping them; from Python, too.

Import ``evaluate``, ``convert``, ``mapper_run``, ``pat``, and from ``read``, ``write`` and
``yaml`` what their heads name. ``Specification``, ``call_model`` and ``call_mapper`` stand in the
package itself, where users of timeloopfe look for them. No other program is run here; that is
``dse.tools``.
"""

from typing import Any

_OWN = ("OutputStats", "Specification", "call_mapper", "call_model")


def __getattr__(name: str) -> Any:  # noqa: ANN401
    """Load timeloopfe's words on use: they bring numpy and the readers along."""
    if name not in _OWN:
        raise AttributeError(f"module 'dse.timeloop' has no attribute '{name}'")
    from dse.timeloop import specification  # noqa: PLC0415

    return getattr(specification, name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_OWN])
