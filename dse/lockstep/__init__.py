"""Searching the mappings of all layers in lock step, on hardware that moves with them.

Hardware couples the layers of a network through a few numbers only: given those, each layer's
mapping can be searched alone, against the slope of the network's objective. A sample is one mapping
for every layer, so all layers' searches advance together, one mapping each.

``layer`` searches one layer on one hardware, ``site`` all layers on it, ``transfer`` takes mappings
along to other hardware, ``moves`` proposes that hardware. The optimizer ``lockstep`` drives them.
"""
