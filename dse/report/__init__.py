"""What people see of finished runs: tables, comparisons, fronts.

The command line imports ``table``, ``compare`` and ``front``. Nothing below prints.
"""
