"""The tokens of a text for a server, and which texts are one statement that only reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from tasks.types import Outcome, Status

READERS = frozenset({"select", "with", "values", "table"})


class Token(NamedTuple):
    """``kind``: word (folded), name (without quotes), sign, text, or a kind of the server's own."""

    kind: str
    text: str


def statements_of(found: Iterable[Token]) -> Iterator[list[Token]]:
    """The statements between semicolons that are not empty."""
    statement: list[Token] = []
    for token in found:
        if token != ("sign", ";"):
            statement.append(token)
        elif statement:
            yield statement
            statement = []
    if statement:
        yield statement


def one_query(found: Iterable[Token], commands: frozenset[str]) -> list[Token] | Outcome:
    """The only statement of a text, which begins as a query; else the outcome of the text.

    ``commands``: the first words of statements that are not queries.
    """
    statements = list(statements_of(found))
    if not statements:
        return Outcome(Status.NO_SQL)
    if len(statements) > 1:
        return Outcome(Status.MANY_STATEMENTS, message=f"{len(statements)} statements")
    statement = statements[0]
    first = next((token for token in statement if token.text != "("), statement[0])
    if first.kind == "word" and first.text not in READERS:
        if first.text in commands:
            return Outcome(Status.FORBIDDEN_STATEMENT, message=f"{first.text.upper()} is not allowed")
        return Outcome(Status.SYNTAX_ERROR, message=f"{first.text[:50]!r} begins no statement")
    return statement
