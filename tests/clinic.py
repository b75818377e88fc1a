"""A database with a secret in a private column and a private table, and how queries that want it end."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import duckdb

from tasks.types import Database, Engine

SECRET = "SECRET-7391"
AMOUNT = 7391_0042
PRIVATE = ("person.ssn", "salary")
TABLES = (
    "CREATE TABLE branch(id INTEGER PRIMARY KEY, city TEXT);"
    "CREATE TABLE person(id INTEGER PRIMARY KEY, name TEXT, ssn TEXT UNIQUE NOT NULL,"
    " branch_id INTEGER REFERENCES branch(id), code TEXT GENERATED ALWAYS AS (ssn || '!'){stored});"
    "CREATE TABLE salary(id INTEGER PRIMARY KEY, person_id INTEGER, amount INTEGER);"
    "CREATE TABLE visit(day TEXT, holder TEXT REFERENCES person(ssn));"
    "CREATE VIEW named AS SELECT id, name FROM person;"
    "CREATE VIEW every AS SELECT * FROM person;"
    "CREATE VIEW other AS SELECT id, ssn AS number FROM person;"
    "CREATE VIEW amounts AS SELECT amount FROM salary;"
)
INDEXES = "CREATE INDEX by_ssn ON person(ssn, name); CREATE INDEX by_name ON person(name);"
ROWS = (
    "INSERT INTO branch VALUES (1, 'Oslo'), (2, 'Bern');"
    "INSERT INTO person(id, name, ssn, branch_id)"
    f" VALUES (1, 'Ann', '{SECRET}', 1), (2, 'Bob', 'SECRET-8', 2);"
    f"INSERT INTO visit VALUES ('Monday', '{SECRET}');"
    f"INSERT INTO salary VALUES (1, 1, {AMOUNT}), (2, 2, 5);"
)
STATUS = {
    "P": "private_data",
    "O": "ok",
    "E": "execution_error",
    "S": "syntax_error",
    "F": "forbidden_statement",
    "M": "many_statements",
}
TRICKS: list[tuple[str, str]] = [
    # the query, and how it ends on SQLite, DuckDB and PostgreSQL ("-": not asked)
    ("SELECT name FROM person ORDER BY id", "OOO"),
    ("SELECT count(*) FROM person", "OOO"),
    ("SELECT named.name FROM named JOIN branch USING (id)", "OOO"),
    ("WITH person(ssn) AS (SELECT 'x') SELECT ssn FROM person", "OOO"),
    ("SELECT ssn FROM (SELECT name AS ssn FROM person) AS x", "OOO"),
    ("SELECT 'ssn' FROM person", "OOO"),
    ("SELECT count(*) FROM person NATURAL JOIN (SELECT 1 AS id) AS x", "OOO"),
    ("SELECT ssn FROM branch", "EEE"),
    ("SELECT ssn FROM person", "PPP"),
    ("SELECT SSN FROM Person", "PPP"),
    ('SELECT "ssn" FROM person', "PPP"),
    ('SELECT count("ssn") FROM person', "PPP"),
    ("SELECT [ssn] FROM person", "PPS"),
    ("SELECT `ssn` FROM person", "PPS"),
    ("SELECT p.ssn FROM person AS p", "PPP"),
    ("SELECT main.person.ssn FROM main.person", "PP-"),
    ("SELECT public.person.ssn FROM public.person", "--P"),
    ("SELECT * FROM person", "PPP"),
    ("SELECT person.* FROM branch JOIN person ON true", "PPP"),
    ("SELECT name FROM person WHERE ssn LIKE 'SECRET%'", "PPP"),
    ("SELECT name FROM person ORDER BY ssn", "PPP"),
    ("SELECT count(*) FROM person GROUP BY ssn", "PPP"),
    ("SELECT max(ssn) FROM person", "PPP"),
    ("SELECT count(*) FROM person GROUP BY name HAVING min(ssn) > 'A'", "PPP"),
    ("SELECT CASE WHEN ssn > 'A' THEN 1 END FROM person", "PPP"),
    ("SELECT 1 FROM branch WHERE EXISTS (SELECT 1 FROM person WHERE ssn = 'x')", "PPP"),
    ("SELECT (SELECT ssn FROM person LIMIT 1)", "PPP"),
    ("SELECT row_number() OVER (ORDER BY ssn) FROM person", "PPP"),
    (f"SELECT count(*) FROM person JOIN (SELECT '{SECRET}' AS ssn) AS g USING (ssn)", "PPP"),
    (f"SELECT count(*) FROM person NATURAL JOIN (SELECT '{SECRET}' AS ssn) AS g", "PPP"),
    (f"SELECT count(*) FROM person AS p JOIN branch ON p.ssn = '{SECRET}'", "PPP"),
    (f"SELECT name FROM person WHERE (id, ssn) = (1, '{SECRET}')", "PPP"),
    ("SELECT ssn FROM person UNION SELECT city FROM branch", "PPP"),
    ("WITH x AS (SELECT * FROM person) SELECT name FROM x", "POP"),
    ("WITH x AS (SELECT ssn FROM person) SELECT * FROM x", "PPP"),
    ("SELECT x.a FROM (SELECT ssn AS a FROM person) AS x", "PPP"),
    ("SELECT code FROM person", "PPP"),
    ("SELECT number FROM other", "PPP"),
    ("SELECT * FROM every", "PPP"),
    ("SELECT amount FROM amounts", "PPP"),
    ("SELECT day FROM visit", "OOO"),
    ("SELECT holder FROM visit", "PPP"),
    ("SELECT * FROM salary", "PPP"),
    ("SELECT count(*) FROM salary", "PPP"),
    ("SELECT 1 FROM salary", "PPP"),
    ("SELECT rowid FROM salary", "PPE"),
    (f"SELECT name FROM person WHERE id IN (SELECT person_id FROM salary WHERE amount = {AMOUNT})", "PPP"),
    ('SELECT "AMOUNT" FROM "Salary"', "PPE"),
    ("SELECT person FROM person", "EPP"),
    ("SELECT to_json(person) FROM person", "EPP"),
    ("SELECT md5(person::text) FROM person", "SPP"),
    ("SELECT count(DISTINCT person) FROM person", "EPP"),
    ("SELECT (p).ssn FROM person AS p", "SPP"),
    ("SELECT (p.*)::text FROM person AS p", "S-P"),
    ("SELECT row_to_json(p) FROM person AS p", "EPP"),
    ("SELECT string_agg(p::text, ',') FROM person AS p", "SPP"),
    ("TABLE person", "SPP"),
    ("SELECT COLUMNS(*) FROM person", "EP-"),
    ("SELECT COLUMNS('s.*') FROM person", "EP-"),
    ("SELECT max(COLUMNS(*)) FROM person", "EP-"),
    ("SELECT * EXCLUDE (name) FROM person", "SP-"),
    ("SELECT * REPLACE ('x' AS ssn) FROM person", "SP-"),
    ("FROM person", "SP-"),
    ("FROM person SELECT ssn", "SP-"),
    ("SUMMARIZE person", "SP-"),
    ("SUMMARIZE SELECT ssn FROM person", "SP-"),
    ("FROM query_table('person')", "SP-"),
    ("SELECT * FROM query('SELECT ssn FROM person')", "EF-"),
    ("PIVOT person ON ssn USING count(*)", "SP-"),
    ("UNPIVOT person ON name, ssn", "SP-"),
    ("SELECT unnest(person) FROM person", "EP-"),
    ("SELECT hash(person) FROM person", "EP-"),
    ("SELECT list(person) FROM person", "EP-"),
    ("SELECT any_value(ssn) FROM person", "PP-"),
    ("SELECT ssn FROM person LIMIT 0", "PPP"),
    ("SELECT name FROM person TABLESAMPLE SYSTEM (1) WHERE ssn > ''", "S-F"),
    ("SELECT p.name FROM person AS p, LATERAL (SELECT p.ssn) AS l", "--P"),
    ("SELECT x.c FROM person AS x(a, b, c, d, e)", "--P"),
    ("SELECT xmin, person.ctid FROM person", "EEP"),
    ("SELECT most_common_vals FROM pg_stats", "EEF"),
    ("SELECT * FROM sqlite_stat4", "E--"),
    ("SELECT * FROM pragma_index_info('by_ssn')", "FE-"),
    ("SELECT 1; SELECT ssn FROM person", "MMM"),
    ("EXPLAIN SELECT ssn FROM person", "FFF"),
    ("DELETE FROM person WHERE ssn > ''", "FFF"),
]


def build(engine: Engine, folder: Path) -> Database:
    """The database as a file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"clinic.{engine}"
    statements = TABLES.format(stored="") + ROWS
    if engine == "duckdb":
        with duckdb.connect(str(path)) as connection:
            connection.execute(statements)
    else:
        with sqlite3.connect(path) as file:
            file.executescript(TABLES.format(stored="") + INDEXES + ROWS + "ANALYZE;")
    return Database("clinic", engine, (path,))
