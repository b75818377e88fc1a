"""What kind of values a column has, by its type, its name and the values of sampled rows."""

from __future__ import annotations

import re
from collections.abc import Sequence

from harness.generation.types import Kind
from harness.generation.wording import PEOPLE
from tasks.types import DECIMAL, Cell, Column

_DATE = re.compile(r"\d{4}-\d\d-\d\d([ T].*)?")
_NUMBER = re.compile(r"[-+]?[\d.,:/ ()-]*\d[\d.,:/ ()%-]*")
FLAGS: tuple[dict[str, bool], ...] = (
    {"1": True, "0": False},
    {"t": True, "f": False},
    {"y": True, "n": False},
    {"yes": True, "no": False},
    {"true": True, "false": False},
)
CODES = {"id", "code", "number", "zip", "phone", "telephone", "fax", "postcode", "ssn", "isbn", "key", "uuid"}
"""Words at whose presence a number is no quantity."""
_CONTACTS = {"email", "mail", "address", "url", "website", "password", "link", "path"}
LABELS = {"name", "title", "label", "caption", "nickname"}
MOST_CATEGORIES = 60
LONGEST = 50
"""Characters of a value that a question quotes; a column with longer ones is only shown."""


def number_of(cell: Cell) -> float | None:
    """A number's value, exact or not; None for other cells."""
    if isinstance(cell, int | float):
        return float(cell)
    if isinstance(cell, tuple) and cell[0] == DECIMAL:
        return float(str(cell[1]))
    return None


def number_text(number: float) -> str:
    """A number as people write it, in a question and in SQL."""
    return str(int(number)) if float(number).is_integer() and abs(number) < 2**53 else str(number)


def flag_of(values: Sequence[Cell]) -> dict[str, bool] | None:
    """The texts of a column of truth values with their meaning; None for other columns."""
    texts = {str(value).lower() for value in values}
    return next((flags for flags in FLAGS if texts == flags.keys()), None)


def kind_of(column: Column, words: Sequence[str], values: Sequence[Cell], unique: bool) -> Kind:
    """The kind of a column that is no key. ``values``: those of sampled rows, without NULL."""
    if not values or any(isinstance(value, bytes | tuple) and number_of(value) is None for value in values):
        return "other"
    if flag_of(values) and not unique:
        return "flag"
    numbers = [number for value in values if (number := number_of(value)) is not None]
    if len(numbers) == len(values):
        return _kind_of_numbers(words, numbers)
    texts = [str(value) for value in values]
    if len(numbers) or len(texts) != len([text for text in texts if text.isprintable()]):
        return "text" if not len(numbers) else "other"
    if all(_DATE.fullmatch(text) for text in texts):
        return "date"
    return _kind_of_texts(words, texts, unique)


def _kind_of_numbers(words: Sequence[str], numbers: Sequence[float]) -> Kind:
    whole = all(number.is_integer() for number in numbers)
    recent = all(1900 <= number <= 2100 for number in numbers) and len(set(numbers)) > 2
    if whole and (recent or ("year" in words and all(1000 <= number <= 2200 for number in numbers))):
        return "year"
    if whole and (words[-1] in CODES or words[-1] in PEOPLE) and "of" not in words:
        return "code"
    return "number"


def _kind_of_texts(words: Sequence[str], texts: Sequence[str], unique: bool) -> Kind:
    if max(map(len, texts)) > LONGEST or _CONTACTS & set(words):
        return "text"
    distinct = len(set(texts))
    if sum(bool(_NUMBER.fullmatch(text)) for text in texts) > len(texts) / 2:
        return "code"
    if words[-1] in LABELS and distinct > len(texts) / 2:
        return "label"
    if not unique and distinct <= MOST_CATEGORIES and distinct < 0.8 * len(texts):
        return "category"
    return "label" if unique and words[-1] not in CODES else "text"
