"""The exact mapper: branch and bound over all mappings of one layer, with proof.

``proof`` is what others import (``prove``, ``layer_front``), and the errors of ``tables``; the
rest is its own. ``shape`` says what a mapspace is, ``layout`` what is tabulated of it.
"""
