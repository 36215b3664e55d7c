"""Back ends that evaluate mappings: one contract, one conformance kit.

``base`` is the contract; ``native``, ``timeloop`` and ``pytimeloop`` implement it, the last two
by way of ``one_by_one``; ``memo`` and ``metered`` wrap any of them (``wrapped``). Searches import
``base``, never a back end.
"""
