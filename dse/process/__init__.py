"""Other programs, run within limits and ended with all that they start.

``run`` runs one to its end, ``worker`` keeps one that answers questions, ``folder`` gives each a
folder of its own. Below them ``running`` speaks to ``launcher``, a process of its own that starts
programs and watches them; ``together`` says which programs end with each other.
"""
