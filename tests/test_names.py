"""Names: one meaning each."""

import ast
import re
from collections import defaultdict
from pathlib import Path

import dse

_ROOT = Path(dse.__file__).parents[1]
_MODULES = {
    path.relative_to(_ROOT): ast.parse(path.read_text(encoding="utf-8"))
    for room in ("dse", "optimizers")
    for path in sorted((_ROOT / room).rglob("*.py"))
}
_CAMEL_CASE = re.compile(r"_*[A-Z]\w*[a-z]\w*")


def _aliases(tree):
    """Yield name and definition of what a module calls a type of its own."""
    for node in tree.body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if isinstance(target, ast.Name) and _CAMEL_CASE.fullmatch(target.id):
            yield target.id, ast.unparse(node.value)


def test_no_class_name_stands_twice():
    found = defaultdict(list)
    for path, tree in _MODULES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                found[node.name.strip("_")].append(f"{path}:{node.lineno}")
    assert len(found) > 200
    assert not {name: places for name, places in found.items() if len(places) > 1}


def test_an_alias_means_the_same_wherever_it_stands_and_is_no_class():
    found = defaultdict(set)
    for tree in _MODULES.values():
        for name, meaning in _aliases(tree):
            found[name.strip("_")].add(meaning)
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                found[node.name.strip("_")].add("class")
    assert found["Floats"] == {"npt.NDArray[np.float64]"}
    assert not {name: meanings for name, meanings in found.items() if len(meanings) > 1}


def _is_own(attribute):
    return isinstance(attribute.value, ast.Name) and attribute.value.id in ("self", "cls")


def _members(tree):
    """Names that a module gives to members of its own classes, or to itself."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and _is_own(node):
            yield node.attr


def test_what_is_private_is_used_by_its_own_module_only():
    public = {"_replace", "_fields", "_make", "_exit"}  # Python's own, in spite of their names
    found = []
    for path, tree in _MODULES.items():
        known = {*_members(tree), *public}
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                names = [a.name for a in node.names if (node.module or "").startswith("dse")]
            elif isinstance(node, ast.Attribute) and not _is_own(node):
                names = [node.attr]
            else:
                continue
            private = [n for n in names if n.startswith("_") and not n.startswith("__")]
            found += [f"{path}:{node.lineno}: {n}" for n in private if n not in known]
    # numba offers no public way to a cache that goes stale with other files, nor to units of code
    ours = tuple(f"dse/jit{part}.py:" for part in ("", "_locks", "_tiers", "_units"))
    assert [place for place in found if not place.startswith(ours)] == []
