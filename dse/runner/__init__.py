"""From settings to results: one set-up for runs and single layers, the run itself, its files.

The command line and ``dse.api`` import ``run``, ``map_layer`` and ``config``. (The room is not
called ``run``: ``dse.run`` is the public function.)
"""
