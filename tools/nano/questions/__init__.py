"""The shapes of the corpus, by theme, over Spider's four levels."""

from tools.nano.questions import aggregates, dates, filters, joins, nested, ordering, paths
from tools.nano.questions.grammar import Pair, Shape, ask

SHAPES: tuple[Shape, ...] = (
    *filters.SHAPES,
    *dates.SHAPES,
    *aggregates.SHAPES,
    *ordering.SHAPES,
    *joins.SHAPES,
    *paths.SHAPES,
    *nested.SHAPES,
)

__all__ = ["SHAPES", "Pair", "Shape", "ask"]
