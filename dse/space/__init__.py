"""What is searched: templates with design variables, workload files, and the search space of both.

Import ``template``, ``variable``, ``workload``, ``catalog``, ``search_space`` and ``genes``;
``schema``, ``rules`` and ``derived`` are the template's own.
"""
