"""YAML and jinja2 texts as nodes that know their file and line.

Import ``io`` (``load_files``, ``load_texts``) and ``nodes``; ``parse`` and ``render`` bound work,
size and depth of what strangers wrote.
"""
