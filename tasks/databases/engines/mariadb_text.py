"""Read a MariaDB text as its lexer does, and find what must not run in it.

The lexer's rules (sql/sql_lex.cc) are followed: ``--`` begins a comment only before white space or a control
character, backslashes escape in both kinds of strings, comments do not nest, and a number may stand directly
before a word (``1.5into``). They hold under the sql_mode of our connections, without ANSI_QUOTES and
NO_BACKSLASH_ESCAPES. Comments that the server executes (``/*! */``, ``/*M! */``) and hints (``/*+ */``) are
refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tasks.databases.engines.statements import Token, one_query
from tasks.types import Outcome, Status

COMMANDS = frozenset(
    """
    alter analyze backup begin binlog cache call change check checksum clone commit create deallocate delete
    desc describe do drop end execute explain flush get grant handler help import insert install kill load
    lock optimize prepare purge release rename repair replace reset resignal restart revoke rollback savepoint
    set show shutdown signal slave start stop truncate uninstall unlock update use xa
    abort attach checkpoint cluster close comment copy declare detach discard export fetch listen merge move
    notify pragma reindex summarize vacuum
    """.split()  # noqa: SIM905 - a list of eighty quoted words is harder to read
)
"""The first words of all other statements, also of SQLite, DuckDB and PostgreSQL."""
SYSTEM = frozenset({"information_schema", "mysql", "performance_schema", "sys"})
"""The schemas of the server itself: queries of others, passwords, files."""
_WRITES = frozenset({"delete", "insert", "replace", "update"})
_WORDS = frozenset({"into", "lock", "procedure"})
"""Reserved words that are not part of a query that only reads."""
_CALLS = frozenset(
    """
    benchmark binlog_gtid_pos found_rows get_lock is_free_lock is_used_lock last_insert_id lastval load_file
    master_gtid_wait master_pos_wait nextval ps_current_thread_id release_all_locks release_lock row_count
    setval sleep source_pos_wait sys_eval sys_exec sys_get sys_set wait_for_executed_gtid_set
    wait_until_sql_thread_after_gtids wsrep_last_seen_gtid wsrep_last_written_gtid wsrep_sync_wait_upto_gtid
    """.split()  # noqa: SIM905
)
"""Functions that wait, lock, reach files, or tell of other queries."""
_GEOMETRY = re.compile(
    r"(?:st_|mbr)\w+|(?:multi)?(?:point|linestring|polygon)|geometrycollection|geometry|"
    r"as(?:text|wkt|binary|wkb)|\w+from(?:text|wkb)"
)
"""Functions of geometry, which the server does not list."""
_TOKEN = re.compile(
    r"""(?P<space>[\x09-\x0d\x20]+ | \#[^\n]* | --(?=[\x00-\x20\x7f]|\Z)[^\n]*)
      | (?P<executed>/\*M?!|/\*\+)
      | (?P<comment>/\*.*?(?:\*/|\Z))
      | (?P<text>'(?:[^'\\]|\\.|'')*'? | "(?:[^"\\]|\\.|"")*"?)
      | (?P<name>`(?:[^`]|``)*`?)
      | (?P<word>[A-Za-z0-9_$\x80-\U0010ffff]+)
      | (?P<sign>.)""",
    re.VERBOSE | re.DOTALL,
)
BRACKET = Token("sign", "(")
_LOWER = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")


def folded(name: str) -> str:
    """The name of a schema or table without case; to the server, the small letter of İ is a plain i."""
    return name.replace("İ", "i").casefold()


@dataclass(frozen=True, slots=True)
class Refused:
    """What no query may use on a server."""

    known: frozenset[str] = frozenset()
    """The server's own words and functions: others are added by users. Empty where the server has no list."""

    def refusal(self, sql: str) -> Outcome | None:
        """The outcome of a text that is not one harmless query; None for one that may run."""
        found = one_query(tokens(sql), COMMANDS)
        if isinstance(found, Outcome):
            return found
        for place, token in enumerate(found):
            if forbidden := _forbidden(found, place):
                return Outcome(Status.FORBIDDEN_STATEMENT, message=f"{forbidden} is not allowed")
            if self._is_added(found, place):
                message = f"the server has no function {token.text[:64]}"
                return Outcome(Status.EXECUTION_ERROR, message=message)
        return None

    def calls_added(self, definition: str) -> bool:
        """Whether the definition of a view calls a function that was added; the server writes it in
        quotes."""
        statement = list(tokens(definition))
        return any(
            self._is_added(statement, place)
            or (
                token.kind == "name"
                and statement[place + 1 : place + 2] == [BRACKET]
                and not _names_columns(statement, place)
            )
            for place, token in enumerate(statement)
        )

    def _is_added(self, statement: list[Token], place: int) -> bool:
        """Whether a function is called that is not the server's own."""
        kind, text = statement[place]
        if not self.known or kind not in ("word", "name") or statement[place + 1 : place + 2] != [BRACKET]:
            return False
        lower = text.translate(_LOWER)
        return not (lower in self.known or _GEOMETRY.fullmatch(lower) or _names_columns(statement, place))


def tokens(sql: str) -> Iterator[Token]:
    """The tokens of a text without white space and comments."""
    for match in _TOKEN.finditer(sql):
        kind = match.lastgroup or ""
        if kind == "name":
            yield Token("name", match[0][1:].removesuffix("`").replace("``", "`"))
        elif kind == "word":
            yield Token("word", match[0].translate(_LOWER))
        elif kind == "text":
            yield Token("text", "")
        elif kind in ("sign", "executed"):
            yield Token(kind, match[0])


def _forbidden(statement: list[Token], place: int) -> str:
    """What is forbidden at a place of a statement; "" if nothing is."""
    kind, text = statement[place]
    if kind == "executed":
        return f"a comment that the server executes ({text} */)"
    if kind == "sign":
        return "a variable (@)" if text == "@" else ""
    if kind not in ("word", "name"):
        return ""
    behind = statement[place + 1] if place + 1 < len(statement) else Token("", "")
    if behind.text == "." and behind.kind == "sign" and folded(text) in SYSTEM:
        return f"the schema {folded(text)}"
    if behind == BRACKET and among(text, _CALLS):
        return text.translate(_LOWER)
    if kind == "name" or is_qualified(statement, place):
        return ""
    if among(text, _WORDS) or (among(text, _WRITES) and behind != BRACKET):
        return text.upper()
    if text == "share" and place and statement[place - 1] == Token("word", "for"):
        return "FOR SHARE"
    return ""


def among(text: str, names: frozenset[str]) -> bool:
    """Whether a word, or what follows the number that it begins with, is one of these."""
    lower = text.translate(_LOWER)
    return lower in names or (lower[:1].isdecimal() and any(lower.endswith(name) for name in names))


def is_qualified(statement: list[Token], place: int) -> bool:
    """Whether a word follows a dot, as a name. In ``1.into`` and ``.5into`` the dot is a number's."""
    word = statement[place].text
    if place < 2 or statement[place - 1] != Token("sign", ".") or word[0].isdecimal():
        return False
    kind, text = statement[place - 2]
    return kind == "name" or (kind == "word" and not text[0].isdecimal())


def _names_columns(statement: list[Token], place: int) -> bool:
    """Whether the bracket behind a name holds the columns of a table of a WITH, or of an alias."""
    if place and statement[place - 1] == Token("word", "as"):
        return True
    for number in range(place + 2, len(statement)):
        kind, text = statement[number]
        if kind not in ("word", "name") and text != ",":
            return text == ")" and statement[number + 1 : number + 3] == [Token("word", "as"), BRACKET]
    return False
