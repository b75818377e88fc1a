"""The families of pocket's questions: phrasings, difficulty, and the golds that are used."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from random import Random

import pytest
import sqlglot

from rewards.structure.difficulty import difficulty_of
from tasks.pocket.domains import DOMAINS, SEEN
from tasks.pocket.families import FAMILIES, Family
from tasks.pocket.fill import fill
from tasks.pocket.sampling import proves
from tasks.pocket.slots import Draw, NoFit


def test_each_family_has_phrasings_that_only_one_split_uses() -> None:
    for family in FAMILIES:
        train, dev, test = (family.phrasings(split) for split in ("train", "dev", "test"))
        assert len(set(train)) >= 5 and len(dev) == 1 and len(set(test)) == 2
        assert len({*train, *dev, *test}) == len(train) + 3, family.name


def test_columns_of_a_table_have_distinct_phrases() -> None:
    for domain in DOMAINS:
        for entity in domain.entities:
            phrases = [field.phrase for field in entity.fields]
            assert len(set(phrases)) == len(phrases), entity.name


KEPT = [
    ("SELECT name FROM t ORDER BY n LIMIT 2", True),
    ("SELECT name FROM t ORDER BY n LIMIT 1", False),
    ("SELECT name FROM t ORDER BY n LIMIT 3", False),
    ("SELECT name FROM t ORDER BY n DESC LIMIT 1", True),
    ("SELECT n FROM t GROUP BY n ORDER BY COUNT(*) DESC LIMIT 1", True),
    ("SELECT name FROM t GROUP BY name ORDER BY COUNT(*) DESC LIMIT 1", False),
    ("SELECT name FROM t WHERE n = 2", True),
    ("SELECT name FROM t WHERE n = 3", False),
    ("SELECT COUNT(*) FROM t WHERE n = 3", False),
    ("SELECT MAX(n) FROM t WHERE n = 3", False),
    ("SELECT a.n FROM t AS a, t AS b, t AS c, t AS d, t AS e, t AS f", False),
]


@pytest.mark.parametrize(("sql", "kept"), KEPT)
def test_a_gold_is_used_if_it_is_discriminating(sql: str, kept: bool) -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE t (name text, n integer)")
        connection.executemany("INSERT INTO t VALUES (?, ?)", [("a", 1), ("b", 1), ("c", 2)])
        assert proves(sql, connection) is kept


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_difficulty_is_spiders(family: Family) -> None:
    assert difficulty_of(sqlglot.parse_one(drawn(family), dialect="sqlite")) == family.difficulty


def drawn(family: Family) -> str:
    """The SQL of a family with its slots filled from the first domain that can."""
    columns = {domain.name: fill(domain, 1) for domain in SEEN[:3]}
    for seed in range(100):
        for domain in SEEN[:3]:
            cells = {
                name: [cell for cell in cells if cell is not None]
                for name, cells in columns[domain.name].items()
            }
            try:
                return Draw(domain, cells, Random(seed)).write(family, family.phrasings("train"))[1]
            except NoFit:
                continue
    raise AssertionError(f"{family.name} fits no domain")
