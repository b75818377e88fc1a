"""What a text of SQL holds, as SQLite's tokenizer sees it, without running anything."""

from __future__ import annotations

import re

MAX_CHARACTERS = 100_000
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


def unreadable(sql: str) -> str:
    """Why no engine should be shown this text; empty where one may."""
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
    """The statements of ``sql`` in order, each without its ``;``; empty and comment-only ones are left out.

    A doubled quote reads as two strings side by side, which leaves the same semicolons outside.
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
    """The one statement of ``sql`` for a parser: without semicolons around it and comments behind it.

    "" where there are none or several. An engine gets the text as it is.
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
    """What stands behind the ``;`` of the first statement that is not empty."""
    start = 0
    for token in _TOKEN.finditer(sql) if ";" in sql else ():
        if token["end"]:
            if not is_blank(sql[start : token.start()]):
                return sql[token.end() :]
            start = token.end()
    return ""


def is_blank(sql: str) -> bool:
    """Whether there is nothing but white space and comments."""
    return _skip(sql) == len(sql)


def first_word(sql: str) -> str:
    """The first keyword in capitals, or "" where the text begins otherwise."""
    match = _WORD.match(sql, _skip(sql))
    return match[0].upper() if match else ""


def quote(name: str) -> str:
    """A name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def _skip(sql: str) -> int:
    match = _LEADING.match(sql)
    return match.end() if match else 0
