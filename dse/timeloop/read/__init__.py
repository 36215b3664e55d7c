"""Timeloop's input files as the domain's objects.

Import ``inputs`` (``read_files``, ``read_text``); each other module reads one part: architecture,
problem, mapping, constraints, energy tables.
"""
