"""The SQL that stands in a model's chat text. Read, never guessed."""

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
"""Not queries: they are let through so that the sandbox can say ``forbidden_statement``."""

SQL_TAGS = frozenset({"sql", "sqlite", "sqlite3", "duckdb"})

_FENCE = re.compile(r"`{3,}|^[ \t]*~{3,}", re.MULTILINE)
_OPENS = re.compile(r"[ \t]*(?:sql|sqlite|sqlite3|duckdb)[ \t]*\r?\n", re.IGNORECASE)
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
"""Tags around an answer, and special tokens at its end that a server left in the text."""
_NEAR = 200
"""Characters after a tag in which its SQL or its fence begins."""
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
"""How DuckDB's statements begin whose first word is one of English prose too: more of it must be SQL."""


def extract(text: str) -> str:
    """The SQL in ``text``, stripped of white space; ``""`` where there is none.

    1. What a reasoning model thought is not its answer: ``<think>...</think>``, and the tags and channels of
       other models (``tasks.thoughts``), are cut out, and so is all that stands before a closing tag whose
       opening tag was part of the prompt. Thinking that never ends leaves no answer.
    2. Tags around the answer (``<answer>``, ``<solution>``, ``<sql>``, ...): the last such tag after which a
       statement or a fence begins delimits the answer; a closing tag alone ends one that begins the text.
    3. Fences (three or more backticks, or tildes at the start of a line) open and close in turn; one with an
       SQL tag on its line always opens, and a last one that is never closed reaches to the end of the text.
       The answer is the last block that is not blank and is tagged sql, sqlite, sqlite3 or duckdb, or has no
       tag and begins with a query. Without such a block it is the last one without a tag that begins with
       another statement. Blocks of other languages are no answer.
    4. Without any block of these the text up to its first fence is the answer, if it begins with a statement.
       (A fence that only closes belongs to one that the prompt opened.)

    A statement begins, after comments, white space and semicolons, with SELECT, WITH or VALUES, with DuckDB's
    ``FROM t``, ``TABLE t``, ``PIVOT t ON``, ``UNPIVOT t ON`` or ``SUMMARIZE t`` (all also inside
    parentheses), or with another SQL verb, which the sandbox judges. Time is linear in the text's length.
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
    """The part of an answer that its own tags delimit; all of it where they delimit nothing."""
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
    """Where the first closing tag begins, else the end of the text."""
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
    """Whether an answer begins here: with a fence or a statement."""
    return text.lstrip().startswith("```") or _is_statement(text)


def _block(block: str, is_answer: Callable[[str], bool]) -> str:
    """The SQL of one fenced block, ``""`` where it holds something else."""
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
