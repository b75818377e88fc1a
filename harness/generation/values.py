"""Values for conditions, as SQL and within what a question can quote."""

from __future__ import annotations

from harness.generation.draw import Draw, NoFit
from harness.generation.kinds import LONGEST, number_of, number_text
from harness.generation.types import Field
from tasks.types import Cell


def literal(value: Cell) -> str:
    """A value as SQL."""
    number = number_of(value)
    if number is not None and not isinstance(value, int):
        return number_text(number)
    return str(value) if isinstance(value, int) else "'" + str(value).replace("'", "''") + "'"


def value_of(draw: Draw, field: Field) -> Cell:
    """A value of the column."""
    value = draw.pick(field.values)
    if isinstance(value, str) and not is_quotable(value):
        raise NoFit
    return value


def is_quotable(text: str) -> bool:
    """Whether a question can quote a text as it is."""
    return 0 < len(text) <= LONGEST and text == text.strip() and text.isprintable() and "\\" not in text


def threshold(draw: Draw, field: Field, low: float = 0.2, high: float = 0.8) -> Cell:
    """A number between two quantiles of the column, mostly rounded as people write it."""
    numbers = sorted(number for value in field.values if (number := number_of(value)) is not None)
    number = numbers[int(len(numbers) * draw.random.uniform(low, high))]
    if field.kind == "number" and draw.chance(0.75) and abs(number) >= 10:
        unit = 10 ** (len(str(int(abs(number)))) - 1 - draw.pick([0, 0, 1]))
        number = round(number / unit) * unit
    return int(number) if float(number).is_integer() else round(number, 2)
