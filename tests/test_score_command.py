"""``harness score`` by its console script: every form of stored answers, and mistakes of users."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from runners import answer_files
from tasks.common.errors import ModelError

GOLDS = [
    "SELECT name FROM item WHERE price > 4",
    "SELECT COUNT(*) FROM item",
    "SELECT name FROM item ORDER BY id",
]
ANSWERS = ["SELECT name FROM item WHERE price > 3", "SELECT 3.0", "SELECT nam FROM item"]
"""Right by chance, right, failed."""
TASK = """
name: shop
dataset: {path: "dev.jsonl", splits: {dev: dev}, fields: {gold: query, database: db_id}}
databases: {path: "{database}.sqlite"}
"""
OWN = """
from rewards.types import Score
class Half:
    def __call__(self, attempt):
        return Score(0.5, attempt.reason)
raises = 1 / {divisor}
"""


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder with a task of three questions and one SQL a line for them."""
    with closing(sqlite3.connect(tmp_path / "shop.sqlite")) as connection:
        connection.executescript(
            "CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT, price REAL);"
            "INSERT INTO item VALUES (1, 'pen', 2.0), (2, 'ink', 9.0), (3, 'cup', 5.0);"
        )
    rows = [{"question": "What?", "query": gold, "db_id": "shop"} for gold in GOLDS]
    (tmp_path / "dev.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "shop.yaml").write_text(TASK)
    (tmp_path / "answers.sql").write_text("\n".join(ANSWERS) + "\n")
    return tmp_path


def harness(here: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(Path(sys.executable).with_name("harness")), *arguments],
        cwd=here,
        env={**os.environ, "HARNESS_HOME": str(here / "home"), "COLUMNS": "140"},
        capture_output=True,
        text=True,
    )


def scored(here: Path, *arguments: str) -> dict[str, Any]:
    done = harness(here, "score", *arguments, "--task", "shop.yaml", "--json")
    assert done.returncode == 0, done.stderr
    (group,) = json.loads(done.stdout)["groups"]
    (row,) = group["rows"]
    return dict(row)


def test_every_form_is_scored_in_every_mode(here: Path) -> None:
    first = scored(here, "answers.sql", "--workers", "1")
    modes = ("strict", "spider", "spider_ts", "bird", "bird_f1")
    assert first["modes"] == pytest.approx(dict.fromkeys(modes, 2 / 3))
    assert first["reasons"] == {"correct": 2, "execution_error": 1}
    objects = [{"id": number, "completion": f"```sql\n{sql}\n```"} for number, sql in enumerate(ANSWERS)]
    (here / "answers.jsonl").write_text("\n".join(map(json.dumps, objects)))
    (here / "answers.json").write_text(json.dumps(dict(enumerate(ANSWERS))))
    run = here / "home" / "runs" / first["run"]
    for form in ("answers.jsonl", "answers.json", str(run), first["run"]):
        assert scored(here, form)["modes"] == first["modes"], form


def test_several_answers_a_question_are_all_scored(here: Path) -> None:
    objects = [{"id": n, "sql": sql} for n, gold in enumerate(GOLDS) for sql in (gold, ANSWERS[2])]
    (here / "two.jsonl").write_text("\n".join(map(json.dumps, objects)))
    row = scored(here, "two.jsonl")
    assert row["ex"] == 0.5 and row["completions"] == 6


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("empty.sql", "", "has 0 lines, the dataset has 3 rows"),
        ("few.csv", "sql\nSELECT 1\nSELECT 2\n", "has 2 answers, the dataset has 3 rows"),
        ("float.jsonl", '{"id": 0.5, "sql": "SELECT 1"}', "the id 0.5 is neither a text nor a whole number"),
        ("odd.jsonl", '{"id": 0, "sql": ["SELECT 1"]}', "the answer is a list, expected a text"),
        ("odd.json", '{"0": 1}', "id 0: the answer is a int, expected a text"),
        ("odd2.json", '["SELECT 1"]', "has 1 answers, the dataset has 3 rows"),
        ("text.json", '"SELECT 1"', "expected a mapping of id to answer, found a str"),
        ("empty.csv", "", "expected one of the keys"),
        ("open.csv", 'id,sql\n0,"A\n1,B\n', "unexpected end of data"),
        ("twice.csv", "sql,sql\nA,B\n", "the header has the column 'sql' twice"),
        ("twice.json", '{"0": "A", "0": "B"}', 'an object has the key "0" twice'),
        ("twice.jsonl", '{"id": 0, "sql": "A", "sql": "B"}', 'line 1: an object has the key "sql" twice'),
        ("list.sql", "SELECT a,\n  b FROM t\nSELECT 1\n", "line 2 continues the query of the line before it"),
        ("select.sql", "SELECT\n  a\nFROM t\n", "line 2 continues the query of the line before it"),
    ],
)
def test_an_ambiguous_file_is_refused(tmp_path: Path, file: str, content: str, says: str) -> None:
    path = tmp_path / file
    path.write_text(content)
    with pytest.raises(ModelError, match=re.escape(says)) as caught:
        answer_files.by_id(answer_files.read(path), path, ROWS)
    assert "\n" not in str(caught.value)


ROWS = [(str(number), "shop") for number in range(3)]
READ = {
    "crlf.sql": "{0}\r\n{1}\r\n{2}\r\n",
    "open-ended.sql": "{0}\n{1}\n{2}",
    "bom.sql": "\ufeff{0}\n{1}\n{2}\n",
    "spider.sql": "{0}\tshop\n{1}\tshop\n{2}\tshop\n",
    "blank.sql": "{0}\n\n{1}\n\n{2}\n\n",
    "bird.json": '{{"0": "{0}\\t----- bird -----\\tshop", "1": "{1}", "2": "{2}"}}',
    "bom.json": '\ufeff{{"0": "{0}", "1": "{1}", "2": "{2}"}}',
    "list.json": '["{0}", "{1}", "{2}"]',
    "objects.json": '[{{"id": 2, "sql": "{2}"}}, {{"id": 0, "sql": "{0}"}}, {{"id": 1, "sql": "{1}"}}]',
    "lines.json": '{{"id": 2, "sql": "{2}"}}\n\n{{"id": 0, "sql": "{0}"}}\n{{"id": "1", "sql": "{1}"}}\n',
    "odd.jsonl": '\ufeff{{"id": 2, "note": "\u2028\u2029\u0085", "sql": "{2}"}}\r\n'
    '{{"id": 0, "sql": "{0}"}}\n{{"id": 1, "sql": "{1}"}}',
    "quotes.tsv": 'note\tsql\n"a" noted\t{0}\nb "c\t{1}\n"\t{2}\n',
    "x.ndjson": '{{"id": 2, "sql": "{2}"}}\n{{"id": 0, "sql": "{0}"}}\n{{"id": 1, "sql": "{1}"}}\n',
    "ids.csv": 'id,sql\n2,"{2}"\n0,"{0}"\n1,"{1}"\n',
    "rows.csv": '\ufeffprediction,n\r\n"{0}",1\r\n"{1}",2\r\n"{2}",3\r\n',
    "two-lines.csv": 'n,sql\n1,"{0}\n"\n2,"\n{1}"\n3,"{2}"\n',
    "long.csv": 'n,sql\n1,"{0} -- ' + "x" * 200_000 + '"\n2,"{1}"\n3,"{2}"\n',
    "rows.tsv": "n\tsql\n1\t{0}\n2\t{1}\n3\t{2}\n",
}


@pytest.mark.parametrize("name", READ)
def test_common_forms_of_files_are_read(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(READ[name].format(*ANSWERS).encode())
    found = answer_files.by_id(answer_files.read(path), path, ROWS)
    assert [found[id][0].partition(" -- x")[0].strip() for id, _ in ROWS] == ANSWERS


def test_a_tab_belongs_to_the_sql_unless_the_database_follows(tmp_path: Path) -> None:
    tabbed = ["SELECT\tname\tFROM item", "SELECT 'a\tb'", "SELECT name\tFROM item\tshop"]
    path = tmp_path / "tabs.sql"
    path.write_text("\n".join(tabbed))
    found = answer_files.by_id(answer_files.read(path), path, ROWS)
    assert [found[id][0] for id, _ in ROWS] == [*tabbed[:2], "SELECT name\tFROM item"]


def test_an_answer_that_was_cut_is_no_query_over_two_lines(tmp_path: Path) -> None:
    (tmp_path / "cut.sql").write_text("SELECT a,\nSELECT b FROM t WHERE\n\n")
    found = answer_files.by_id(answer_files.read(tmp_path / "cut.sql"), tmp_path, ROWS)
    assert [found[id] for id, _ in ROWS] == [["SELECT a,"], ["SELECT b FROM t WHERE"], [""]]


def test_the_column_with_the_answers_can_be_named(here: Path) -> None:
    (here / "mine.csv").write_text("mine,sql\n" + "".join(f'"{sql}",no\n' for sql in ANSWERS))
    assert scored(here, "mine.csv", "--column", "mine")["reasons"] == {"correct": 2, "execution_error": 1}
    done = harness(here, "score", "mine.csv", "--task", "shop.yaml", "--column", "mien")
    assert done.returncode == 2 and "no column 'mien': did you mean 'mine'?" in done.stderr


def test_the_table_names_the_reasons(here: Path) -> None:
    done = harness(here, "score", "answers.sql", "--task", "shop.yaml")
    assert done.returncode == 0 and "execution_error" in done.stdout and "bird_f1" in done.stdout


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("none.sql", None, "none.sql: no such file"),
        ("short.sql", "SELECT 1\n", "has 1 lines, the dataset has 3 rows"),
        ("long.sql", "SELECT 1\nSELECT 2\nSELECT 3\nSELECT 4\n", "has 4 lines, the dataset has 3 rows"),
        ("blank.sql", "SELECT 1\n\nSELECT 2\n\n", "has 4 lines, the dataset has 3 rows: line 2 is blank"),
        (
            "two.sql",
            "SELECT 1\nSELECT a\nFROM t\nWHERE b\n",
            "line 4 continues the query of the line before it",
        ),
        ("shift.sql", "SELECT a\nWHERE b\nSELECT 2\n", "line 2 continues the query of the line before it"),
        (
            "no.csv",
            "name,answer_of_mine\na,SELECT 1\n",
            "it has name, answer_of_mine: name the key of the answers",
        ),
        ("more.csv", "id,sql\n0,SELECT 1, 2\n", "more.csv, line 2: 3 fields, the header has 2"),
        ("some.jsonl", '{"id": 0, "sql": "SELECT 1"}', "no answer to question '1' and 1 more of 3"),
        ("other.jsonl", '{"id": "q7", "sql": "SELECT 1"}', "the dataset has no question 'q7'"),
        ("bad.jsonl", "{", "bad.jsonl, line 1: Expecting"),
        ("bare.jsonl", '{"text": "SELECT 1"}', 'expected an object with "id"'),
        ("list.json", "[]", "found an empty list"),
        ("latin.sql", b"SELECT '\xe9'\n", "latin.sql: cannot be read"),
        ("folder", "", "no finished run"),
        ("fake/records.parquet", "x", "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_scored_is_one_line(
    here: Path, file: str, content: str | bytes | None, says: str
) -> None:
    if content == "":
        (here / file).mkdir()
    elif content is not None:
        (here / file).parent.mkdir(exist_ok=True)
        (here / file).write_bytes(content if isinstance(content, bytes) else content.encode())
    done = harness(here, "score", file.removesuffix("/records.parquet"), "--task", "shop.yaml")
    assert done.returncode == 2 and says in done.stderr
    assert "Traceback" not in done.stderr and len(done.stderr.splitlines()) == 1


def test_a_custom_reward_is_imported_from_the_working_folder(here: Path) -> None:
    (here / "mine.py").write_text(OWN.format(divisor=1))
    assert scored(here, "answers.sql", "--trust-task", "--set", "scoring.reward=mine:Half")["reward"] == 0.5
    line = ("score", "answers.sql", "--task", "shop.yaml", "--trust-task", "--set")
    for reward, says in {
        "mine:Third": "has no attribute 'Third'",
        "yours:Half": f"No module named 'yours' (looked in {here} too)",
        "mine:OWN": "has no attribute",
    }.items():
        done = harness(here, *line, f"scoring.reward={reward}")
        assert done.returncode == 2 and says in done.stderr and len(done.stderr.splitlines()) == 1
    (here / "mine.py").write_text(OWN.format(divisor=0))
    done = harness(here, *line, "scoring.reward=mine:Half")
    assert done.returncode == 2 and "ZeroDivisionError" in done.stderr
