"""Schema linking: which tables and columns a prompt shows within a budget, and what the check says of it."""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from harness.check import check_task
from harness.cli import main
from harness.provenance.identity import of_task
from rewards.structure.parse import parse
from rewards.structure.used import columns_of, used
from tasks.linking.choice import linked
from tasks.linking.joins import Joins
from tasks.linking.tables import part_of
from tasks.linking.terms import name_terms, partial, question_terms, stem
from tasks.linking.tokens import estimate
from tasks.prompts import render_schema
from tasks.spec import SchemaSpec
from tasks.task import Task
from tasks.types import Column, ForeignKey, Schema, Table


def table(name: str, columns: str, **more: str) -> Table:
    """``columns``: names; ``x*`` is the primary key, ``x>t.y`` a foreign key, ``x=text`` has a comment."""
    made, keys = [], []
    for word in columns.split():
        column, _, comment = word.partition("=")
        column, _, target = column.partition(">")
        made.append(Column(column.rstrip("*"), "integer", column.endswith("*"), comment=comment))
        if target:
            keys.append(ForeignKey(column, *target.split(".")))
    return Table(name, tuple(made), tuple(keys), **more)


def fillers(count: int) -> list[Table]:
    """Tables that no question below names."""
    return [table(f"zz{number}", f"q{number}* w{number} v{number} u{number}") for number in range(count)]


SHOP = [
    *fillers(40),
    table("customer", "customer_id* full_name city"),
    table("purchase", "purchase_id* customer_id>customer.customer_id placed_at"),
    *fillers(40),
    table("purchase_line", "line_id* purchase_id>purchase.purchase_id product_id quantity"),
    table("product", "product_id* title price colour"),
]


def names(
    tables: Sequence[Table],
    question: str,
    budget: int = 120,
    values: dict[str, tuple[str, ...]] | None = None,
) -> list[str]:
    shown = linked(SchemaSpec(max_tokens=budget), Schema(tuple(tables)), question, lambda: values or {})
    return [one.name for one in shown.tables if not one.name.startswith("zz")]


@pytest.mark.parametrize(
    ("word", "stemmed"),
    [
        ("cities", "city"), ("city", "city"), ("classes", "class"), ("class", "class"), ("names", "nam"),
        ("named", "nam"), ("name", "nam"), ("status", "status"), ("boxes", "box"), ("planned", "plan"),
        ("sing", "sing"), ("bus", "bus"), ("id", "id"), ("series", "sery"), ("called", "call"),
    ],
)  # fmt: skip
def test_a_word_without_its_ending(word: str, stemmed: str) -> None:
    assert stem(word) == stemmed


@pytest.mark.parametrize(
    ("name", "terms"),
    [
        ("CustAddr_2", {"cust", "customer", "addr", "address", "2"}),
        ("dob", {"dob", "birth", "dat"}),
        ("airportcode", {"airportcod", "airport", "cod"}),
        ("HTTPServerName2", {"http", "server", "nam", "2"}),
        ("GrößeDesBaums", {"größ", "des", "baum"}),
    ],
)
def test_the_terms_of_a_name(name: str, terms: set[str]) -> None:
    found = name_terms(name, frozenset({"airport", "code"}))
    assert terms <= set(found)


def test_the_terms_of_a_question_have_no_common_words() -> None:
    found = question_terms("How old are the singers of the band?")
    assert set(found) == {"old", "age", "birth", "singer", "band"}
    assert partial("airport", "airportcod") > 0 == partial("air", "airport") == partial("name", "name")


def test_a_schema_that_fits_is_shown_whole_and_no_value_is_looked_up() -> None:
    schema = Schema(tuple(SHOP[-2:]))

    def values() -> dict[str, tuple[str, ...]]:
        raise AssertionError("not needed")

    assert linked(SchemaSpec(max_tokens=1000), schema, "anything", values).tables == schema.tables


def test_the_tables_of_a_question_are_shown_in_the_order_of_the_schema() -> None:
    assert names(SHOP, "What is the price of each product?", 60) == ["product"]
    assert names(SHOP, "Which products have a customer?", 120)[:1] == ["customer"]


def test_the_tables_on_the_join_path_are_shown_though_no_word_names_them() -> None:
    tables = [replace(one, name=one.name.replace("purchase", "xx")) for one in SHOP]
    tables = [
        replace(one, foreign_keys=tuple(replace(key, other_table=key.other_table.replace("purchase", "xx"))
                for key in one.foreign_keys)) for one in tables
    ]  # fmt: skip
    shown = names(tables, "For each customer's city, the total quantity of items?", 200)
    assert shown[:3] == ["customer", "xx", "xx_line"]


def test_a_join_that_only_names_tell_is_a_path_too() -> None:
    joins = Joins(SHOP)
    lines, product = len(SHOP) - 2, len(SHOP) - 1
    assert joins.path(product, [40]) == [lines, 41][::-1] or joins.path(product, [40]) == [41, lines]
    assert {0, 1, 2} == joins.keys[lines]
    assert joins.path(product, [lines]) == [] == joins.path(0, [product])


def test_a_value_of_the_question_chooses_its_table_and_column() -> None:
    wide = table("gadget", "gadget_id* " + " ".join(f"part{number}" for number in range(40)))
    schema = Schema((*SHOP, wide))
    values = {"gadget.part33": ("Kobold",)}
    shown = linked(SchemaSpec(max_tokens=200, values=True), schema, "Where is Kobold?", lambda: values)
    (gadget,) = [one for one in shown.tables if one.name == "gadget"]
    assert {"gadget_id", "part33"} <= {column.name for column in gadget.columns}
    assert len(gadget.columns) < len(wide.columns)
    assert shown.values == values


def test_a_comment_or_an_abbreviation_names_a_table() -> None:
    assert names([*SHOP, table("t17", "a b", comment="invoices of suppliers")], "Count the invoices", 60) == [
        "t17"
    ]
    assert names([*SHOP, table("emp", "a b")], "Count the employees", 60) == ["emp"]
    assert names([*SHOP, table("t17", "a* b=the_weight_in_kilograms")], "Total kilograms?", 60) == ["t17"]


def test_a_large_table_keeps_its_keys_and_its_best_columns() -> None:
    many = " ".join(f"extra{number}" for number in range(60))
    wide = table("delivery", f"delivery_id* {many} purchase_id>purchase.purchase_id courier")
    shown = linked(SchemaSpec(max_tokens=150), Schema((*SHOP, wide)), "Which courier delivers?", dict)
    (delivery,) = [one for one in shown.tables if one.name == "delivery"]
    kept = [column.name for column in delivery.columns]
    assert kept[0] == "delivery_id" and kept[-2:] == ["purchase_id", "courier"] and len(kept) < 40


@pytest.mark.parametrize("form", ["compact", "ddl"])
@pytest.mark.parametrize("budget", [1, 40, 150, 600])
def test_a_budget_is_kept_and_equal_inputs_give_equal_choices(form: str, budget: int) -> None:
    chosen = random.Random(budget)
    words = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa"]
    tables = []
    for number in range(60):
        columns = [f"{chosen.choice(words)}_{place}" for place in range(chosen.randint(1, 40))]
        ddl = f"CREATE TABLE t{number} ({', '.join(f'{column} TEXT' for column in columns)})"
        linked_to = f" parent>t{number // 2}.{columns[0]}" if number else ""
        made = table(f"{chosen.choice(words)}_{number}", " ".join(columns) + linked_to)
        tables.append(replace(made, ddl=ddl))
    spec = SchemaSpec(format=form, max_tokens=budget, values=True)  # type: ignore[arg-type]
    values = {f"{one.name}.{one.columns[0].name}": ("Alpha Beta",) for one in tables}
    first = linked(spec, Schema(tuple(tables)), "alpha beta of gamma?", lambda: values)
    assert estimate(render_schema(spec, first)) <= budget
    again = linked(spec, Schema(tuple(tables)), "alpha beta of gamma?", lambda: values)
    assert render_schema(spec, again) == render_schema(spec, first)
    assert (first.tables != ()) == (budget > 1)


def test_rows_are_shown_only_where_tables_leave_room() -> None:
    row = tuple(range(1000, 1004))
    tables = tuple(replace(one, rows=(row[: len(one.columns)],)) for one in SHOP)
    question = "Products of a customer, by colour of the product"

    def shown(budget: int, rows: int) -> Schema:
        return linked(SchemaSpec(max_tokens=budget, rows=rows), Schema(tables), question, dict)

    few, many = shown(90, 1), shown(400, 1)
    assert [one.name for one in few.tables] == [one.name for one in shown(90, 0).tables]
    assert not all(one.rows for one in few.tables) and all(one.rows for one in many.tables)
    assert estimate(render_schema(SchemaSpec(rows=1), few)) <= 90


def test_part_of_a_table_has_ddl_that_runs_and_its_rows() -> None:
    whole = Table(
        'o"k',
        (Column("a b", "INT", True), Column("c", "TEXT", not_null=True), Column("d", "INT")),
        (ForeignKey("d", "other", "x y"),),
        "CREATE TABLE ...",
        ((1, "x", 2),),
    )
    part = part_of(whole, [0, 2])
    assert part.rows == ((1, 2),)
    with sqlite3.connect(":memory:") as connection:
        connection.execute(part.ddl)
        assert connection.execute("PRAGMA foreign_key_list('o\"k')").fetchall()[0][2:5] == (
            "other",
            "d",
            "x y",
        )
    assert ' REFERENCES "s 1"."other"("x y")' in part_of(replace(whole, schema="s 1"), [2]).ddl
    assert part_of(whole, [0, 1]).foreign_keys == ()
    assert part_of(whole, [0, 1, 2]) is whole


KNOWN = columns_of(Schema((table("t", "a b c"), table("u", "a d"), table("v", "x"))))


@pytest.mark.parametrize(
    ("sql", "read"),
    [
        ("SELECT a FROM t AS T1 WHERE T1.B IN (SELECT d FROM u WHERE c = 1)", "t.a t.b t.c u.d"),
        ("SELECT * FROM t", "t.a t.b t.c"),
        ("SELECT COUNT(*) FROM t", "t"),
        ("SELECT T1.* FROM u T1 JOIN t USING (a)", "u.a u.d t.a"),
        ("SELECT q.a FROM (SELECT a, COUNT(*) AS n FROM t GROUP BY b ORDER BY n) q", "t.a t.b"),
        ("WITH w AS (SELECT d FROM u) SELECT w.d, x FROM w, v", "u.d v.x"),
        ("SELECT a FROM t UNION SELECT a FROM u", "t.a u.a"),
        ('SELECT "A" FROM T WHERE "zzz" = 1', "t.a"),
        ("SELECT a FROM gone", ""),
        ("SELECT b FROM t ORDER BY (SELECT MAX(d) FROM u WHERE u.a = t.c)", "t.b t.c u.a u.d"),
    ],
)
def test_the_tables_and_columns_that_a_query_reads(sql: str, read: str) -> None:
    tree = parse(sql, "sqlite")
    assert tree is not None
    found = used(tree, KNOWN)
    assert found.columns == {tuple(name.split(".")) for name in read.split() if "." in name}
    assert found.tables == {name.partition(".")[0] for name in read.split()}


@pytest.fixture
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A HARNESS_HOME without any files."""
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def many(tmp_path: Path, own_home: Path) -> Path:
    """A task on a database of 60 tables, of which two questions read three."""
    with sqlite3.connect(tmp_path / "d.sqlite") as connection:
        for number in range(60):
            connection.execute(f"CREATE TABLE zz{number} (a{number} INTEGER PRIMARY KEY, b{number} TEXT)")
        connection.executescript(
            "CREATE TABLE singer (singer_id INTEGER PRIMARY KEY, name TEXT, xq INT);"
            "CREATE TABLE link (singer_id REFERENCES singer, song_id REFERENCES song);"
            "CREATE TABLE song (song_id INTEGER PRIMARY KEY, title TEXT);"
            "INSERT INTO singer VALUES (1, 'Ann', 2); INSERT INTO song VALUES (1, 'Oh');"
            "INSERT INTO link VALUES (1, 1)"
        )
    connection.close()
    joined = (
        "SELECT name FROM singer JOIN link USING (singer_id) JOIN song USING (song_id) WHERE title = 'Oh'"
    )
    rows = [
        {"question": "Which singer has the song Oh?", "query": joined, "db_id": "d"},
        {"question": "Count everything", "query": "SELECT COUNT(*), a7 FROM zz7", "db_id": "d"},
    ]
    (tmp_path / "dev.json").write_text(json.dumps(rows))
    path = tmp_path / "many.yaml"
    path.write_text(
        "name: many\ndataset: {path: dev.json, splits: {dev: dev}}\ndatabases: {path: '{database}.sqlite'}\n"
        "prompt: {schema: {max_tokens: 150}}\n"
    )
    return path


def test_the_check_says_what_linking_keeps(many: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("transformers")
    assert main(["check", str(many), "--workers", "1", "--json"]) == 0
    (split,) = json.loads(capsys.readouterr().out)["splits"]
    found = split["linking"]
    assert (found["budget"], found["cut"], found["golds"]) == (150, 2, 2)
    assert found["tables"] in (0.75, 1.0) and found["complete"] in (0.5, 1.0)
    assert 0 < found["tokens"] < found["tokens_without"]
    assert main(["check", str(many), "--workers", "1"]) == 0
    assert "gold tables in the prompt" in capsys.readouterr().out
    (split,) = check_task(str(many), ["prompt.schema.max_tokens=0"], (), None, 1).splits
    assert split.linking is None


def test_the_choice_and_the_files_that_describe_a_database_are_in_the_identity(many: Path) -> None:
    def identity(*overrides: str) -> tuple[str, object]:
        task = Task.named(str(many), overrides)
        found = of_task(task, "dev", task.samples())
        return found["prompt"], found["databases"]

    first, other, whole = (
        identity(),
        identity("prompt.schema.max_tokens=151"),
        identity("prompt.schema.max_tokens=0"),
    )
    assert len({first[0], other[0], whole[0]}) == 3
    (many.parent / "database_description").mkdir()
    (many.parent / "database_description" / "zz7.csv").write_text(
        "original_column_name,column_name\na7,number\n"
    )
    assert identity()[1] != first[1] and identity("prompt.schema.max_tokens=0")[1] == whole[1]
