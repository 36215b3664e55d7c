"""What arithmetic over design variables comes to: all distinct outcomes, few of the combinations.

Arithmetic of many variables mostly depends on few numbers that they make: an array of
``min(array_x, pes)`` columns is the same for every ``pes`` above that. So variables are joined one
by one, as parts of the arithmetic need them; a variable that nothing else needs goes, and of rows
that are equal from there on one stays.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass

import numpy as np

from dse.domain.expression import Expression, array_of
from dse.errors import DseError
from dse.numeric import Flags, Floats, Ints
from dse.space.rules import Relation
from dse.space.variable import Values, Variable

#: Rows of two tables joined at a time, of all pairs that one join may go through, and that may be
#: left at the end.
_CHUNK, _MOST_PAIRS, _MOST_ROWS = 2_000_000, 150_000_000, 2_000_000
#: Places up to which rows are told apart by place, not by sorting.
_MOST_PLACES = 2**24
_ARITHMETIC = (ast.BinOp, ast.UnaryOp, ast.Call, ast.IfExp)
_SIGNS = {"==": ast.Eq, "!=": ast.NotEq, "<=": ast.LtE, ">=": ast.GtE, "<": ast.Lt, ">": ast.Gt}


class TooManyOutcomesError(DseError):
    """The combinations are too many to go through; the message says which."""


@dataclass(frozen=True, eq=False)
class Outcomes:
    """Distinct outcomes, R of them.

    Attributes:
        variables: what they are outcomes of.
        columns: ``(R,)`` by key.
        code: ``(R,)`` a combination of values that makes each.
    """

    variables: tuple[Variable, ...]
    columns: dict[str, Floats]
    code: Ints

    def __len__(self) -> int:
        return len(self.code)

    def values(self, row: int) -> Values:
        """Return a combination that makes an outcome."""
        left, found = int(self.code[row]), {}
        for variable in self.variables:
            left, place = divmod(left, variable.count)
            found[variable.name] = variable.value_at(place)
        return found

    def take(self, which: Flags) -> Outcomes:
        """Return the outcomes where ``which`` is set."""
        columns = {key: column[which] for key, column in self.columns.items()}
        return Outcomes(self.variables, columns, self.code[which])


@dataclass(frozen=True, eq=False)
class _PartialOutcomes:
    """Distinct rows of names that what is still to be computed needs."""

    columns: dict[str, Floats]
    code: Ints

    def __len__(self) -> int:
        return len(self.code)


def outcomes(
    variables: Sequence[Variable],
    fixed: Values,
    wanted: Mapping[str, Expression],
    rules: Sequence[Relation] = (),
) -> Outcomes:
    """Return all distinct outcomes of arithmetic.

    What has no value, or none that is finite, is left out.

    Args:
        variables: over all of whose values it is taken.
        fixed: other variables.
        wanted: the arithmetic, by key.
        rules: what combinations have to satisfy.

    Raises:
        TooManyOutcomesError: there are too many to go through.
    """
    counts = [v.count for v in variables]
    if math.prod(counts) >= 2**62 or max(counts, default=0) > _MOST_ROWS:
        raise TooManyOutcomesError(_too_many(variables))
    tables, stride = [], 1
    for v in variables:
        places = np.arange(v.count)
        column = np.array([v.value_at(int(i)) for i in places], np.float64)
        tables.append(_PartialOutcomes({v.name: column}, places * stride))
        stride *= v.count
    trees = {key: deepcopy(expression.tree) for key, expression in wanted.items()}
    checks = [_as_tree(rule) for rule in rules]
    work = _Elimination(trees, checks, fixed)
    tables = [work.close(table) for table in tables]
    while (pair := work.next_join(tables)) is not None:
        chosen = [tables[i] for i in pair]
        if math.prod(map(len, chosen)) > _MOST_PAIRS:
            raise TooManyOutcomesError(_too_many(variables))
        tables = [table for i, table in enumerate(tables) if i not in pair]
        tables.append(work.join(chosen))
    if math.prod(map(len, tables)) > _MOST_ROWS:
        raise TooManyOutcomesError(_too_many(variables))
    whole = work.join(tables)
    columns = {}
    for key, tree in work.trees.items():
        value = np.asarray(array_of(tree, {**fixed, **whole.columns}), np.float64)
        columns[key] = np.broadcast_to(value, len(whole)).copy()
    found = Outcomes(tuple(variables), columns, whole.code)
    finite = np.ones(len(found), np.bool_)
    for column in columns.values():
        finite &= np.isfinite(column)
    return found.take(finite)


def _too_many(variables: Sequence[Variable]) -> str:
    count = math.prod(v.count for v in variables)
    names = ", ".join(v.name for v in variables)
    return f"{count:,} combinations of {names}, which hang together, are too many to go through"


def _as_tree(rule: Relation) -> ast.expr:
    """Return a rule as arithmetic: 1 where it holds, else 0."""
    test = ast.Compare(deepcopy(rule.left.tree), [_SIGNS[rule.sign]()], [deepcopy(rule.right.tree)])
    return ast.IfExp(test=test, body=ast.Constant(1), orelse=ast.Constant(0))


class _Elimination:
    """Arithmetic that is still to be computed: parts that were, have names of their own."""

    def __init__(
        self, trees: dict[str, ast.expr], checks: list[ast.expr], fixed: Mapping[str, int]
    ) -> None:
        self.trees = trees
        self._checks = checks
        self._fixed = fixed
        self._made = 0

    def _all(self) -> Iterator[ast.expr]:
        yield from self.trees.values()
        yield from self._checks

    def names(self, tree: ast.AST) -> set[str]:
        """Return the free names of a tree."""
        called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
        found = {
            node.id
            for node in ast.walk(tree)
            if isinstance(node, ast.Name) and id(node) not in called
        }
        return found - self._fixed.keys()

    def next_join(self, tables: Sequence[_PartialOutcomes]) -> tuple[int, ...] | None:
        """Return which tables the least part needs that needs several; None: there is no such."""
        owner = {name: i for i, table in enumerate(tables) for name in table.columns}
        best: tuple[int, tuple[int, ...]] | None = None
        for tree in self._all():
            for node in ast.walk(tree):
                if not isinstance(node, _ARITHMETIC):
                    continue
                needed = tuple(sorted({owner[name] for name in self.names(node)}))
                cost = math.prod(len(tables[i]) for i in needed)
                if len(needed) > 1 and (best is None or cost < best[0]):
                    best = cost, needed
        return None if best is None else best[1]

    def close(self, table: _PartialOutcomes) -> _PartialOutcomes:
        """Compute what a table has all names of."""
        return self.join([table])

    def join(self, tables: Sequence[_PartialOutcomes]) -> _PartialOutcomes:
        """Return all combinations of tables' rows, with what they have all names of computed."""
        if not tables:
            return _PartialOutcomes({}, np.zeros(1, np.int64))
        known = {name for table in tables for name in table.columns}
        steps = self._close(known)
        checks = [check for check in self._checks if self.names(check) <= known | steps.keys()]
        self._checks = [check for check in self._checks if all(check is not one for one in checks)]
        live = set().union(*(self.names(tree) for tree in self._all()))
        live &= known | steps.keys()
        follow = {name for name, tree in steps.items() if self.names(tree) <= live - {name}}
        first, *others = sorted(tables, key=len, reverse=True)
        rest = _product(others)
        size = max(1, _CHUNK // len(rest))
        parts: list[_PartialOutcomes] = []
        for start in range(0, len(first), size):
            end = min(start + size, len(first))
            named = {name: column[start:end, None] for name, column in first.columns.items()}
            named |= {name: column[None, :] for name, column in rest.columns.items()}
            for name, tree in steps.items():
                named[name] = np.asarray(array_of(tree, {**self._fixed, **named}), np.float64)
            shape = (end - start, len(rest))
            keep = np.ones(shape, np.bool_)
            for check in checks:
                keep &= np.asarray(array_of(check, {**self._fixed, **named})) != 0
            code = (first.code[start:end, None] + rest.code[None, :])[keep]
            columns = {name: np.broadcast_to(named[name], shape)[keep] for name in sorted(live)}
            parts.append(_distinct(_PartialOutcomes(columns, code), follow))
        return _distinct(_stacked(parts), follow)

    def _close(self, known: Collection[str]) -> dict[str, ast.expr]:
        """Replace the largest parts that need known names only; return these by their new names."""
        steps: dict[str, ast.expr] = {}
        texts: dict[str, str] = {}
        closing = _Close(self, set(known), steps, texts)
        self.trees = {key: closing.of(tree) for key, tree in self.trees.items()}
        self._checks = [closing.of(tree) for tree in self._checks]
        # smaller parts first, and by their names within larger ones
        ordered: dict[str, ast.expr] = {}
        done: dict[str, str] = {}
        for text in sorted(texts, key=len):
            ordered[texts[text]] = _NamedParts(done).within(steps[texts[text]])
            done[text] = texts[text]
        return ordered

    def new_name(self) -> str:
        """Return a name that no variable has: theirs hold no spaces."""
        self._made += 1
        return f"part {self._made}"


class _Close(ast.NodeTransformer):
    """Gives names to the largest parts of trees that need known names only."""

    def __init__(
        self, work: _Elimination, known: set[str], steps: dict[str, ast.expr], texts: dict[str, str]
    ) -> None:
        self._work, self._known, self._steps, self._texts = work, known, steps, texts

    def of(self, tree: ast.expr) -> ast.expr:
        """Return a tree with such names."""
        found: ast.expr = self.visit(tree)  # type: ignore[assignment]
        return found

    def visit(self, node: ast.AST) -> ast.AST:
        """Return a name for a part that can be computed; else go on with its own parts."""
        if isinstance(node, _ARITHMETIC):
            names = self._work.names(node)
            if names and names <= self._known:
                text = ast.dump(node)
                if text not in self._texts:
                    self._texts[text] = self._work.new_name()
                    self._steps[self._texts[text]] = node
                return ast.Name(id=self._texts[text], ctx=ast.Load())
        if isinstance(node, ast.Call):
            node.args = [self.visit(argument) for argument in node.args]  # type: ignore[misc]
            return node
        return self.generic_visit(node)


class _NamedParts(ast.NodeTransformer):
    """Puts names in place of parts whose text has one."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names

    def visit(self, node: ast.AST) -> ast.AST:
        """Return the name of a part that has one; else go on with its own parts."""
        if isinstance(node, _ARITHMETIC) and (name := self._names.get(ast.dump(node))):
            return ast.Name(id=name, ctx=ast.Load())
        return self.generic_visit(node)

    def within(self, tree: ast.expr) -> ast.expr:
        """Return a tree with names in it; the tree as a whole stays."""
        return self.generic_visit(tree)  # type: ignore[return-value]


def _product(tables: Sequence[_PartialOutcomes]) -> _PartialOutcomes:
    """Return all combinations of the rows of tables."""
    columns: dict[str, Floats] = {}
    code = np.zeros(1, np.int64)
    for table in tables:
        columns = {name: np.repeat(column, len(table)) for name, column in columns.items()}
        columns |= {name: np.tile(column, len(code)) for name, column in table.columns.items()}
        code = (code[:, None] + table.code[None, :]).reshape(-1)
    return _PartialOutcomes(columns, code)


def _stacked(parts: Sequence[_PartialOutcomes]) -> _PartialOutcomes:
    names = parts[0].columns
    columns = {name: np.concatenate([part.columns[name] for part in parts]) for name in names}
    return _PartialOutcomes(columns, np.concatenate([part.code for part in parts]))


def _distinct(table: _PartialOutcomes, follow: Collection[str]) -> _PartialOutcomes:
    """Return one of all rows that are equal; columns that ``follow`` from others are not asked."""
    key = np.zeros(len(table), np.int64)
    span = 1
    for name, column in table.columns.items():
        if name in follow:
            continue
        rank, count = _ranks(column)
        if span * count >= 2**62:
            key = np.unique(key, return_inverse=True)[1].reshape(-1).astype(np.int64)
            span = int(key.max(initial=0)) + 1
        key = key * count + rank
        span *= count
    if span <= _MOST_PLACES:
        place = np.full(span, -1)
        place[key[::-1]] = np.arange(len(key))[::-1]
        kept = np.sort(place[place >= 0])
    else:
        kept = np.sort(np.unique(key, return_index=True)[1])
    columns = {name: column[kept] for name, column in table.columns.items()}
    return _PartialOutcomes(columns, table.code[kept])


def _ranks(column: Floats) -> tuple[Ints, int]:
    """Return numbers that are equal where values are, and how many there may be."""
    if len(column):
        low, high = float(column.min()), float(column.max())
        if high - low < 2**20 and (column == np.floor(column)).all():
            return (column - low).astype(np.int64), int(high - low) + 1
    values, rank = np.unique(column, return_inverse=True)
    return rank.reshape(-1).astype(np.int64), max(len(values), 1)
