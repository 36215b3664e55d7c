"""What a mapping's cycles, energy and idle PEs are made of, by the rules of the model.

Import ``energy.energy_parts``, ``cycles.limits`` and ``parallel.fans``: each of an architecture, a
mapping and the model's answer. Its parts are all there is: they add up to the totals.
"""
