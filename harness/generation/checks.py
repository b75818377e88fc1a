"""Keep the pairs whose query proves something: it runs, returns rows, and each of its conditions matters.

Each query also runs on the same tables with their rows in two other orders, where it must return the same
rows. All run in the sandbox.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from sqlglot import exp

from harness.generation.types import Catalog, Pair
from rewards.grader import Grader
from rewards.structure.parse import parse
from rewards.types import Answer
from tasks.databases.sandbox.pool import Sandbox
from tasks.types import Cell, Outcome

LARGEST = 5_000
"""Most rows of a result."""
LIMIT = 2**62
_DIGITS = 9
"""Significant digits in which numbers must agree: a sum depends on the order of its terms."""


class Checker:
    """Checks pairs on one database."""

    def __init__(self, catalog: Catalog, sandbox: Sandbox, grader: Grader) -> None:
        self._catalog = catalog
        self._sandbox = sandbox
        self._grader = grader
        self.refused: Counter[str] = Counter()
        """Cause -> pairs that were left out."""
        self._orders = {
            entity.name.rpartition(".")[2].strip('"').lower(): [
                field.name for field in entity.fields if field.kind != "other"
            ]
            for entity in catalog.entities
        }

    def keep(self, pairs: Sequence[Pair]) -> list[Pair]:
        """The pairs that pass."""
        plans = [(pair, tree) for pair in pairs if (tree := parse(pair.sql, self._catalog.engine))]
        self.refused["cannot be parsed"] += len(pairs) - len(plans)
        queries: list[list[str]] = [
            [pair.sql, *self._reordered(tree), *reduced(tree, self._catalog.engine)] for pair, tree in plans
        ]
        flat = [query for group in queries for query in group]
        outcomes = iter(self._sandbox.run([(self._catalog.database, 0, query) for query in flat]))
        kept = []
        for (pair, _), group in zip(plans, queries, strict=True):
            results = [next(outcomes) for _ in group]
            if cause := fault(results[0], results[1:3], results[3:]):
                self.refused[cause] += 1
            else:
                kept.append(pair)
        return self._without_ties(kept)

    def _reordered(self, tree: exp.Query) -> list[str]:
        """The query on the same rows in two other orders."""
        texts = []
        for descending in (True, False):
            copy = tree.copy()
            for table in list(copy.find_all(exp.Table)):
                columns = self._orders.get(table.name.lower(), [])
                terms = [f"{name} DESC" for name in columns] if descending else columns[::-1]
                table.replace(_sorted_copy(table, terms, self._catalog.engine))
            for column in copy.find_all(exp.Column):
                column.set("db", None)
            texts.append(copy.sql(dialect=self._catalog.engine))
        return texts

    def _without_ties(self, pairs: Sequence[Pair]) -> list[Pair]:
        """The pairs that are right against themselves, and whose LIMIT cuts through no tie."""
        database = self._catalog.database
        grades = self._grader.grade_answers([Answer(database, (pair.sql,), pair.sql) for pair in pairs])
        kept = []
        for pair, grade in zip(pairs, grades, strict=True):
            if any(verdict != 1 for verdict in grade.attempt.verdicts.values()):
                self.refused["cannot be scored"] += 1
            elif grade.attempt.ties_at_limit:
                self.refused["LIMIT cuts through a tie"] += 1
            else:
                kept.append(pair)
        return kept


def _sorted_copy(table: exp.Table, terms: Sequence[str], dialect: str) -> exp.Expr:
    """A subquery with the rows of a table in an order, under the table's name or alias."""
    inner = exp.select("*").from_(exp.Table(this=table.this.copy(), db=table.args.get("db")), copy=False)
    inner = inner.order_by(*terms, dialect=dialect).limit(LIMIT) if terms else inner
    alias = table.args.get("alias")
    name = alias.this if alias else table.this
    return inner.subquery(exp.to_identifier(name.name, quoted=name.args.get("quoted")), copy=False)


def reduced(tree: exp.Query, dialect: str) -> list[str]:
    """The query without its condition, with half of a condition, without LIMIT, or one side of it.

    Its result must differ from each of these.
    """
    copies: list[exp.Expr] = []
    if isinstance(tree, exp.SetOperation):
        copies = [tree.this] if not isinstance(tree, exp.Union) else [tree.this, tree.expression]
    for clause in ("where", "having", "limit"):
        if tree.args.get(clause):
            copy = tree.copy()
            copy.set(clause, None)
            copies.append(copy)
            copies += _halves(tree, clause)
    return [copy.sql(dialect=dialect) for copy in copies]


def _halves(tree: exp.Query, clause: str) -> Iterator[exp.Expr]:
    condition = tree.args[clause].this
    if isinstance(condition, exp.Paren):
        condition = condition.this
    if isinstance(condition, exp.And | exp.Or):
        for side in (condition.this, condition.expression):
            copy = tree.copy()
            copy.args[clause].set("this", side.copy())
            yield copy


def fault(gold: Outcome, reordered: Sequence[Outcome], simpler: Sequence[Outcome]) -> str:
    """Why a query proves little; "" if it does not."""
    if not gold.ok:
        return "does not run"
    if not gold.rows:
        return "returns no rows"
    if len(gold.rows) > LARGEST:
        return f"returns over {LARGEST:,} rows"
    if gold.rows in (((0,),), ((1,),)) and "COUNT" in str(gold.columns).upper():
        return "counts no row or one"
    if any(all(row[place] is None for row in gold.rows) for place in range(len(gold.columns))):
        return "returns an empty column"
    bag = _bag(gold)
    if any(not other.ok or _bag(other) != bag for other in reordered):
        return "depends on the order of rows"
    if any(other.ok and _bag(other) == bag for other in simpler):
        return "has a condition without effect"
    return ""


def _bag(outcome: Outcome) -> Counter[tuple[Cell, ...]]:
    return Counter(tuple(_rounded(cell) for cell in row) for row in outcome.rows)


def _rounded(cell: Cell) -> Cell:
    return float(f"{cell:.{_DIGITS}g}") if isinstance(cell, float) else cell
