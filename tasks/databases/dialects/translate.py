"""Translate a query to another engine's SQL: sqlglot for the syntax, our rules for the rest."""

from __future__ import annotations

import logging
from typing import NamedTuple

import sqlglot
from sqlglot import exp
from sqlglot.errors import ErrorLevel

from tasks.common.errors import first_line
from tasks.databases.dialects.kinds import Names, Tables
from tasks.databases.dialects.query import DIALECTS, Query
from tasks.databases.dialects.rules import FOR_ALL, FROM_SQLITE
from tasks.databases.sql_text import MAX_CHARACTERS, only
from tasks.types import Engine, Schema

_logger = logging.getLogger("sqlglot")


class Untranslatable(Exception):
    """sqlglot cannot read the query, or cannot write it in the other dialect."""


class Translation(NamedTuple):
    """A query in another engine's SQL. ``picks``: whether it takes a column from some row of a group."""

    sql: str
    picks: bool


class Translator:
    """Translates queries on one database."""

    def __init__(self, source: Schema, target: Schema, dialect: Engine, engine: Engine) -> None:
        """``source``: the database as the queries know it, ``target``: its copy; ``dialect`` and ``engine``:
        theirs."""
        self._tables = Tables(source, target)
        self._read, self._write = DIALECTS.get(dialect, dialect), DIALECTS.get(engine, engine)

    def translate(self, sql: str) -> Translation:
        """The query in the engine's SQL. Raises Untranslatable."""
        tree = self._parsed(sql)
        query = Query(tree, self._write, Names(self._tables))
        if self._read == "sqlite":
            for rule in FROM_SQLITE:
                if self._write in rule.dialects:
                    rule.apply(query)
        for apply in FOR_ALL:
            apply(query)
        try:
            text = tree.sql(self._write, unsupported_level=ErrorLevel.IGNORE, comments=False)
        except Exception as error:  # sqlglot's errors, and its bugs
            raise Untranslatable(first_line(error)) from None
        return Translation(text, bool(query.picks))

    def _parsed(self, sql: str) -> exp.Expr:
        statement = only(sql)
        if not statement or len(statement) > MAX_CHARACTERS:
            raise Untranslatable("not one statement")
        _logger.addFilter(_is_error)
        try:
            tree = sqlglot.parse_one(statement, read=self._read)
        except Exception as error:  # sqlglot's errors, and its bugs
            raise Untranslatable(first_line(error)) from None
        finally:
            _logger.removeFilter(_is_error)
        if not isinstance(tree, exp.Query):
            raise Untranslatable(f"{tree.key.upper()} is no query")
        return tree


def _is_error(record: logging.LogRecord) -> bool:
    """It warns about syntax that it cannot parse."""
    return record.levelno >= logging.ERROR
