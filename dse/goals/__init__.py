"""What designs and mappings are worth: metrics, violations, objectives, limits, fronts, proofs.

Evaluators and mappers stand on this room and never on the study. Import ``metrics``,
``objective``, ``limits``, ``metric_names``, ``design``, ``pareto``, ``meter``, ``certificate``.
"""
