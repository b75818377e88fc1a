"""The names that a task marks as private: ``table``, ``table.column`` or ``schema.table.column``.

``*`` stands for any characters and ``?`` for one; case does not matter. A pattern of two parts names a column
in the tables of every schema.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from tasks.common.errors import SpecError, nearest
from tasks.types import Database, Schema, Table

_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Pattern:
    """One entry of ``private``. ``column`` "": the whole table."""

    text: str
    schema: str
    table: str
    column: str

    @classmethod
    def parsed(cls, text: str) -> Pattern:
        """Raises ValueError: it has an empty part, or more than three."""
        parts = text.lower().split(".")
        if len(parts) > 3 or not all(part.strip() for part in parts):
            raise ValueError(f"'{text}': write table, table.column or schema.table.column")
        schema = parts.pop(0) if len(parts) == 3 else "*"
        return cls(text, schema, parts[0], parts[1] if parts[1:] else "")

    def hides(self, schema: str, table: str, column: str = "") -> bool:
        """Whether it marks a column, or with ``column`` "" the whole table."""
        if not (_matches(self.schema, schema) and _matches(self.table, table)):
            return False
        return self.column in ("", "*") or bool(column and _matches(self.column, column))


def patterns(texts: Iterable[str]) -> list[Pattern]:
    """The patterns of ``private``. Raises ValueError."""
    return [Pattern.parsed(text) for text in texts]


def _matches(pattern: str, name: str) -> bool:
    if "*" not in pattern and "?" not in pattern:
        return pattern == name.lower()
    text = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(text, name.lower(), re.DOTALL) is not None


def hidden_in(found: Sequence[Pattern], schema: str, table: str, columns: Iterable[str]) -> set[str] | None:
    """The private columns of a table; None where all of it is private."""
    if any(pattern.hides(schema, table) for pattern in found):
        return None
    listed = list(columns)
    private = {name for name in listed if any(pattern.hides(schema, table, name) for pattern in found)}
    return None if listed and len(private) == len(listed) else private


def expect_known(task: str, texts: Sequence[str], schemas: Iterable[tuple[str, Schema]]) -> None:
    """Raise SpecError for an entry that matches nothing in any of the databases, with the nearest name.

    ``schemas``: pairs of the name of an engine's default schema and a database's tables.
    """
    left = {pattern.text: pattern for pattern in patterns(texts)}
    known: set[str] = set()
    for usual, schema in schemas:
        for table in schema.tables:
            place = table.schema or usual
            names = [column.name for column in table.columns]
            left = {
                text: pattern
                for text, pattern in left.items()
                if not _finds(pattern, place, table.name, names)
            }
            known |= set(_spelled(table))
    for text in left:
        raise SpecError(f"{task}: private: no table or column '{text}': {nearest(text, known)}")


def _finds(pattern: Pattern, schema: str, table: str, columns: Sequence[str]) -> bool:
    return any(pattern.hides(schema, table, column) for column in ("", *columns))


def _spelled(table: Table) -> Iterator[str]:
    place = f"{table.schema}.{table.name}" if table.schema else table.name
    yield place
    for column in table.columns:
        yield f"{place}.{column.name}"


def mentions(text: str, names: Iterable[str]) -> bool:
    """Whether a text has one of these names, in lower case, as a word or as a run of words."""
    words = f" {' '.join(_WORD.findall(text.lower()))} "
    return any(f" {' '.join(_WORD.findall(name))} " in words for name in names)


def public_comment(database: Database, comment: str) -> str:
    """A comment of a database's catalogue; "" where it names what is private."""
    names = database.private.names if database.private else ()
    return "" if mentions(comment, names) else comment
