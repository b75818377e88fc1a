"""Expressions of a syntax tree as short texts that are compared."""

from __future__ import annotations

from hashlib import blake2b

from sqlglot import exp

LONGEST = 200
"""Characters of a content's text from which on its digest stands for it."""

_COMPARISONS = (
    exp.EQ,
    exp.NEQ,
    exp.GT,
    exp.GTE,
    exp.LT,
    exp.LTE,
    exp.Like,
    exp.ILike,
    exp.In,
    exp.Between,
    exp.Is,
)


def short(text: str) -> str:
    """The text, or its digest where it is long: so the texts of nested expressions do not add up."""
    if len(text) <= LONGEST:
        return text
    return blake2b(text.encode(errors="surrogatepass"), digest_size=16).hexdigest()


def joins(node: exp.EQ) -> bool:
    """Whether an equation ties two columns that are said to be of different tables."""
    left, right = node.this, node.expression
    return isinstance(left, exp.Column) and isinstance(right, exp.Column) and not is_value(right)


def is_value(column: exp.Column) -> bool:
    """Whether ``"this"`` is compared with something: SQLite takes it for text if no column has the name."""
    identifier = column.this
    quoted = isinstance(identifier, exp.Identifier) and identifier.quoted and not column.table
    return quoted and isinstance(column.parent, _COMPARISONS) and column.arg_key != "this"


def number(text: str) -> str:
    """``1``, ``1.0`` and ``01`` are the same number."""
    try:
        value = float(text)
    except ValueError:
        return text
    return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
