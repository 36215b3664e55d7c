"""Back ends that price mappings: one contract, one conformance kit.

``base`` is the contract; ``native``, ``timeloop`` and ``pytimeloop`` implement it; ``memo`` and
``metered`` wrap any of them. Searches import ``base``, never a back end.
"""
