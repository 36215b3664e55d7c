"""What people see of finished runs: tables, comparisons, fronts, and the page of a run.

The command line imports ``table``, ``compare``, ``front`` and ``page``. Nothing below prints.
"""
