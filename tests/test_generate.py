"""``harness generate``: pairs that prove something, on any schema, without leakage, the same for a seed."""

from __future__ import annotations

import json
import re
import sqlite3
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import pytest
import sqlglot
from attacked import on_postgres
from servers.scripted import scripted
from sqlglot import exp

from harness.check import check_task
from harness.cli import main
from harness.generation.checks import Checker
from harness.generation.draw import Draw, NoFit
from harness.generation.families import FAMILIES
from harness.generation.families.family import Family
from harness.generation.generate import Generated, generate
from harness.generation.names import entity_words, plural, singular, vocabulary, words_of
from harness.generation.paraphrase import PROMPT, cleaned, keeps_values
from harness.generation.reading import read_catalog
from harness.generation.splits import MOST_WORDINGS, Seen, divide, query_key, question_key, skeleton
from harness.generation.types import Catalog, Pair
from harness.generation.wording import SMALL
from rewards.grader import Grader
from tasks.common.errors import DataError
from tasks.databases.comments import with_comments
from tasks.databases.sandbox.pool import Sandbox
from tasks.databases.schema import describe
from tasks.spec import ScoringSpec
from tasks.task import Task
from tasks.types import Database

TABLES = """
CREATE TABLE Port (port_id integer PRIMARY KEY, name text NOT NULL, country text, opened date, depth real);
CREATE TABLE ships (
  id integer PRIMARY KEY, "Ship Name" text, kind text, gross_tonnage integer, built_year integer,
  home_port_id integer REFERENCES Port(port_id), is_active integer, remark text
);
CREATE TABLE visit (
  ship_id integer REFERENCES ships(id), port_id integer REFERENCES Port(port_id), arrival date, cargo_amt real
);
"""
KINDS = ("tanker", "ferry", "it's {odd}", "[a|b] @list")
COUNTRIES = ("Norway", "Chile", "Kenya")


def rows() -> dict[str, list[tuple[object, ...]]]:
    """The rows of each table."""
    ports = [
        (i, f"Harbor {chr(65 + i)}", COUNTRIES[i % 3], f"19{50 + i}-0{1 + i % 9}-11", 3.5 + i)
        for i in range(12)
    ]
    ships = [
        (i, f"Star {i * 7 % 40:02d}", KINDS[i % 4], 900 + 137 * (i * i % 41), 1960 + i % 23, 1 + i % 9, i % 2,
         None if i % 5 else f"note {i}")
        for i in range(40)
    ]  # fmt: skip
    visits = [
        (i % 31, i * 5 % 11, f"20{10 + i % 12}-03-{1 + i % 28:02d}", round(1.5 * i, 1)) for i in range(90)
    ]
    return {"Port": ports, "ships": ships, "visit": visits}  # type: ignore[dict-item]


@pytest.fixture
def make(tmp_path: Path, home: Path) -> Any:
    """A task file over a database of this engine, with these hand-written questions."""

    def build(engine: str = "sqlite", questions: list[dict[str, str]] | None = None) -> Path:
        file = tmp_path / f"harbor.{engine}"
        if not file.exists():
            connection = sqlite3.connect(file) if engine == "sqlite" else duckdb.connect(str(file))
            for statement in filter(str.strip, TABLES.split(";")):
                connection.execute(statement)
            for table, values in rows().items():
                marks = ", ".join("?" * len(values[0]))
                connection.executemany(f"INSERT INTO {table} VALUES ({marks})", values)
            connection.commit()
            connection.close()
        (tmp_path / "mine.json").write_text(json.dumps(questions or []))
        path = tmp_path / "harbor.yaml"
        path.write_text(
            f"name: harbor\ndataset: {{path: mine.json, splits: {{test: test}}, eval_split: test}}\n"
            f"databases: {{path: harbor.{engine}, engine: {engine}}}\nscoring: {{modes: [strict, spider]}}\n"
        )
        return path

    return build


def made(path: Path, out: Path, count: int = 150, seed: int = 0, model: str = "") -> Generated:
    return generate(Task.named(str(path)), count, seed, out, model, workers=1)


def read(out: Path, split: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / f"{split}.jsonl").read_text().splitlines()]


def files(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.iterdir()}


@pytest.mark.parametrize("engine", ["sqlite", "duckdb"])
def test_a_generated_task_passes_check(make: Any, tmp_path: Path, engine: str) -> None:
    result = made(make(engine), tmp_path / "out")
    assert result.splits == {"train": 150 - result.splits["dev"], "dev": result.splits["dev"]}
    assert 8 <= result.splits["dev"] <= 15
    report = check_task(str(tmp_path / "out" / "task.yaml"), (), (), None, 1)
    assert report.broken == 0
    for split in report.splits:
        assert (split.empty, split.cut, split.volatile, split.duplicates, split.shared_questions) == (0,) * 5


def test_train_and_dev_share_no_question_query_or_skeleton(make: Any, tmp_path: Path) -> None:
    made(make(), tmp_path / "out", 200)
    train, dev = read(tmp_path / "out", "train"), read(tmp_path / "out", "dev")
    both = train + dev
    assert len({question_key(row["question"]) for row in both}) == len(both) == 200
    queries = Counter(query_key(row["sql"], "sqlite") for row in both)
    assert 120 < len(queries) < 200 and max(queries.values()) <= MOST_WORDINGS
    used = [{skeleton(row["sql"], "sqlite") for row in split} for split in (train, dev)]
    assert used[0] and used[1] and not used[0] & used[1]
    assert len({row["family"] for row in both}) > 30
    assert {row["difficulty"] for row in both} == {"easy", "medium", "hard", "extra"}


def test_each_value_of_a_query_is_in_its_question(make: Any, tmp_path: Path) -> None:
    made(make(), tmp_path / "out", 200)
    for row in read(tmp_path / "out", "train"):
        question = row["question"].lower()
        tree = sqlglot.parse_one(row["sql"], dialect="sqlite")
        limits = {
            literal.this for limit in tree.find_all(exp.Limit) for literal in limit.find_all(exp.Literal)
        }
        for literal in tree.find_all(exp.Literal):
            text = literal.this.strip("%").lower()
            if (text == "%y" or text == "y") or (
                literal.is_int and ("1" in limits or "is_active" in row["sql"])
            ):
                continue
            small = SMALL[int(text)] if text.isdigit() and int(text) < 10 else text
            assert text in question or small in question, row


def test_the_same_seed_makes_the_same_files(make: Any, tmp_path: Path) -> None:
    path = make()
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        made(path, tmp_path / name / "out", 40, seed)
    first, again, other = (files(tmp_path / name / "out") for name in "abc")
    assert first == again
    assert first["train.jsonl"] != other["train.jsonl"]


def test_hand_written_questions_are_the_test_split_and_are_not_generated(make: Any, tmp_path: Path) -> None:
    made(make(), tmp_path / "first", 100)
    known = read(tmp_path / "first", "train")
    asked = [
        {"question": known[0]["question"].upper(), "query": "SELECT 1", "db_id": "harbor"},
        {
            "question": "Anything else?",
            "query": known[1]["sql"].lower().replace("  ", " "),
            "db_id": "harbor",
        },
    ]
    made(make(questions=asked), tmp_path / "second", 100)
    generated = read(tmp_path / "second", "train") + read(tmp_path / "second", "dev")
    assert question_key(known[0]["question"]) not in {question_key(row["question"]) for row in generated}
    assert query_key(known[1]["sql"], "sqlite") not in {query_key(row["sql"], "sqlite") for row in generated}
    assert [row["question"] for row in read(tmp_path / "second", "test")] == [
        row["question"] for row in asked
    ]
    assert Task.named(str(tmp_path / "second" / "task.yaml")).spec.dataset.eval_split == "test"


def test_private_columns_are_in_no_pair(make: Any, tmp_path: Path) -> None:
    path = make()
    path.write_text(f"{path.read_text()}private: [ships.gross_tonnage, Port.country]\n")
    made(path, tmp_path / "out", 60)
    for name, content in files(tmp_path / "out").items():
        assert b"tonnage" not in content.lower() or name == "task.yaml", name
        assert (b"Norway" not in content and b"Port.country" not in content) or name == "task.yaml", name
    assert Task.named(str(tmp_path / "out" / "task.yaml")).spec.private == (
        "ships.gross_tonnage",
        "Port.country",
    )


REFUSED = [
    ("SELECT name FROM Port WHERE depth > 90", "returns no rows"),
    ("SELECT name FROM Port WHERE depth > 1", "has a condition without effect"),
    ("SELECT name FROM Port WHERE depth > 8 AND depth > 6", "has a condition without effect"),
    ("SELECT COUNT(*) FROM Port WHERE name = 'none'", "counts no row or one"),
    ("SELECT kind FROM ships GROUP BY kind ORDER BY COUNT(*) DESC LIMIT 1", "LIMIT cuts through a tie"),
    ("SELECT name FROM Port LIMIT 3", "depends on the order of rows"),
    ("SELECT kind, name FROM ships JOIN Port ON home_port_id = port_id GROUP BY kind",
     "depends on the order of rows"),
    ("SELECT name FROM Port ORDER BY depth LIMIT 30", "has a condition without effect"),
    ("SELECT name FROM Port EXCEPT SELECT 'none'", "has a condition without effect"),
    ("SELECT missing FROM Port", "does not run"),
    ("SELECT name FROM", "cannot be parsed"),
    ("SELECT NULL, name FROM Port", "returns an empty column"),
    ("SELECT name FROM Port WHERE depth > 8", ""),
    ("SELECT name FROM Port ORDER BY depth DESC LIMIT 2", ""),
    ("SELECT country, COUNT(*) FROM Port GROUP BY country", ""),
]  # fmt: skip


def test_pairs_that_prove_little_are_left_out(make: Any, tmp_path: Path) -> None:
    make()
    database = Database("harbor", "sqlite", (tmp_path / "harbor.sqlite",))
    grading = Grader(ScoringSpec(), 1, structure=False, ties_at_limit=True)
    with Sandbox(1) as sandbox, grading as grader:
        catalog = read_catalog(database, describe(database), sandbox)
        for sql, cause in REFUSED:
            checker = Checker(catalog, sandbox, grader)
            kept = checker.keep([Pair("Which?", sql, "x", "harbor")])
            assert ("" if kept else next(iter(+checker.refused))) == cause, sql


@pytest.mark.parametrize("engine", ["sqlite", "duckdb", "postgres"])
def test_every_family_writes_sql_that_runs(
    make: Any, tmp_path: Path, engine: Any, request: pytest.FixtureRequest
) -> None:
    make(engine if engine != "postgres" else "sqlite")
    database = Database("harbor", engine, (tmp_path / f"harbor.{engine}",))
    if engine == "postgres":
        database = replace(database, engine="sqlite", instances=(tmp_path / "harbor.sqlite",))
        database = on_postgres(database, request.getfixturevalue("postgres"))
    grading = Grader(ScoringSpec(), 1, structure=False, ties_at_limit=True)
    with Sandbox(1) as sandbox, grading as grader:
        catalog = read_catalog(database, describe(database), sandbox)
        checker = Checker(catalog, sandbox, grader)
        pairs = [pair for family in FAMILIES for pair in drawn(family, catalog)]
        kept = checker.keep(pairs)
    assert checker.refused["does not run"] == checker.refused["cannot be parsed"] == 0
    assert {pair.family for pair in pairs} == {family.name for family in FAMILIES}
    assert len(kept) > len(pairs) / 2


def drawn(family: Family, catalog: Catalog) -> Iterator[Pair]:
    """Two pairs of a family."""
    found = 0
    for seed in range(200):
        draw = Draw(catalog, Random(seed))
        try:
            sql, question = family.draw(draw)
        except NoFit:
            continue
        yield draw.pair(sql, question, family.name)
        found += 1
        if found == 2:
            return


def test_fields_are_named_and_typed(make: Any, tmp_path: Path) -> None:
    make()
    database = Database("harbor", "sqlite", (tmp_path / "harbor.sqlite",))
    with Sandbox(1) as sandbox:
        catalog = read_catalog(database, describe(database), sandbox)
    found = {field.name: (field.kind, field.phrases[0]) for one in catalog.entities for field in one.fields}
    assert found["gross_tonnage"] == ("number", "gross tonnage")
    assert found["is_active"] == ("flag", "active")
    assert found["cargo_amt"] == ("number", "cargo amount")
    assert found["opened"][0] == found["arrival"][0] == "date"
    assert found["built_year"][0] == "year"
    assert found["kind"][0] == "category"
    assert found['"Ship Name"'] == ("label", "name")
    assert [entity.names for entity in catalog.entities] == [("port",), ("ship",), ("visit",)]
    assert [link.alone for link in catalog.links] == [True] * 3


ODD = """
CREATE TABLE "Sold_Items" ("order" integer PRIMARY KEY, "größe" real, "select" text); -- sales of the shop
CREATE TABLE "Ref_Item_Types" (code text PRIMARY KEY, descr text /* item description */);
CREATE TABLE "Item Groups" ("group" integer, "from" text, "to" date);
"""


def test_tables_have_the_names_that_people_use(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "odd.sqlite") as connection:
        connection.executescript(ODD)
        for n in range(12):
            connection.execute('INSERT INTO "Sold_Items" VALUES (?, ?, ?)', (n, n * 1.5, "xyz"[n % 3]))
            connection.execute('INSERT INTO "Ref_Item_Types" VALUES (?, ?)', (f"T{n}", f"kind {n}"))
            connection.execute(
                'INSERT INTO "Item Groups" VALUES (?, ?, ?)', (n, "ab"[n % 2], f"2020-01-{n + 10}")
            )
    database = Database("odd", "sqlite", (tmp_path / "odd.sqlite",))
    with Sandbox(1) as sandbox:
        catalog = read_catalog(database, with_comments(database, describe(database)), sandbox)
    names = {entity.name: entity.names for entity in catalog.entities}
    assert names['"Sold_Items"'] == ("sold item", "item")
    assert names['"Ref_Item_Types"'] == ("item type",)
    assert names['"Item Groups"'] == ("item group", "group")
    phrases = {field.name: field.phrases for one in catalog.entities for field in one.fields}
    assert phrases["descr"] == ("item description", "descr")
    assert phrases['"größe"'] == ("größe",)
    grading = Grader(ScoringSpec(), 1, structure=False, ties_at_limit=True)
    with Sandbox(1) as sandbox, grading as grader:
        checker = Checker(catalog, sandbox, grader)
        pairs = [pair for family in FAMILIES for pair in drawn(family, catalog)]
        assert len(checker.keep(pairs)) > 10
    assert checker.refused["does not run"] == checker.refused["cannot be parsed"] == 0


def test_frequent_forms_stay_in_train() -> None:
    pairs = [Pair(f"Question {n}?", "", "", skeleton="common" if n % 2 else f"rare {n}") for n in range(1000)]
    train, dev = divide(pairs, 0)
    assert len(dev) == 100 and {pair.skeleton for pair in dev}.isdisjoint(pair.skeleton for pair in train)
    assert sum(pair.skeleton == "common" for pair in train) == 500


def test_a_query_has_a_few_questions_and_never_that_of_the_task() -> None:
    seen = Seen("sqlite")
    seen.close("shop", "How many?", ["SELECT COUNT(*) FROM a"])
    assert not seen.add("shop", "Count them.", "select count(*) from A")
    assert not seen.add("shop", "how MANY", "SELECT 1")
    assert seen.add("mall", "How many?", "SELECT COUNT(*) FROM a")
    added = [seen.add("shop", f"Question {n}?", "SELECT x FROM a") for n in range(6)]
    assert added == [True] * MOST_WORDINGS + [False]


REPEATED = [
    ("List the document document dates.", (), "List the document dates."),
    ("List a apple of Duran duran duran.", ("Duran duran duran",), "List a apple of Duran duran duran."),
]


@pytest.mark.parametrize(("text", "values", "wanted"), REPEATED)
def test_a_question_repeats_no_word_but_those_of_values(text: str, values: tuple[str], wanted: str) -> None:
    draw = Draw(Catalog(Database("x", "sqlite", ()), ()), Random(0))
    draw.values += values
    assert draw.ask([text]) == wanted


NAMES = [
    ("emp_fname", "employee first name"),
    ("SurfaceArea", "surface area"),
    ("HTTPServerID", "http server id"),
    ("qty2", "quantity 2"),
    ("countrylanguage", "country language"),
    ("Größe_cm", "größe cm"),
    ("ÉtatCivil", "état civil"),
    ("名前", "名前"),
]


@pytest.mark.parametrize(("name", "phrase"), NAMES)
def test_names_become_phrases(name: str, phrase: str) -> None:
    assert " ".join(words_of(name, vocabulary(["country", "Language"]))) == phrase


PLURALS = [
    ("city", "cities"), ("bus", "buses"), ("person", "people"), ("box", "boxes"), ("series", "series"),
    ("key", "keys"), ("first name", "first names"), ("date of birth", "dates of birth"),
]  # fmt: skip


@pytest.mark.parametrize(("one", "many"), PLURALS)
def test_plurals(one: str, many: str) -> None:
    assert plural(one) == many == plural(many)
    if " " not in one:
        assert singular(many) == one


def test_a_table_with_a_prefix_is_named_without_it() -> None:
    assert entity_words("tbl_orders", ()) == ["order"]


def test_a_skeleton_has_no_names_and_values() -> None:
    sql = """SELECT "a b".c, COUNT(*) FROM "a b" WHERE x = 'y' AND n > 3 GROUP BY 1"""
    assert skeleton(sql, "sqlite") == "SELECT _ , COUNT ( * ) FROM _ WHERE _ = ? AND _ > ? GROUP BY ?"


WORDINGS = [
    ("How many ferries were built after 1970?", True),
    ("How many ferries were built after 1971?", False),
    ("How many boats were built after 1970?", False),
    ("How many ferries were built in the 2 years after 1970?", False),
    ("SELECT COUNT(*) FROM ferries WHERE year > 1970", False),
    ("", False),
    ("Hello", False),
    ("How many ferries " + "really " * 30 + "were built after 1970?", False),
]


@pytest.mark.parametrize(("text", "kept"), WORDINGS)
def test_a_wording_keeps_all_values(text: str, kept: bool) -> None:
    pair = Pair("Count the ferries with a year after 1970.", "", "", values=("ferries", "1970"))
    assert keeps_values(pair, text) is kept


def test_an_answer_of_several_lines_is_no_wording() -> None:
    assert cleaned('Question: "Which ships?"\n') == "Which ships?"
    assert cleaned('"Which ships?"') == "Which ships?"
    assert cleaned("Sure!\nWhich ships?") == ""


def test_questions_are_reworded_where_the_model_keeps_their_values(make: Any, tmp_path: Path) -> None:
    path = make()
    made(path, tmp_path / "plain", 30)
    plain = read(tmp_path / "plain", "train") + read(tmp_path / "plain", "dev")
    script = {
        PROMPT.format(question=row["question"]): [f"Please tell us: {row['question']}"] for row in plain[:9]
    }
    with scripted(script) as url, pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENAI_BASE_URL", url)
        result = made(path, tmp_path / "reworded", 30, model="openai:scripted")
    new = Counter(row["question"] for split in ("train", "dev") for row in read(tmp_path / "reworded", split))
    old = [row["question"] for row in plain]
    assert result.reworded == 9
    assert new == Counter([f"Please tell us: {text}" for text in old[:9]] + old[9:])


ERRORS = [
    (["--task", "harbor.yaml", "--out", "taken"], "holds 'note.txt' and no generated task"),
    (["--task", "harbor.yaml", "--n", "0"], "--n"),
    (["--task", "nothing.yaml"], "not a file"),
]


@pytest.mark.parametrize(("arguments", "message"), ERRORS)
def test_a_mistake_is_one_line(
    make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    arguments: list[str], message: str,
) -> None:  # fmt: skip
    make()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "note.txt").write_text("mine")
    try:
        code = main(["generate", *arguments])
    except SystemExit as end:
        code = int(str(end.code))
    error = capsys.readouterr().err
    assert code == 2 and message in error and error.count("\n") == 1
    assert (tmp_path / "taken" / "note.txt").read_text() == "mine"


def test_a_database_without_rows_is_refused(tmp_path: Path, home: Path) -> None:
    with sqlite3.connect(tmp_path / "empty.sqlite") as connection:
        connection.execute("CREATE TABLE t (a integer)")
    spec = tmp_path / "empty.yaml"
    spec.write_text(
        "name: empty\ndataset: {path: x.json, splits: {test: x}}\ndatabases: {path: empty.sqlite}\n"
    )
    with pytest.raises(DataError, match="no table has rows"):
        made(spec, tmp_path / "out")


def test_a_small_table_gives_what_it_can(
    tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with sqlite3.connect(tmp_path / "small.sqlite") as connection:
        connection.executescript(
            "CREATE TABLE t (a text, n integer); INSERT INTO t VALUES ('x', 1), ('y', 2)"
        )
    spec = tmp_path / "small.yaml"
    spec.write_text(
        "name: small\ndataset: {path: x.json, splits: {test: x}}\ndatabases: {path: small.sqlite}\n"
    )
    code = main(
        ["generate", "--task", str(spec), "--n", "5000", "--out", str(tmp_path / "out"), "--workers", "1"]
    )
    printed = capsys.readouterr().out
    assert code == 0 and re.search(r"fewer than asked for", printed) and "harness" in printed


def test_families_have_names_of_their_own() -> None:
    assert len({family.name for family in FAMILIES}) == len(FAMILIES) > 35
