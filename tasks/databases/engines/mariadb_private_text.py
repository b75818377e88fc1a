"""What MariaDB does not refuse on its own in a query beside private data.

It does not ask whether an account may read the columns that ``NATURAL`` or ``USING`` compare. So a query that
names a table with columns that the account may not read has no ``NATURAL``, no ``USING`` of a column that the
account may not read there, and nothing that orders or divides the rows by one: no index hint, no
``PARTITION``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile

from tasks.databases.engines.mariadb_text import BRACKET, Refused, among, folded, is_qualified, tokens
from tasks.databases.engines.sqlite_private import REFUSED
from tasks.databases.engines.statements import Token
from tasks.types import Outcome, Status

_JOINS = frozenset({"natural"})
_COMPARED = frozenset({"using"})
_HINTS = frozenset({"use", "force", "ignore"})
_INDEXES = frozenset({"index", "key"})
_PARTS = frozenset({"partition"})


@dataclass(frozen=True, slots=True)
class PrivateRefused(Refused):
    """What no query may use on a server with private data."""

    partly: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Tables with columns that the account may not read -> those that it may read; names without case."""

    def refusal(self, sql: str) -> Outcome | None:
        """Also the outcome of a query that reaches columns about which the server does not ask."""
        if found := Refused.refusal(self, sql):
            return found
        statement = list(tokens(sql))
        named = {folded(token.text) for token in statement if token.kind in ("word", "name")}
        readable = [columns for table, columns in self.partly.items() if table in named]
        if readable and any(_goes_around(statement, place, readable) for place in range(len(statement))):
            return Outcome(Status.PRIVATE_DATA, message=REFUSED)
        return None


def _goes_around(statement: list[Token], place: int, readable: Sequence[frozenset[str]]) -> bool:
    """Whether a word makes the server use columns without asking whether they may be read."""
    kind, text = statement[place]
    if kind != "word" or is_qualified(statement, place):
        return False
    behind = statement[place + 1] if place + 1 < len(statement) else Token("", "")
    if among(text, _HINTS):
        return behind.kind == "word" and behind.text in _INDEXES
    if among(text, _COMPARED) and behind == BRACKET:
        inside = takewhile(lambda token: token != Token("sign", ")"), statement[place + 2 :])
        names = {folded(token.text) for token in inside if token.kind != "sign"}
        return any(not names <= columns for columns in readable)
    return among(text, _JOINS) or (among(text, _PARTS) and behind == BRACKET)
