"""Random databases, and pairs of queries on them that nearly mean the same."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

VALUES: list[Any] = [
    0, 1, 2, -1, -2, 3, 2**53 + 1, 2**61 - 1, -(2**63), 1.0, 2.0, 0.5, -0.0, 0.1 + 0.2, 0.3, 9e999, -9e999,
    None, "", "a", "A", "b", " b", "1", "1.0", "0", "None", "true", "order by", "é", "a\0b", "x;y", "it's",
    1e300, "distinct", b"", b"a", b"\xff", b"1",
]  # fmt: skip
NAMES = ("a", "b", "c", '"d e"', "[distinct]", "[order]")
BROKEN = "CAST(x'61ff62' AS TEXT)", "CAST(x'6162' AS TEXT)", "CAST(x'ff' AS TEXT)"


class Cases:
    """Pairs on one database after another."""

    def __init__(self, seed: int, folder: Path, pairs_each: int = 200) -> None:
        self._random = Random(seed)
        self._folder = folder
        self._each = pairs_each
        self._tables: dict[str, list[str]] = {}

    def __iter__(self) -> Iterator[tuple[Path, str, str]]:
        """``(database, gold, prediction)`` without end."""
        number = 0
        while True:
            path = self._folder / f"{number}.sqlite"
            self._fill(path)
            for _ in range(self._each):
                gold = self._query()
                yield path, self._finished(gold), self._finished(self._changed(gold))
            number += 1

    def _fill(self, path: Path) -> None:
        random = self._random
        self._tables = {}
        with closing(sqlite3.connect(path)) as connection:
            for table in ("t", "u"):
                columns = random.sample(NAMES, random.randint(1, 4))
                self._tables[table] = columns
                connection.execute(f"CREATE TABLE {table}({', '.join(columns)})")
                few = random.sample(VALUES, random.randint(1, 6))
                for _ in range(random.choice([0, 1, 2, 3, 5, 8, 13])):
                    cells = [random.choice(few) for _ in columns]
                    connection.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(cells))})", cells)
                if random.random() < 0.15:
                    cells = [random.choice(BROKEN) for _ in columns]
                    connection.execute(f"INSERT INTO {table} VALUES ({', '.join(cells)})")
            connection.commit()

    def _query(self) -> dict[str, str]:
        """The parts of a SELECT."""
        random = self._random
        table = random.choice(list(self._tables))
        columns = self._tables[table]
        other = "u" if table == "t" else "t"
        joined = random.random() < 0.25
        source = (
            f"{table} JOIN {other} AS o ON {table}.{columns[0]} = o.{self._tables[other][0]}"
            if joined
            else table
        )
        terms = [self._term(table, columns) for _ in range(random.randint(1, 4))]
        if random.random() < 0.1:
            terms = [f"{table}.*"]
        parts = {"distinct": random.choice(["", "", "DISTINCT "]), "terms": ", ".join(terms), "from": source}
        name = f"{table}.{random.choice(columns)}"
        if random.random() < 0.3:
            parts["where"] = (
                f"{name} {random.choice(['>=', '<', '=', '!=', 'IS NOT', '> ='])} {self._literal()}"
            )
        if random.random() < 0.2:
            parts["group"] = name
        if random.random() < 0.3:
            parts["order"] = f"{name} {random.choice(['', 'DESC', 'COLLATE NOCASE'])}"
        if random.random() < 0.15:
            parts["limit"] = str(random.randint(0, 3))
        if random.random() < 0.15:
            parts["union"] = random.choice(["UNION", "UNION ALL", "EXCEPT", "INTERSECT"])
        return parts

    def _term(self, table: str, columns: list[str]) -> str:
        random = self._random
        name = f"{table}.{random.choice(columns)}"
        forms = [
            "{0}",
            "{0}",
            "{0}",
            "count({0})",
            "count(DISTINCT {0})",
            "{0} * 1.0",
            "{0} + 0",
            "NULL",
            "'distinct'",
        ]
        forms += [
            "max({0})",
            "-1",
            "-2",
            "1",
            "1.0",
            "typeof({0})",
            "{0} || ''",
            "'order by'",
            "sum({0})",
        ]
        return random.choice(forms).format(name)

    def _literal(self) -> str:
        return self._random.choice(["0", "1", "'a'", "NULL", "1.0", "'1'", "-1", "''"])

    def _changed(self, gold: dict[str, str]) -> dict[str, str]:
        """Another query that often returns the same, or nearly."""
        random, parts = self._random, dict(gold)
        for _ in range(random.choice([0, 1, 1, 2])):
            what = random.randrange(9)
            if what == 0:
                terms = parts["terms"].split(", ")
                random.shuffle(terms)
                parts["terms"] = ", ".join(terms)
            elif what == 1:
                parts["distinct"] = "" if parts["distinct"] else "distinct "
            elif what == 2:
                parts.pop("order", None)
            elif what == 3:
                parts["order"] = random.choice(["1", "1 DESC", "random() * 0"])
            elif what == 4:
                parts.pop("where", None)
            elif what == 5:
                parts.pop("limit", None)
            elif what == 6:
                parts["terms"] += ", " + parts["terms"].split(", ")[0]
            elif what == 7:
                parts["twice"] = "yes"
            else:
                parts = self._query()
        return parts

    def _finished(self, parts: dict[str, str]) -> str:
        random = self._random
        sql = f"SELECT {parts['distinct']}{parts['terms']} FROM {parts['from']}"
        if "where" in parts:
            sql += f" WHERE {parts['where']}"
        if "group" in parts:
            sql += f" GROUP BY {parts['group']}"
        if "union" in parts:
            sql += f" {parts['union']} {sql}"
        if "twice" in parts:
            sql = f"SELECT * FROM ({sql}) UNION ALL SELECT * FROM ({sql})"
        if "order" in parts:
            sql += f" {random.choice(['ORDER BY', 'order by', 'ORDER  BY'])} {parts['order']}"
        if "limit" in parts:
            sql += f" LIMIT {parts['limit']}"
        if random.random() < 0.8:
            return sql
        frames = [
            "{};",
            "{};;",
            ";{}",
            "{}; ;",
            "{} -- order by",
            "{}; -- distinct",
            "/* ; distinct */ {}",
            "{};{}",
        ]
        frames += [
            "-- a;\n{}",
            "-- b\n;{}",
            "{} /* order by",
            "{};\n--x\n;",
            "-- only a comment {}",
            "( {} )",
            "{} LIMIT",
        ]
        return random.choice(frames).replace("{}", sql)
