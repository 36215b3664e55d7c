"""Models held against each other: the native one, its differentiable twin, the real Timeloop.

``model`` compares evaluators of mappings, ``twin`` the differentiable model with the exact one.
The command line imports both.
"""
