"""Whether a query reads the clock or random numbers, so that its result changes from run to run."""

from __future__ import annotations

import re
from functools import lru_cache

from tasks.types import Engine

_PARTS = re.compile(
    r"""--[^\n]* | /\*.*?(?:\*/|\Z) | (?P<text>'[^']*') | (?P<name>"[^"]*" | `[^`]*`)
      | (?P<word>[A-Za-z_]\w*) (?P<call>\s*\( (?P<bare>\s*\))?)? | .""",
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
"""SQLite's functions for which the text 'now' is the clock; without arguments most read it too."""
_FORMAT_ALONE = re.compile(r"\bstrftime\s*\(\s*'[^']*'\s*\)", re.IGNORECASE)
_AGE_ALONE = re.compile(r"\bage\s*\(\s*[^,()]+\)", re.IGNORECASE)
_SAMPLE = re.compile(r"\busing\s+sample\b", re.IGNORECASE)


@lru_cache(maxsize=16_384)
def volatile(sql: str, engine: Engine) -> bool:
    """Whether a query says that it reads the clock or random numbers. What stands in views is not seen."""
    words, calls = set(), set()
    bare = now = False
    for part in _PARTS.finditer(sql):
        word = (part["word"] or "").lower()
        if part["call"]:
            calls.add(word)
            bare = bare or (word in _MOMENTS and bool(part["bare"]))
        elif word:
            words.add(word)
        now = now or (part["text"] or "").strip("' ").lower() == "now"
    if words & _KEYWORDS[engine] or calls & _FUNCTIONS[engine]:
        return True
    if engine == "sqlite":
        return bare or (now and bool(calls & _MOMENTS)) or bool(_FORMAT_ALONE.search(sql))
    return bool(_SAMPLE.search(sql) or _AGE_ALONE.search(sql))
