"""Whatever runs another program: processes with limits, Timeloop's binaries and bindings.

Evaluators, mappers and validation import it; nothing below knows that other programs exist.
``process`` and ``worker`` are general, the rest speaks to Timeloop.
"""
