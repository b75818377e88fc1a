"""The similarity of two queries' syntax trees, clause by clause: F1 over the contents of each clause.

Aliases are resolved, names are compared in lower case, and order is ignored where it has no meaning
(``a = b`` is ``b = a``, ``5 < x`` is ``x > 5``). A name in double quotes on the right of a comparison is
text, as in SQLite. Nothing is executed: similarity gives partial credit only.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from functools import lru_cache

from rewards.structure.clauses import CLAUSES, Bag, ClauseBags, clause_bags
from rewards.structure.parse import parse

_QUOTES = "'\"`["
_WORD = re.compile(r"""'[^']*'|"[^"]*"|`[^`]*`|\[[^\]]*\]|[\w.]+|[<>=!|]+|\S""")
"""Text and names in quotes, names and numbers, operators, and any other character."""
_GOLDS = 16_384
"""Golds whose clauses a worker keeps in memory."""


def similarity(gold: str, prediction: str, dialect: str) -> Mapping[str, float]:
    """F1 in [0, 1] of each clause, and ``overall``, the F1 over the contents of all clauses together.

    A clause that neither query has is 1. All are 0 if the prediction cannot be parsed. The result is empty
    if the gold cannot be parsed.
    """
    expected = _gold_contents(gold, dialect)
    if expected is None:
        return {}
    if same_words(prediction, gold):
        return dict.fromkeys((*CLAUSES, "overall"), 1.0)
    predicted = _contents(prediction, dialect)
    if predicted is None:
        return dict.fromkeys((*CLAUSES, "overall"), 0.0)
    scores = dict.fromkeys((*CLAUSES, "overall"), 1.0)
    total_matches = total_size = 0
    for clause in CLAUSES:
        gold_bag, bag = expected[clause], predicted[clause]
        if gold_bag or bag:
            size = sum(gold_bag.values()) + sum(bag.values())
            matches = _common(gold_bag, bag)
            scores[clause] = 2 * matches / size
            total_matches, total_size = total_matches + matches, total_size + size
    scores["overall"] = 2 * total_matches / total_size if total_size else 1.0
    return scores


def same_words(one: str, two: str) -> bool:
    """Whether two texts differ only in the case of words and in white space: one parse then serves both."""
    if one == two:
        return True
    # a line break that ends a comment has a meaning
    return _dense(one) == _dense(two) and "--" not in one and _words(one) == _words(two)


def _dense(sql: str) -> str:
    """The text without white space: cheap to compare, and different wherever the words are."""
    return "".join(sql.split()).lower()


def _words(sql: str) -> list[str]:
    return [word if word[0] in _QUOTES else word.lower() for word in _WORD.findall(sql)]


@lru_cache(maxsize=_GOLDS)
def _gold_contents(gold: str, dialect: str) -> ClauseBags | None:
    """The contents of the gold's clauses, in a cache of its own that predictions cannot flush."""
    return _contents(gold, dialect)


def _contents(sql: str, dialect: str) -> ClauseBags | None:
    """The contents of each clause; None where the query cannot be parsed within bounds."""
    tree = parse(sql, dialect)
    if tree is None:
        return None
    try:
        return clause_bags(tree)
    except Exception:  # an answer whose tree cannot be read gets no credit and does not stop the run
        return None


def _common(one: Bag, two: Bag) -> int:
    """The size of the intersection. ``.name``, a column without a table, matches any table's ``t.name``."""
    if one == two:
        return sum(one.values())
    shared = {name: min(count, two[name]) for name, count in one.items() if name in two}
    left, right = _without(one, shared), _without(two, shared)
    return sum(shared.values()) + _common_columns(left, right) + _common_columns(right, left)


def _without(bag: Bag, taken: Bag) -> Bag:
    return {name: count - taken.get(name, 0) for name, count in bag.items()}


def _common_columns(one: Bag, other: Bag) -> int:
    """How many columns of the first bag without a table match columns of the other with a table."""
    bare = {name: count for name, count in one.items() if count and name.startswith(".")}
    if not bare:
        return 0
    named: dict[str, int] = defaultdict(int)
    for name, count in other.items():
        table, dot, column = name.partition(".")
        if table and dot:
            named["." + column] += count
    return sum(min(count, named[name]) for name, count in bare.items())
