"""Energy and area of components: chains from Accelergy, CACTI, tables, logic scaling.

Import ``chain`` (``energy_chain``); it prices an architecture. The other modules are its parts,
one source of prices each.
"""
