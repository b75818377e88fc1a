"""MariaDB's account for tasks with private data: it may read all other columns, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing

from tasks.databases.engines.mariadb_connection import Connection
from tasks.databases.engines.mariadb_open import connect_reader, every_table_of, grants, rights_on
from tasks.databases.engines.mariadb_private import Place, definitions, may_compute, relations
from tasks.databases.private.names import expect_known, patterns
from tasks.databases.private.relations import Relation, as_schema
from tasks.databases.sql_text import quote
from tasks.types import Server

_SECONDS = 60


def grant_public(
    connection: Connection, accounts: Sequence[str], reader: Server, private: Sequence[str]
) -> Iterator[str]:
    """Let accounts read what is not private in the connection's database; yields what was done, in lines.

    ``reader``: the database by one of these accounts, which then plans the query of each view: it may read
    those views that it could compute itself. Raises SpecError: a name matches nothing; pymysql.Error,
    DataError, ServerLost.
    """
    [(database,)] = connection.execute("SELECT DATABASE()").fetchall()
    schema = str(database)
    every = relations(connection, patterns(private))
    found = {place: one for place, one in every.items() if one.schema == schema}
    expect_known("harness db prepare", private, [(schema, as_schema(found.values(), schema))])
    for account in accounts:
        _take_back(connection, account, schema)
        for one in found.values():
            if not one.view:
                _grant(connection, account, one)
    _grant_views(connection, accounts, reader, found)
    for one in found.values():
        hidden = "the whole of it" if one.whole else ", ".join(sorted(one.private))
        yield f"it may read {one.place}" + (f", but not {hidden}" if one.private else "")
    yield "run this again after adding tables, columns or views"


def _take_back(connection: Connection, account: str, schema: str) -> None:
    """Take all rights on a database from an account but that to see the names of its tables."""
    for what, place in rights_on(grants(connection, account), schema):
        connection.execute(f"REVOKE {what} ON {place} FROM {account}")
    connection.execute(f"GRANT SHOW VIEW ON {every_table_of(schema)} TO {account}")


def _grant(connection: Connection, account: str, one: Relation) -> None:
    """Let an account read the public columns of a table or view, and see the names of the others."""
    place = f"{quote(one.schema)}.{quote(one.name)}"
    if not one.private:
        connection.execute(f"GRANT SELECT ON {place} TO {account}")
        return
    public = set(one.columns.values()) - one.private
    for right, columns in (("SELECT", public), ("REFERENCES", one.private)):
        if columns:
            listed = ", ".join(map(quote, sorted(columns)))
            connection.execute(f"GRANT {right} ({listed}) ON {place} TO {account}")


def _grant_views(
    connection: Connection, accounts: Sequence[str], reader: Server, found: dict[Place, Relation]
) -> None:
    """Let accounts read the views that they could compute; the others are marked as private."""
    queries = {place: text for place, text in definitions(connection).items() if place in found}
    left = {place for place in queries if not found[place].private}
    planner = connect_reader(reader, _SECONDS)
    with closing(planner.connection):
        while public := {place for place in left if may_compute(planner, queries[place])}:
            left -= public
            for place in public:  # which may make other views computable
                for account in accounts:
                    _grant(connection, account, found[place])
    for place in queries.keys() & found.keys():
        one = found[place]
        if place in left:
            one.private = set(one.columns.values())
        if one.private:
            for account in accounts:
                _grant(connection, account, one)
