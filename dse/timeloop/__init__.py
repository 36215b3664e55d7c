"""Timeloop's files: reading, writing, converting, and evaluating them with the native model.

Import ``evaluate``, ``convert``, ``pat``, and from ``read``, ``write`` and ``yaml`` what their
heads name. No other program is run here; that is ``dse.tools``.
"""
