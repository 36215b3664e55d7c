"""Why a result is as it is: what limits each layer, where its energy goes, what more would buy.

Import ``run.explained_run`` for run folders, ``run.explained_result`` for a result at hand,
``layer.ExplainedLayer`` for one mapping, and ``changes.what_if`` for what more hardware would buy.
"""
