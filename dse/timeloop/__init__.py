"""Timeloop's files: reading inputs, writing them, and reports in Timeloop's form."""
