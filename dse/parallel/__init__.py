"""Where work is done that takes long: in this process, in others, on other machines.

``base`` holds the contract of an engine, a plug-in of the kind ``parallel``, and what all engines
share; one module each holds ``threads``, ``loky``, ``dask`` and ``ray``.
"""
