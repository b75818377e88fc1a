"""Generate the rows of a domain from a seed. Its two instances share value pools; rows and sizes differ."""

from __future__ import annotations

import sqlite3
from datetime import date, timedelta
from itertools import product
from pathlib import Path
from random import Random

from tasks.pocket.schema import TYPES, Domain, Entity, Field
from tasks.types import Cell

SEED = 20261122
INSTANCES = (1, 2)
SMALLEST = 50
SECOND_SIZE = 0.85
LINKED = 0.85
"""The share of a table's rows that other tables may point to; the rest have no children."""
OVERLAP = 1.25
"""Labels in the pool for each row, which decides how many labels two instances share."""

Columns = dict[tuple[str, str], list[Cell]]
"""The cells of each ``(table, column)``, in row order."""


def fill(domain: Domain, instance: int) -> Columns:
    """All cells of one instance of a domain."""
    columns: Columns = {}
    for entity in domain.entities:
        size = entity.size if instance == 1 else max(SMALLEST, int(entity.size * SECOND_SIZE))
        for field in entity.fields:
            random = Random(f"{SEED} {domain.name} {entity.name} {field.name} {instance}")
            columns[entity.name, field.name] = _cells(
                domain, entity, field, size, (random, instance, columns)
            )
    return columns


def write(domain: Domain, columns: Columns, path: Path) -> None:
    """Create the SQLite file of one instance."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = OFF")
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("BEGIN")
    for entity in domain.entities:
        connection.execute(create(domain, entity))
        for field in entity.links:
            index = f"{entity.name} {field.name}"
            connection.execute(f'CREATE INDEX "{index}" ON {entity.sql} ({field.sql})')
        rows = zip(*(columns[entity.name, field.name] for field in entity.fields), strict=True)
        parameters = ", ".join("?" * len(entity.fields))
        connection.executemany(f"INSERT INTO {entity.sql} VALUES ({parameters})", rows)
    connection.execute("COMMIT")
    connection.close()


def create(domain: Domain, entity: Entity) -> str:
    """The CREATE TABLE statement of a table."""
    lines = [f"{field.sql} {TYPES[field.kind]}{_constraint(field)}" for field in entity.fields]
    for field in entity.links:
        target = domain.entity(field.target)
        lines.append(f"FOREIGN KEY ({field.sql}) REFERENCES {target.sql} ({target.key.sql})")
    return f"CREATE TABLE {entity.sql} (\n  " + ",\n  ".join(lines) + "\n)"


def _constraint(field: Field) -> str:
    if field.kind == "key":
        return " PRIMARY KEY"
    return "" if field.nulls else " NOT NULL"


def _cells(
    domain: Domain, entity: Entity, field: Field, size: int, state: tuple[Random, int, Columns]
) -> list[Cell]:
    random, instance, columns = state
    match field.kind:
        case "key":
            return list(range(1, size + 1))
        case "link":
            target = domain.entity(field.target)
            return _skewed(columns[target.name, target.key.name], LINKED, size, random)
        case "label":
            pool = Random(f"{SEED} {domain.name} {entity.name}").sample(
                list(product(*field.pools)), int(entity.size * OVERLAP)
            )
            return [" ".join(words) for words in random.sample(pool, size)]
        case "category":
            cells = _skewed(field.pools[0], 1.0, size, random)
        case "date":
            cells = [_date(field, random) for _ in range(size)]
        case _:
            cells = [_number(field, random, 1.6 if instance == 1 else 0.9) for _ in range(size)]
    return [None if random.random() < field.nulls else cell for cell in cells]


def _skewed(values: list[Cell] | tuple[str, ...], share: float, size: int, random: Random) -> list[Cell]:
    """Cells drawn from a share of the values, with the first ones in a random order as the most frequent."""
    pool: list[Cell] = random.sample(values, int(len(values) * share))
    return random.choices(pool, [(rank + 2) ** -0.7 for rank in range(len(pool))], k=size)


def _number(field: Field, random: Random, power: float) -> Cell:
    value = field.low + (field.high - field.low) * float(random.random() ** power)
    return round(value, 1) if field.kind == "real" else round(value)


def _date(field: Field, random: Random) -> Cell:
    first, last = date(int(field.low), 1, 1), date(int(field.high), 12, 31)
    return (first + timedelta(days=random.randrange((last - first).days + 1))).isoformat()
