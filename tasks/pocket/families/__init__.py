"""All families of questions. To add a family, add an entry to a file of this folder."""

from tasks.pocket.families.aggregates import AGGREGATES
from tasks.pocket.families.dates import DATES
from tasks.pocket.families.family import Difficulty, Family, Split
from tasks.pocket.families.filters import FILTERS
from tasks.pocket.families.groups import GROUPS
from tasks.pocket.families.hops import HOPS
from tasks.pocket.families.joins import JOINS
from tasks.pocket.families.nested import NESTED
from tasks.pocket.families.ranking import RANKING
from tasks.pocket.families.sets import SETS

FAMILIES: tuple[Family, ...] = (
    *FILTERS, *AGGREGATES, *DATES, *RANKING, *GROUPS, *JOINS, *HOPS, *NESTED, *SETS,
)  # fmt: skip

__all__ = ["FAMILIES", "Difficulty", "Family", "Split"]
