"""Timeloop's model of sparse tensors (Sparseloop).

Import `evaluate` for what the model makes of a design, which `dse.domain.sparse` says, and
`batch.evaluate` for many mappings at once.
"""
