"""What a copy without private data holds, and the schema with it, as SQL statements."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from tasks.databases.private.names import Pattern, hidden_in, mentions
from tasks.databases.sql_text import quote
from tasks.types import Column, ForeignKey, Schema, Table

DEFAULT_SCHEMA = "main"


@dataclass(frozen=True, slots=True)
class Plan:
    """One table of the source. ``public``: what of it is copied; None where all of it is private."""

    source: Table
    public: Table | None
    verbatim: bool = False
    """Whether the copy has the source's statement: nothing of it is private, and it names nothing private."""

    @property
    def place(self) -> str:
        """The schema and the name."""
        return _place(self.source)

    def hidden(self) -> Iterator[str]:
        """The private columns, and "" if all of it is private."""
        kept = {column.name for column in self.public.columns} if self.public else set()
        yield from (column.name for column in self.source.columns if column.name not in kept)
        if self.public is None:
            yield ""


def plans_of(schema: Schema, found: Sequence[Pattern], generated: Mapping[str, frozenset[str]]) -> list[Plan]:
    """The plan of each base table. ``generated``: schema and name -> the generated columns.

    What a generated column is computed from is not known: in a table with private columns all are
    private, and so is a foreign key to a private column. Virtual tables keep their data in other tables, so
    none is copied.
    """
    tables = [table for table in schema.tables if table.kind != "view"]
    hidden = {
        _place(table): hidden_in(
            found, table.schema or DEFAULT_SCHEMA, table.name, [column.name for column in table.columns]
        )
        for table in tables
    }
    _follow_keys(tables, hidden)
    plans = []
    for table in tables:
        private = hidden[_place(table)]
        if private:
            private |= generated.get(_place(table), frozenset())
        gone = private is None or table.kind == "virtual" or len(private) == len(table.columns)
        plans.append(Plan(table, None if gone else replace(table, columns=_kept(table, private or set()))))
    known = private_names(plans)
    return [replace(_without_keys(plan, plans), verbatim=_is_verbatim(plan, known)) for plan in plans]


def _is_verbatim(plan: Plan, private: set[str]) -> bool:
    whole = plan.public is not None and len(plan.public.columns) == len(plan.source.columns)
    return whole and not mentions(plan.source.ddl, private)


def _kept(table: Table, private: set[str]) -> tuple[Column, ...]:
    """The public columns. The rest of a primary key with a private column is no key."""
    kept = tuple(column for column in table.columns if column.name not in private)
    if any(column.primary_key for column in table.columns if column.name in private):
        return tuple(replace(column, primary_key=False) for column in kept)
    return kept


def _follow_keys(tables: Sequence[Table], hidden: dict[str, set[str] | None]) -> None:
    """Hide the columns that reference a private column, whose values they hold."""
    changed = True
    while changed:
        changed = False
        for table in tables:
            private = hidden[_place(table)]
            for key in table.foreign_keys:
                target = hidden.get(f"{table.schema or DEFAULT_SCHEMA}.{key.other_table}")
                if (
                    private is not None
                    and target
                    and key.other_column in target
                    and key.column not in private
                ):
                    private.add(key.column)
                    changed = True


def _place(table: Table) -> str:
    return f"{table.schema or DEFAULT_SCHEMA}.{table.name}"


def _without_keys(plan: Plan, plans: Sequence[Plan]) -> Plan:
    """The plan without foreign keys from or to what is not copied."""
    if plan.public is None:
        return plan
    schema = plan.source.schema
    kept = {
        (other.public.name, column.name)
        for other in plans
        if other.public and other.source.schema == schema
        for column in other.public.columns
    }
    keys = tuple(
        key
        for key in plan.public.foreign_keys
        if (plan.public.name, key.column) in kept and (key.other_table, key.other_column) in kept
    )
    return Plan(plan.source, replace(plan.public, foreign_keys=keys))


def create(table: Table, collations: Mapping[str, str], keys: bool = True) -> str:
    """A CREATE TABLE from the description of a table: columns, types, and with ``keys`` its keys."""
    primary = [column.name for column in table.columns if column.primary_key]
    lines = []
    for column in table.columns:
        alone = keys and primary == [column.name]
        collation = collations.get(column.name, "")
        parts = (
            f"{quote(column.name)} {column.type}",
            "PRIMARY KEY" * alone,
            "NOT NULL" * column.not_null,
            f"COLLATE {quote(collation)}" if collation else "",
        )
        lines.append(" ".join(filter(None, parts)))
    if keys and len(primary) > 1:
        lines.append(f"PRIMARY KEY ({', '.join(map(quote, primary))})")
    lines += [_foreign(key, table.schema) for key in table.foreign_keys if keys]
    return f"CREATE TABLE {placed(table)}({', '.join(lines)})"


def _foreign(key: ForeignKey, schema: str) -> str:
    other = f"{quote(schema)}.{quote(key.other_table)}" if schema else quote(key.other_table)
    return f"FOREIGN KEY ({quote(key.column)}) REFERENCES {other}({quote(key.other_column)})"


def placed(table: Table) -> str:
    """The name of a table as SQL."""
    return f"{quote(table.schema)}.{quote(table.name)}" if table.schema else quote(table.name)


def private_names(plans: Sequence[Plan]) -> set[str]:
    """The names, in lower case, of tables and columns that are private wherever they occur."""
    gone = {plan.source.name.lower() for plan in plans if plan.public is None}
    kept = {plan.source.name.lower() for plan in plans if plan.public is not None}
    columns = {name.lower() for plan in plans if plan.public is not None for name in plan.hidden()}
    inside = {column.name.lower() for plan in plans if plan.public is None for column in plan.source.columns}
    public = {column.name.lower() for plan in plans if plan.public for column in plan.public.columns}
    return (gone - kept) | columns | (inside - public)
