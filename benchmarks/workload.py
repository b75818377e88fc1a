"""The workloads of the scoring benchmark: pairs of a prediction and a gold, with the right verdict of each.

Databases are copied into a folder of the benchmark, because some contenders let a prediction write.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from itertools import permutations
from pathlib import Path

from rewards.exploits import Target, load
from tasks import pocket

HOSTILE = (
    "empty", "blank", "line_comment", "semicolon", "refusal", "prompt_echo", "gold_in_prose", "one",
    "zero", "null_guess", "values", "constant_rows", "gold_in_a_comment", "gold_as_a_string", "dump",
    "distinct_dump", "nothing", "gold_doubled", "gold_and_a_column", "gold_without_rows", "commit",
    "begin", "delete", "update", "insert", "drop", "shadow_view", "create_table", "two_statements",
    "write_and_gold", "bare_select", "unclosed_string", "long_or", "many_columns", "pragma_function",
    "schema_of",
)  # fmt: skip
"""Exploits that every contender finishes in reasonable time; the tests run all exploits."""
TIMES = 5
"""How often the copies repeat the embedded task's rows: about five thousand rows in a database."""
STRIDE = 100_000
"""Added to the keys of each further repetition."""
SHARE = {"right": 0.45, "wrong": 0.40, "broken": 0.05, "hostile": 0.10}


@dataclass(frozen=True, slots=True)
class Pair:
    """A prediction to be scored. ``right``: the correct strict verdict, found without our comparator."""

    database: str
    gold: str
    sql: str
    right: bool


def save(pairs: Sequence[Pair], path: Path) -> None:
    """Write pairs as JSON."""
    path.write_text(json.dumps([asdict(pair) for pair in pairs]))


def read(path: Path) -> list[Pair]:
    """The pairs that ``save`` wrote."""
    return [Pair(**fields) for fields in json.loads(path.read_text())]


def place(folder: Path, database: str) -> Path:
    """The path of a database's copy; its folder holds nothing else."""
    return folder / database / f"{database}.sqlite"


def copy(source: Path, folder: Path, database: str) -> None:
    """Copy a database, once."""
    target = place(folder, database)
    if not target.exists():
        target.parent.mkdir(parents=True)
        shutil.copy(source, target)
        os.symlink(target, folder / f"{database}.db")


def spider(data: Path, folder: Path) -> list[Pair]:
    """The four published predictions on Spider's dev questions that have a database here."""
    questions = json.loads((data / "spider" / "dev_exec.json").read_text())
    judge = _Judge(folder)
    pairs = []
    for file in sorted((data / "predictions" / "spider_dev").glob("*.sql")):
        lines = [line.split("\t")[0] for line in file.read_text(errors="replace").splitlines()]
        for question, sql in zip(questions, lines, strict=True):
            source = data / "spider" / "database" / question["db_id"] / f"{question['db_id']}.sqlite"
            if source.exists():
                copy(source, folder, question["db_id"])
                pairs += judge.pair(question["db_id"], question["query"], sql)
    return pairs


def generated(count: int, folder: Path, seed: int = 0) -> list[Pair]:
    """Pairs over the embedded task's databases: right, wrong, broken and hostile answers to its questions."""
    generator, questions = _questions(seed)
    judge = _Judge(folder)
    pairs: list[Pair] = []
    for row, other in questions:
        if len(pairs) == count:
            break
        _pocket(folder, row["db_id"])
        kind = generator.choices(list(SHARE), list(SHARE.values()))[0]
        pairs += judge.pair(row["db_id"], row["query"], answer(kind, row["query"], other, generator))
    return pairs


def grouped(count: int, folder: Path, seed: int = 1) -> list[Pair]:
    """``count`` groups of eight answers to a question, as a trainer draws them, about a third repeated."""
    generator, questions = _questions(seed)
    judge = _Judge(folder)
    pairs: list[Pair] = []
    for row, other in questions[:count]:
        _pocket(folder, row["db_id"])
        kinds = generator.choices(list(SHARE), list(SHARE.values()), k=20)
        answers = list(dict.fromkeys(answer(kind, row["query"], other, generator) for kind in kinds))
        group = [pair for answer in answers for pair in judge.pair(row["db_id"], row["query"], answer)][:5]
        group += generator.choices(group, k=8 - len(group))
        generator.shuffle(group)
        pairs += group
    return pairs


def _questions(seed: int) -> tuple[random.Random, list[tuple[dict[str, str], str]]]:
    """The random generator, and the embedded task's questions shuffled, each with another one's gold."""
    generator = random.Random(seed)
    rows = pocket.rows("train")
    generator.shuffle(rows)
    return generator, list(zip(rows, _others(rows), strict=True))


def _pocket(folder: Path, database: str) -> None:
    """Copy a database of the embedded task, with its rows repeated TIMES under different keys."""
    if place(folder, database).exists():
        return
    copy(pocket.ensure() / database / f"{database}.sqlite", folder, database)
    with closing(sqlite3.connect(place(folder, database))) as connection:
        for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            described = connection.execute(f'PRAGMA table_info("{table}")').fetchall()
            links = connection.execute(f'PRAGMA foreign_key_list("{table}")').fetchall()
            keys = {column[1] for column in described if column[5]} | {link[3] for link in links}
            for number in range(1, TIMES):
                moved = number * STRIDE
                columns = ", ".join(f'"{c[1]}" + {moved}' if c[1] in keys else f'"{c[1]}"' for c in described)
                connection.execute(
                    f'INSERT INTO "{table}" SELECT {columns} FROM "{table}" WHERE rowid < {STRIDE}'
                )
        connection.commit()


def _others(rows: Sequence[dict[str, str]]) -> Iterator[str]:
    """For each row the gold of another question on the same database."""
    last: dict[str, str] = {}
    for row in rows:
        yield last.get(row["db_id"], row["query"])
        last[row["db_id"]] = row["query"]


def answer(kind: str, gold: str, other: str, generator: random.Random) -> str:
    """An answer of a kind to the question of a gold."""
    if kind == "right":
        lower = gold.replace("SELECT", "select").replace("FROM", "from").replace("WHERE", "where")
        return generator.choice([gold, lower, f"  {gold} ", f"SELECT * FROM ({gold}) AS answer"])
    if kind == "wrong":
        limited = gold if " LIMIT " in gold else f"{gold} LIMIT 1"
        return generator.choice(
            [other, other, limited, gold.partition(" WHERE ")[0], gold.replace("DESC", "ASC")]
        )
    if kind == "broken":
        return generator.choice([gold.replace("FROM", "FORM"), gold[: len(gold) // 2], gold + ")"])
    pack = {exploit.name: exploit for exploit in load("sqlite")}
    table = gold.partition(" FROM ")[2].split()[0].strip("()")
    target = Target(gold, table, "rowid", "1", "How many are there?", "/dev/null/nothing")
    return pack[generator.choice(HOSTILE)].completion(target)


class _Judge:
    """The strict verdict without our comparator: two results, every order of columns, bags of rows."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def pair(self, database: str, gold: str, sql: str) -> list[Pair]:
        """The pair, in a list; empty if the verdict depends on the order of rows that tie."""
        expected, found = self._run(database, gold), self._run(database, sql)
        if expected is None:
            return []
        if found is None or len(expected) != len(found):
            return [Pair(database, gold, sql, False)]
        right = _same_bag(expected, found)
        if right and "ORDER BY" in gold.upper() and list(expected) != list(found):
            return []
        return [Pair(database, gold, sql, right)]

    def _run(self, database: str, sql: str) -> list[tuple[object, ...]] | None:
        """All rows, on a connection that no other statement has seen; None where it fails or has too many."""
        uri = f"file:{place(self._folder, database)}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            connection.text_factory = lambda text: text.decode(errors="surrogateescape")
            try:
                cursor = connection.execute(sql)
                rows = cursor.fetchmany(100_001)
            except (sqlite3.Error, sqlite3.Warning, ValueError):
                return None
            return None if cursor.description is None or len(rows) > 100_000 else rows


def _same_bag(expected: list[tuple[object, ...]], found: list[tuple[object, ...]]) -> bool:
    if not expected:
        return True
    width = len(expected[0])
    if len(found[0]) != width:
        return False
    bag = Counter(expected)
    columns = [Counter(column) for column in zip(*expected, strict=True)]
    others = [Counter(column) for column in zip(*found, strict=True)]
    if width > 7 or sorted(map(hash, map(frozenset, columns))) != sorted(map(hash, map(frozenset, others))):
        return bag == Counter(found)
    for order in permutations(range(width)):
        if all(columns[i] == others[order[i]] for i in range(width)) and bag == Counter(
            tuple(row[i] for i in order) for row in found
        ):
            return True
    return False
