"""The SQL that stands in a model's chat text. Read, never guessed."""

from __future__ import annotations

import re

from tasks.thoughts import without_thoughts

QUERY_VERBS = frozenset({"select", "with", "values"})
OTHER_VERBS = frozenset({
    "alter", "analyze", "attach", "begin", "call", "checkpoint", "commit", "copy", "create", "delete",
    "describe", "detach", "drop", "end", "explain", "export", "import", "insert", "install", "load", "merge",
    "pragma", "reindex", "release", "replace", "rollback", "savepoint", "set", "show", "truncate", "update",
    "use", "vacuum",
})  # fmt: skip
"""Not queries: they are let through so that the sandbox can say ``forbidden_statement``."""

SQL_TAGS = frozenset({"sql", "sqlite", "sqlite3", "duckdb"})

_FENCE = re.compile(r"`{3,}")
_SPACE = re.compile(r"(?:[\s\ufeff;]++|--[^\n]*+(?:\n|\Z)|/\*(?s:.*?)(?:\*/|\Z))*+")
_TAG = re.compile(r"[^\S\n]*+([^\s`]*+)")
_WORD = re.compile(r"(\(?)[\s(]*+([a-z]*+)", re.IGNORECASE)
_PROSE = r"(?!(?:the|this|that|these|those|what|my|your|our)\b)"
_NAME = rf"""(?:"[^"]*+"|'[^']*+'|{_PROSE}[a-z_][\w$]*+)"""
_PLACE = rf"{_NAME}(?:\.{_NAME})*+"
_CLAUSE = (
    r"(?:select|where|join|inner|cross|natural|asof|positional|semi|anti|group|order|having|limit|offset|union"
    r"|intersect|except|qualify|window|pivot|unpivot|tablesample|(?:left|right|full)(?:\s+outer)?\s+join)\b"
)
_END = r"(?:\Z|[;)]|--|/\*)"
_SHORT = re.compile(
    rf"""
    from\s*+(?: \( | {_PLACE}\s*+\( | {_PLACE}(?:\s*+,\s*+{_PLACE})*+
        (?:\s++(?:as\s++)?(?!{_CLAUSE}){_NAME})?\s*+(?:{_END}|{_CLAUSE}))
    | table\s++{_PLACE}\s*+(?:{_END}|(?:order|limit|offset|union|intersect|except)\b)
    | (?:un)?pivot\s*+(?: \( | {_PLACE}\s++(?:on|using|group)\b)
    | summarize\s++(?:(?:select|from|with|table)\b|{_PLACE}\s*+{_END})
    """,
    re.IGNORECASE | re.VERBOSE,
)
"""How DuckDB's statements begin whose first word is one of English prose too: more of it must be SQL."""


def extract(text: str) -> str:
    """The SQL in ``text``, stripped of white space; ``""`` where there is none.

    1. What a reasoning model thought is not its answer: ``<think>...</think>``, and the tags and channels of
       other models (``tasks.thoughts``), are cut out, and so is all that stands before a closing tag whose
       opening tag was part of the prompt. Thinking that never ends leaves no answer.
    2. Fences (three or more backticks) open and close in turn; a last one that is never closed reaches to the
       end of the text. The answer is the last block that is not blank and is tagged sql, sqlite, sqlite3 or
       duckdb, or has no tag and begins with a statement. Blocks of other languages are no answer.
    3. Without such a block the text up to its first fence is the answer, if it begins with a statement. (A
       fence that only closes belongs to one that the prompt opened.)

    A statement begins, after comments, white space and semicolons, with SELECT, WITH or VALUES, with DuckDB's
    ``FROM t``, ``TABLE t``, ``PIVOT t ON``, ``UNPIVOT t ON`` or ``SUMMARIZE t`` (all also inside
    parentheses), or with another SQL verb, which the sandbox judges. Time is linear in the text's length.
    """
    answer = without_thoughts(text, _begins)
    pieces = _FENCE.split(answer)
    for block in reversed(pieces[1::2]):
        sql = _block(block)
        if sql:
            return sql
    return pieces[0].strip() if _is_statement(pieces[0]) else ""


def _begins(text: str) -> bool:
    """Whether an answer begins here: with a fence or a statement."""
    return text.lstrip().startswith("```") or _is_statement(text)


def _block(block: str) -> str:
    """The SQL of one fenced block, ``""`` where it holds something else."""
    tag = _TAG.match(block)
    if tag and tag[1].lower() in SQL_TAGS:
        return block[tag.end() :].strip()
    return block.strip() if _is_statement(block) else ""


def _is_statement(text: str) -> bool:
    space = _SPACE.match(text)
    word = _WORD.match(text, space.end() if space else 0)
    if word is None:
        return False
    verb = word[2].lower()
    if verb in QUERY_VERBS or (verb in OTHER_VERBS and not word[1]):
        return True
    return _SHORT.match(text, word.start(2)) is not None
