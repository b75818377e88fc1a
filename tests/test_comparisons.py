"""What is stated about several runs: intervals, verdicts, slices, matrices, gates, gains and seeds."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from test_leaderboards import evaluate as evaluate
from test_leaderboards import home as home
from test_leaderboards import printed, record

from harness.cli import main
from harness.render.board import render_board
from harness.render.compare import render_comparison
from harness.render.matrix import render_matrix
from leaderboards import store
from leaderboards.board import board
from leaderboards.catalog import chosen
from leaderboards.compare import compare
from leaderboards.gate import check, condition
from leaderboards.identity import Identity
from leaderboards.matrix import compare_all
from leaderboards.pairs import PairedFigures
from leaderboards.slices import by_slice, features
from leaderboards.statistics import clustered_difference, clustered_share, holm, mcnemar, totals
from leaderboards.summary import summary
from leaderboards.types import Run
from tasks.common.digests import digest_of
from tasks.common.errors import DataError, SpecError

Evaluate = Callable[..., Run]
Capture = pytest.CaptureFixture[str]


def answers(right: Sequence[int], n: int = 80, databases: int = 8) -> list[Any]:
    """Records of which these questions are right."""
    return [record(i, float(i in right), database=f"db{i % databases}") for i in range(n)]


# summary


def test_summary_has_the_clustered_interval_and_the_shares_of_high_rewards() -> None:
    records = [replace(one, reward=(0.3, 0.6, 0.96)[i % 3]) for i, one in enumerate(answers(range(40)))]
    found = summary([*records, replace(record(99, None), reward=None)])
    expected = clustered_share(totals([float(i < 40) for i in range(80)], [i % 8 for i in range(80)]))
    assert expected is not None and found["clustered"] is not None
    assert (found["clustered"]["low"], found["clustered"]["high"]) == (expected.low, expected.high)
    assert (found["success"], found["perfect"]) == (53 / 80, 26 / 80)
    assert summary([record(0, 1.0)])["clustered"] is None


# verdicts


@pytest.mark.parametrize(
    ("wins", "losses", "ex_b", "outcome"),
    [
        (10, 0, 0.6, "better"),
        (0, 10, 0.4, "worse"),
        (5, 0, 0.6, "no significant difference"),  # p = 0.0625
        (10, 0, 0.5, "no significant difference"),  # more questions won, the mean is no higher
    ],
)
def test_outcome_is_that_of_mcnemars_test(wins: int, losses: int, ex_b: float, outcome: str) -> None:
    figures = PairedFigures(100, wins, losses, 100 - wins - losses, 0.5, ex_b, mcnemar(wins, losses))
    assert figures.outcome == outcome
    assert replace(figures, p_holm=0.2).outcome == "no significant difference"


def test_a_difference_in_one_database_is_not_shown_for_others(evaluate: Evaluate) -> None:
    evaluate("a", answers([]))
    evaluate("b", answers(range(0, 80, 8)))  # all ten questions of db0
    found = compare("a", "b").test
    assert found.verdict.outcome == "better" and found.verdict.p < 0.01
    assert found.verdict.p_databases is not None and found.verdict.p_databases > 0.05
    assert "on these databases; not shown for others" in found.verdict.text
    values = [float(i % 8 == 0) for i in range(80)]
    assert found.clustered == clustered_difference(totals(values, [i % 8 for i in range(80)]))


def test_no_significant_difference_says_what_could_have_been_found(evaluate: Evaluate) -> None:
    evaluate("a", answers([1, 2, 3]))
    evaluate("b", answers([3, 4]))
    verdict = compare("a", "b").test.verdict
    assert verdict.outcome == "no significant difference"
    assert f"{100 * (verdict.detectable or 0):.1f} points would be found with 80% probability" in verdict.text


def test_one_database_has_no_clustered_interval(evaluate: Evaluate) -> None:
    for name in ("a", "b"):
        evaluate(name, answers([1], databases=1))
    found = compare("a", "b")
    assert found.test.clustered is found.share_a.clustered is None
    assert found.as_dict()["verdict"]["p_databases"] is None
    assert "other databases" not in printed(render_comparison(found))


# slices


@pytest.mark.parametrize(
    ("gold", "names", "tables"),
    [
        ("SELECT a FROM t", ("plain SELECT",), 1),
        ("SELECT a FROM t, u WHERE t.x = u.x", ("join",), 2),
        ("SELECT a FROM t JOIN u USING (x) GROUP BY a ORDER BY 1", ("join", "group", "order"), 2),
        ("SELECT a FROM t x JOIN t y ON x.a = y.b", ("join",), 1),
        ("SELECT a FROM t WHERE x NOT IN (SELECT y FROM u)", ("nested",), 2),
        ("SELECT a FROM t WHERE EXISTS (SELECT 1 FROM u WHERE u.a = t.a)", ("nested",), 2),
        ("SELECT a FROM t UNION SELECT b FROM u", ("set operation",), 2),
        ("(SELECT a FROM t) EXCEPT (SELECT b FROM u)", ("set operation",), 2),
        ("WITH c AS (SELECT a FROM t) SELECT * FROM c", ("nested",), 1),
        ("SELECT count(*) OVER (ORDER BY x) FROM t", ("plain SELECT",), 1),
        ("SELECT 1", ("plain SELECT",), 0),
    ],
)
def test_features_of_a_gold(gold: str, names: tuple[str, ...], tables: int) -> None:
    assert features(gold, "sqlite") == (names, tables)


def test_a_gold_that_is_no_sql_has_no_features() -> None:
    assert features("SELECT ((", "sqlite") is None
    (found,) = by_slice([record(0, 1.0, gold="((", database=f"d{i}") for i in range(2)], "sqlite").values()
    assert set(found) == {"d0", "d1"}


def test_slices_are_in_order_and_their_p_is_corrected_within_a_field(evaluate: Evaluate) -> None:
    golds = ("SELECT a FROM t", "SELECT a FROM t JOIN u USING (x)", "SELECT a FROM t, u, v, w, z")
    records = [
        replace(one, gold=golds[i % 3], gold_rows=(0, 1, 5, 40, 1000)[i % 5])
        for i, one in enumerate(answers([]))
    ]
    evaluate("a", records)
    evaluate("b", [replace(one, metric=float(i % 3 == 1)) for i, one in enumerate(records)])
    found = compare("a", "b")
    assert list(found.slices["feature"]) == ["join", "plain SELECT"]
    assert list(found.slices["tables"]) == ["1 table", "2 tables", "4+ tables"]
    assert list(found.slices["result"]) == ["no rows", "1 row", "2-9 rows", "10-99 rows", "100+ rows"]
    tables = found.slices["tables"]
    assert [one.p_holm for one in tables.values()] == holm([one.p for one in tables.values()])
    assert tables["2 tables"].outcome == "better" and tables["1 table"].outcome != "better"
    assert ("tables", "2 tables") in [(one.field, one.value) for one in found.where]
    text = printed(render_comparison(found), 80)
    assert "better by tables: 2 tables +100.0" in text and max(map(len, text.splitlines())) <= 80


# matrix


def test_a_matrix_tests_every_pair_on_the_questions_that_all_share(evaluate: Evaluate) -> None:
    evaluate("a", answers(range(10)))
    evaluate("b", answers(range(40)))
    evaluate("c", [*answers(range(42))[:78], record(78, None), record(79, 1.0)])
    found = compare_all(["a", "b", "c"])
    assert (found.n, found.left_out) == (79, 1)
    assert [(cell.a, cell.b) for cell in found.cells] == [("A", "B"), ("A", "C"), ("B", "C")]
    ps = [mcnemar(30, 0), mcnemar(33, 0), mcnemar(3, 0)]
    assert [cell.test.figures.p for cell in found.cells] == ps
    assert [cell.test.figures.p_holm for cell in found.cells] == holm(ps)
    kept = json.loads(json.dumps(found.as_dict()))
    assert [pair["verdict"]["outcome"] for pair in kept["pairs"]] == ["better"] * 2 + [
        "no significant difference"
    ]
    assert [one["name"] for one in kept["runs"]] == ["A", "B", "C"]
    text = printed(render_matrix(found), 80)
    assert "C is better than A" in text and max(map(len, text.splitlines())) <= 80


def test_a_matrix_does_not_say_what_one_test_alone_would_find(evaluate: Evaluate) -> None:
    for name, right in (("a", 40), ("b", 42), ("c", 44)):
        evaluate(name, answers(range(right)))
    verdicts = [cell.test.verdict for cell in compare_all(["a", "b", "c"]).cells]
    assert {one.outcome for one in verdicts} == {"no significant difference"}
    assert [(one.detectable, one.text) for one in verdicts] == [
        (None, f"{verdicts[0].outcome} (p = {p})") for p in ("1", "0.38", "1")
    ]


def test_a_matrix_refuses_what_cannot_be_compared(evaluate: Evaluate) -> None:
    evaluate("a", [1.0])
    evaluate("b", [1.0])
    evaluate("c", [1.0], task="spider")
    with pytest.raises(DataError, match="cannot be compared: they differ in task pocket and spider"):
        compare_all(["a", "b", "c"])
    with pytest.raises(DataError, match="is named twice"):
        compare_all(["a", "b", "a"])
    with pytest.raises(DataError, match="name at most 26"):
        compare_all(["a"] * 27)


def test_a_matrix_takes_an_older_run_for_a_damaged_one(evaluate: Evaluate, capsys: Capture) -> None:
    older = evaluate("a", [1.0, 0.0])
    damaged = evaluate("a", [1.0, 1.0])
    for name in ("b", "c"):
        evaluate(name, [1.0, 0.0])
    (store.folder(damaged.id) / "records.parquet").write_bytes(b"no parquet")
    assert compare_all(["a", "b", "c"]).entries[0].run.id == older.id
    assert f"left out run {damaged.id}" in capsys.readouterr().err


def asked(model: str, questions: str = "all", **sampling: int) -> dict[str, Any]:
    """Changes to a run: the questions that it asked, and how."""
    return {"identity": identity(model) | {"questions": questions}, "sampling": sampling}


@pytest.mark.parametrize(("questions", "turns"), [("all", 3), ("the first 20", 1)])
def test_of_a_models_runs_those_are_compared_that_were_asked_alike(
    evaluate: Evaluate, questions: str, turns: int
) -> None:
    runs = [evaluate(name, answers(range(40)), **asked(name, turns=1)).id for name in ("a", "b", "c")]
    later = evaluate("b", answers(range(40), 20), **asked("b", questions, turns=turns)).id
    found = compare("a", "b")
    assert [found.a.id, found.b.id] == runs[:2] and found.all.n == 80
    assert compare("a", later).b.id == later  # an id means that run
    for names in ("abc", "bac"):
        chosen = {entry.run.id for entry in compare_all(tuple(names)).entries}
        assert chosen == set(runs)


def test_a_long_name_is_folded_and_no_figure_is(evaluate: Evaluate) -> None:
    names = [letter * 90 for letter in "xyz"]
    for i, name in enumerate(names):
        evaluate(name, answers(range(10 + i)))
    for screen in (render_comparison(compare(*names[:2])), render_matrix(compare_all(names))):
        text = printed(screen, 80)
        assert "12.5 %  6.9-21.5 (other databases" in text and "13.8 %" in text
        assert max(map(len, text.splitlines())) <= 80


# conditions


@pytest.mark.parametrize("text", ["", "B", "B > A", "B <= A", "b < a", "B < A - 2", "B < A < C", "AB < A"])
def test_a_malformed_condition_is_refused(text: str) -> None:
    with pytest.raises(SpecError, match="write 'B < A'"):
        condition(text, 3)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("compare a b --fail-if 'B<A'", 0),
        ("compare b a --fail-if 'B < A'", 1),
        ("compare a b --fail-if 'A < B'", 1),
        ("compare a b c --fail-if 'C < B'", 0),
        ("compare a b c --fail-if 'A < C' --fail-if 'B < A'", 1),
    ],
)
def test_compare_fails_if_a_run_is_significantly_worse(
    evaluate: Evaluate, capsys: Capture, line: str, code: int
) -> None:
    import shlex

    evaluate("a", answers(range(10)))
    evaluate("b", answers(range(40)))
    evaluate("c", answers(range(38)))
    assert main(shlex.split(line)) == code
    printed = capsys.readouterr()
    assert printed.err.count("\n") == code
    assert ("is significantly worse than" in printed.err) == bool(code)
    assert main([*shlex.split(line), "--json"]) == code
    found = json.loads(capsys.readouterr().out)["fail_if"]
    assert sum(gate["holds"] for gate in found) == code and len(found) == line.count("--fail-if")


def test_a_condition_on_equal_runs_does_not_hold(evaluate: Evaluate) -> None:
    for name in ("a", "b"):
        evaluate(name, answers([1, 2]))
    (gate,) = check(compare("a", "b"), [condition("B < A", 2)]).gates
    assert not gate.holds and gate.text.startswith("B (b) is not significantly worse than A (a): +0.0 points")


@pytest.mark.parametrize(("line", "n"), [("compare a b", 5), ("compare a b c", 6)])
def test_a_condition_that_cannot_hold_is_refused(
    evaluate: Evaluate, capsys: Capture, line: str, n: int
) -> None:
    evaluate("a", answers(range(80)))
    for name in "bc":
        evaluate(name, answers([], n))
    assert main([*line.split(), "--fail-if", "B < A"]) == 2
    assert f"{n} questions were scored in both runs, too few" in capsys.readouterr().err


def test_a_condition_says_how_many_questions_are_left_out(evaluate: Evaluate) -> None:
    evaluate("a", answers(range(80)))
    evaluate("b", answers([], 10))
    (gate,) = check(compare("a", "b"), [condition("B < A", 2)]).gates
    assert gate.holds and "on 10 questions (70 left out)" in gate.text


@pytest.mark.parametrize("line", ["board", "compare a b"])
def test_json_has_no_number_that_json_has_not(evaluate: Evaluate, capsys: Capture, line: str) -> None:
    for name in "ab":
        evaluate(name, [replace(one, reward=math.nan) for one in answers(range(5))])
    assert main([*line.split(), "--json"]) == 0
    found = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert line != "board" or found["groups"][0]["rows"][0]["reward"] is None


def test_a_folder_s_name_means_its_newest_weights(evaluate: Evaluate, capsys: Capture) -> None:
    evaluate("a", answers(range(80)), identity=identity("a"))
    old = evaluate("b", answers(range(80)), identity=identity("old weights"))
    new = evaluate("b", answers([], 20), limit=20, identity=identity("new weights"))
    for names in (["a", "b"], ["a", "b", old.id]):
        assert main(["compare", *names, "--fail-if", "B < A", "--json"]) == 1
        assert new.id in capsys.readouterr().out
    assert compare("a", old.id).b.id == old.id
    with pytest.raises(DataError, match="names 2 runs"):
        chosen("b")


# gains and seeds


def test_the_board_has_the_gain_over_the_parent_of_the_same_group(evaluate: Evaluate) -> None:
    evaluate("base", answers(range(10)))
    evaluate("sft", answers(range(40)), parent="base", method="sft")
    evaluate("grpo", answers(range(42)), parent="sft", method="grpo")
    evaluate("other", answers(range(42)), parent="base", task="spider")
    rows = {row.run.model: row for rows in board().groups.values() for row in rows}
    assert rows["base"].gain is rows["other"].gain is None
    expected = compare("base", "sft").test
    gain = rows["sft"].gain
    assert gain is not None and gain.parent == rows["base"].run.id
    assert gain.test.figures == expected.figures
    assert asdict(gain.test)["clustered"] == pytest.approx(asdict(expected)["clustered"])
    text = printed(render_board(board(), False), 80)
    assert "gain +37.5 over base: better (p < 0.0001)" in text
    assert "gain +2.5 over sft: no significant difference" in text
    (group, _) = board().as_dict()["groups"]
    assert [row["gain"] and row["gain"]["wins"] for row in group["rows"]].count(None) == 1


def test_a_model_with_the_content_of_its_parent_has_no_gain_over_itself(evaluate: Evaluate) -> None:
    content = identity("same")
    evaluate("a", [1.0], identity=content, parent_content=digest_of(content["model"]))
    ((row,),) = board().groups.values()
    assert row.gain is None and row.start == {}


def test_several_answers_a_question_count_as_their_mean_in_a_gain(evaluate: Evaluate) -> None:
    first = [record(i, m, sample_index=k) for i in range(4) for k, m in enumerate((1.0, 0.0, None))]
    evaluate("a", first)
    evaluate("b", [replace(one, metric=one.metric and 1.0) for one in first], parent="a")
    evaluate("c", [replace(one, metric=1.0) for one in first], parent="a")
    rows = {row.run.model: row for rows in board().groups.values() for row in rows}
    for name, wins in (("b", 0), ("c", 4)):
        gain = rows[name].gain
        assert gain is not None and (gain.test.figures.wins, gain.test.figures.losses) == (wins, 0)
        assert gain.test.figures == compare("a", name).all


def test_damaged_records_of_a_parent_leave_the_other_gains(evaluate: Evaluate, capsys: Capture) -> None:
    lost = evaluate("lost", [1.0, 0.0])
    evaluate("base", [1.0, 0.0])
    evaluate("x", [1.0, 1.0], parent="lost")
    evaluate("y", [1.0, 1.0], parent="base")
    (store.folder(lost.id) / "records.parquet").write_bytes(b"no parquet")
    gains = {row.run.model: row.gain for rows in board().groups.values() for row in rows}
    assert gains["x"] is None and gains["y"] is not None
    assert "no gain of x-3 over lost-1" in capsys.readouterr().err


def identity(model: str) -> dict[str, Any]:
    texts = dict.fromkeys(("task", "questions", "golds", "prompt", "examples", "scoring", "reward"), "")
    return asdict(Identity(**texts, databases={}, sampling="", model={"weights": model}, scorer=""))


@pytest.fixture
def trained(evaluate: Evaluate) -> Callable[..., Run]:
    """Store a training and the evaluation of its model."""

    def run(name: str, right: int, seed: int, parent: str = "base", rate: float = 0.1) -> Run:
        spec = {"train": {"model": parent, "seed": seed, "sft": {"seed": seed, "learning_rate": rate}}}
        training = Run(f"t-{name}", "train", name, "pocket", "d", "train", "strict", "1", name, spec=spec)
        with store.open_run(replace(training, parent=parent, method="sft")) as handle:
            handle.finish({})  # type: ignore[arg-type]
        return evaluate(
            name, answers(range(right)), trained_by=f"t-{name}", identity=identity(name), parent=parent
        )

    return run


def test_runs_that_differ_in_seeds_are_one_row_with_its_spread(trained: Callable[..., Run]) -> None:
    runs = [trained(f"m{seed}", right, seed).id for seed, right in enumerate((40, 44, 48))]
    trained("higher", 60, 0, rate=0.2)
    (found,) = board().as_dict()["groups"]
    (recipe,) = found["recipes"]
    assert recipe["runs"] == runs[::-1] and len(found["rows"]) == 4
    assert recipe["ex"]["mean"] == pytest.approx(0.55)
    assert recipe["ex"]["deviation"] == pytest.approx(0.05)
    text = printed(render_board(board()), 80)
    assert "3 seeds" in text and "55.0" in text and "±5.0" in text
    assert text.index("higher") < text.index("m2")
    assert max(map(len, text.splitlines())) <= 80


def test_seeds_of_the_stage_before_are_seeds_of_the_recipe(trained: Callable[..., Run]) -> None:
    for seed in (0, 1):
        trained(f"sft{seed}", 40, seed)
        trained(f"grpo{seed}", 44 + seed, seed, parent=f"sft{seed}")
    (found,) = board().as_dict()["groups"]
    assert sorted(len(recipe["runs"]) for recipe in found["recipes"]) == [2, 2]


def test_runs_without_a_stored_identity_are_in_no_recipe(evaluate: Evaluate, home: Path) -> None:
    for _ in range(2):
        evaluate("a", [1.0, 0.0])
    assert [group["recipes"] for group in board().as_dict()["groups"]] == [[]]
