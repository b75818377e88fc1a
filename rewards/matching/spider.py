"""The verdict of Spider's official test-suite evaluator, row by row.

Source: github.com/taoyds/test-suite-sql-eval, ``exec_eval.py`` (``eval_exec_match``, ``result_eq``) and
``parse.py`` (``remove_distinct``), with its defaults: neither ``--keep_distinct`` nor ``--plug_value``. EX is
its verdict on the base database alone, TS on every ``.sqlite`` file of the database's folder. Its quirks are
kept: DISTINCT is removed from both queries before they run; only the first of several statements runs; two
empty results are equal whatever their columns are; the order of rows matters if ``order by`` occurs anywhere
in the gold; cells are compared by Python's ``==``, but only after each row's cells, sorted by their printed
form, were equal, where 1 and 1.0 differ.
The official search tries n^n column mappings; ours (``rewards.matching.columns``) has the same verdict.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import chain

from rewards.matching import texts
from rewards.matching.columns import bijections
from rewards.matching.strict import permuted
from tasks.types import Cell, Outcome, Row

_COMMENT = r"(?:--|\#[ ])[^\r\n]*(?:\r\n|\r|\n|\Z)"
_TOKEN = re.compile(
    rf"""
      {_COMMENT} | /\*.*?\*/
    | `(?:``|[^`])*` | '(?:''|\\'|[^'])*' | "(?:""|\\"|[^"])*" | (?<![\w\])])\[[^\]\[]+\]
    | (?<!\w)[$:?]\w+ | [@\#][a-zÀ-Ü]\w+ | \\\w+ | [+/%^&|][+/@\#%^&|-]*
    | (?P<end>;)(?:[^\S\r\n] | {_COMMENT})*
    | (?P<distinct>distinct(?![$\#\w]) | (?<=\.)distinct(?!\w))
    | \w[$\#\w]*
    """,
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)
"""The tokens of sqlparse that decide where a statement ends and which word is DISTINCT.

In sqlparse's strings a backslash escapes a quote; ``# `` begins a comment; a bracket after a name does not
quote; a comment sign directly after an operator is part of the operator.
"""
_CURRENT_YEAR = re.compile(r"YEAR\s*\(\s*CURDATE\s*\(\s*\)\s*\)\s*", re.IGNORECASE)


def prepared(sql: str) -> str:
    """The query as the official evaluator runs it.

    Operators such as ``> =`` are joined, DISTINCT is removed, and the current year becomes 2020. Only the
    first of several statements is kept. It may be empty: ``;SELECT 1`` runs as ``;``, without rows.
    """
    joined = sql.replace("> =", ">=").replace("< =", "<=").replace("! =", "!=")
    if ";" in joined or "distinct" in joined.lower():
        joined = _first_without_distinct(joined)
    return _CURRENT_YEAR.sub("2020", joined) if "curdate" in joined.lower() else joined


def _first_without_distinct(sql: str) -> str:
    """The official ``remove_distinct``."""
    kept: list[str] = []
    start = 0
    for token in _TOKEN.finditer(sql):
        if token["end"]:
            return "".join([*kept, sql[start : token.end()]])
        if token["distinct"]:
            kept.append(sql[start : token.start()])
            start = token.end()
    return "".join([*kept, sql[start:]])


def order_matters(gold_sql: str) -> bool:
    """Whether the official evaluator compares lists of rows instead of bags."""
    return "order by" in gold_sql.lower()


def equal(gold: Sequence[Row], prediction: Sequence[Row], ordered: bool) -> bool:
    """The official ``result_eq``."""
    if not gold and not prediction:
        return True
    if not gold or not prediction or len(gold) != len(prediction) or len(gold[0]) != len(prediction[0]):
        return False
    floats = _has_floats(gold, prediction)
    if gold == prediction and not floats:
        return True
    if floats and not _passes_quick_reject(gold, prediction, ordered):
        return False
    if _same(gold, prediction, ordered):
        return True
    groups = range(len(gold)) if ordered else None
    for order in bijections(gold, prediction, groups):
        if _same(gold, permuted(prediction, order), ordered):
            return True
    return False


def _same(gold: Sequence[Row], prediction: Sequence[Row], ordered: bool) -> bool:
    return list(gold) == list(prediction) if ordered else Counter(gold) == Counter(prediction)


def _has_floats(gold: Sequence[Row], prediction: Sequence[Row]) -> bool:
    """Whether equal cells may print differently: only then can ``quick_rej`` reject equal tables."""
    return float in set(map(type, chain(chain.from_iterable(gold), chain.from_iterable(prediction))))


def _passes_quick_reject(gold: Sequence[Row], prediction: Sequence[Row], ordered: bool) -> bool:
    """The official ``quick_rej``."""
    golds, predictions = [_unordered(row) for row in gold], [_unordered(row) for row in prediction]
    return golds == predictions if ordered else set(golds) == set(predictions)


def _unordered(row: Row) -> Row:
    return tuple(sorted(row, key=lambda cell: str(cell) + str(type(cell))))


def decoded(outcome: Outcome) -> Sequence[Row]:
    """The rows as the official connection returns them: without the bytes of text that are not UTF-8."""
    if not outcome.undecodable:
        return outcome.rows
    return [tuple(map(_decoded_cell, row)) for row in outcome.rows]


def _decoded_cell(cell: Cell) -> Cell:
    return texts.decoded(cell, "ignore") if isinstance(cell, str) else cell
