"""Read a PostgreSQL text as its scanner does, and find what must not run in it.

The scanner's rules (src/backend/parser/scan.l) are followed exactly: nested comments, dollar quotes, escapes
in E strings. Otherwise a text could hide a call inside what only looks like a string or a comment.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tasks.databases.engines.statements import Token, one_query
from tasks.types import Outcome, Status

COMMANDS = frozenset(
    """
    abort alter analyse analyze begin call checkpoint close cluster comment commit copy create deallocate
    declare delete discard do drop end execute explain fetch grant import insert listen load lock merge move
    notify prepare reassign refresh reindex release repack reset revoke rollback savepoint security set show
    start truncate unlisten update vacuum wait
    attach describe detach export install pragma replace summarize use
    """.split()  # noqa: SIM905 - a list of fifty quoted words is harder to read
)
"""The first words of all other statements, also of SQLite and DuckDB."""
HARMLESS = frozenset(
    {
        "array_sample",
        "array_shuffle",
        "clock_timestamp",
        "gen_random_uuid",
        "pg_typeof",
        "random",
        "random_normal",
        "timeofday",
        "uuid_generate_v4",
        "uuidv4",
        "uuidv7",
    }
)
"""The functions that may be called although they are volatile or begin with pg_."""
_TOKEN = re.compile(
    r"""(?P<space>[ \t\n\r\f\v]+ | --[^\n\r]*)
      | (?P<comment>/\*)
      | (?P<escaped>[eE]'(?:[^'\\]|\\.|'')*'?)
      | (?P<unicode>[uU]&["'])
      | (?P<text>[bBxXnN]?'(?:[^']|'')*'?)
      | (?P<dollar>\$(?P<tag>(?:[A-Za-z_\x80-\U0010ffff][A-Za-z_0-9\x80-\U0010ffff]*)?)\$)
      | (?P<name>"(?:[^"]|"")*"?)
      | (?P<word>[A-Za-z_\x80-\U0010ffff][A-Za-z_0-9$\x80-\U0010ffff]*)
      | (?P<sign>.)""",
    re.VERBOSE | re.DOTALL,
)
_COMMENT = re.compile(r"/\*|\*/")
_LOWER = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")
"""The scanner's folding of names: ASCII only in UTF-8."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Names of a server's catalogue that no query may use."""

    names: frozenset[str]
    """Relations and functions that may not occur at all."""
    calls: frozenset[str]
    """Functions that may not be called."""

    def refusal(self, sql: str) -> Outcome | None:
        """The outcome of a text that is not one harmless query; None for one that may run."""
        found = one_query(tokens(sql), COMMANDS)
        if isinstance(found, Outcome):
            return found
        forbidden = self._forbidden(found)
        return (
            Outcome(Status.FORBIDDEN_STATEMENT, message=f"{forbidden} is not allowed") if forbidden else None
        )

    def _forbidden(self, statement: list[Token]) -> str:
        """The first forbidden name in a statement; "" if there is none."""
        for place, (kind, text) in enumerate(statement):
            if kind == "unicode":
                return "a text of several parts with escapes, or one with Unicode escapes (U&),"
            if kind not in ("word", "name"):
                continue
            if text in self.names:
                return text
            if text in self.calls and statement[place + 1 : place + 2] == [Token("sign", "(")]:
                return text
        return ""


def tokens(sql: str) -> Iterator[Token]:
    """The tokens of a text without white space and comments."""
    place = 0
    before = ""
    while match := _TOKEN.match(sql, place):
        place = match.end()
        kind = match.lastgroup or ""
        if kind not in ("space", "comment"):
            continued = kind == "text" and before == "escaped"
            before = kind
            if continued:  # the server reads escapes in it too
                yield Token("unicode", "")
                continue
        if kind == "comment":
            place = _comment_end(sql, place)
        elif kind == "dollar":
            end = sql.find(match["dollar"], place)
            place = len(sql) if end < 0 else end + len(match["dollar"])
            yield Token("text", "")
        elif kind in ("escaped", "text"):
            yield Token("text", "")
        elif kind == "name":
            yield Token("name", match[0][1:].removesuffix('"').replace('""', '"'))
        elif kind == "word":
            yield Token("word", match[0].translate(_LOWER))
        elif kind != "space":
            yield Token(kind, match[0])


def _comment_end(sql: str, place: int) -> int:
    """The position behind a comment whose first mark ends at ``place``; comments nest."""
    depth = 1
    for mark in _COMMENT.finditer(sql, place):
        depth += 1 if mark[0] == "/*" else -1
        if not depth:
            return mark.end()
    return len(sql)
