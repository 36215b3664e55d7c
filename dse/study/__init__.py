"""The driver: asks an optimizer, evaluates designs, counts samples, keeps the journal.

``optimizer`` is the contract of optimizers, ``study`` the loop; ``journal``, ``checkpoint``,
``folder`` and ``result`` are what it leaves on disk. ``state`` says what may be kept over a kill,
and writes it; ``entries`` and ``in_space`` read it with types; ``inputs`` is what a study is of.
"""
