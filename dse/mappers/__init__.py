"""Searches of one layer's mappings on fixed hardware: one contract, many methods.

``base`` is the contract; each other module is a mapper, found by entry point. ``ground`` and
``search`` are what they share.
"""
