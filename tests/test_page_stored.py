"""The page of runs that were damaged, made elsewhere, or asked in another way: each is shown as it is."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import page_runs
import pytest

from harness.page.collect import Collector
from harness.page.packs import Questions
from harness.page.write import render
from leaderboards import store
from leaderboards.identity import Identity
from leaderboards.types import Record, Run
from tasks.common.digests import digest_of


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path))
    return tmp_path


def record(**changes: Any) -> Record:
    return replace(page_runs.realistic(0, 1), **changes)


@pytest.mark.parametrize("name", ["question", "gold", "database"])
def test_a_question_of_another_run_under_the_same_id_is_another_question(name: str) -> None:
    first, other = record(sql="SELECT 1", gold="SELECT 1"), record(sql="SELECT 2", gold="SELECT 1")
    other = replace(other, **{name: "SELECT 2"})
    questions = Questions()
    rows = [questions.answers([one], "sqlite") for one in (first, other)]
    stored = questions.as_dict()["questions"]
    for one, row in zip((first, other), rows, strict=True):
        (place,), (sql,) = row["question"], row["sql"]
        assert stored[name][place] == getattr(one, name)
        assert (sql or stored["gold"][place]) == one.sql


def unfinished(name: str, task: str) -> None:
    """A training that was stopped after a step."""
    run = Run(name, "train", "m", task, "d", "train", "strict", "1", name)
    with suppress(KeyboardInterrupt), store.open_run(run) as writer:
        writer.append_curve(page_runs.curve(1))
        raise KeyboardInterrupt


def seeded(number: int) -> str:
    """The evaluation of a model trained with a seed of its own."""
    spec = {"train": {"model": "base", "sft": {"seed": number}}}
    training = Run(
        f"t-{number}", "train", f"m{number}", "pocket", "d", "train", "strict", "1", f"t{number}", spec=spec
    )
    with store.open_run(replace(training, parent="base", method="sft")) as writer:
        writer.finish({})  # type: ignore[arg-type]
    texts = dict.fromkeys(("task", "questions", "golds", "prompt", "examples", "scoring", "reward"), "")
    identity = asdict(Identity(**texts, databases={}, sampling="", model={"weights": str(number)}, scorer=""))
    records = [page_runs.realistic(place, number) for place in range(8)]
    changes = {"trained_by": f"t-{number}", "identity": identity, "parent": "base"}
    return page_runs.evaluation(f"m{number}", records, **changes)


@pytest.mark.parametrize("damaged", [0, 2])
def test_a_damaged_run_is_left_out_of_the_runs_that_differ_in_seeds(home: Path, damaged: int) -> None:
    runs = [seeded(number) for number in range(3)]
    (whole,) = Collector().page().groups
    assert [len(recipe.runs) for recipe in whole.recipes] == [3]
    (home / "runs" / runs.pop(damaged) / "records.parquet").write_bytes(b"PAR1")
    page = Collector().page()
    (recipe,) = page.groups[0].recipes
    assert set(recipe.runs) == set(runs) and recipe.ex.n == 2
    assert "Runs that differ only in seeds" in render(page)


def test_a_folder_whose_name_is_not_unicode_is_shown(home: Path) -> None:
    unfinished("going-on", "pocket")
    os.rename(os.fsencode(home / "runs" / "going-on"), os.fsencode(home / "runs") + b"/evil\xff")
    text = render(Collector().page())
    assert 'href="#/run/evil%EF%BF%BD"' in text


def test_a_run_without_answers_has_no_shares(home: Path) -> None:
    page_runs.evaluation("m", [record()])
    page = Collector().page()
    (run,) = page.groups[0].runs
    run = replace(run, row=replace(run.row, summary={**run.summary, "completions": 0}))
    render(replace(page, groups=[replace(page.groups[0], runs=[run])]))


def test_the_page_of_a_task_has_the_unfinished_runs_of_that_task_only(home: Path) -> None:
    for task in ("pocket", "other"):
        unfinished(f"on-{task}", task)
    assert [one.run.id for one in Collector("other").page().unfinished] == ["on-other"]
    assert len(Collector().page().unfinished) == 2


def test_the_sentence_of_a_stage_says_what_else_differs(home: Path) -> None:
    page_runs.lineage(20)
    stored = Collector().page()
    (group,) = [group for group in stored.groups if group.lineages]
    stage = group.lineages[0][-1]
    assert stage.gain is not None
    for differ in ((), ("temperature 0 and 1",)):
        changed = replace(stage, gain=replace(stage.gain, differ=differ))
        text = render(replace(stored, groups=[replace(group, lineages=[[group.lineages[0][0], changed]])]))
        assert ("besides the model they differ in temperature 0 and 1." in text) == bool(differ)


def test_lineages_that_were_asked_alike_come_first(home: Path) -> None:
    texts = dict.fromkeys(("task", "questions", "golds", "prompt", "examples", "scoring", "reward"), "")

    def evaluated(model: str, right: int, **changes: Any) -> None:
        records = [replace(page_runs.realistic(n, 1), metric=float(n < right)) for n in range(12)]
        identity = asdict(Identity(**texts, databases={}, sampling="", model={"weights": model}, scorer=""))
        page_runs.evaluation(model, records, identity=identity, **changes)

    evaluated("base", 1)
    evaluated("corrected", 12, parent_content=digest_of({"weights": "base"}), sampling={"turns": 3})
    evaluated("alike", 6, parent_content=digest_of({"weights": "base"}))
    (group,) = Collector().page().groups
    assert [stages[-1].run.run.model for stages in group.lineages] == ["alike", "corrected"]
