"""Which files of ``dse`` a room's compiled code is made of, read from the sources.

From every compiled function, the names that it loads are followed to where they are defined: to
the functions that it calls, constants, and the tuples that its arguments are.
"""

import ast
from functools import cache
from pathlib import Path

import dse

ROOT = Path(dse.__file__).parent
DECORATORS = {"compiled", "tiered", "inner", "inlined"}


class Source:
    """One module: what it defines at its top level, and what it imports from ``dse``."""

    def __init__(self, path):
        self.path = path
        self.defined = {}
        self.imported = {}  # name: (file, name there, None for a module)
        self.compiled = []
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "dse":
                for alias in node.names:
                    self.imported[alias.asname or alias.name] = _found(node.module, alias.name)
        for node in tree.body:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                self.defined[node.name] = node
                marks = {x.id for x in node.decorator_list if isinstance(x, ast.Name)}
                if marks & DECORATORS:
                    self.compiled.append(node.name)
            elif isinstance(node, (ast.Assign, ast.AnnAssign)):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                for name in (x for t in targets for x in ast.walk(t) if isinstance(x, ast.Name)):
                    self.defined[name.id] = node

    def loads(self, name):
        """Names that a definition loads, each with the attribute where it is a module's."""
        node = self.defined[name]
        # of a tuple only the fields count: its methods are Python's
        is_class = isinstance(node, ast.ClassDef)
        parts = [x for x in node.body if isinstance(x, ast.AnnAssign)] if is_class else [node]
        for x in (x for part in parts for x in ast.walk(part)):
            if isinstance(x, ast.Attribute) and isinstance(x.value, ast.Name):
                yield x.value.id, x.attr
            elif isinstance(x, ast.Name) and x.id not in DECORATORS:
                yield x.id, None


def _found(module, name):
    """Return the file that ``from module import name`` reads, and the name there."""
    folder = "/".join(module.split(".")[1:])
    for path, inside in ((f"{folder}/{name}.py", None), (f"{folder}.py", name)):
        if (ROOT / path.lstrip("/")).is_file():
            return path.lstrip("/"), inside
    return f"{folder}/__init__.py".lstrip("/"), name


@cache
def source(path):
    """Return the parsed module of a file."""
    return Source(path)


def compiling_files():
    """Files with compiled functions."""
    paths = [path.relative_to(ROOT).as_posix() for path in sorted(ROOT.rglob("*.py"))]
    return [path for path in paths if path != "jit.py" and source(path).compiled]


def made_of(path):
    """Files that the compiled functions of a file are made of."""
    seen, todo = set(), [(path, name) for name in source(path).compiled]
    while todo:
        place = todo.pop()
        if place in seen:
            continue
        seen.add(place)
        here = source(place[0])
        if place[1] in here.imported:
            todo.append(here.imported[place[1]])
            continue
        if place[1] not in here.defined:
            continue
        for name, attribute in here.loads(place[1]):
            target = here.imported.get(name)
            if target is not None and target[1] is None:
                todo.append((target[0], attribute))
            elif target is not None or name in here.defined:
                todo.append(target or (place[0], name))
    return {file for file, _ in seen}
