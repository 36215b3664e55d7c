"""State as data: what a search keeps over a kill, written without pickle, read with types.

``codec`` says what a state is made of (``State``) and writes it; ``entries`` reads plain data with
types, ``in_space`` the designs in it; ``generator`` has the state of a random generator.
"""
