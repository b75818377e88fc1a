"""Spider 2.0's official verdict: every expected column equals some column of the result.

Source: github.com/xlang-ai/Spider2, ``spider2-lite/evaluation_suite/evaluate.py`` (``compare_pandas_table``).
Both results pass through csv files and pandas there: a column whose texts are all numbers is one of numbers,
and an empty text is a missing value. Equal are two missing values, the same text, and numbers within 0.01.
The result may have further columns. Names of columns do not matter, nor does the order of rows where the
dataset says so: then both columns are sorted first, as texts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import NoneType

from rewards.matching.texts import decoded, number_of
from tasks.given import IN_ORDER
from tasks.types import Cell, Outcome, cell_text

TOLERANCE = 1e-2
MISSING = frozenset(
    {"", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A"}
    | {"NA", "NULL", "NaN", "None", "n/a", "nan", "null"}
)
"""The texts that pandas reads as a missing value."""
BOOLEANS = {text: text.lower() == "true" for text in ("True", "TRUE", "true", "False", "FALSE", "false")}
Column = list[float | str | None]


def is_ordered(gold_sql: str) -> bool:
    """Whether the order of the rows that a gold returns matters."""
    return gold_sql.endswith(IN_ORDER)


def equal(gold: Outcome, prediction: Outcome, ordered: bool) -> bool:
    """The official ``compare_pandas_table``."""
    if len(gold.rows) != len(prediction.rows):
        return False
    found = _columns(prediction, ordered)
    return all(any(_same(column, other) for other in found) for column in _columns(gold, ordered))


def difference(gold: Outcome, prediction: Outcome) -> str:
    """One line that says what is missing."""
    if len(gold.rows) != len(prediction.rows):
        return f"{len(prediction.rows)} row{'s' * (len(prediction.rows) != 1)}, expected {len(gold.rows)}"
    found = _columns(prediction, False)
    missing = [
        name
        for name, column in zip(gold.columns, _columns(gold, False), strict=True)
        if not any(_same(column, other) for other in found)
    ]
    return f"no column has the values of {', '.join(missing[:4])}" if missing else "not in the expected order"


def _same(one: Column, other: Column) -> bool:
    return all(map(_same_value, one, other))


def _place(value: float | str | None) -> tuple[bool, str, bool]:
    """The official sort key; a missing value is NaN there."""
    return False, "nan" if value is None else str(value), not isinstance(value, str)


def _same_value(one: float | str | None, other: float | str | None) -> bool:
    if isinstance(one, str) or isinstance(other, str) or one is None or other is None:
        return one == other
    return one == other or (
        math.isfinite(one) and math.isfinite(other) and math.isclose(one, other, abs_tol=TOLERANCE)
    )


def _columns(outcome: Outcome, ordered: bool) -> list[Column]:
    """The columns, each sorted unless the rows are ordered.

    If all are numbers and some are floats, all are floats, as in pandas.
    """
    columns = [_column(cells) for cells in zip(*outcome.rows, strict=True)] or [[] for _ in outcome.columns]
    kinds = {type(value) for column in columns for value in column}
    if kinds <= {int, float, NoneType} and kinds != {int}:
        columns = [[None if value is None else float(value) for value in column] for column in columns]
    return columns if ordered else [sorted(column, key=_place) for column in columns]


def _column(cells: Sequence[Cell]) -> Column:
    """A column as pandas reads it from a csv file: all numbers, all truth values, or all texts."""
    texts = [_text(cell) for cell in cells]
    kept = [text for text in texts if text not in MISSING]
    read: list[float | str | None] = [_number(text) for text in kept]
    if None in read:
        read = [BOOLEANS.get(text) for text in kept]
    elif len(kept) < len(texts) or not all(isinstance(number, int) for number in read):
        read = [float(number) for number in read if number is not None]
    found = iter(kept if None in read else read)
    return [None if text in MISSING else next(found) for text in texts]


def _text(cell: Cell) -> str:
    if isinstance(cell, str):
        return decoded(cell, "replace")
    return "" if cell is None else cell_text(cell)


def _number(text: str) -> int | float | None:
    if "_" in text or len(text) > 300 or not text.isascii():
        return None
    return number_of(text)
