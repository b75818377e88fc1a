"""Values of dataset columns: as text, as golds, and compared with what ``dataset.where`` asks for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tasks.common.errors import DataError

SQL_KEYS = ("sql", "query", "SQL", "gold")
"""Where the SQL of a gold stands that is an object."""


def text(value: Any) -> str:
    """A cell as text; "" for NULL and NaN, which no column means as text."""
    if value is None or value != value:
        return ""
    return value.strip("\ufeff") if isinstance(value, str) else str(value)


def golds(value: Any, where: str) -> tuple[str, ...]:
    """The SQL answers in a cell: a text, an object with one under ``sql``, or a list of these and NULLs.

    Raises DataError, beginning with ``where``, for anything else.
    """
    return tuple(one for one in _golds(value, where) if one.strip())


def _golds(value: Any, where: str) -> Iterator[str]:
    if value is None or value != value:
        return
    if isinstance(value, str):
        yield text(value)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _golds(one, where)
    elif isinstance(value, dict):
        key = next((name for name in SQL_KEYS if name in value), None)
        if key is None:
            raise DataError(
                f"{where}: an object as gold needs its SQL under 'sql'; it has {', '.join(value)}"
            )
        yield from _golds(value[key], where)
    else:
        raise DataError(f"{where}: the gold is a {type(value).__name__}, expected SQL as text")


def equals(value: Any, wanted: str | int | float | bool, where: str) -> bool:
    """Whether a cell has the value that ``dataset.where`` asks for; NULL has none.

    A number or truth value is compared with text by what the text says, as in csv files. Raises DataError
    where a text is asked for and the column holds something else, or a truth value and it holds numbers.
    """
    if value is None or value != value:
        return False
    if isinstance(value, str):
        return value == wanted if isinstance(wanted, str) else _says(value, wanted)
    if isinstance(wanted, str) or isinstance(wanted, bool) != isinstance(value, bool):
        raise DataError(
            f"{where} holds {type(value).__name__} values such as {value!r:.40}, and dataset.where asks for"
            f" the {'text' if isinstance(wanted, str) else type(wanted).__name__} {wanted!r}: write it as the"
            " column has it"
        )
    return bool(value == wanted)


def _says(value: str, wanted: int | float | bool) -> bool:
    if isinstance(wanted, bool):
        return value.strip().lower() == str(wanted).lower()
    try:
        return float(value) == wanted
    except ValueError:
        return False
