r"""WikiTableQuestions' official verdict: the values that a query returns match the answers, as sets.

Source: github.com/ppasupat/WikiTableQuestions, ``evaluator.py`` 1.0.2 (``normalize``, ``to_value``,
``check_denotation``). Every cell of a result is a value; NULL is the empty text. Equal values count once, and
there must be as many values as answers, each of which matches some value:

- the same text once both are normalized: no diacritics, plain quotes and dashes, lower case, without trailing
  citations, details in parentheses, outer quotation marks and final period
- or the same number, within 1e-6
- or the same date, year-month-day with ``xx`` for what is not known

A text is a number or a date only as a whole: ``100,000`` is none. Where the dataset gives an answer's
canonical form, that form decides what the answer is, and its own text is compared as text.
Our normalization does in linear time what the official one does with patterns that backtrack. A text of more
than ``LONGEST`` characters is not normalized, and matches no answer.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import isfinite

from rewards.matching.texts import decoded, number_of
from tasks.given import ANSWER, CANONICAL
from tasks.types import Cell, Outcome, cell_text

LONGEST = 10_000
_SPACES = re.compile(r"\s+")
_QUOTES, _DOUBLE, _DASHES = "\u2018\u2019\u00b4`", "\u201c\u201d", "\u2010\u2011\u2012\u2013\u2014\u2212"
_PLAIN = str.maketrans(
    dict.fromkeys(_QUOTES, "'") | dict.fromkeys(_DOUBLE, '"') | dict.fromkeys(_DASHES, "-")
)
_MARKS = frozenset("•♦†‡*#+")
_UNKNOWN = -1
Content = str | float | tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Value:
    """A value as the evaluator reads it: its normalized text, and the text, number or date that it is."""

    text: str
    content: Content

    def matches(self, other: Value) -> bool:
        """The official ``match``."""
        if self.text == other.text:
            return True
        one, two = self.content, other.content
        if isinstance(one, int | float) and isinstance(two, int | float):
            return one == two or (max(abs(one), abs(two)) < 1e300 and abs(one - two) < 1e-6)
        return isinstance(one, tuple) and one == two


def equal(gold: Outcome, prediction: Outcome) -> bool:
    """The official ``check_denotation`` on the cells of two results."""
    answers = _distinct(_answers(gold))
    found: dict[tuple[type, Content], Value] = {}
    texts = dict.fromkeys(_text(cell) for row in prediction.rows for cell in row)
    for text in texts:
        value = value_of(text)
        found.setdefault(_key(value), value)
        if len(found) > len(answers):
            return False
    return len(found) == len(answers) and all(
        any(answer.matches(value) for value in found.values()) for answer in answers
    )


def difference(gold: Outcome, prediction: Outcome) -> str:
    """One line with the answers and the first values of the result."""
    expected = [_text(row[0]) for row in gold.rows]
    got = dict.fromkeys(_text(cell) for row in prediction.rows[:4] for cell in row)
    return f"expected {_listed(expected)}, got {_listed(list(got))}"


def _listed(texts: Sequence[str]) -> str:
    shown = [repr(text[:40]) for text in texts[:3]]
    return f"({', '.join(shown)}{', ...' if len(texts) > 3 else ''})"


def _answers(gold: Outcome) -> Iterator[Value]:
    if gold.columns == (ANSWER, CANONICAL):
        for answer, canonical in gold.rows:
            yield value_of(_text(answer), _text(canonical))
    else:
        yield from (value_of(_text(cell)) for row in gold.rows for cell in row)


def _distinct(values: Iterable[Value]) -> list[Value]:
    """The first of equal values: texts, numbers or dates that are the same."""
    found: dict[tuple[type, Content], Value] = {}
    for value in values:
        found.setdefault(_key(value), value)
    return list(found.values())


def _key(value: Value) -> tuple[type, Content]:
    return float if isinstance(value.content, int) else type(value.content), value.content


def _text(cell: Cell) -> str:
    """A cell as a line of the official prediction file has it."""
    if isinstance(cell, str):
        return decoded(cell, "ignore")
    if isinstance(cell, bytes):
        return cell.decode("utf-8", "ignore")
    return "" if cell is None else cell_text(cell)


def value_of(text: str, canonical: str = "") -> Value:
    """The official ``to_value``. ``canonical`` decides what the value is; "": ``text`` does."""
    read = canonical or text
    number = _number(read)
    if number is not None:
        return Value(normalized(text) if text else str(number), number)
    date = _date(read)
    if date is None:
        return Value(normalized(text), normalized(text))
    if date[1] == date[2] == _UNKNOWN:
        return Value(normalized(text), date[0])
    return Value(normalized(text), date)


def _number(text: str) -> int | float | None:
    """The official ``NumberValue.parse``; a float next to a whole number is that number."""
    if len(text) > 400 or "_" in text:  # Python 3 reads 1_000, the evaluator's Python 2 does not
        return None
    amount = number_of(text)
    if amount is None or isinstance(amount, int):
        return amount
    if not isfinite(amount):
        return None
    return int(amount) if abs(amount - round(amount)) < 1e-6 else amount


def _date(text: str) -> tuple[int, int, int] | None:
    """The official ``DateValue.parse``: year, month and day, -1 for what is not known."""
    parts = text.lower().split("-") if len(text) < 100 and "_" not in text else []
    if len(parts) != 3:
        return None
    try:
        year = _UNKNOWN if parts[0] in ("xx", "xxxx") else int(parts[0])
        month, day = (_UNKNOWN if part == "xx" else int(part) for part in parts[1:])
    except ValueError:
        return None
    known = year, month, day
    if known == (_UNKNOWN,) * 3 or not (month == _UNKNOWN or 1 <= month <= 12):
        return None
    return known if day == _UNKNOWN or 1 <= day <= 31 else None


def normalized(text: str) -> str:
    """The official ``normalize``."""
    if len(text) > LONGEST:
        return f"\0{text}"
    decomposed = unicodedata.normalize("NFKD", text)
    text = "".join(char for char in decomposed if unicodedata.category(char) != "Mn").translate(_PLAIN)
    before = None
    while text != before:
        before = text
        text = _without_citations(text.strip())
        text = _without_details(text.strip()).strip()
        if len(text) > 1 and text[0] == text[-1] == '"' and '"' not in text[1:-1]:
            text = text[1:-1]
    return _SPACES.sub(" ", text.removesuffix(".")).lower().strip()


def _without_citations(text: str) -> str:
    """Without the longest end that consists of marks, ``[...]`` and, also at the start, ``[12]``."""
    starts = {len(text)}
    for end in range(len(text), 0, -1):
        if end not in starts:
            continue
        if text[end - 1] in _MARKS:
            starts.add(end - 1)
        elif text[end - 1] == "]":
            starts.update(
                start for start in _openings(text, end, "[", "]") if start or _is_digits(text[1 : end - 1])
            )
    return text[: min(starts)]


def _is_digits(text: str) -> bool:
    return bool(re.fullmatch(r"\d+", text))


def _without_details(text: str) -> str:
    """Without the longest end that consists of `` (...)``."""
    starts = {len(text)}
    for end in range(len(text), 0, -1):
        if end in starts and text[end - 1] == ")":
            openings = _openings(text, end, "(", ")")
            starts.update(start - 1 for start in openings if start and text[start - 1] == " ")
    return text[: min(starts)]


def _openings(text: str, end: int, opening: str, closing: str) -> Iterator[int]:
    """The places of the brackets that the one before ``end`` may close: no closing one is between."""
    first = text.rfind(closing, 0, end - 1) + 1
    return (start for start in range(first, end - 1) if text[start] == opening)
