"""All kinds of questions that the grammar makes, with the weight of each."""

from harness.generation.families.children import CHILDREN
from harness.generation.families.family import Family
from harness.generation.families.groups import GROUPS
from harness.generation.families.joins import JOINS
from harness.generation.families.nested import NESTED
from harness.generation.families.paths import PATHS
from harness.generation.families.ranking import RANKING
from harness.generation.families.rows import ROWS
from harness.generation.families.totals import TOTALS

FAMILIES: tuple[Family, ...] = (*ROWS, *TOTALS, *GROUPS, *RANKING, *JOINS, *CHILDREN, *PATHS, *NESTED)
