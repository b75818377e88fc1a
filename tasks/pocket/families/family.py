"""A family of questions: an SQL template with slots, and the phrasings in which people ask for it.

``tables`` names the tables of the template: ``t`` is any table, ``c>p`` a child and the parent that it links
to, ``g>c c>p`` a path of two links, ``m>p m>q`` a table that links two others. ``{t}`` is then the table's
name in the SQL; ``{t}`` and ``{ts}`` are the words for one and many in the question. A link ``c>p`` also
binds ``{c_p}``, the foreign key, and a table ``p`` its primary key ``{p_id}``.

``slots`` fills the other slots, left to right: ``x=t.show`` is a column of ``t`` of the kind ``show``,
``v=x.value`` a value of the column ``x``; the kinds are in ``tasks.pocket.slots``. No column is used twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Difficulty = Literal["easy", "medium", "hard", "extra"]
Split = Literal["train", "dev", "test"]

HOP = "{c} JOIN {p} ON {c}.{c_p} = {p}.{p_id}"
PATH = "{g} JOIN {c} ON {g}.{g_c} = {c}.{c_id} JOIN {p} ON {c}.{c_p} = {p}.{p_id}"
BRIDGE = "{m} JOIN {p} ON {m}.{m_p} = {p}.{p_id} JOIN {q} ON {m}.{m_q} = {q}.{q_id}"

TEST_ONLY = 2
DEV_ONLY = 1


@dataclass(frozen=True, slots=True)
class Family:
    """A kind of question. ``difficulty``: the level of the SQL by Spider's rules."""

    name: str
    difficulty: Difficulty
    tables: str
    slots: str
    sql: str
    asks: str
    """One phrasing on each line. The last two are for test, the one before them for dev."""

    def phrasings(self, split: Split) -> list[str]:
        """The phrasings of a split. No two splits share one."""
        lines = [line.strip() for line in self.asks.strip().splitlines()]
        train = len(lines) - TEST_ONLY - DEV_ONLY
        return {"train": lines[:train], "dev": lines[train:-TEST_ONLY], "test": lines[-TEST_ONLY:]}[split]
