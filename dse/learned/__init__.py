"""Learned latency: what recorded cycles of real hardware teach about mappings not recorded.

Import ``encoding`` (mappings as features), ``rows`` and ``dosa_rows`` (recorded answers),
``predictor`` (the interface), ``kinds`` (which there are), ``folder`` (a trained model as files)
and ``evaluator``. PyTorch, scikit-learn and safetensors are loaded on use.
"""
