"""Each shipped benchmark reads its dataset's own format: samples made by hand, in ``fixtures/benchmarks``.

A ``NAME.sqlite.sql`` or ``NAME.db.sql`` there is a script that makes the database.
"""

from __future__ import annotations

import shutil
import sqlite3
from importlib.util import find_spec
from pathlib import Path

import pytest

from harness.cli import main
from rewards.grader import Grader
from tasks.common.errors import MissingData
from tasks.spec import load, shipped
from tasks.task import Task

FIXTURES = Path(__file__).parent / "fixtures" / "benchmarks"
OWN = ("pocket",)
"""Tasks that read no published data."""
ON_SERVERS = ("bird_mini_dev_mysql", "bird_mini_dev_postgres")
"""Tasks whose samples ``test_mini_dev.py`` runs."""
HUB = [name for name in shipped() if load(name).dataset.source == "huggingface"]
"""Tasks that the package ``datasets`` reads from the Hub, and here from a folder."""


def named(task: str, folder: Path) -> Task:
    """The task; one of the Hub with a folder of this name in its place."""
    return Task.named(task, [f"dataset.path={folder}/hub/{task}"] if task in HUB else [])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A HARNESS_DATA with the samples and their databases."""
    place = tmp_path_factory.mktemp("data") / "benchmarks"
    shutil.copytree(FIXTURES, place)
    for script in (*place.rglob("*.sqlite.sql"), *place.rglob("*.db.sql")):
        with sqlite3.connect(script.with_suffix("")) as connection:
            connection.executescript(script.read_text(encoding="utf-8"))
        connection.close()
    return place


@pytest.fixture
def samples(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HARNESS_DATA", str(folder))
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path / "home"))
    if find_spec("datasets"):
        monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "cache"))
    return folder


READ = {
    ("spider", "dev"): (1, 1, "Show the items, most expensive first.", "shop"),
    ("spider", "train"): (1, 0, "How many items are there?", "shop"),
    ("spider_small", "dev"): (1, 1, "Show the items, most expensive first.", "shop"),
    ("spider_realistic", "dev"): (1, 0, "Show everything from the dearest to the cheapest.", "shop"),
    ("spider_syn", "dev"): (1, 1, "Show the goods, most costly first.", "shop"),
    ("spider_syn", "train"): (1, 0, "How many goods are there?", "shop"),
    ("spider_dk", "dev"): (2, 0, "Show the items from the oldest to the newest.", "new_shop"),
    ("spider_german", "dev"): (1, 0, "Wie viele Möbel gibt es?", "laden"),
    ("bird", "dev"): (1, 1, "How many books are overdue?", "library"),
    ("bird_dev_20251106", "dev"): (1, 0, "How many books are overdue?", "library"),
    ("bird_mini_dev", "dev"): (1, 0, "How many books are overdue?", "library"),
    ("bird_train", "train"): (1, 0, "Which books were lent?", "library"),
    ("kaggledbqa", "test"): (1, 1, "How many orchards have more than 100 trees?", "Orchards"),
    ("kaggledbqa", "train"): (1, 0, "Which orchards are there?", "Orchards"),
    ("geoquery", "test"): (1, 0, "how long is elbe", "geoquery"),
    ("geoquery", "dev"): (1, 0, "tell me the length of the oder", "geoquery"),
    ("geoquery", "train"): (1, 0, "what is the length of the oder", "geoquery"),
    ("wikitables", "test"): (2, 1, 'who cast "far"', "203_7"),
    ("wikitables", "dev"): (1, 0, "how far did bea throw?", "203_7"),
    ("wikitables", "train"): (1, 0, "is there\na second line?", "203_7"),
    ("wikisql", "test"): (1, 1, "How many goals has Bea O'Neil?", "1-77-2"),
    ("wikisql", "dev"): (1, 0, "Who has more than 2 goals?", "1-77-2"),
    ("wikisql", "train"): (1, 0, "How many players play at home?", "1-77-2"),
    ("synthetic_text_to_sql", "test"): (2, 0, "How old is the oldest tree?", "forestry"),
    ("synthetic_text_to_sql", "train"): (1, 0, "How many trees are there?", "forestry"),
    ("sql_create_context", "dev"): (1, 0, "Which clubs have 19 members?", "sql_create_context"),
    ("sql_create_context", "train"): (19, 0, "Which clubs have 0 members?", "sql_create_context"),
    ("sqale", "dev"): (1, 0, "How deep is the deepest berth with a ship?", "sqale"),
    ("archer", "dev"): (1, 0, "If every chair cost 5 more, what would a pair of chairs cost?", "shop2"),
    ("archer", "train"): (1, 1, "What do all items cost together?", "shop2"),
    ("livesqlbench", "dev"): (1, 1, "Which corals are at risk?", "reef"),
    ("spider2_lite", "dev"): (2, 1, "What is the mean load of each kind, heaviest first?", "Depot"),
}
"""Task and split -> rows that are used, rows without a database or gold, first question, its database."""


@pytest.mark.parametrize(("task", "split"), READ)
def test_the_format_is_read(samples: Path, task: str, split: str) -> None:
    found = named(task, samples)
    read = found.samples(split)
    assert (len(read), found.skipped[split], read[0].question, read[0].database) == READ[task, split]


@pytest.mark.parametrize("task", sorted({task for task, _ in READ}))
def test_golds_are_right_in_every_mode(samples: Path, task: str) -> None:
    found = named(task, samples)
    rows = [row for name, split in READ if name == task for row in found.samples(split)]
    with Grader(found.spec.scoring, workers=1, structure=False) as grader:
        grades = grader.grade(found, rows, [row.gold[0] for row in rows])
    modes = [mode.value for mode in found.spec.scoring.modes]
    assert [grade.attempt.verdicts for grade in grades] == [dict.fromkeys(modes, 1.0)] * len(rows)


def test_every_benchmark_has_a_sample() -> None:
    assert {task for task, _ in READ} == set(shipped()) - {*OWN, *ON_SERVERS}


@pytest.mark.parametrize("task", [name for name in shipped() if name not in OWN])
def test_a_benchmark_names_its_origin_and_official_metric(task: str) -> None:
    spec = load(task)
    about = spec.about
    assert about.source.startswith("https://") and about.license and about.questions and about.databases
    assert about.official is None or about.official in spec.scoring.modes
    assert about.get and len(about.get) < 200 and "\n" not in about.get


@pytest.mark.parametrize("task", [name for name in shipped() if name not in (*OWN, *HUB)])
def test_missing_data_is_one_line_that_says_how_to_get_it(
    task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path))
    assert main(["check", task]) == 2
    error = capsys.readouterr().err.splitlines()
    assert len(error) == 1 and str(tmp_path) in error[0]
    assert f"get it from {load(task).about.source}: {load(task).about.get}" in error[0]


def test_a_missing_training_split_is_named_and_the_rest_checked(
    samples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "data"
    shutil.copytree(samples, copy)
    (copy / "spider" / "train_exec.json").unlink()
    monkeypatch.setenv("HARNESS_DATA", str(copy))
    assert main(["check", "spider", "--workers", "1"]) == 0
    assert "spider: the split 'train' is left out: no such file" in capsys.readouterr().err
    assert main(["check", "spider", "--split", "train"]) == 2
    (copy / "spider" / "database" / "shop" / "shop.sqlite").unlink()
    with pytest.raises(MissingData, match="no sample with a database and a gold; get it from https"):
        Task.named("spider").samples("dev")


def test_the_table_of_tasks_fits_80_columns(samples: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tasks"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80 and [line.split()[0] for line in lines[1:]] == shipped()
    assert "missing" not in "".join(lines) and [line.split()[0] for line in lines if "Hub" in line] == HUB


def test_the_details_of_a_task(samples: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tasks", "kaggledbqa"]) == 0
    out = capsys.readouterr().out
    for text in ("185 questions on 8 databases", "train, test (evaluated)", "CC BY-SA 4.0", "found"):
        assert text in out
    assert main(["tasks", "kagledbqa"]) == 2
    assert "did you mean 'kaggledbqa'?" in capsys.readouterr().err


def test_answers_become_the_query_that_returns_them(samples: Path) -> None:
    first, second = Task.named("wikitables").samples()
    assert first.gold == (
        "SELECT 'Ada \"The First\"' AS value, 'Ada \"The First\"' AS canonical"
        " UNION ALL SELECT 'Bea|1', 'Bea|1'",
    )
    assert second.gold == ("SELECT '1,200' AS value, '1200.0' AS canonical",)


@pytest.mark.parametrize(
    ("sql", "right"),
    [
        ("SELECT c2_number FROM w WHERE id = 1", 1.0),
        ("SELECT '1,200 (m)'", 1.0),
        ("SELECT 1200, c2_number FROM w WHERE id = 1", 1.0),
        ("SELECT '1.2e3'", 1.0),
        ("SELECT c2 FROM w WHERE id = 1", 0.0),
        ("SELECT c2_number FROM w", 0.0),
        ("SELECT c2_number FROM w WHERE id = 9", 0.0),
        ("SELECT NULL", 0.0),
        ("SELECT '1,200' AS value, '1200.0' AS canonical, 7", 0.0),
        ("SELECT '7' AS value, '1200.0' AS canonical", 0.0),
        ("SELECT c3 FROM w", 0.0),
    ],
)
def test_a_query_is_scored_by_the_values_it_returns(samples: Path, sql: str, right: float) -> None:
    task = Task.named("wikitables")
    with Grader(task.spec.scoring, workers=1) as grader:
        (grade,) = grader.grade(task, task.samples()[1:], [sql])
    assert grade.attempt.verdicts == {"denotation": right}
    assert grade.scores["reward"].value == right


def test_without_tagged_files_answers_have_no_canonical_form(
    samples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(samples / "wikitables", tmp_path / "wikitables")
    shutil.rmtree(tmp_path / "wikitables" / "tagged")
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path))
    assert Task.named("wikitables").samples()[1].gold == ("SELECT '1,200' AS value",)
    assert "3 of 3 questions without canonical answers" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            "eval --model gold --task wikitables --set scoring.metric=strict",
            "set scoring.metric to denotation",
        ),
        ("eval --model gold --task wikitables --set prompt.examples.count=2", "gives results only"),
        ("train --method sft --task wikitables --model nano --out x", "gives results, not SQL"),
    ],
)
def test_what_needs_gold_sql_is_refused(
    samples: Path, words: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words.split()) == 2
    assert says in capsys.readouterr().err.splitlines()[-1]


def test_wikisql_asks_its_table_in_lower_case(samples: Path) -> None:
    task = Task.named("wikisql")
    (test,), (dev,), (train,) = (task.samples(split) for split in ("test", "dev", "train"))
    assert test.gold == ("""SELECT "Goals" FROM "table_1_77_2" WHERE "Player" = 'bea o''neil'""",)
    assert dev.gold == ("""SELECT "Player" FROM "table_1_77_2" WHERE "Goals" > 2.0""",)
    assert train.gold == (
        """SELECT COUNT("Player") FROM "table_1_77_2" WHERE "goals 2" = 'home' AND "Goals" > 1""",
    )
    assert test.ddl == (
        """CREATE TABLE "table_1_77_2" ("Player" TEXT, "Goals" REAL, "goals 2" TEXT, "No." TEXT);\n"""
        """INSERT INTO "table_1_77_2" VALUES ('ada byrne', 12.0, 'home', '7'),"""
        """ ('bea o''neil', 1.5, 'away', NULL);"""
    )


def test_livesqlbench_shows_the_knowledge_of_a_question(samples: Path) -> None:
    (sample,) = Task.named("livesqlbench").samples()
    assert sample.evidence == "DHW: the column dhw\nAt risk: DHW of at least 4"
    assert (sample.id, sample.difficulty) == ("reef_1", "Moderate")


def test_ddl_without_rows_is_filled_so_that_golds_return_some(samples: Path) -> None:
    task = named("sqale", samples)
    with Grader(task.spec.scoring, workers=1, structure=False) as grader:
        (grade,) = grader.grade(task, task.samples(), [task.samples()[0].gold[0]])
    assert grade.attempt.gold_rows == 1


def test_spider2_shows_documents_and_expects_the_columns_that_count(samples: Path) -> None:
    first, second = Task.named("spider2_lite").samples()
    assert first.evidence == "# Loads\nA load is in tons.\n" and second.evidence == ""
    assert first.gold == (
        "SELECT column2 AS \"kind\", column3 AS \"mean_load\" FROM (VALUES (0, 'truck', '10.333333'),"
        " (1, 'van', '1.5')) ORDER BY column1",
        "SELECT column2 AS \"mean_load\" FROM (VALUES (0, '10.33'), (1, '1.5')) ORDER BY column1",
    )
    assert second.gold == ("SELECT column2 AS \"kind\" FROM (VALUES (0, 'van'), (1, 'truck'))",)


@pytest.mark.parametrize(
    ("number", "sql", "right"),
    [
        (0, "SELECT AVG(load), kind, 7 FROM trip GROUP BY kind ORDER BY 1 DESC", 1.0),
        (0, "SELECT AVG(load) AS x FROM trip GROUP BY kind ORDER BY 1 DESC", 1.0),
        (0, "SELECT AVG(load), kind FROM trip GROUP BY kind ORDER BY 1", 0.0),
        (0, "SELECT kind FROM trip GROUP BY kind", 0.0),
        (0, "SELECT kind, load FROM trip", 0.0),
        (1, "SELECT DISTINCT kind, 'x' FROM trip ORDER BY kind", 1.0),
        (1, "SELECT kind FROM trip", 0.0),
        (1, "SELECT kind FROM trip WHERE 0", 0.0),
    ],
)
def test_a_query_is_scored_by_expected_columns(samples: Path, number: int, sql: str, right: float) -> None:
    task = Task.named("spider2_lite")
    with Grader(task.spec.scoring, workers=1) as grader:
        (grade,) = grader.grade(task, [task.samples()[number]], [sql])
    assert grade.attempt.verdicts == {"spider2": right}
    assert grade.scores["reward"].value == right
