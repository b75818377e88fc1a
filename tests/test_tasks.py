"""Tasks: rows become samples, databases are found, questions become prompts."""

from __future__ import annotations

import csv
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tasks.common.errors import DataError, HarnessError, SpecError
from tasks.common.parse import parse
from tasks.prompts import quoted
from tasks.spec import TaskSpec
from tasks.task import Task

ROWS = [
    {"question": "How many?", "query": "SELECT COUNT(*) FROM t", "db_id": "d", "good": True},
    {
        "question": "Which names?",
        "query": ["SELECT name FROM t", "SELECT t.name FROM t"],
        "db_id": "d",
        "good": False,
    },
    {"question": "Who?", "query": "SELECT 1", "db_id": "gone", "good": True},
]


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Task]:
    """A task over ROWS (or other rows) and one database, with overrides."""
    with sqlite3.connect(tmp_path / "d.sqlite") as connection:
        connection.executescript(
            'CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT, "order" INT, u_id INT REFERENCES u(id));'
            "CREATE TABLE u(id INTEGER PRIMARY KEY, \"Full Name\" TEXT); INSERT INTO u VALUES (1, 'Ann Lee');"
        )

    def build(*overrides: str, rows: Any = ROWS, file: str = "dev.json") -> Task:
        (tmp_path / "dev.json").write_text(json.dumps(rows))
        data = {
            "name": "mine",
            "dataset": {"path": f"{tmp_path}/{{split}}", "splits": {"dev": file}},
            "databases": {"path": f"{tmp_path}/{{database}}.sqlite", "missing": "skip"},
        }
        return Task(parse(TaskSpec, data, overrides))

    return build


def test_rows_without_a_database_are_left_out_and_counted(make: Callable[..., Task]) -> None:
    task = make()
    assert [sample.id for sample in task.samples()] == ["0", "1"]
    assert task.skipped == {"dev": 1}


def test_a_missing_database_is_an_error_where_the_task_says_so(make: Callable[..., Task]) -> None:
    with pytest.raises(DataError, match=r"question 2 needs the database .*gone\.sqlite"):
        make("databases.missing=error").samples()


def test_several_golds_are_kept(make: Callable[..., Task]) -> None:
    assert make().samples()[1].gold == ("SELECT name FROM t", "SELECT t.name FROM t")


def test_where_filters_rows_and_keeps_their_index(make: Callable[..., Task]) -> None:
    assert [sample.id for sample in make("dataset.where={good: false}").samples()] == ["1"]


def test_limit_cuts_after_the_seeded_shuffle(make: Callable[..., Task]) -> None:
    rows = [ROWS[0] | {"question": f"q{number}"} for number in range(50)]
    task = make(rows=rows)
    first = task.samples(limit=10, seed=3)
    assert len(first) == 10
    assert first == task.samples(limit=10, seed=3)
    assert first != task.samples(limit=10, seed=4)
    assert first == task.samples(seed=3)[:10]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"question": "q", "db_id": "d"}], "row 0 has no column 'query'"),
        ([{"question": "q", "query": "", "db_id": "d"}], "row 0 lacks its gold"),
        ([{"question": " ", "query": "SELECT 1", "db_id": "d"}], "row 0 lacks a question"),
        ([{"question": "q", "querry": "SELECT 1", "db_id": "d"}], "did you mean 'querry'"),
        ([], "is empty"),
        ({"a": 1}, "a list of objects"),
        ([{"question": "q", "query": "SELECT 1", "db_id": "nope"}], "no sample with a database"),
    ],
)
def test_a_broken_dataset_is_one_line(make: Callable[..., Task], rows: Any, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        make(rows=rows).samples()
    assert "\n" not in str(caught.value)


def test_an_unknown_split_names_the_known_ones(make: Callable[..., Task]) -> None:
    with pytest.raises(DataError, match="did you mean 'dev'"):
        make().samples("dve")


def _jsonl(path: Path) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))


def _csv(path: Path) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["question", "query", "db_id", "good"])
        writer.writeheader()
        writer.writerows(ROWS)


def _parquet(path: Path) -> None:
    import pandas

    pandas.DataFrame([row | {"query": str(row["query"])} for row in ROWS]).to_parquet(path)


@pytest.mark.parametrize(("name", "write"), [("x.jsonl", _jsonl), ("x.csv", _csv), ("x.parquet", _parquet)])
def test_every_file_format_gives_the_same_questions(
    make: Callable[..., Task], tmp_path: Path, name: str, write: Callable[[Path], None]
) -> None:
    write(tmp_path / name)
    asked = [sample.question for sample in make(file=name).samples()]
    assert asked == [sample.question for sample in make().samples()]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.json", "{", "cannot be read"),
        ("x.jsonl", '{"a": 1}\n{"a"\n', "line 2"),
        ("x.jsonl", "[1]\n", "line 1: not an object"),
        ("x.parquet", "nonsense", "cannot be read"),
        ("x.xlsx", "", "cannot read '.xlsx' files"),
    ],
)
def test_an_unreadable_file_is_one_line(
    make: Callable[..., Task], tmp_path: Path, name: str, content: str, message: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=message):
        make(file=name).samples()


def test_a_saved_datasets_folder_is_read(make: Callable[..., Task], tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    rows = [row | {"query": str(row["query"])} for row in ROWS]
    datasets.DatasetDict({"validation": datasets.Dataset.from_list(rows)}).save_to_disk(tmp_path / "saved")
    task = make(
        f"dataset.path={tmp_path}/saved", "dataset.source=huggingface", "dataset.splits={dev: validation}"
    )
    assert [sample.question for sample in task.samples()] == ["How many?", "Which names?"]


def test_an_unavailable_hub_dataset_is_one_line(make: Callable[..., Task], monkeypatch: Any) -> None:
    config = pytest.importorskip("datasets.config")
    monkeypatch.setattr(config, "HF_HUB_OFFLINE", True)  # the variable is read at import only
    task = make("dataset.path=no-such-owner/no-such-set", "dataset.source=huggingface")
    with pytest.raises(DataError, match="no-such-owner/no-such-set") as caught:
        task.samples()
    assert "\n" not in str(caught.value)


def test_ddl_in_a_row_is_the_database(make: Callable[..., Task]) -> None:
    rows = [{"question": "q", "query": "SELECT a FROM x", "db_id": "any", "schema": "CREATE TABLE x(a INT)"}]
    task = make("dataset.fields={ddl: schema}", rows=rows)
    (sample,) = task.samples()
    assert task.database(sample).ddl == "CREATE TABLE x(a INT)"
    assert task.messages(sample)[0]["content"].startswith("x(a int)")


def test_the_plain_prompt_is_schema_then_question(make: Callable[..., Task]) -> None:
    task = make()
    (message,) = task.messages(task.samples()[0])
    assert message["content"] == (
        't(id integer pk, name text, "order" int, u_id int -> u.id)\n'
        'u(id integer pk, "Full Name" text)\n\nHow many?'
    )


@pytest.mark.parametrize(
    ("override", "shown"),
    [
        ("prompt.schema.keys=false", 't(id integer, name text, "order" int, u_id int)'),
        ("prompt.schema.format=ddl", "CREATE TABLE t(id INTEGER PRIMARY KEY"),
        ("prompt.schema.rows=1", "-- id | Full Name\n-- 1 | Ann Lee"),
        ("prompt.template=instruct", "Answer with one SQLite query"),
    ],
)
def test_parts_of_the_prompt_are_switchable(make: Callable[..., Task], override: str, shown: str) -> None:
    task = make(override)
    assert shown in task.messages(task.samples()[0])[0]["content"]


def test_values_in_the_question_are_shown(make: Callable[..., Task]) -> None:
    task = make("prompt.schema.values=true", rows=[ROWS[0] | {"question": "Where does ann lee live?"}])
    assert "Ann Lee" in task.messages(task.samples()[0])[0]["content"]


def test_questions_on_one_database_share_the_schema_as_prefix(make: Callable[..., Task]) -> None:
    task = make("prompt.template=instruct")
    one, other = (task.messages(sample)[0]["content"] for sample in task.samples())
    schema_end = one.index("Full Name")
    assert one[:schema_end] == other[:schema_end]


@pytest.mark.parametrize(
    ("text", "error"),
    [("{{ no_such_name }}", "no_such_name"), ("{% if %}", "line 1"), (None, "did you mean 'plain'")],
)
def test_a_wrong_template_is_one_line(
    make: Callable[..., Task], tmp_path: Path, text: str | None, error: str
) -> None:
    path = tmp_path / "t.jinja"
    if text is not None:
        path.write_text(text)
    task = make(f"prompt.template={path if text is not None else 'plian'}")
    with pytest.raises(SpecError, match=error):
        task.messages(task.samples()[0])


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("name", "name"),
        ("order", '"order"'),
        ("Name", '"Name"'),
        ("a b", '"a b"'),
        ('a"b', '"a""b"'),
        ("x1_y", "x1_y"),
    ],
)
def test_names_are_quoted_where_sql_needs_it(name: str, written: str) -> None:
    assert quoted(name) == written


def test_a_corrupt_database_is_named(make: Callable[..., Task], tmp_path: Path) -> None:
    (tmp_path / "gone.sqlite").write_bytes(b"not a database at all" * 100)
    task = make()
    with pytest.raises(HarnessError, match=r"gone\.sqlite"):
        task.messages(task.samples()[2])


@pytest.mark.parametrize(
    ("task", "split", "rows", "skipped"),
    [
        ("spider", "dev", 972, 62),
        ("spider_realistic", "dev", 476, 32),
        ("bird", "dev", 274, 1260),
        ("bird_mini_dev", "dev", 92, 408),
        ("spider_syn", "dev", 972, 62),
        ("spider_german", "dev", 1030, 0),
        ("kaggledbqa", "test", 59, 126),
        ("kaggledbqa", "train", 28, 59),
        ("geoquery", "test", 279, 0),
        ("geoquery", "train", 549, 0),
        ("geoquery", "dev", 49, 0),
    ],
)
def test_benchmarks_have_as_many_rows_as_their_readme_states(
    data: Path, task: str, split: str, rows: int, skipped: int
) -> None:
    found = Task.named(task)
    assert (len(found.samples(split)), found.skipped[split]) == (rows, skipped)
