"""A task with private data: a secret value is in no prompt, record, page, export, feedback or sample."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from clinic import AMOUNT, PRIVATE, SECRET, TRICKS, build
from servers.scripted import scripted

from harness.check import check_task
from harness.cli import main
from harness.provenance.identity import of_task
from harness.spec import TrainSpec
from harness.training.rows import training_rows
from leaderboards import store
from leaderboards.types import Record
from tasks.common.errors import MissingData, SpecError
from tasks.task import Task
from tasks.types import Engine

GOLD = "SELECT name FROM person ORDER BY id"
EVIDENCE = {0: f"{SECRET} is the ssn of Ann", 1: "salary means salary.amount", 2: "branch is a place"}
LEAKING_GOLDS = [
    "SELECT ssn FROM person",
    f"SELECT count(*) FROM person WHERE ssn = '{SECRET}'",
    "SELECT * FROM salary",
]
WORDS = (SECRET, "SECRET", str(AMOUNT))
Make = Callable[..., Path]


def rows_of(engine: Engine) -> list[tuple[str, str]]:
    """Hostile answers, with how they end on the engine."""
    place = {"sqlite": 0, "duckdb": 1}[engine]
    return [(sql, expected[place]) for sql, expected in TRICKS if expected[place] != "-"]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """A function that writes a task, in an empty HARNESS_HOME."""
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path / "home"))

    def write(
        engine: Engine = "sqlite", count: int = 3, private: str = str(list(PRIVATE)), more: str = ""
    ) -> Path:
        folder = tmp_path / engine
        build(engine, folder)
        rows = [
            {
                "question": f"Who is here ({number})?",
                "query": GOLD,
                "db_id": "clinic",
                "hint": EVIDENCE.get(number, ""),
            }
            for number in range(count)
        ]
        rows += [
            {"question": f"What is it ({number})?", "query": gold, "db_id": "clinic", "hint": ""}
            for number, gold in enumerate(LEAKING_GOLDS)
        ]
        for split in ("dev", "train"):
            named = [row | {"question": f"{split}: {row['question']}"} for row in rows]
            (folder / f"{split}.json").write_text(json.dumps(named))
        path = folder / "task.yaml"
        path.write_text(
            f"name: clinic\nprivate: {private}\n"
            "dataset: {path: '{split}', splits: {dev: dev.json, train: train.json},"
            " fields: {evidence: hint}}\n"
            f"databases: {{path: '{{database}}.{engine}', engine: {engine}}}\n"
            "prompt: {schema: {format: ddl, rows: 3, values: true}, examples: {count: 2}}\n"
            f"scoring: {{security: {{tables: {{denied: [branch]}}}}, feedback_rows: 3, seconds: 5}}\n{more}"
        )
        return path

    return write


def texts(folder: Path) -> str:
    """Every file in a folder as text, and every stored record."""
    files = [path.read_bytes().decode("latin-1") for path in folder.rglob("*") if path.is_file()]
    return "\n".join([*files, *(repr(record) for run in store.runs() for record in store.records(run.id))])


@pytest.mark.parametrize("engine", ["sqlite", pytest.param("duckdb", marks=pytest.mark.slow)])
def test_hostile_answers_learn_nothing(
    make: Make, engine: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tricks = rows_of(engine)
    hostile = [
        (sql.replace("SECRET", "GUESS").replace(str(AMOUNT), "7"), expected) for sql, expected in tricks
    ]
    task = Task.named(str(make(engine, len(hostile))))
    asked: list[list[dict[str, str]]] = []
    script = {
        task.messages(sample)[-1]["content"]: [sql, sql, hostile[number - 1][0]]
        for number, (sample, (sql, _)) in enumerate(zip(task.samples(), hostile, strict=True))
    }
    with scripted(script, asked) as url:
        line = [
            "eval",
            "--model",
            "openai:m",
            "--base-url",
            url,
            "--task",
            str(tmp_path / engine / "task.yaml"),
        ]
        assert main([*line, "--turns", "3", "--workers", "1"]) == 0
    [run] = store.runs()
    records = store.records(run.id)
    first = {record.question: record for record in records}
    for number, (sql, expected) in enumerate(hostile):
        record = first[f"dev: Who is here ({number})?"]
        if record.sql == sql and expected == "P":
            assert (record.reason, record.metric, record.flags) != ("correct", 1.0, ""), record
            assert record.reason == "private_data" and record.metric == 0.0, record
            assert record.flags and "private_data" in record.flags.split(",")
    assert sum(record.reason == "private_data" for record in records) > 20
    (tmp_path / "out").mkdir()
    assert main(["board", "--html", str(tmp_path / "out" / "page.html")]) == 0
    assert main(["show", run.id, records[0].sample_id]) == 0
    assert main(["export", run.id, "--to", "csv", "--out", str(tmp_path / "out" / "run.csv")]) == 0
    sampled = ["sample", "--model", "gold", "--task", str(tmp_path / engine / "task.yaml"), "--workers", "1"]
    assert main([*sampled, "--limit", "3", "--out", str(tmp_path / "out" / "own.jsonl")]) == 0
    shown = capsys.readouterr()
    everything = "\n".join(
        [json.dumps(asked), shown.out, shown.err, texts(tmp_path / "home"), texts(tmp_path / "out")]
    )
    for word in WORDS:
        assert word not in everything, word


def test_prompts_and_training_rows_have_nothing_private(make: Make) -> None:
    task = Task.named(str(make()))
    assert [len(task.samples(split)) for split in ("dev", "train")] == [3, 3]
    assert [len(task.refused[split]) for split in ("dev", "train")] == [3, 3]
    spec = TrainSpec(task="clinic", model="nano", method="sft")
    rows = training_rows(spec, task, task.samples("train"))
    text = json.dumps([task.messages(sample) for sample in task.samples()]) + repr(rows)
    for word in (*WORDS, "ssn", "salary", "amount", "code"):
        assert word not in text, word
    assert "branch is a place" in text


def test_check_names_the_golds(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    path = make()
    dev = check_task(str(path), (), ("dev",), None, 1).splits[0]
    assert (dev.total, dev.rows, dev.right["strict"]) == (6, 6, 3)
    assert [(one.id, one.reason) for one in dev.broken] == [
        (str(number), "private_data") for number in (3, 4, 5)
    ]
    assert main(["check", str(path), "--split", "dev", "--workers", "1"]) == 1
    assert "private_data: the gold reads private data" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("private", "why"),
    [
        ("[person.snn]", "private: no table or column 'person.snn': did you mean 'person.ssn'?"),
        ("[persons]", "private: no table or column 'persons': did you mean 'person'?"),
        ("[person.ssn, nothing.at.all]", "private: no table or column 'nothing.at.all'"),
        ("['']", "write table, table.column or schema.table.column"),
    ],
)
def test_an_unknown_name_is_an_error(
    make: Make, private: str, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["eval", "--model", "gold", "--task", str(make(private=private)), "--workers", "1"]) == 2
    error = capsys.readouterr().err
    assert why in error and len(error.strip().splitlines()) == 1


def test_a_task_whose_every_gold_is_private_says_so(make: Make) -> None:
    with pytest.raises(MissingData, match="no sample with a database and a gold that reads nothing private"):
        Task.named(str(make(private="[person, salary]"))).samples()


def test_a_schema_in_each_row_is_refused(make: Make) -> None:
    path = make()
    path.write_text(path.read_text().replace("fields: {", "fields: {ddl: hint, "))
    with pytest.raises(SpecError, match=r"needs databases\.path or databases\.url"):
        Task.named(str(path))


def test_the_identity_covers_it(make: Make) -> None:
    def identity(*private: str) -> object:
        task = Task.named(str(path), [f"private={json.dumps(private)}"])
        return of_task(task, "dev", task.samples("dev", 1))["databases"]

    path = make()
    first = identity("person.ssn", "salary")
    assert identity("salary", "person.ssn") == first
    assert identity("person.ssn", "salary", "branch.city") != first
    with sqlite3.connect(path.parent / "clinic.sqlite") as connection:
        connection.execute("UPDATE person SET ssn = 'other' WHERE id = 1")
    assert identity("person.ssn", "salary") != first


def test_generated_instances_have_nothing_private(make: Make, tmp_path: Path) -> None:
    path = make()
    task = Task.named(str(path), ["scoring.instances=2"])
    database = task.database(task.samples()[0])
    assert len(database.instances) == 2 and database.private
    task.samples("train")
    assert (
        main(
            ["eval", "--model", "gold", "--task", str(path), "--set", "scoring.instances=2", "--workers", "1"]
        )
        == 0
    )
    [run] = store.runs()
    assert [record.metric for record in store.records(run.id)] == [1.0] * 3
    content = texts(tmp_path / "home")
    for word in WORDS:
        assert word not in content


def test_results_are_shown_again_from_the_copy(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    path = make()
    assert main(["eval", "--model", "gold", "--task", str(path), "--workers", "1"]) == 0
    capsys.readouterr()
    assert main(["show", "gold", "0"]) == 0
    shown = capsys.readouterr().out
    assert "Ann" in shown and "gold: 2 rows" in shown
    assert main(["rerun", "gold", "--workers", "1"]) == 0
    records: list[Record] = store.records(store.runs()[0].id)
    assert {record.flags for record in records} == {""}
