"""What the files of ``dse/`` and ``optimizers/`` import, read from their source.

Every ``import`` counts: at the top, in a function, and under ``TYPE_CHECKING``. A name taken from
a package (``from dse.model import evaluate_one``) stands for the module that the package takes it
from, also where the package loads it on first use.
"""

from __future__ import annotations

import ast
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent

#: Folders of the checkout that are packages under ``dse``, as setup.cfg maps them.
MAPPED = ("optimizers",)


@dataclass(frozen=True)
class Import:
    """One imported module.

    Attributes:
        importer: the module that imports.
        target: a module of ours, or the name of a library.
        line: where it stands.
        kind: ``top``, ``local`` (in a function) or ``typing`` (under ``TYPE_CHECKING``).
    """

    importer: str
    target: str
    line: int
    kind: str

    def __str__(self) -> str:
        return f"{path(self.importer).relative_to(ROOT)}:{self.line}: {self.target}"


@cache
def modules() -> dict[str, Path]:
    """Return our modules and packages with their files."""
    files = {f: f.relative_to(ROOT) for f in ROOT.glob("dse/**/*.py")}
    for folder in MAPPED:
        files |= {f: Path("dse") / f.relative_to(ROOT) for f in ROOT.glob(f"{folder}/**/*.py")}
    names = {f: ".".join(place.with_suffix("").parts) for f, place in files.items()}
    return {name.removesuffix(".__init__"): f for f, name in names.items()}


def path(module: str) -> Path:
    """Return a module's file."""
    return modules()[module]


def room(module: str) -> str:
    """Return the part of the package that a module belongs to: ``model`` of ``dse.model.fit``."""
    _, _, rest = module.partition(".")
    return rest.partition(".")[0] or "dse"


@cache
def imports() -> tuple[Import, ...]:
    """Return all imports of all our modules; a target is never the importer itself."""
    found = []
    for module in modules():
        for node, kind in _statements(module):
            for name in _names(node):
                target = _source(name)
                if target != module:
                    found.append(Import(module, target, node.lineno, kind))
    return tuple(found)


@cache
def loads(module: str) -> frozenset[str]:
    """Return the libraries that importing a module loads, directly or through others of ours."""
    found: set[str] = set()
    seen: set[str] = set()
    todo = [module]
    while todo:
        one = todo.pop()
        if one in seen:
            continue
        seen.add(one)
        if one not in modules():
            found.add(one.partition(".")[0])
            continue
        parts = one.split(".")
        todo += [".".join(parts[:n]) for n in range(1, len(parts))]  # packages above it
        todo += [x.target for x in _by_importer().get(one, ()) if x.kind == "top"]
    return frozenset(found - sys.stdlib_module_names)


def circles(arrows: dict[str, set[str]]) -> list[list[str]]:
    """Return the groups of names that reach each other (Tarjan's strong components)."""
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found = []

    def visit(name: str) -> None:
        order[name] = lowest[name] = len(order)
        stack.append(name)
        for other in sorted(arrows.get(name, ())):
            if other not in order:
                visit(other)
                lowest[name] = min(lowest[name], lowest[other])
            elif other in stack:
                lowest[name] = min(lowest[name], order[other])
        if lowest[name] == order[name]:
            group = stack[stack.index(name) :]
            del stack[stack.index(name) :]
            if len(group) > 1:
                found.append(sorted(group))

    for name in sorted(arrows):
        if name not in order:
            visit(name)
    return found


@cache
def _by_importer() -> dict[str, list[Import]]:
    found: dict[str, list[Import]] = {}
    for one in imports():
        found.setdefault(one.importer, []).append(one)
    return found


@cache
def _statements(module: str) -> tuple[tuple[ast.Import | ast.ImportFrom, str], ...]:
    """Return a module's import statements, each with its kind."""
    found = []

    def walk(node: ast.AST, kind: str) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, (ast.Import, ast.ImportFrom)):
                found.append((child, kind))
            elif isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
                walk(child, "local")
            elif isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
                walk(child, "typing")
            else:
                walk(child, kind)

    walk(ast.parse(path(module).read_text(encoding="utf-8")), "top")
    return tuple(found)


def _names(node: ast.Import | ast.ImportFrom) -> list[str]:
    """Return what a statement imports as dotted names; relative imports are not our style."""
    if isinstance(node, ast.Import):
        return [a.name for a in node.names]
    if node.module is None or node.level:
        raise AssertionError(f"a relative import: {ast.unparse(node)}")
    return [f"{node.module}.{a.name}" for a in node.names]


def _source(name: str) -> str:
    """Return the module that a dotted name comes from; for libraries, the name of the library."""
    if name.partition(".")[0] != "dse":
        return name.partition(".")[0]
    if name in modules():
        return name
    package, _, last = name.rpartition(".")
    if path(package).name == "__init__.py":
        for node, _ in _statements(package):
            for alias, source in zip(node.names, _names(node), strict=True):
                if (alias.asname or alias.name) == last:
                    return _source(source)
    return package
