"""Whether a query reads the clock or random numbers, so that its result changes from run to run."""

from __future__ import annotations

import re
from functools import lru_cache

from tasks.types import Engine

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
}
_MOMENTS = frozenset({"date", "time", "datetime", "julianday", "unixepoch", "strftime", "timediff"})
"""SQLite's functions for which the text 'now' is the clock; without arguments most read it too.

A text may stand in double quotes there."""
_ALONE = {"sqlite": "strftime", "duckdb": "age"}
"""With one argument these read the clock for the other."""
_SAMPLE = re.compile(r"\busing\s+sample\b", re.IGNORECASE)


@lru_cache(maxsize=16_384)
def volatile(sql: str, engine: Engine) -> bool:
    """Whether a query says that it reads the clock or random numbers. What stands in views is not seen."""
    words, calls = set(), set()
    bare = now = alone = False
    for part in _PARTS.finditer(sql):
        word = (part["word"] or (part["name"] or "").strip('"`[]')).lower()
        if part["call"]:
            calls.add(word)
            bare = bare or (word in _MOMENTS and bool(part["bare"]))
            alone = alone or (word == _ALONE[engine] and not part["bare"] and _one_argument(sql, part.end()))
        elif part["word"]:
            words.add(word)
        text = part["text"] or (part["name"] if engine == "sqlite" else "") or ""
        now = now or text.strip("\"' ").lower() == "now"
    if words & _KEYWORDS[engine] or calls & _FUNCTIONS[engine] or alone:
        return True
    if engine == "sqlite":
        return bare or (now and bool(calls & _MOMENTS))
    return bool(_SAMPLE.search(sql))


def _one_argument(sql: str, start: int) -> bool:
    """Whether no comma separates the arguments of the call whose bracket opens before ``start``."""
    depth = 1
    for part in _PARTS.finditer(sql, start):
        depth += bool(part["call"] and not part["bare"]) or part[0] in "([{"
        depth -= part[0] in ")]}"
        if not depth or (depth == 1 and part[0] == ","):
            return not depth
    return False
