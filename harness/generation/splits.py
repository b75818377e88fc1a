"""What counts as the same question or query, and the division of pairs into train and dev."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from random import Random
from unicodedata import normalize

from sqlglot import exp
from sqlglot.tokenizer_core import TokenType

from harness.generation.types import Pair
from rewards.structure.clauses import clause_bags
from rewards.structure.difficulty import difficulty_of
from rewards.structure.parse import parse, tokenize

DEV_SHARE = 0.1
LARGEST_GROUP = 0.005
"""The largest share of all pairs that one skeleton may have to be moved to dev: frequent forms are needed
in train."""
MOST_WORDINGS = 5
"""Questions that may have one query."""
_VALUES = frozenset({TokenType.STRING, TokenType.NUMBER})
_NAMES = frozenset({TokenType.VAR, TokenType.IDENTIFIER})


def question_key(question: str) -> str:
    """The words of a question: questions that differ in case, punctuation or spacing are the same."""
    return " ".join(re.findall(r"\w+", normalize("NFKC", question).lower()))


def query_key(sql: str, dialect: str) -> object:
    """The clauses of a query with its values: queries that differ in aliases, case or order are the same."""
    tree = parse(sql, dialect)
    if tree is None:
        return " ".join(sql.split()).lower()
    bags = clause_bags(tree)
    return tuple((name, tuple(sorted(bag.items()))) for name, bag in bags.items())


def skeleton(sql: str, dialect: str) -> str:
    """A query without names and values: ``SELECT _ FROM _ WHERE _ = ?``."""
    tokens = tokenize(sql, dialect) or []
    parts = []
    for token, after in zip(tokens, [*tokens[1:], None], strict=True):
        called = after is not None and after.token_type is TokenType.L_PAREN
        if token.token_type in _VALUES:
            parts.append("?")
        elif token.token_type in _NAMES and not called:
            parts.append("_")
        else:
            parts.append(token.text.upper())
    return re.sub(r"_ \. _", "_", " ".join(parts))


def described(pair: Pair, dialect: str) -> Pair:
    """The pair with its difficulty and skeleton."""
    tree = parse(pair.sql, dialect)
    assert isinstance(tree, exp.Query)
    return replace(pair, difficulty=difficulty_of(tree), skeleton=skeleton(pair.sql, dialect))


class Seen:
    """The questions and queries of the task, which no pair may repeat, and those of pairs made so far."""

    def __init__(self, dialect: str) -> None:
        self._dialect = dialect
        self._questions: set[tuple[str, str]] = set()
        self._wordings: Counter[tuple[str, object]] = Counter()

    def close(self, database: str, question: str, queries: Iterable[str]) -> None:
        """Let no pair have this question, or one of these queries."""
        self._questions.add((database, question_key(question)))
        for query in queries:
            self._wordings[database, query_key(query, self._dialect)] = MOST_WORDINGS

    def add(self, database: str, question: str, sql: str = "") -> bool:
        """Add a pair, or another wording of one if ``sql`` is empty. Returns whether its question is new and
        its query has fewer than ``MOST_WORDINGS``; only then it is added."""
        asked = (database, question_key(question))
        query = (database, query_key(sql, self._dialect)) if sql else None
        if asked in self._questions or (query and self._wordings[query] >= MOST_WORDINGS):
            return False
        self._questions.add(asked)
        if query:
            self._wordings[query] += 1
        return True


def divide(pairs: Sequence[Pair], seed: int) -> tuple[list[Pair], list[Pair]]:
    """Train and dev. All pairs of one skeleton are in one of them, and dev has no skeleton of many pairs."""
    groups: dict[str, list[int]] = {}
    for index, pair in enumerate(pairs):
        groups.setdefault(pair.skeleton, []).append(index)
    order = sorted(groups)
    Random(f"{seed} dev").shuffle(order)
    wanted, most = round(DEV_SHARE * len(pairs)), max(1, LARGEST_GROUP * len(pairs))
    dev: set[int] = set()
    for name in order:
        if len(groups[name]) <= most and len(dev) + len(groups[name]) <= wanted:
            dev.update(groups[name])
    return (
        [pair for index, pair in enumerate(pairs) if index not in dev],
        [pair for index, pair in enumerate(pairs) if index in dev],
    )
