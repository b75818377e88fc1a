"""Questions with several golds: a record holds the one that decided, and what is shown compares with it."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from test_leaderboards import printed

from harness import evaluate
from harness.page.packs import Questions
from harness.render.evidence import render_evidence
from harness.rerun import rerun
from harness.results import EvidenceWithResults, results
from leaderboards import store
from leaderboards.compare import COMPARED, answers_of, compare, comparison
from leaderboards.evidence import show
from leaderboards.types import Run

TASK = """
name: shop
dataset: {path: "dev.jsonl", splits: {dev: dev}, fields: {id: id, gold: query, database: db_id}}
databases: {path: "{database}.sqlite"}
"""
GOLDS = ["SELECT COUNT(*) FROM item", "SELECT name FROM item"]
ANSWERS = {"first": GOLDS[0], "second": "SELECT item.name FROM item", "neither": "SELECT 'glue'"}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path / "home"))
    with closing(sqlite3.connect(tmp_path / "shop.sqlite")) as connection:
        connection.executescript("CREATE TABLE item (name); INSERT INTO item VALUES ('pen'), ('ink');")
    rows = [{"id": id, "question": id, "query": GOLDS, "db_id": "shop"} for id in ANSWERS]
    (tmp_path / "dev.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "shop.yaml").write_text(TASK)
    return tmp_path


def evaluated(here: Path, name: str, answers: dict[str, str]) -> Run:
    lines = [json.dumps({"id": id, "sql": sql}) for id, sql in answers.items()]
    (here / f"{name}.jsonl").write_text("\n".join(lines))
    return evaluate(f"replay:{here}/{name}.jsonl", here / "shop.yaml")


def test_the_gold_that_decided_is_stored_and_shown(here: Path) -> None:
    run = evaluated(here, "good", ANSWERS)
    found = {one.sample_id: one for one in store.records(run.id)}
    assert {id: one.metric for id, one in found.items()} == {"first": 1.0, "second": 1.0, "neither": 0.0}
    assert {one.gold for one in found.values()} == {GOLDS[0]}
    assert (found["first"].other_gold, found["second"].other_gold) == ("", GOLDS[1])
    assert found["neither"].gold_rows == len({"": [1], GOLDS[1]: [1, 2]}[found["neither"].other_gold])
    evidence = show(run.id, "second")
    (tables,) = shown = results(run, evidence.records, workers=1)
    assert tables.gold.rows == tables.answer.rows and tables.reason == "correct"
    text = printed(render_evidence(EvidenceWithResults(evidence, shown)), 100)
    assert "compared with another gold" in text and GOLDS[1] in text
    packed = Questions().answers([found["second"]], "sqlite", "")
    assert packed["other_gold"] == [GOLDS[1]]


def test_a_flip_names_the_gold_of_the_winner_and_a_rerun_no_change_of_data(here: Path) -> None:
    good = evaluated(here, "good", ANSWERS)
    bad = evaluated(here, "bad", ANSWERS | {"second": "SELECT 3"})
    (flip,) = compare(bad.id, good.id).flips
    assert (flip.winner, flip.gold) == ("b", GOLDS[1])
    assert not rerun(good.id, workers=1).changes
    evaluated(here, "good", ANSWERS | {"second": GOLDS[0]})
    again = rerun(bad.id, workers=1)
    assert not again.changes
    evaluated(here, "bad", ANSWERS)
    (change,) = rerun(bad.id, workers=1).changes
    assert (change.sample_id, change.why) == ("second", "answer differs")


def test_a_comparison_reads_the_fields_that_it_needs_and_no_others(here: Path) -> None:
    good = evaluated(here, "good", ANSWERS)
    (first, *_), whole = (store.records(good.id, names) for names in (COMPARED, ()))
    assert first.completion == first.prompt.strip("[]") == "" and whole[0].completion
    assert [getattr(first, name) for name in COMPARED] == [getattr(whole[0], name) for name in COMPARED]
    bad = evaluated(here, "bad", ANSWERS | {"second": "SELECT 3"})
    runs = [(run, answers_of(run)) for run in (bad, good)]
    of_whole = comparison(*(run for run, _ in runs), *(answers for _, answers in runs))
    assert compare(bad.id, good.id).as_dict() == of_whole.as_dict()
