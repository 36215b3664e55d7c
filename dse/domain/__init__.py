"""The words of the field: problems, architectures, mappings, constraints, technology, arithmetic.

Stands on the ground (errors, settings, jit, files, plugins); knows no search, no file format, no
model. Every other room may import any module of it.
"""
