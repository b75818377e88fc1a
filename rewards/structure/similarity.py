"""How alike two queries are as trees, clause by clause: F1 over what each clause holds.

Aliases are resolved, names are compared in lower case, the order of what may stand in any order is dropped
(``a = b`` is ``b = a``, ``5 < x`` is ``x > 5``). Text in double quotes where a value is compared is text, as
SQLite reads it. Nothing is executed: likeness earns partial credit, never a right answer's.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from functools import lru_cache

from rewards.structure.clauses import CLAUSES, Bag, Features, read
from rewards.structure.parse import parse

QUOTES = "'\"`["
WORD = re.compile(r"""'[^']*'|"[^"]*"|`[^`]*`|\[[^\]]*\]|[\w.]+|[<>=!|]+|\S""")
"""Text and names in quotes, names and numbers, operators, and what is left, sign by sign."""
GOLDS = 16_384
"""Golds of which a worker remembers what their clauses hold."""


def likeness(gold: str, prediction: str, dialect: str) -> Mapping[str, float]:
    """F1 in [0, 1] of each clause, and ``overall``, the F1 over all clauses' contents together.

    A clause that neither query has is 1. All are 0 where the prediction cannot be read. Empty where the gold
    cannot.
    """
    expected = _expected(gold, dialect)
    if expected is None:
        return {}
    found = expected if alike(prediction, gold) else features(prediction, dialect)
    if found is None:
        return dict.fromkeys((*CLAUSES, "overall"), 0.0)
    scores = dict.fromkeys((*CLAUSES, "overall"), 1.0)
    same = size = 0
    for clause in CLAUSES:
        one, two = expected[clause], found[clause]
        if one or two:
            total = sum(one.values()) + sum(two.values())
            matches = common(one, two)
            scores[clause] = 2 * matches / total
            same, size = same + matches, size + total
    scores["overall"] = 2 * same / size if size else 1.0
    return scores


def alike(one: str, two: str) -> bool:
    """Whether two texts are the same words but for case and white space: no need to parse both."""
    if one == two:
        return True
    # where white space ends a comment, it is more than white space
    return _dense(one) == _dense(two) and "--" not in one and _words(one) == _words(two)


def _dense(sql: str) -> str:
    """Cheaper than the words, and different wherever they are."""
    return "".join(sql.split()).lower()


def _words(sql: str) -> list[str]:
    return [word if word[0] in QUOTES else word.lower() for word in WORD.findall(sql)]


@lru_cache(maxsize=GOLDS)
def _expected(gold: str, dialect: str) -> Features | None:
    """The gold's features, in a cache that no prediction can flush."""
    return features(gold, dialect)


def features(sql: str, dialect: str) -> Features | None:
    """What each clause of a query holds; None where the query cannot be read within bounds."""
    tree = parse(sql, dialect)
    if tree is None:
        return None
    try:
        return read(tree)
    except Exception:  # no text of a model's may stop a run; what cannot be read earns nothing
        return None


def common(one: Bag, two: Bag) -> int:
    """How much two bags share. ``.name``, a column whose table is not said, is any table's ``t.name``."""
    if one == two:
        return sum(one.values())
    shared = {name: min(count, two[name]) for name, count in one.items() if name in two}
    left, right = _without(one, shared), _without(two, shared)
    return sum(shared.values()) + _loose(left, right) + _loose(right, left)


def _without(bag: Bag, taken: Bag) -> Bag:
    return {name: count - taken.get(name, 0) for name, count in bag.items()}


def _loose(unknown: Bag, others: Bag) -> int:
    """How many columns of the first whose table is not said are columns of the second that name theirs."""
    bare = {name: count for name, count in unknown.items() if count and name.startswith(".")}
    if not bare:
        return 0
    named: dict[str, int] = defaultdict(int)
    for name, count in others.items():
        table, dot, column = name.partition(".")
        if table and dot:
            named["." + column] += count
    return sum(min(count, named[name]) for name, count in bare.items())
