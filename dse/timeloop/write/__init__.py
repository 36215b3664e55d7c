"""The domain's objects as Timeloop's files, and its reports of a mapping.

Import ``inputs`` (``write_design``, ``mapping_text``), ``report`` and ``template``; ``constraints``
is theirs.
"""
