"""Extract the SQL from a model's text by fixed rules."""

from __future__ import annotations

import re
from collections.abc import Callable

from tasks.thoughts import ATTRIBUTES, is_quoted, without_thoughts

QUERY_VERBS = frozenset({"select", "with", "values"})
OTHER_VERBS = frozenset({
    "alter", "analyze", "attach", "begin", "call", "checkpoint", "commit", "copy", "create", "delete",
    "describe", "detach", "drop", "end", "explain", "export", "import", "insert", "install", "load", "merge",
    "pragma", "reindex", "release", "replace", "rollback", "savepoint", "set", "show", "truncate", "update",
    "use", "vacuum",
})  # fmt: skip
"""Statements that are not queries. They count as SQL, so that the reason is ``forbidden_statement``."""

SQL_TAGS = frozenset(
    {"sql", "sqlite", "sqlite3", "duckdb", "postgres", "postgresql", "psql", "pgsql", "mysql", "mariadb"}
)

_FENCE = re.compile(r"`{3,}|^[ \t]*~{3,}", re.MULTILINE)
_OPENS = re.compile(rf"[ \t]*(?:{'|'.join(sorted(SQL_TAGS))})[ \t]*\r?\n", re.IGNORECASE)
_ANSWER = re.compile(
    rf"""
      <(?P<end>/?)(?:answer|solution|response|final_answer|sql|sql_query|query){ATTRIBUTES}>
    | <\|(?:begin_of_(?:solution|answer|box)|START_RESPONSE|START_TEXT)\|>
    | (?P<special>
        <\|(?:end_of_(?:solution|answer|box|text|turn)|END_RESPONSE|END_TEXT|im_end|eot_id|endoftext|end|return)\|>
        | </s> | <end_of_turn> | <eos>)
    """,
    re.IGNORECASE | re.VERBOSE,
)
"""Tags around an answer, and special tokens after it that a server left in the text."""
_NEAR = 200
"""Within so many characters after a tag its SQL or its fence must begin."""
_SPACE = re.compile(r"(?:[\s\ufeff;]++|--[^\n]*+(?:\n|\Z)|/\*(?s:.*?)(?:\*/|\Z))*+")
_TAG = re.compile(r"[^\S\n]*+([^\s`]*+)")
_WORD = re.compile(r"(\(?)[\s(]*+([a-z]*+)", re.IGNORECASE)
_ROW = re.compile(rf"{_SPACE.pattern}\(")
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
"""The beginnings of DuckDB statements whose first word also occurs in prose: what follows must be SQL too."""


def extract(text: str) -> str:
    """The SQL in a text, without white space around it; ``""`` where there is none.

    1. A reasoning model's thoughts are removed: ``<think>...</think>`` and the tags and channels of other
       models (``tasks.thoughts``), and all text before a closing tag whose opening tag was part of the
       prompt. Where thinking never ends there is no answer.
    2. Tags (``<answer>``, ``<solution>``, ``<sql>``, ...): the answer begins at the last such tag that a
       statement or a fence follows. A closing tag alone ends an answer that begins the text.
    3. Fences (three or more backticks, or tildes at the start of a line) open and close blocks in turn. One
       with an SQL tag on its line always opens a block, and a block that is never closed ends with the text.
       The answer is the last block that is not blank and is tagged as SQL (sql, sqlite, duckdb, postgresql,
       ...), or has no tag and begins with a query; else the last block without a tag that begins with another
       statement.
       Blocks of other languages are never the answer.
    4. Without such a block the answer is the text up to its first fence, if it begins with a statement. (The
       first fence then closes a block that the prompt opened.)

    A statement begins, after comments, white space and semicolons, with SELECT, WITH or VALUES, with DuckDB's
    ``FROM t``, ``TABLE t``, ``PIVOT t ON``, ``UNPIVOT t ON`` or ``SUMMARIZE t`` (all also inside
    parentheses), or with another SQL verb. Takes time linear in the text's length.
    """
    answer = _delimited(without_thoughts(text, _begins))
    before, blocks = _split(answer)
    for is_answer in (_is_query, _is_statement):
        for block in reversed(blocks):
            sql = _block(block, is_answer)
            if sql:
                return sql
    return before.strip() if _is_statement(before) else ""


def _delimited(answer: str) -> str:
    """The part of an answer inside its tags; all of it where there are none."""
    if "<" not in answer:
        return answer
    tags = [tag for tag in _ANSWER.finditer(answer) if not is_quoted(answer, tag)]
    if not tags:
        return answer
    for number in reversed(range(len(tags))):
        start = tags[number].end()
        if not _closes(tags[number]) and _begins(answer[start : start + _NEAR]):
            return answer[start : _end(answer, tags[number + 1 :])]
    return answer[: _end(answer, tags)] if _begins(answer[:_NEAR]) else answer


def _end(answer: str, tags: list[re.Match[str]]) -> int:
    """The position of the first closing tag, else the end of the text."""
    return next((tag.start() for tag in tags if _closes(tag)), len(answer))


def _closes(tag: re.Match[str]) -> bool:
    return bool(tag["end"] or tag["special"])


def _split(answer: str) -> tuple[str, list[str]]:
    """The text before the first fence, and the blocks between fences."""
    if "```" not in answer and "~~~" not in answer:
        return answer, []
    before, *pieces = _FENCE.split(answer)
    blocks, is_open = [], False
    for piece in pieces:
        is_open = not is_open or _OPENS.match(piece) is not None
        if is_open:
            blocks.append(piece)
    return before, blocks


def _begins(text: str) -> bool:
    """Whether a text begins with a fence or a statement."""
    return text.lstrip().startswith("```") or _is_statement(text)


def _block(block: str, is_answer: Callable[[str], bool]) -> str:
    """The SQL of one fenced block; ``""`` where it has something else."""
    tag = _TAG.match(block)
    if tag is None or tag[1].lower() not in SQL_TAGS:
        return block.strip() if is_answer(block) else ""
    sql = block[tag.end() :]
    information, _, rest = sql.partition("\n")
    if information.strip() and not _is_statement(sql) and _is_statement(rest):
        return rest.strip()  # ```sql title="..."
    return sql.strip()


def _is_query(text: str) -> bool:
    return _is_statement(text, QUERY_VERBS)


def _is_statement(text: str, verbs: frozenset[str] = QUERY_VERBS | OTHER_VERBS) -> bool:
    space = _SPACE.match(text)
    word = _WORD.match(text, space.end() if space else 0)
    if word is None:
        return False
    verb = word[2].lower()
    if verb == "values":
        return _ROW.match(text, word.end()) is not None
    if verb in verbs and (verb in QUERY_VERBS or not word[1]):
        return True
    return _SHORT.match(text, word.start(2)) is not None
