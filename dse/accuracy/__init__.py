"""How accurate the networks of a space are: predictors, found by entry point (``dse.accuracy``).

Import the contract from `dse.space.accuracy`, and :func:`dse.accuracy.choice.predictor`, which
makes the one that a setting names.
"""
