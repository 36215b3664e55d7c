"""Genomes, decoding and evolution strategies of accelerators and mappings.

Optimizers and the ``cma`` mapper import it: ``strategy``, ``genome``, ``hardware``, ``population``;
``decode`` is the genome's kernel.
"""
