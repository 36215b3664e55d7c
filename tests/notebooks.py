"""The notebooks in ``examples/``: executed, their outputs as text, and written anew.

``python -m tests.notebooks [NAME ...]`` executes them (all, if none is named) and keeps what they
show in the files; it needs the extras ``notebook`` and ``learned``.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

FOLDER = Path(__file__).parents[1] / "examples"
#: One cell; the whole takes less than a minute once the model is compiled.
_LIMIT_S = 600
_DPI = "72"
_COMPILES = re.compile(r"^(compiling|waiting for a process that compiles) dse\..*\n?", re.MULTILINE)


def executed(path: Path, folder: Path) -> NotebookNode:
    """Run a notebook from top to bottom in a folder, in a kernel of this interpreter.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell has failed.
    """
    notebook = nbformat.read(path, as_version=4)
    here = str(Path(sys.executable).parent)  # where the `python` of its shell lines is
    environment = {**os.environ, "PATH": f"{here}{os.pathsep}{os.environ.get('PATH', '')}"}
    client = NotebookClient(
        notebook, timeout=_LIMIT_S, kernel_name="python3", resources={"metadata": {"path": folder}}
    )
    client.execute(env=environment)
    return notebook


def shown(cell: NotebookNode) -> str:
    """Return what a code cell shows as text; what it says of its progress is not part of it."""
    parts = []
    for output in cell.outputs:
        if output.output_type == "stream" and output.name == "stdout":
            parts.append(output.text)
        elif output.output_type in ("execute_result", "display_data"):
            parts.append(output.data.get("text/plain", ""))
    return _COMPILES.sub("", "\n".join(parts)).strip()


def main(names: list[str]) -> None:
    """Execute notebooks and write them back without what differs from time to time."""
    for path in [FOLDER / f"{name}.ipynb" for name in names] or sorted(FOLDER.glob("*.ipynb")):
        with tempfile.TemporaryDirectory() as folder:
            notebook = executed(path, Path(folder))
        for cell in notebook.cells:
            cell.metadata.pop("execution", None)  # times
            if cell.cell_type == "code":
                cell.outputs = [o for o in cell.outputs if o.get("name") != "stderr"]
        nbformat.write(notebook, path)


if __name__ == "__main__":
    main(sys.argv[1:])
