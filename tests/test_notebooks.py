"""The notebooks in ``examples/``: each runs from top to bottom and shows what is stored in it.

Cells whose numbers depend on the processor, as those of what is learned do, are tagged ``varies``.
"""

from importlib.util import find_spec
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
NEEDED = {"nbclient": "docs", "ipykernel": "docs", "pandas": "notebook"}
#: What single notebooks need beyond it.
EXTRAS = {"silicon": {"torch": "learned", "sklearn": "learned", "safetensors": "learned"}}
_MOST_BYTES = 200_000


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_and_shows_what_is_stored(path, tmp_path):
    for module, extra in {**NEEDED, **EXTRAS.get(path.stem, {})}.items():
        if find_spec(module) is None:
            pytest.skip(f"{module} is not installed: the extra '{extra}'")
    import nbformat
    from notebooks import executed, shown

    stored = nbformat.read(path, as_version=4)
    found = executed(path, tmp_path)  # raises where a cell fails
    for old, new in zip(stored.cells, found.cells, strict=True):
        if new.cell_type == "code":
            if "varies" not in old.metadata.get("tags", ()):
                assert shown(new) == shown(old), new.source
            assert all(output.output_type != "error" for output in new.outputs)


def test_they_are_stored_small_and_with_what_they_show():
    assert len(NOTEBOOKS) == 4
    for path in NOTEBOOKS:
        assert path.stat().st_size < _MOST_BYTES, path.name
        assert '"image/png"' in path.read_text(encoding="utf-8"), path.name
        assert '"output_type": "error"' not in path.read_text(encoding="utf-8"), path.name
