"""The driver: asks an optimizer, evaluates designs, counts samples, keeps the journal.

``optimizer`` is the contract of optimizers, ``study`` the loop; ``journal``, ``checkpoint``,
``folder`` and ``result`` are what it leaves on disk; ``inputs`` is what a study is of.
"""
