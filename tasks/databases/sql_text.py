"""Facts about an SQL text, without running it: its statements, and whether its result may change."""

from __future__ import annotations

import re
from functools import lru_cache

from tasks.types import Engine

MAX_CHARACTERS = 100_000
LONGEST_COMMENT = 1000
"""Characters of a comment on a table or column that are kept."""
_SPACE = r"[ \t\n\f\r\ufeff]+|--[^\n]*|/\*.*?(?:\*/|\Z)"
_LEADING = re.compile(f"(?:{_SPACE})*", re.DOTALL)
_TOKEN = re.compile(
    r"""[^'"`\[;/-]+            # anything that can open none of the below
      | '[^']*(?:'|\Z) | "[^"]*(?:"|\Z) | `[^`]*(?:`|\Z) | \[[^\]]*(?:\]|\Z)
      | --[^\n]* | /\*.*?(?:\*/|\Z)
      | (?P<end>;) | [/-]""",
    re.DOTALL | re.VERBOSE,
)
_WORD = re.compile(r"[A-Za-z_]*")
RESERVED = frozenset(
    """
    add all alter analyse analyze and any array as asc asymmetric autoincrement between both by case
    cast check collate column commit constraint create cross default deferrable delete desc distinct do
    drop else end escape except exists false fetch for foreign from full grant group having in index
    initially inner insert intersect into is isnull join lateral leading left like limit natural not
    notnull null offset on only or order outer pivot placing primary qualify references returning right
    select set show some symmetric table then to trailing transaction true union unique unpivot update
    using values variadic when where window with
    """.split()  # noqa: SIM905 - a list of a hundred quoted words is harder to read
)
"""Words that some engine accepts as a name only in quotes."""


def unreadable(sql: str) -> str:
    """Why this text must not be given to an engine; "" if it may be."""
    if len(sql) > MAX_CHARACTERS:
        return f"over {MAX_CHARACTERS} characters of SQL"
    if "\0" in sql:
        return "the SQL holds a NUL character"
    try:
        sql.encode()
    except UnicodeEncodeError:
        return "the SQL holds a lone surrogate, which no encoding has"
    return ""


def split(sql: str) -> list[str]:
    """The statements of ``sql`` in order, each without its ``;``, without those that are only comments.

    A doubled quote is read as two adjacent strings, which leaves the same semicolons outside strings.
    """
    if ";" not in sql:
        return [] if is_blank(sql) else [sql]
    statements, start = [], 0
    for token in _TOKEN.finditer(sql):
        if token["end"]:
            statements.append(sql[start : token.start()])
            start = token.end()
    statements.append(sql[start:])
    return [statement for statement in statements if not is_blank(statement)]


def only(sql: str) -> str:
    """The only statement of ``sql`` for a parser, without semicolons around it and comments after it.

    "" where there is none, or several. (An engine receives the unchanged text.)
    """
    statements = split(sql)
    if len(statements) != 1:
        return ""
    statement = statements[0]
    if "--" not in statement and "/*" not in statement:
        return statement.strip()
    end = 0
    for token in _TOKEN.finditer(statement):
        if token[0].strip() and not token[0].startswith(("--", "/*")):
            end = token.start() + len(token[0].rstrip())
    return statement[:end].strip()


def behind_first(sql: str) -> str:
    """The text after the ``;`` of the first statement that is not empty."""
    start = 0
    for token in _TOKEN.finditer(sql) if ";" in sql else ():
        if token["end"]:
            if not is_blank(sql[start : token.start()]):
                return sql[token.end() :]
            start = token.end()
    return ""


def is_blank(sql: str) -> bool:
    """Whether a text is only white space and comments."""
    return _skip(sql) == len(sql)


def first_word(sql: str) -> str:
    """The first keyword in capitals; "" where the text does not begin with a word."""
    match = _WORD.match(sql, _skip(sql))
    return match[0].upper() if match else ""


def one_line(comment: str | None) -> str:
    """A comment in one line of at most LONGEST_COMMENT characters; "" for none."""
    return " ".join((comment or "").split())[:LONGEST_COMMENT]


def quote(name: str) -> str:
    """A name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as an SQL string."""
    return "'" + text.replace("'", "''") + "'"


def _skip(sql: str) -> int:
    match = _LEADING.match(sql)
    return match.end() if match else 0


_SPACE = r"(?:\s | --[^\n]* | /\*.*?(?:\*/|\Z))*+"
_PARTS = re.compile(
    rf"""--[^\n]* | /\*.*?(?:\*/|\Z) | (?P<text>'[^']*')
      | (?: (?P<name>"[^"]*" | `[^`]*` | \[\w+\](?={_SPACE}\()) | (?P<word>[A-Za-z_]\w*) )
        (?P<call>{_SPACE}\( (?P<bare>{_SPACE}\))?)?
      | .""",
    re.VERBOSE | re.DOTALL,
)
_KEYWORDS = {
    "sqlite": frozenset({"current_date", "current_time", "current_timestamp"}),
    "duckdb": frozenset(
        [
            "current_date",
            "current_time",
            "current_timestamp",
            "current_localtime",
            "current_localtimestamp",
            "localtime",
            "localtimestamp",
            "tablesample",
        ]
    ),
    "postgres": frozenset(
        ["current_date", "current_time", "current_timestamp", "localtime", "localtimestamp", "tablesample"]
    ),
    "mariadb": frozenset(
        [
            "current_date",
            "current_time",
            "current_timestamp",
            "localtime",
            "localtimestamp",
            "utc_date",
            "utc_time",
            "utc_timestamp",
        ]
    ),
}
_FUNCTIONS = {
    "sqlite": frozenset({"random", "randomblob"}),
    "duckdb": frozenset(
        [
            "random",
            "uuid",
            "gen_random_uuid",
            "uuidv4",
            "uuidv7",
            "now",
            "today",
            "get_current_time",
            "get_current_timestamp",
            "transaction_timestamp",
            "setseed",
            "nextval",
        ]
    ),
    "postgres": frozenset(
        [
            "random",
            "random_normal",
            "gen_random_uuid",
            "uuidv4",
            "uuidv7",
            "uuid_generate_v4",
            "now",
            "clock_timestamp",
            "statement_timestamp",
            "transaction_timestamp",
            "timeofday",
            "array_sample",
            "array_shuffle",
        ]
    ),
    "mariadb": frozenset(
        [
            "rand",
            "random_bytes",
            "uuid",
            "uuid_short",
            "uuid_v4",
            "uuid_v7",
            "sys_guid",
            "now",
            "sysdate",
            "curdate",
            "curtime",
            "connection_id",
            "encrypt",
        ]
    ),
}
_MOMENTS = frozenset({"date", "time", "datetime", "julianday", "unixepoch", "strftime", "timediff"})
"""SQLite's functions for which the text 'now' means the clock; without arguments most read it too.

SQLite also takes a text in double quotes."""
_BARE: dict[Engine, frozenset[str]] = {"sqlite": _MOMENTS, "mariadb": frozenset({"unix_timestamp"})}
"""Functions that read the clock where they have no arguments."""
_ALONE: dict[Engine, str] = {"sqlite": "strftime", "duckdb": "age", "postgres": "age", "mariadb": ""}
"""With a single argument, these functions use the current time as the other argument."""
_NOW: dict[Engine, frozenset[str]] = {
    "sqlite": frozenset({"now"}),
    "duckdb": frozenset(),
    "postgres": frozenset({"now", "today", "tomorrow", "yesterday"}),
    "mariadb": frozenset(),
}
"""Texts that mean the clock as a date."""
_SAMPLE = re.compile(r"\busing\s+sample\b", re.IGNORECASE)


@lru_cache(maxsize=16_384)
def volatile(sql: str, engine: Engine) -> bool:
    """Whether a query reads the clock or random numbers, so that its result changes.

    Views are not searched.
    """
    words, calls = set(), set()
    bare = now = alone = False
    for part in _PARTS.finditer(sql):
        word = (part["word"] or (part["name"] or "").strip('"`[]')).lower()
        if part["call"]:
            calls.add(word)
            bare = bare or (word in _BARE.get(engine, ()) and bool(part["bare"]))
            alone = alone or (word == _ALONE[engine] and not part["bare"] and _one_argument(sql, part.end()))
        elif part["word"]:
            words.add(word)
        text = part["text"] or (part["name"] if engine == "sqlite" else "") or ""
        now = now or text.strip("\"' ").lower() in _NOW[engine]
    if words & _KEYWORDS[engine] or calls & _FUNCTIONS[engine] or alone or bare:
        return True
    if engine == "sqlite":
        return now and bool(calls & _MOMENTS)
    return now if engine == "postgres" else engine == "duckdb" and bool(_SAMPLE.search(sql))


def _one_argument(sql: str, start: int) -> bool:
    """Whether the call whose bracket opens before ``start`` has a single argument."""
    depth = 1
    for part in _PARTS.finditer(sql, start):
        depth += bool(part["call"] and not part["bare"]) or part[0] in "([{"
        depth -= part[0] in ")]}"
        if not depth or (depth == 1 and part[0] == ","):
            return not depth
    return False
