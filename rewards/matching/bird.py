"""BIRD's official verdicts: execution accuracy and the mini-dev's soft F1.

Source: github.com/bird-bench/mini_dev, ``evaluation_ex.py`` (``calculate_ex``) and ``evaluation_f1.py``
(``calculate_f1_score``). EX compares sets of rows: duplicates and the order of rows do not matter, the order
of columns does. The soft F1 pairs the i-th distinct row of one result with the i-th of the other, in the
order returned. The SQL is passed to Python's ``sqlite3`` unchanged: it runs neither of two statements, counts
a second ``;`` as a statement, and returns no rows for a text without a statement. Text that is not UTF-8, in
either result, makes the prediction wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, repeat

from tasks.databases.sql_text import behind_first, is_blank
from tasks.types import Row


def runs(sql: str) -> bool:
    """Whether ``sqlite3`` runs the text as one statement: only white space and comments may follow it."""
    if ";" not in sql:
        return True
    rest = behind_first(sql)
    return is_blank(rest) and "\ufeff" not in rest


def equal(gold: Sequence[Row], prediction: Sequence[Row]) -> bool:
    """The official ``calculate_ex``."""
    if gold == prediction:
        return True
    if gold and gold[0] not in prediction:
        return False  # the usual case: avoids hashing all rows
    return set(prediction) == set(gold)


def soft_f1(gold: Sequence[Row], prediction: Sequence[Row]) -> float:
    """Mean agreement in [0, 1]. Rows beyond the shorter result count as wrong."""
    if gold == prediction:
        return 1.0
    golds, predictions = list(dict.fromkeys(gold)), list(dict.fromkeys(prediction))
    paired = [_row_match(row, expected) for row, expected in zip(predictions, golds, strict=False)]
    true = sum(match for match, _, _ in paired)
    only_prediction = sum(chain((extra for _, extra, _ in paired), repeat(1, len(predictions) - len(golds))))
    only_gold = sum(chain((missing for _, _, missing in paired), repeat(1, len(golds) - len(predictions))))
    precision = true / (true + only_prediction) if true + only_prediction else 0.0
    recall = true / (true + only_gold) if true + only_gold else 0.0
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _row_match(row: Row, expected: Row) -> tuple[float, float, float]:
    """Shares of the expected row's width: cells matched, cells only predicted, cells only expected."""
    expected_cells, cells = frozenset(expected), frozenset(row)
    matched = sum([cell in expected_cells for cell in row])
    missing = sum([cell not in cells for cell in expected])
    return matched / len(expected), (len(row) - matched) / len(expected), missing / len(expected)
