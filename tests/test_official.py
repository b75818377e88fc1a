"""Official verdicts on published predictions, row by row. Needs HARNESS_DATA."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from rewards.grader import Grader
from rewards.types import Answer, Grade
from tasks.spec import ScoringSpec
from tasks.types import Database, Mode

DATA = Path(os.environ.get("HARNESS_DATA", "/nowhere"))
pytestmark = pytest.mark.skipif(not (DATA / "spider").is_dir(), reason="HARNESS_DATA is not set")
MODELS = ("codes-1b", "codes-7b", "dail-sql-gpt-4", "graphix-t5")
Judge = Callable[[str, tuple[Mode, ...]], dict[str, Grade]]


def spider_answers(model: str) -> dict[str, Answer]:
    """Row number -> answer, for the 972 rows that have a database."""
    rows = json.loads((DATA / "spider/dev_exec.json").read_text())
    lines = (DATA / f"predictions/spider_dev/{model}.sql").read_text().split("\n")
    databases: dict[str, Database] = {}
    answers = {}
    for row in rows:
        name = row["db_id"]
        base = DATA / f"spider/database/{name}/{name}.sqlite"
        if base.exists():
            suite = sorted((DATA / f"spider/testsuite/{name}").glob("*.sqlite"))
            database = databases.setdefault(name, Database(name, instances=(base, *suite)))
            answers[str(row["i"])] = Answer(database, (row["query"],), lines[row["i"]].split("\t")[0])
    return answers


def disagreements(model: str, mode: Mode, key: str) -> list[str]:
    answers = spider_answers(model)
    verdicts = json.loads((DATA / "predictions/spider_dev/official_verdicts.json").read_text())[model][key]
    assert answers.keys() == verdicts.keys()
    with Grader(ScoringSpec(metric=mode, modes=(mode,)), structure=False) as grader:
        grades = grader.grade_answers(list(answers.values()))
    return [
        row
        for row, grade in zip(answers, grades, strict=True)
        if grade.attempt.verdicts[mode] != verdicts[row]
    ]


@pytest.mark.parametrize("model", MODELS)
def test_spider_ex(model: str) -> None:
    assert disagreements(model, Mode.SPIDER, "ex") == []


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_spider_ts(model: str) -> None:
    assert disagreements(model, Mode.SPIDER_TS, "ts") == []


def bird_rows() -> list[tuple[Path, str, str]]:
    """(database file, gold, prediction) of BIRD dev's rows that can be executed."""
    predictions = json.loads((DATA / "predictions/bird_dev/codes-7b-with-evidence.json").read_text())
    found = []
    for row in json.loads((DATA / "bird/dev.json").read_text()):
        path = DATA / f"bird/dev_databases/{row['db_id']}/{row['db_id']}.sqlite"
        if path.exists():
            prediction = predictions[str(row["question_id"])].split("\t----- bird -----\t")[0]
            found.append((path, row["SQL"], prediction))
    return found


def official_bird(path: Path, gold: str, prediction: str) -> float:
    """``set == set``, from first principles."""
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
        try:
            predicted = connection.execute(prediction).fetchall()
        except (sqlite3.Error, sqlite3.Warning):
            return 0.0
        return float(set(predicted) == set(connection.execute(gold).fetchall()))


def test_bird() -> None:
    rows = bird_rows()
    assert len(rows) == 274
    answers = [Answer(Database(p.stem, instances=(p,)), (gold,), prediction) for p, gold, prediction in rows]
    with Grader(ScoringSpec(metric=Mode.BIRD, modes=(Mode.BIRD,)), structure=False) as grader:
        verdicts = [grade.attempt.verdicts[Mode.BIRD] for grade in grader.grade_answers(answers)]
    assert verdicts == [official_bird(*row) for row in rows]
    assert 100 < sum(verdict or 0.0 for verdict in verdicts) < 250
