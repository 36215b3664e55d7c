"""The conformance kits: tests that every plug-in must pass, outside ones too.

In a test module::

    from dse.testing import OptimizerConformance

    class TestMine(OptimizerConformance):
        optimizer = "mine"                  # the name it is registered under
        settings = {"population": 8}        # small, so that the tests are quick

pytest collects the inherited tests. They need no fixture but ``tmp_path``. ``MapperConformance``,
``EvaluatorConformance``, ``ToolConformance`` (of evaluators that run an external tool),
``ObjectiveConformance`` and ``EngineConformance`` (of what ``parallel`` names) are subclassed in
the same way.
"""

from dse.testing.engines import EngineConformance
from dse.testing.evaluators import EvaluatorConformance, ToolConformance
from dse.testing.mappers import MapperConformance
from dse.testing.objectives import ObjectiveConformance
from dse.testing.optimizers import OptimizerConformance

__all__ = [
    "EngineConformance",
    "EvaluatorConformance",
    "MapperConformance",
    "ObjectiveConformance",
    "OptimizerConformance",
    "ToolConformance",
]
