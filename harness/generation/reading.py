"""Read a database as a catalog: names as English phrases, kinds of columns, sampled values, links.

All queries run in the sandbox, on the first rows of each table.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from harness.generation.kinds import CODES, kind_of
from harness.generation.names import entity_words, plural, singular, vocabulary, words_of
from harness.generation.types import Catalog, Entity, Field, Kind, Link
from tasks.common.errors import DataError
from tasks.databases.sandbox.pool import Sandbox
from tasks.databases.sql_text import quote
from tasks.prompts import quoted
from tasks.types import Cell, Column, Database, ForeignKey, Row, Schema, Table

SAMPLED = 1000
"""Rows of a table whose values questions may use."""
COUNTED = 100_000
"""Rows of a table in which values are counted."""
_VAGUE = {"type", "status", "detail", "record", "list", "information", "data", "history", "link", "map"}
"""Last words of tables that alone name no row."""
_PHRASE = re.compile(r"[^\W\d_]+(?:[ -][^\W\d_]+){0,3}")
"""A comment that a question can use as the name of its column."""
_PARTS = ({"first", "name"}, {"last", "name"})


def read_catalog(database: Database, schema: Schema, sandbox: Sandbox) -> Catalog:
    """The catalog of a database, from the schema that prompts show. Raises DataError: it has no rows."""
    named = [table for table in schema.tables if table.kind == "table" and table.columns]
    tables = _with_inferred(named, database, sandbox)
    samples, counts = _read_rows(database, tables, sandbox)
    known = vocabulary([name for table in tables for name in (table.name, *_names(table))])
    names = _entity_names(tables, known)
    entities = {}
    for table in tables:
        if samples[table.name]:
            entity = _entity(table, known, samples[table.name], counts[table.name])
            entities[table.name] = replace(entity, names=names[table.name])
    if not entities:
        raise DataError(f"database {database.id}: no table has rows, from which questions take their values")
    links = _followed(database, list(_links(tables, entities)), sandbox)
    return Catalog(database, tuple(entities.values()), tuple(links))


def _entity_names(tables: Sequence[Table], known: Collection[str]) -> dict[str, tuple[str, ...]]:
    """How questions name a row of each table: ``Customers_Cards`` is "customers card", "customer card", and
    "card" if that is the last word of no other table."""
    words = {table.name: entity_words(table.name, known) for table in tables}
    heads = Counter(parts[-1] for parts in words.values())
    names = {}
    for table, parts in words.items():
        whole, singulars = " ".join(parts), " ".join(map(singular, parts))
        head = parts[-1]
        short = len(parts) > 1 and len(head) > 2 and heads[head] == 1 and head not in CODES | _VAGUE
        names[table] = tuple(dict.fromkeys((whole, singulars, *[head] * short)))
    return names


def _names(table: Table) -> list[str]:
    return [column.name for column in table.columns]


def table_sql(table: Table) -> str:
    """The table's name as SQL."""
    return f"{quoted(table.schema)}.{quoted(table.name)}" if table.schema else quoted(table.name)


def _read_rows(
    database: Database, tables: Sequence[Table], sandbox: Sandbox
) -> tuple[Mapping[str, tuple[Row, ...]], Mapping[str, Row]]:
    """The first rows of each table, and its counts: rows, then values and distinct values of each column."""
    queries = []
    for table in tables:
        columns = ", ".join(quote(name) for name in _names(table))
        counted = ", ".join(f"COUNT({quote(n)}), COUNT(DISTINCT {quote(n)})" for n in _names(table))
        part = f"(SELECT {columns} FROM {table_sql(table)} LIMIT {COUNTED}) AS part"
        queries += [f"SELECT {columns} FROM {table_sql(table)} LIMIT {SAMPLED}"]
        queries += [f"SELECT COUNT(*), {counted} FROM {part}"]
    outcomes = sandbox.run([(database, 0, query) for query in queries])
    samples, counts = {}, {}
    for table, rows, count in zip(tables, outcomes[::2], outcomes[1::2], strict=True):
        readable = rows.ok and count.ok
        samples[table.name] = rows.rows if readable else ()
        counts[table.name] = count.rows[0] if readable else ()
    return samples, counts


def _entity(table: Table, known: Collection[str], rows: Sequence[Row], counts: Row) -> Entity:
    total, *rest = (int(str(count)) for count in counts)
    words = entity_words(table.name, known)
    keys = [column for column in table.columns if column.primary_key]
    refs = {key.column for key in table.foreign_keys}
    fields = []
    for place, column in enumerate(table.columns):
        values = tuple(row[place] for row in rows if row[place] is not None)
        filled, distinct = rest[2 * place], rest[2 * place + 1]
        unique = distinct == filled == total and total > 1
        kind = _kind(column, keys, refs, words_of(column.name, known), values, unique)
        phrases = _phrases(column, words, known, kind)
        missing = filled < total or any(isinstance(value, str) and not value.strip() for value in values)
        fields.append(
            Field(
                table_sql(table),
                quoted(column.name),
                column.type,
                kind,
                phrases,
                values,
                distinct,
                unique,
                missing,
            )
        )
    distinct_fields = _unambiguous(fields)
    key = next((field for field in distinct_fields if field.kind == "key" and field.unique), None)
    title = _title(distinct_fields, key)
    return Entity(table_sql(table), (" ".join(words),), distinct_fields, total, title, key)


def _kind(
    column: Column,
    keys: Sequence[Column],
    refs: Collection[str],
    words: Sequence[str],
    values: Sequence[Cell],
    unique: bool,
) -> Kind:
    if column.name in refs:
        return "ref"
    kind = kind_of(column, words, values, unique)
    if [column] == keys:
        return "key" if unique else "other"
    if unique and not keys and words[-1] == "id":
        return "key"
    return "ref" if column.primary_key and words[-1] == "id" else kind


def _phrases(column: Column, entity: Sequence[str], known: Collection[str], kind: Kind) -> tuple[str, ...]:
    """How questions name the column: without the entity's words where it begins with them, and with them."""
    words = words_of(column.name, known)
    if kind == "flag" and words[0] == "is" and len(words) > 1:
        words = words[1:]
    if kind == "key" and len(words) == 1 and (short := _of_key(words[0])):
        return (short, f"{' '.join(entity)} {short}")
    whole = " ".join(words)
    length = len(entity)
    rest = words[length:] if words[:length] == list(entity) else words[1:] if words[0] == entity[-1] else []
    comment = column.comment.lower() if _PHRASE.fullmatch(column.comment) else ""
    counted = (rest or words)[:-1] if words[-1] == "count" else []
    number = f"number of {plural(' '.join(counted))}" if counted else ""
    return tuple(dict.fromkeys(phrase for phrase in (" ".join(rest), comment, number, whole) if phrase))


def _of_key(word: str) -> str:
    """What people call a key with a name of one word: ``stuid`` is an id, ``flno`` a number."""
    ends = {"id": "id", "no": "number", "nr": "number", "num": "number", "code": "code"}
    return next((phrase for end, phrase in ends.items() if word.endswith(end)), "")


def _unambiguous(fields: Sequence[Field]) -> tuple[Field, ...]:
    """The fields without phrases that another field of the table has too."""
    uses = Counter(phrase for field in fields for phrase in field.phrases)
    kept = []
    for field in fields:
        own = tuple(phrase for phrase in field.phrases if uses[phrase] == 1)
        kept.append(replace(field, phrases=own or field.phrases[-1:], kind=field.kind if own else "other"))
    return tuple(kept)


def _title(fields: Sequence[Field], key: Field | None) -> tuple[Field, ...]:
    parts = [field for part in _PARTS for field in fields if part <= field.words and field.kind != "other"]
    labels = [field for field in fields if field.kind == "label" and field not in parts]
    named = [field for field in labels if field.words & {"name", "title"}]
    if named:
        return (named[0],)
    if len(parts) == 2:
        return tuple(parts)
    return (labels[0],) if labels else (key,) if key else ()


def _with_inferred(tables: Sequence[Table], database: Database, sandbox: Sandbox) -> list[Table]:
    """The tables with foreign keys that are not declared: columns named like the primary key of another
    table, all of whose values occur there."""
    guesses = [(table, key) for table in tables for key in _guessed(table, tables)]
    places = {table.name: table_sql(table) for table in tables}
    queries = []
    for table, key in guesses:
        column, keys = quote(key.column), f"SELECT {quote(key.other_column)} FROM {places[key.other_table]}"
        queries.append(
            f"SELECT COUNT({column}), SUM(CASE WHEN {column} NOT IN ({keys}) THEN 1 ELSE 0 END)"
            f" FROM {places[table.name]}"
        )
    outcomes = sandbox.run([(database, 0, query) for query in queries])
    found: dict[str, tuple[ForeignKey, ...]] = {}
    for (table, key), outcome in zip(guesses, outcomes, strict=True):
        if outcome.ok and outcome.rows[0][0] and not outcome.rows[0][1]:
            found[table.name] = (*found.get(table.name, ()), key)
    return [
        replace(table, foreign_keys=(*table.foreign_keys, *found.get(table.name, ()))) for table in tables
    ]


def _guessed(table: Table, tables: Sequence[Table]) -> Iterator[ForeignKey]:
    declared = {key.column for key in table.foreign_keys}
    own = {column.name for column in table.columns if column.primary_key}
    for column in table.columns:
        if column.name in declared or own == {column.name}:
            continue
        name = column.name.lower()
        for other in tables:
            keys = [one.name for one in other.columns if one.primary_key]
            if other is table or len(keys) != 1:
                continue
            key = keys[0].lower()
            if (name == key != "id") or (key == "id" and name in _own_names(other)):
                yield ForeignKey(column.name, other.name, keys[0])
                break


def _own_names(table: Table) -> set[str]:
    """How a column that holds the ``id`` of a table may be named."""
    name = table.name.lower()
    return {f"{form}{mark}id" for form in (name, singular(name)) for mark in ("_", "")}


def _links(tables: Sequence[Table], entities: Mapping[str, Entity]) -> Iterator[Link]:
    """The foreign keys of one column, between tables with rows."""
    for table in tables:
        others = [key.other_table for key in table.foreign_keys]
        for foreign in table.foreign_keys:
            child, parent = entities.get(table.name), entities.get(foreign.other_table)
            ref, key = _field(child, foreign.column), _field(parent, foreign.other_column)
            if child and parent and ref and key and key.unique:
                alone = others.count(foreign.other_table) == 1 and child is not parent
                yield Link(child, ref, parent, key, _role(ref, parent), alone)


def _field(entity: Entity | None, column: str) -> Field | None:
    fields = entity.fields if entity else ()
    return next((field for field in fields if field.name == quoted(column)), None)


def _role(ref: Field, parent: Entity) -> str:
    words = [word for word in ref.phrases[-1].split() if word not in CODES]
    return " ".join(words) or parent.names[0]


def _followed(database: Database, links: Sequence[Link], sandbox: Sandbox) -> list[Link]:
    """The links by which some rows join."""
    queries = [f"SELECT COUNT(*) FROM (SELECT 1 FROM {link.sql} LIMIT 1) AS one" for link in links]
    outcomes = sandbox.run([(database, 0, query) for query in queries])
    return [link for link, one in zip(links, outcomes, strict=True) if one.ok and one.rows == ((1,),)]
