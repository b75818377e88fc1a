"""A database with a secret in a private column and a private table, and how queries that want it end."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from tasks.databases.sandbox.executor import Executor
from tasks.types import Database, Engine

if TYPE_CHECKING:
    from mariadb_server import MariaServer

Reads = Callable[[str], bool]
"""Whether a query reads private data."""
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
    # the query, and how it ends on SQLite, DuckDB, PostgreSQL and MariaDB ("-": not asked)
    ("SELECT name FROM person ORDER BY id", "OOOO"),
    ("SELECT count(*) FROM person", "OOOO"),
    ("SELECT named.name FROM named JOIN branch USING (id)", "OOOO"),
    ("WITH person(ssn) AS (SELECT 'x') SELECT ssn FROM person", "OOOO"),
    ("SELECT ssn FROM (SELECT name AS ssn FROM person) AS x", "OOOO"),
    ("SELECT 'ssn' FROM person", "OOOO"),
    ("SELECT count(*) FROM person NATURAL JOIN (SELECT 1 AS id) AS x", "OOOP"),
    ("SELECT ssn FROM branch", "EEEE"),
    ("SELECT ssn FROM person", "PPPP"),
    ("SELECT SSN FROM Person", "PPPP"),
    ('SELECT "ssn" FROM person', "PPPO"),
    ('SELECT count("ssn") FROM person', "PPPO"),
    ("SELECT [ssn] FROM person", "PPSS"),
    ("SELECT `ssn` FROM person", "PPSP"),
    ("SELECT p.ssn FROM person AS p", "PPPP"),
    ("SELECT main.person.ssn FROM main.person", "PP--"),
    ("SELECT public.person.ssn FROM public.person", "--P-"),
    ("SELECT * FROM person", "PPPP"),
    ("SELECT person.* FROM branch JOIN person ON true", "PPPP"),
    ("SELECT name FROM person WHERE ssn LIKE 'SECRET%'", "PPPP"),
    ("SELECT name FROM person ORDER BY ssn", "PPPP"),
    ("SELECT count(*) FROM person GROUP BY ssn", "PPPP"),
    ("SELECT max(ssn) FROM person", "PPPP"),
    ("SELECT count(*) FROM person GROUP BY name HAVING min(ssn) > 'A'", "PPPP"),
    ("SELECT CASE WHEN ssn > 'A' THEN 1 END FROM person", "PPPP"),
    ("SELECT 1 FROM branch WHERE EXISTS (SELECT 1 FROM person WHERE ssn = 'x')", "PPPP"),
    ("SELECT (SELECT ssn FROM person LIMIT 1)", "PPPP"),
    ("SELECT row_number() OVER (ORDER BY ssn) FROM person", "PPPP"),
    (f"SELECT count(*) FROM person JOIN (SELECT '{SECRET}' AS ssn) AS g USING (ssn)", "PPPP"),
    (f"SELECT count(*) FROM person NATURAL JOIN (SELECT '{SECRET}' AS ssn) AS g", "PPPP"),
    (f"SELECT count(*) FROM person AS p JOIN branch ON p.ssn = '{SECRET}'", "PPPP"),
    (f"SELECT name FROM person WHERE (id, ssn) = (1, '{SECRET}')", "PPPP"),
    ("SELECT ssn FROM person UNION SELECT city FROM branch", "PPPP"),
    ("WITH x AS (SELECT * FROM person) SELECT name FROM x", "POPP"),
    ("WITH x AS (SELECT ssn FROM person) SELECT * FROM x", "PPPP"),
    ("SELECT x.a FROM (SELECT ssn AS a FROM person) AS x", "PPPP"),
    ("SELECT code FROM person", "PPPP"),
    ("SELECT number FROM other", "PPPP"),
    ("SELECT * FROM every", "PPPP"),
    ("SELECT amount FROM amounts", "PPPP"),
    ("SELECT day FROM visit", "OOOO"),
    ("SELECT holder FROM visit", "PPPP"),
    ("SELECT * FROM salary", "PPPP"),
    ("SELECT count(*) FROM salary", "PPPP"),
    ("SELECT 1 FROM salary", "PPPP"),
    ("SELECT rowid FROM salary", "PPEP"),
    (f"SELECT name FROM person WHERE id IN (SELECT person_id FROM salary WHERE amount = {AMOUNT})", "PPPP"),
    ('SELECT "AMOUNT" FROM "Salary"', "PPES"),
    ("SELECT person FROM person", "EPPE"),
    ("SELECT to_json(person) FROM person", "EPPE"),
    ("SELECT md5(person::text) FROM person", "SPPS"),
    ("SELECT count(DISTINCT person) FROM person", "EPPE"),
    ("SELECT (p).ssn FROM person AS p", "SPPS"),
    ("SELECT (p.*)::text FROM person AS p", "S-PS"),
    ("SELECT row_to_json(p) FROM person AS p", "EPPE"),
    ("SELECT string_agg(p::text, ',') FROM person AS p", "SPPE"),
    ("TABLE person", "SPPS"),
    ("SELECT COLUMNS(*) FROM person", "EP--"),
    ("SELECT COLUMNS('s.*') FROM person", "EP--"),
    ("SELECT max(COLUMNS(*)) FROM person", "EP--"),
    ("SELECT * EXCLUDE (name) FROM person", "SP--"),
    ("SELECT * REPLACE ('x' AS ssn) FROM person", "SP--"),
    ("FROM person", "SP--"),
    ("FROM person SELECT ssn", "SP--"),
    ("SUMMARIZE person", "SP--"),
    ("SUMMARIZE SELECT ssn FROM person", "SP--"),
    ("FROM query_table('person')", "SP--"),
    ("SELECT * FROM query('SELECT ssn FROM person')", "EF--"),
    ("PIVOT person ON ssn USING count(*)", "SP--"),
    ("UNPIVOT person ON name, ssn", "SP--"),
    ("SELECT unnest(person) FROM person", "EP--"),
    ("SELECT hash(person) FROM person", "EP--"),
    ("SELECT list(person) FROM person", "EP--"),
    ("SELECT any_value(ssn) FROM person", "PP--"),
    ("SELECT ssn FROM person LIMIT 0", "PPPP"),
    ("SELECT name FROM person TABLESAMPLE SYSTEM (1) WHERE ssn > ''", "S-FS"),
    ("SELECT p.name FROM person AS p, LATERAL (SELECT p.ssn) AS l", "--PE"),
    ("SELECT x.c FROM person AS x(a, b, c, d, e)", "--PS"),
    ("SELECT xmin, person.ctid FROM person", "EEPE"),
    ("SELECT most_common_vals FROM pg_stats", "EEFE"),
    ("SELECT * FROM sqlite_stat4", "E---"),
    ("SELECT * FROM pragma_index_info('by_ssn')", "FE--"),
    ("SELECT 1; SELECT ssn FROM person", "MMMM"),
    ("EXPLAIN SELECT ssn FROM person", "FFFF"),
    ("DELETE FROM person WHERE ssn > ''", "FFFF"),
    ("SELECT count(*) FROM person JOIN (SELECT 1 AS id) AS g USING (id)", "OOOO"),
    ("SELECT count(*) FROM named NATURAL JOIN branch", "OOOO"),
    ("SELECT row_number() OVER (PARTITION BY branch_id ORDER BY id) FROM person", "OOOO"),
    ("SELECT p.name FROM person AS p JOIN person AS q USING (id, ssn)", "PPPP"),
    ("SELECT name FROM person WHERE ssn = 'a' AND 1 = 0", "PPPP"),
    ("SELECT ntile(2) OVER w FROM person WINDOW w AS (ORDER BY ssn)", "PPPP"),
    ("SELECT ssnn FROM person", "EEEE"),
    ("SELECT p.ssnn FROM person AS p", "EEEE"),
    ("SELECT * FROM persons", "EEEE"),
    ("VALUES ((SELECT ssn FROM person LIMIT 1))", "PPPP"),
    ("SHOW COLUMNS FROM person", "---F"),
    ("HANDLER person OPEN", "---F"),
    ("SELECT CONVERT(name USING utf8mb4) FROM person", "---O"),
    ("SELECT EXISTS (SELECT * FROM person)", "---O"),
    ("SELECT main.person.ssn FROM main.person", "---E"),
    ("SELECT clinic.person.ssn FROM clinic.person", "---P"),
    ("SELECT count(*) FROM person AS p JOIN person AS q USING (code)", "---P"),
    ("SELECT name FROM person USE INDEX (by_ssn)", "---P"),
    ("SELECT name FROM person AS p FORCE KEY FOR ORDER BY (by_ssn)", "---P"),
    ("SELECT name FROM person PARTITION (p0)", "---P"),
    ("SELECT DEFAULT(ssn) FROM person", "---P"),
    ("SELECT VALUE(ssn) FROM person", "---P"),
    ("SELECT 1 FROM person WHERE EXTRACTVALUE(1, CONCAT('~', ssn))", "---P"),
    ("SELECT UPDATEXML(1, CONCAT('~', (SELECT ssn FROM person LIMIT 1)), 1)", "---P"),
    ("SELECT 1 FROM person WHERE 9223372036854775807 + LENGTH(ssn) > 0", "---P"),
    ("SELECT GROUP_CONCAT(name ORDER BY ssn) FROM person", "---P"),
    ("SELECT JSON_ARRAYAGG(ssn) FROM person", "---P"),
    ("SELECT x FROM person, JSON_TABLE(ssn, '$' COLUMNS(x TEXT PATH '$')) AS j", "---P"),
    ("SELECT name FROM person WHERE MATCH(ssn) AGAINST ('x')", "---P"),
    ("SELECT _rowid FROM salary", "---P"),
    ("SELECT peek()", "---E"),
    ("SELECT /*!50000 ssn, */ 1 FROM person", "---F"),
    ("SELECT COLUMN_NAME FROM `Information_Schema` . `COLUMNS`", "---F"),
    ("SELECT * FROM performance_schema.events_statements_history", "---F"),
    ("SELECT * FROM mysql.column_stats", "---F"),
    (f"SELECT count(*) FROM person NATURAL/**/JOIN (SELECT '{SECRET}' AS ssn) AS g", "---P"),
    (f"SELECT 1 FROM branch JOIN (SELECT '{SECRET}' AS ssn) AS g ON id = 1.5natural JOIN person", "---P"),
    (f"SELECT 1 FROM (SELECT '{SECRET}' AS ssn) AS g NATURAL LEFT JOIN clinic . `PERSON`", "---P"),
    (f"SELECT 1 FROM (person p) JOIN (SELECT '{SECRET}' AS `SSN`) AS g USING (`SSN`)", "---P"),
    (f"SELECT 1 FROM {{ OJ person NATURAL LEFT JOIN (SELECT '{SECRET}' AS ssn) AS g }}", "---P"),
    (f"WITH g AS (SELECT '{SECRET}' AS ssn) SELECT 1 FROM person NATURAL JOIN g", "PPPP"),
    (f"SELECT 1 FROM v\u0130sit NATURAL JOIN (SELECT '{SECRET}' AS holder) AS g", "---P"),
    (f"SELECT 1 FROM `V\u0130SIT` JOIN (SELECT '{SECRET}' AS holder) AS g USING (holder)", "---P"),
    ("SELECT COLUMN_NAME FROM `\u0130nformation_Schema`.COLUMNS", "---F"),
    ("SELECT col_description('person'::regclass, 3)", "--F-"),
    ("SELECT obj_description('person'::regclass)", "--F-"),
    ("SELECT shobj_description(1, 'pg_database')", "--F-"),
]


def build_on(server: MariaServer, name: str) -> None:
    """The database on MariaDB."""
    statements = TABLES.format(stored=" STORED")
    for theirs, ours in (("TEXT", "VARCHAR(40)"), ("ssn || '!'", "CONCAT(ssn, '!')")):
        statements = statements.replace(theirs, ours)
    server.execute(f"DROP DATABASE IF EXISTS {name}", f"CREATE DATABASE {name}")
    server.execute(
        "SET sql_mode = 'ANSI'", *(statements + ROWS + INDEXES).strip(";").split(";"), database=name
    )


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


def check_tricks(executor: Executor, database: Database, place: int, reads_private: Reads) -> None:
    """Every query ends as the engine at this place should end it, and shows nothing private."""
    for sql, expected in TRICKS:
        if expected[place] == "-":
            continue
        outcome = executor.run(database, 0, sql)
        assert outcome.status.value == STATUS[expected[place]], (sql, outcome)
        shown = repr((outcome.columns, outcome.rows, outcome.message))
        assert SECRET not in shown.replace(sql, "") and str(AMOUNT) not in shown, sql
        assert reads_private(sql) == (expected[place] == "P"), sql
