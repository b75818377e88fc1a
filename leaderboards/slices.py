"""Slices of questions: by difficulty, part, SQL features and tables of the gold, its result, database."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple, get_args

from leaderboards.summary import level, part
from leaderboards.types import Record, Run, Slice
from tasks.types import Engine

FEATURES = ("join", "nested", "group", "order", "set operation", "plain SELECT")
"""SQL features of a gold: it joins tables, has a query in a query, GROUP BY, ORDER BY, UNION or the like; or
none of these."""
TABLES = ("no table", "1 table", "2 tables", "3 tables", "4+ tables")
RESULTS = ("no rows", "1 row", "2-9 rows", "10-99 rows", "100+ rows")
"""Sizes of the gold's result."""
_LARGER = (1, 2, 10, 100)
"""Rows from which on the next size of ``RESULTS`` begins."""
FIELDS = ("difficulty", "part", "feature", "tables", "result", "database")
"""What questions are divided by. A question has several features; of every other field at most one value."""
_ORDERS = {"feature": FEATURES, "tables": TABLES, "result": RESULTS}

Values = Mapping[str, tuple[str, ...]]
"""Field -> the slices in which a question is."""


class Features(NamedTuple):
    """What the syntax tree of a gold contains."""

    names: tuple[str, ...]
    """Of ``FEATURES``."""
    tables: int
    """Different tables that it names."""


def values(record: Record, engine: str) -> Values:
    """The slices in which a record's question is; a gold that cannot be parsed has no features and tables."""
    found = features(record.gold, engine)
    return {
        "difficulty": (record.difficulty,) if record.difficulty else (),
        "part": (record.part,) if record.part else (),
        "feature": found.names if found else (),
        "tables": (TABLES[min(found.tables, 4)],) if found else (),
        "result": (RESULTS[bisect_right(_LARGER, record.gold_rows)],),
        "database": (record.database,) if record.database else (),
    }


def ordered(field: str, names: Iterable[str]) -> list[str]:
    """The slices of a field: from easy to hard, from small to large, or alphabetically."""
    order = _ORDERS.get(field)
    return sorted(names, key=order.index) if order else sorted(names, key=level)


def engine_of(run: Run) -> Engine:
    """The engine of a run's databases, as its spec has it."""
    settings = run.spec.get("task")
    databases = settings.get("databases") if isinstance(settings, Mapping) else None
    engine = databases.get("engine") if isinstance(databases, Mapping) else None
    return next((known for known in get_args(Engine) if known == engine), "sqlite")


def by_slice(records: Iterable[Record], engine: str) -> dict[str, dict[str, Slice]]:
    """The headline figures of each slice: field -> slice -> figures. Fields with one slice are left out."""
    groups: defaultdict[str, defaultdict[str, list[Record]]] = defaultdict(lambda: defaultdict(list))
    for record in records:
        for field, names in values(record, engine).items():
            for name in names:
                groups[field][name].append(record)
    return {
        field: {name: part(groups[field][name]) for name in ordered(field, groups[field])}
        for field in FIELDS
        if len(groups[field]) > 1
    }


@lru_cache(maxsize=16_384)
def features(gold: str, engine: str) -> Features | None:
    """The features of a query, which sqlglot parses; None where that cannot."""
    from sqlglot import exp  # here, because a board reads no golds

    from rewards.structure.parse import parse

    tree = parse(gold, engine)
    if tree is None:
        return None
    common = {cte.alias.lower() for cte in tree.find_all(exp.CTE)}
    tables = {table.name.lower() for table in tree.find_all(exp.Table)} - common
    found = {
        "join": tree.find(exp.Join) is not None,
        "nested": any(select.find_ancestor(exp.Select, exp.CTE) for select in tree.find_all(exp.Select)),
        "group": tree.find(exp.Group) is not None,
        "order": any(query.args.get("order") for query in tree.find_all(exp.Query)),
        "set operation": tree.find(exp.SetOperation) is not None,
    }
    names = tuple(name for name in FEATURES if found.get(name))
    return Features(names or FEATURES[-1:], len(tables))
