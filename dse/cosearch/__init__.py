"""The exact co-search: the best hardware and mappings of a whole network, with proof.

``search`` drives it; hardware is cut into frames of equal mesh, each with tables of its layers.
Import ``search``, ``certificate`` and ``goal``; ``two_tier`` holds what knows one shape only.
"""
