"""Checks the proofs of the co-search by a second argument, and keeps the optima that are known.

Shares no table, bound or kernel with the searches: an error there must not pass here, so rules
of the model (``dse.model.rules``) stand here a second time on purpose. Import ``run`` and
``known``.
"""
