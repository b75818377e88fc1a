"""The board, comparisons, evidence and alarms, over runs written and read through the store."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from harness.render.board import render_board
from harness.render.compare import render_comparison
from harness.render.evidence import render_evidence
from harness.results import EvidenceWithResults, results
from leaderboards import alarms, store
from leaderboards.board import Board, board
from leaderboards.compare import compare
from leaderboards.evidence import show
from leaderboards.find import find
from leaderboards.statistics import mcnemar, wilson
from leaderboards.summary import summary
from leaderboards.types import Record, Run, label
from tasks.common.errors import DataError, HarnessError

Evaluate = Callable[..., Run]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path))
    return tmp_path


def record(number: int, metric: float | None, **changes: Any) -> Record:
    reason = {1.0: "correct", 0.0: "wrong_rows", None: "gold_failed"}.get(metric, "wrong_rows")
    plain = Record(
        sample_id=f"q{number:03}",
        question=f"How many in {number}?",
        database=f"db{number % 2}",
        completion=f"SELECT {number}",
        reason=reason,
        difficulty=("hard", "easy")[number % 2],
        part=("seen", "unseen")[number % 4 == 0],
        sql=f"SELECT {number}",
        gold=f"SELECT {number} -- gold",
        metric=metric,
        strict=metric,
        reward=metric,
        executes=metric is not None,
        gold_rows=2,
        gold_columns=1,
        tokens=10,
    )
    return replace(plain, **changes)


@pytest.fixture
def evaluate() -> Evaluate:
    """Store a finished evaluation: one record for each metric given, or the records themselves."""
    count = 0

    def run(model: str, metrics: Sequence[float | Record | None], **changes: Any) -> Run:
        nonlocal count
        count += 1
        records = [m if isinstance(m, Record) else record(i, m) for i, m in enumerate(metrics)]
        described = Run(
            id=changes.pop("id", f"{model.replace('/', '-')}-{count}"),
            kind="eval",
            model=model,
            task=changes.pop("task", "pocket"),
            task_digest=changes.pop("task_digest", "d1"),
            split="test",
            metric="strict",
            scorer_version=changes.pop("scorer_version", "1"),
            digest=changes.pop("digest", f"digest{count}"),
            started=f"2026-11-22T10:{count // 60:02}:{count % 60:02}+00:00",
            **changes,
        )
        with store.open_run(described) as handle:
            handle.append(records)
            return handle.finish(summary(records))

    return run


def printed(screen: Any, width: int = 100) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(screen)
    return console.export_text()


# summary


def test_none_is_never_zero() -> None:
    found = summary([record(0, 1.0), record(1, None), record(2, 0.0), record(3, 1.0)])
    assert (found["ex"], found["n"], found["unscored"], found["completions"]) == (2 / 3, 3, 1, 4)
    assert (found["reward"], found["executable"]) == (2 / 3, 1.0)
    assert (found["low"], found["high"]) == wilson(2, 3)


def test_nothing_scored_has_no_accuracy() -> None:
    found = summary([record(0, None), record(1, None)])
    assert (found["ex"], found["low"], found["reward"], found["executable"]) == (None,) * 4
    assert (found["n"], found["unscored"]) == (0, 2)
    assert summary([])["ex"] is None


def test_a_question_with_several_answers_counts_once_by_its_mean() -> None:
    answers = [record(0, m, sample_index=i) for i, m in enumerate([1.0, 0.0, None, 0.5])]
    found = summary([*answers, record(1, 0.0)])
    assert (found["ex"], found["n"], found["completions"]) == (0.25, 2, 5)


def test_pass_at_k_of_the_hand_computed() -> None:
    records = [
        record(q, m, sample_index=i)
        for q, row in enumerate([[1.0, 0.0, 0.0, 0.0], [1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
        for i, m in enumerate(row)
    ]
    assert summary(records)["pass_at"] == pytest.approx({"1": 0.25, "2": (3 / 6 + 5 / 6) / 3, "4": 2 / 3})
    assert summary([record(0, 1.0)])["pass_at"] == {}


def test_parts_and_difficulties_are_summarised_by_themselves() -> None:
    found = summary([record(i, float(i % 4 == 0)) for i in range(8)])
    assert {name: (one["ex"], one["n"]) for name, one in found["parts"].items()} == {
        "seen": (0.0, 6),
        "unseen": (1.0, 2),
    }
    assert list(found["difficulty"]) == ["easy", "hard"]


def test_only_modes_that_were_scored_are_reported() -> None:
    assert summary([record(0, 1.0, spider=0.0), record(1, 1.0)])["modes"] == {"strict": 1.0, "spider": 0.0}


# board


@pytest.mark.parametrize(
    "change",
    [
        {"task": "spider"},
        {"task_digest": "d2"},
        {"scorer_version": "2"},
    ],
)
def test_runs_that_mean_different_things_are_never_in_one_table(
    evaluate: Evaluate, change: dict[str, str]
) -> None:
    evaluate("a", [1.0])
    evaluate("b", [0.0], **change)
    groups = board().as_dict()["groups"]
    assert [[row["model"] for row in group["rows"]] for group in groups] == [["a"], ["b"]]


def test_rows_are_ranked_by_accuracy_and_the_unscored_come_last(evaluate: Evaluate) -> None:
    for model, metrics in {"none": [None], "low": [0.0, 1.0, 0.0], "zero": [0.0], "high": [1.0]}.items():
        evaluate(model, metrics)
    (group,) = board().as_dict()["groups"]
    assert [row["model"] for row in group["rows"]] == ["high", "low", "zero", "none"]


def test_only_the_newest_of_runs_that_repeat_each_other_is_shown(evaluate: Evaluate) -> None:
    evaluate("a", [0.0], digest="same")
    newest = evaluate("a", [1.0], digest="same")
    found = board().as_dict()
    assert [row["run"] for row in found["groups"][0]["rows"]] == [newest.id]
    assert found["hidden"] == 1
    assert "1 older runs" in printed(render_board(board()))


def test_chosen_runs_and_tasks(evaluate: Evaluate) -> None:
    first, _, third = evaluate("a", [1.0]), evaluate("b", [1.0]), evaluate("c", [1.0], task="spider")
    assert _models(board([first.id, third.id])) == {"a", "c"}
    assert _models(board(task="pocket")) == {"a", "b"}
    assert _models(board([])) == set()


def _models(what: Board) -> set[str]:
    return {row.run.model for rows in what.groups.values() for row in rows}


def test_unfinished_and_training_runs_are_not_on_the_board(evaluate: Evaluate) -> None:
    run = evaluate("a", [1.0])
    store.open_run(replace(run, id="open", digest="x", ended="")).close()
    with store.open_run(replace(run, id="train", kind="train", digest="y", ended="")) as handle:
        handle.finish({"steps": 3})
    assert _models(board()) == {"a"}


@pytest.mark.parametrize("content", ["", "{", "{}", "[1]", '{"ex": 1.0}'])
def test_a_run_with_broken_scores_is_named_and_left_out(
    evaluate: Evaluate, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluate("a", [1.0])
    broken = evaluate("b", [1.0])
    (store.folder(broken.id) / "scores.json").write_text(content)
    assert _models(board()) == {"a"}
    assert re.fullmatch(rf"left out run {broken.id}: .+\n", capsys.readouterr().err)


@pytest.mark.parametrize("width", [80, 100, 140])
def test_the_board_shows_every_number_at_any_width(evaluate: Evaluate, width: int) -> None:
    metrics = [1.0] * 61 + [0.0] * 38 + [None]
    evaluate(
        "/runs/demo/grpo/model",
        metrics,
        method="grpo",
        parent="/runs/demo/sft/model",
        training={"sft": {"rows": 8000, "sees": "questions and gold SQL"}},
    )
    text = printed(render_board(board(), reasons=True), width)
    words = [
        "pocket · test · strict",
        "demo/grpo",
        "grpo of",
        "61.6",
        "51.8-70.6",
        "0.616",
        "99",
        "un-",
        "seen",
        "unseen",
        "tokens",
        "time",
        "8,000 questions and gold SQL",
        "wrong_rows",
        "38.0 %",
        "gold_failed",
    ]
    assert [word for word in words if word not in text] == []
    assert max(map(len, text.splitlines())) <= width


def test_of_many_runs_a_terminal_shows_the_best_and_the_newest(evaluate: Evaluate) -> None:
    """Each run is worse than the run before it."""
    for i in range(70):
        evaluate(f"model-{i:02}", [0.0] * i + [1.0] * (70 - i))
    listed = board()
    whole, cut = printed(render_board(listed, every=True)), printed(render_board(listed))
    found = [set(re.findall(r"model-\d\d", text)) for text in (whole, cut)]
    assert found == [
        {f"model-{i:02}" for i in range(70)},
        {f"model-{i:02}" for i in (*range(50), *range(60, 70))},
    ]
    assert "10 more lines: harness board --all" in cut and "--all" not in whole


@pytest.mark.parametrize("width", [80, 100])
def test_other_modes_stand_beside_the_headline_of_a_task_without_parts(
    evaluate: Evaluate, width: int
) -> None:
    metrics = {"spider": 1.0, "spider_ts": 0.0, "bird": 1.0, "bird_f1": 0.5}
    evaluate("replay:codes-7b.sql", [record(0, 0.0, part="", **metrics)], task="spider")
    text = printed(render_board(board()), width)
    words = ["replay:", "spider 100.0", "spider_ts 0.0", "bird 100.0", "bird_f1 50.0", "tokens", "time"]
    assert [word for word in words if word not in text] == []
    assert max(map(len, text.splitlines())) <= width


def test_a_rule_that_judged_fewer_answers_says_how_many(evaluate: Evaluate) -> None:
    records = [record(i, 1.0, spider=float(i % 2), bird=1.0) for i in range(8)]
    records[0] = replace(records[0], spider=None)
    evaluate("a", records)
    (rows,) = board().groups.values()
    assert rows[0].summary["unscored"] == 0
    assert rows[0].summary["modes"]["spider"] == pytest.approx(4 / 7)
    assert rows[0].summary["modes_unscored"] == {"strict": 0, "spider": 1, "bird": 0}
    text = printed(render_board(board()), 120)
    assert "spider: 7 of 8 answers scored, 1 unscored" in text
    assert "bird:" not in text


def test_lines_below_the_board_tell_two_runs_of_a_model_apart(evaluate: Evaluate) -> None:
    evaluate("m", [1.0], training={"sft": {"rows": 5}})
    evaluate("m", [0.0], training={"sft": {"rows": 5}}, limit=1, sampling={"turns": 3, "temperature": 0.5})
    evaluate("other", [0.0], training={"sft": {"rows": 5}}, limit=1)
    found = re.findall(r"^(\S.*?)  +sft: 5", printed(render_board(board())), re.MULTILINE)
    assert found == ["m", "other", "m · temperature 0.5 · 3 turns ·"]


def test_an_empty_board_says_what_to_type(home: Path) -> None:
    text = printed(render_board(board()), 500)
    assert f"in {home}" in text and "harness eval --model nano" in text


def test_json_of_the_board_is_plain_and_whole(evaluate: Evaluate) -> None:
    evaluate("a", [1.0, None], training={"sft": {"rows": 5}}, limit=2)
    (group,) = json.loads(json.dumps(board().as_dict()))["groups"]
    row = group["rows"][0]
    assert (group["metric"], row["ex"], row["unscored"], row["training"], row["limit"]) == (
        "strict",
        1.0,
        1,
        {"sft": {"rows": 5}},
        2,
    )


# compare


def test_compare_counts_pairs_by_hand(evaluate: Evaluate) -> None:
    evaluate("a", [1.0, 1.0, 0.0, 0.0, 0.0, 1.0, None, 1.0])
    evaluate("b", [1.0, 0.0, 1.0, 1.0, 0.0, None, 1.0])
    found = compare("a", "b").as_dict()
    assert [found[name] for name in ("n", "wins", "losses", "ties", "left_out")] == [5, 2, 1, 2, 3]
    assert (found["ex_a"], found["ex_b"]) == (0.4, 0.6)
    assert found["difference"] == pytest.approx(0.2)
    assert found["p"] == mcnemar(2, 1)
    assert found["interval"][0] < 0.2 < found["interval"][1]
    assert {name: one["n"] for name, one in found["difficulty"].items()} == {"easy": 2, "hard": 3}
    assert {name: one["wins"] for name, one in found["database"].items()} == {"db0": 1, "db1": 1}
    assert set(found["part"]) == {"seen", "unseen"}
    assert {(flip["sample_id"], flip["winner"]) for flip in found["flips"]} == {
        ("q001", "a"),
        ("q002", "b"),
        ("q003", "b"),
    }


def test_compare_with_nothing_in_common_has_no_numbers(evaluate: Evaluate) -> None:
    evaluate("a", [1.0, None])
    evaluate("b", [None, 1.0])
    found = compare("a", "b").as_dict()
    assert (found["n"], found["ex_a"], found["difference"], found["interval"], found["p"]) == (
        0,
        None,
        None,
        None,
        1,
    )
    assert "2 left out" in printed(render_comparison(compare("a", "b")))


def test_swapping_the_two_swaps_the_signs(evaluate: Evaluate) -> None:
    evaluate("a", [1.0, 0.0, 1.0, 0.0])
    evaluate("b", [1.0, 1.0, 1.0, 1.0])
    there, back = compare("a", "b").all, compare("b", "a").all
    assert (there.wins, there.losses, there.difference) == (2, 0, 0.5)
    assert (back.wins, back.losses, back.difference) == (0, 2, -0.5)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"task_digest": "d2"}, "task digest d1 and d2"),
        ({"scorer_version": "2"}, "scorer version 1 and 2"),
        ({"task": "spider"}, "task pocket and spider"),
    ],
)
def test_runs_that_mean_different_things_are_not_compared(
    evaluate: Evaluate, change: dict[str, str], says: str
) -> None:
    evaluate("a", [1.0])
    evaluate("b", [1.0], **change)
    with pytest.raises(HarnessError, match=f"cannot be compared: they differ in {says}"):
        compare("a", "b")


def test_compare_takes_the_newest_runs_that_can_be_compared(evaluate: Evaluate) -> None:
    first = evaluate("a", [1.0])
    evaluate("a", [1.0], task="spider")
    evaluate("b", [1.0])
    assert compare("a", "b").a.id == first.id


def test_a_run_is_not_compared_with_itself(evaluate: Evaluate) -> None:
    run = evaluate("a", [1.0])
    with pytest.raises(DataError, match="are the same run"):
        compare("a", run.id)


def test_the_comparison_screen_holds_the_verdict(evaluate: Evaluate) -> None:
    evaluate("a", [0.0] * 20 + [1.0] * 20)
    evaluate("b", [1.0] * 39 + [0.0])
    text = printed(render_comparison(compare("a", "b")))
    words = [
        "50.0 %",
        "97.5 %",
        "+47.5 points",
        "20 won by B",
        "1 by A",
        "19 ties",
        "p < 0.0001",
        "40 questions",
        "difficulty",
        "database",
        "part",
        "B better than A: 3 of 20",
        "A better than B: 1 of 1",
        "-- gold",
    ]
    assert [word for word in words if word not in text] == []


# find


def test_a_run_is_found_by_id_model_folder_label_or_the_start_of_its_id(
    evaluate: Evaluate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    model = tmp_path / "demo" / "grpo" / "model"
    run = evaluate(str(model), [1.0], id="grpo-pocket-1a2b3c")
    evaluate("nano", [1.0], id="nano-pocket-aaaaaa")
    for name in (
        run.id,
        str(model),
        f"{model}/",
        "demo/grpo/model",
        "./demo/grpo/model",
        "demo/grpo",
        "grpo-p",
    ):
        assert find(name).id == run.id, name


def test_the_newest_run_of_a_model_is_meant(evaluate: Evaluate) -> None:
    evaluate("nano", [1.0])
    newest = evaluate("nano", [0.0])
    assert find("nano").id == newest.id


def test_a_name_that_means_nothing_gets_the_nearest(evaluate: Evaluate) -> None:
    evaluate("nano", [1.0], id="nano-pocket-aaaaaa")
    evaluate("big", [1.0], id="nano-pocket-bbbbbb")
    with pytest.raises(DataError, match="no finished evaluation 'nanno': did you mean 'nano'"):
        find("nanno")
    evaluate("runs/small/model", [1.0])
    with pytest.raises(DataError, match=r"'model': known: big, nano, .*, runs/small"):
        find("model")  # the last part of a folder is no name
    with pytest.raises(DataError, match=r"'nano-pocket' is the start of 2 runs: .*aaaaaa"):
        find("nano-pocket")


def test_with_no_runs_at_all_there_is_none_to_find() -> None:
    with pytest.raises(DataError, match="there are none"):
        find("nano")


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ("nano", "nano"),
        ("/a/b/c/demo/grpo/model", "demo/grpo"),
        ("out/sft", "out/sft"),
        ("model", "model"),
        ("Qwen/Qwen3-0.6B", "Qwen/Qwen3-0.6B"),
        ("replay:/data/x/preds.sql", "replay:x/preds.sql"),
        ("/", ""),
        ("", ""),
    ],
)
def test_labels(model: str, says: str) -> None:
    assert label(model) == says


# show


def with_results(run: str, sample_id: str) -> EvidenceWithResults:
    found = show(run, sample_id)
    return EvidenceWithResults(found, results(found.run, found.records))


def test_show_holds_the_evidence(evaluate: Evaluate) -> None:
    wrong = record(
        1,
        0.0,
        detail="row 1: gold (2,), got (3,)",
        completion="```sql\nSELECT 3\n```",
        sql="SELECT 3",
        prompt=json.dumps([{"role": "user", "content": "t(a integer)\n\nHow many?"}]),
        parts=json.dumps({"execution": 0.0, "structure": None}),
    )
    evaluate("a", [record(0, 1.0), wrong])
    text = printed(render_evidence(with_results("a", "q001")))
    words = [
        "t(a integer)",
        "SELECT 3",
        "```sql",
        "SELECT 1 -- gold",
        "wrong_rows",
        "row 1: gold (2,), got (3,)",
        "strict 0.00",
        "structure -",
        "db1",
    ]
    assert [word for word in words if word not in text] == []
    assert show("a", "q001").as_dict()["records"][0]["detail"] == wrong.detail


def test_a_part_of_a_reward_may_be_any_number_of_json(evaluate: Evaluate) -> None:
    run = evaluate(
        "nano", [replace(record(0, 0.0), parts='{"a": 1' + 400 * "0" + ', "b": NaN, "c": -1e999}')]
    )
    assert "a inf   b nan   c -inf" in printed(render_evidence(with_results(run.id, "q000")))


def test_show_of_a_question_that_is_not_there(evaluate: Evaluate) -> None:
    run = evaluate("a", [1.0, 1.0])
    with pytest.raises(DataError, match=f"run {run.id} has no question 'q01': did you mean 'q001'"):
        show("a", "q01")
    with pytest.raises(DataError, match="has no question 'x': known: q000, q001"):
        show("a", "x")


@pytest.mark.parametrize(
    "text", ["\x1b[2J\x1b[1;1H", "\x9b31m", "[bold red]x[/]", "\u202e;1 TCELES", "\x00\x07\r"]
)
def test_what_a_model_wrote_cannot_command_the_terminal(evaluate: Evaluate, text: str) -> None:
    hostile = [
        record(0, 1.0, question=text, completion=text, sql=text, detail=text, gold=text, database=text)
    ]
    evaluate("a", hostile, method="base")
    evaluate("b", [replace(hostile[0], metric=0.0)])
    shown = (
        printed(render_board(board(), reasons=True))
        + printed(render_comparison(compare("a", "b")))
        + printed(render_evidence(with_results("a", "q000")))
    )
    assert not set(shown) & set("\x1b\x9b\x00\x07\r\u202e")
    assert "[" not in text or text.translate({0x1B: 0x241B, 0x9B: 0xFFFD}) in shown


# alarms


def test_alarms_are_measured_and_say_so() -> None:
    quiet = [record(i, 1.0, spider=1.0, gold_rows=3) for i in range(40)]
    assert alarms.warnings(alarms.measure(quiet)) == []
    cases = {
        "spider_gap": [replace(r, strict=float(i > 8)) for i, r in enumerate(quiet)],
        "bird_gap": [replace(r, bird=1.0, strict=float(i > 8)) for i, r in enumerate(quiet)],
        "empty_matches": [replace(r, gold_rows=0 if i < 5 else 3) for i, r in enumerate(quiet)],
        "single_cells": [replace(r, gold_rows=1) for r in quiet],
        "repeated": [
            replace(r, completion="SELECT 1" if i < 9 else r.completion) for i, r in enumerate(quiet)
        ],
        "unscored": [replace(r, metric=None if i < 3 else 1.0) for i, r in enumerate(quiet)],
    }
    for name, records in cases.items():
        measured = alarms.measure(records)
        assert measured[name] > alarms.LIMITS[name], name
        assert alarms.MESSAGES[name].format(measured[name]) in alarms.warnings(measured)


def test_the_same_answer_drawn_again_for_one_question_is_no_alarm() -> None:
    records = [record(q, 1.0, sample_index=i) for q in range(30) for i in range(8)]
    assert alarms.measure(records)["repeated"] == 1 / 30


def test_alarms_say_nothing_about_too_little_and_nothing_about_none() -> None:
    assert alarms.measure([record(i, 1.0) for i in range(5)]) == {}
    assert alarms.measure([]) == {}
    unscored = alarms.measure([record(i, None, spider=1.0) for i in range(30)])
    assert "spider_gap" not in unscored and "empty_matches" not in unscored


def test_two_unscored_questions_may_be_an_accident_however_often_they_were_answered() -> None:
    records = [record(q, None if q < 2 else 1.0, sample_index=i) for q in range(30) for i in range(8)]
    assert alarms.measure(records)["unscored"] == 0.0
    records += [record(40, None, sample_index=i) for i in range(8)]
    assert alarms.measure(records)["unscored"] == 24 / 248


def test_a_drift_from_the_start_is_a_warning() -> None:
    assert alarms.warnings({"single_cells": 0.30}, start={"single_cells": 0.25}) == []
    (line,) = alarms.warnings({"single_cells": 0.40}, start={"single_cells": 0.25})
    assert "(was 25.0%)" in line


def test_a_training_is_measured_over_its_last_answers_and_warns_once_of_a_drift() -> None:
    trend = alarms.Trend()
    trend.add([record(i, 1.0, gold_rows=3) for i in range(alarms.WINDOW)])
    assert trend.step() == [] and trend.measured["single_cells"] == 0
    trend.add([record(i, 1.0, gold_rows=1) for i in range(alarms.WINDOW // 4)])
    (line,) = trend.step()
    assert "single cell" in line and "(was 0.0%)" in line
    assert trend.step() == [] and trend.warnings == [line]
    resumed = alarms.Trend({"single_cells": 0.25})
    resumed.add([record(i, 1.0, gold_rows=1 + i % 3) for i in range(30)])
    assert resumed.step() == [] and resumed.measured["single_cells"] == pytest.approx(1 / 3)


def test_a_trained_model_is_held_beside_the_one_it_began_as(evaluate: Evaluate) -> None:
    evaluate("base", [record(i, 1.0, gold_rows=3) for i in range(30)])
    evaluate("tuned", [record(i, 1.0, gold_rows=1 if i < 6 else 3) for i in range(30)], parent="base")
    lines = {row["model"]: row["warnings"] for row in board().as_dict()["groups"][0]["rows"]}
    assert lines["base"] == [] and "(was 0.0%)" in lines["tuned"][0]


def test_warnings_stand_on_the_board(evaluate: Evaluate) -> None:
    evaluate("a", [record(i, 1.0, completion="SELECT 1") for i in range(30)])
    assert "! 100.0% of the questions got one and the same answer" in printed(render_board(board()))
    assert board().as_dict()["groups"][0]["rows"][0]["warnings"]
