"""Fill a schema with rows: random, but of the values that matter, and with its constraints intact."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from tasks.databases.engines.sqlite_statements import quote
from tasks.databases.instances.pools import Pool
from tasks.types import Cell, Row


@dataclass(frozen=True, slots=True)
class Link:
    """A foreign key: ``columns`` of the table that holds it point to ``targets`` of ``other``."""

    columns: tuple[str, ...]
    other: str
    targets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """How one table is filled: each column from its pool, or from the base's row at the same place."""

    name: str
    columns: tuple[str, ...]
    pools: tuple[Pool, ...]
    links: tuple[Link, ...]
    base: tuple[Row, ...] = ()


def fill(connection: sqlite3.Connection, plans: Sequence[Plan], rows: int, random: Random) -> None:
    """Replace all rows. Rows that would break a constraint of the schema are left out."""
    connection.execute("PRAGMA foreign_keys = OFF")
    done: dict[str, list[dict[str, Cell]]] = {}
    for plan in plans:
        connection.execute(f"DELETE FROM {quote(plan.name)}")
    for plan in _parents_first(plans):
        count = round(rows * (4 if plan.links else 1) * random.uniform(0.5, 1.5))
        values = [pool.values(random, count) for pool in plan.pools]
        made = [_row(plan, drawn, done, random) for drawn in zip(*values, strict=False)]
        random.shuffle(made)
        names = ", ".join(map(quote, plan.columns))
        marks = ", ".join("?" * len(plan.columns))
        connection.executemany(
            f"INSERT OR IGNORE INTO {quote(plan.name)} ({names}) VALUES ({marks})",
            [tuple(row[column] for column in plan.columns) for row in made],
        )
        kept = connection.execute(f"SELECT {names} FROM {quote(plan.name)}").fetchall()
        kept.sort(key=lambda row: _rank(plan, row, random))
        done[plan.name] = [dict(zip(plan.columns, row, strict=True)) for row in kept]
    _drop_orphans(connection)


def _row(
    plan: Plan, drawn: Sequence[Cell], done: dict[str, list[dict[str, Cell]]], random: Random
) -> dict[str, Cell]:
    """One row: values of its own, or a row of the base database of which some are changed."""
    row: dict[str, Cell] = dict(zip(plan.columns, drawn, strict=True))
    if plan.base and random.random() < 0.3:
        like = dict(zip(plan.columns, random.choice(plan.base), strict=True))
        row = {column: like[column] if random.random() < 0.8 else row[column] for column in plan.columns}
    for link in plan.links:
        others = done.get(link.other)
        if others:
            place = int(len(others) * 0.8 * random.random() ** 2)
            for column, target in zip(link.columns, link.targets, strict=True):
                row[column] = others[place][target]
    return row


def _rank(plan: Plan, row: Row, random: Random) -> float:
    """Rows that queries speak of come first, for they are to have the most children."""
    spoken = any(cell in pool.spoken for cell, pool in zip(row, plan.pools, strict=True))
    return random.random() * (0.5 if spoken else 1.0)


def _parents_first(plans: Sequence[Plan]) -> list[Plan]:
    """The tables, each after those it points to, as far as there is no circle."""
    byname = {plan.name: plan for plan in plans}
    order: list[Plan] = []
    seen: set[str] = set()

    def visit(plan: Plan) -> None:
        if plan.name in seen:
            return
        seen.add(plan.name)
        for link in plan.links:
            if link.other in byname:
                visit(byname[link.other])
        order.append(plan)

    for plan in plans:
        visit(plan)
    return order


def _drop_orphans(connection: sqlite3.Connection) -> None:
    """Delete rows whose parent is missing, until there are none (a circle of tables may leave some)."""
    while True:
        try:
            broken = connection.execute("PRAGMA foreign_key_check").fetchall()
        except sqlite3.Error:
            return  # the schema points to a table or key that does not exist: nothing can be intact
        broken = [(table, row) for table, row, *_ in broken if row is not None]
        if not broken:
            return
        for table, row in broken:
            connection.execute(f"DELETE FROM {quote(table)} WHERE rowid = ?", [row])
