"""Figures of several runs: equal means, recipes, unequal settings, gates without questions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from test_comparisons import Evaluate, identity
from test_leaderboards import evaluate as evaluate
from test_leaderboards import home as home
from test_leaderboards import record

from harness.render.seeds import merged
from harness.render.sheets import Column, Sheet, as_csv
from leaderboards.board import board
from leaderboards.compare import compare
from leaderboards.gate import check, condition
from leaderboards.identity import asked_differently
from leaderboards.matrix import compare_all
from leaderboards.seeds import Recipe
from tasks.common.errors import DataError


def recipes() -> list[Recipe]:
    return [recipe for found in board().recipes.values() for recipe in found]


def sampled(model: str, seed: int, temperature: float = 1.0) -> dict[str, Any]:
    """What a run stores of its identity and sampling."""
    return {
        "identity": identity(model),
        "sampling": {"temperature": temperature, "seed": seed},
        "digest": f"{model}-{seed}-{temperature}",
    }


def test_equal_means_in_another_order_are_ties(evaluate: Evaluate) -> None:
    for name, scores in (("a", (0.1, 0.2, 0.3)), ("b", (0.3, 0.2, 0.1)), ("c", (0.2, 0.3, 0.1))):
        evaluate(
            name, [record(i, score, sample_index=k) for i in range(12) for k, score in enumerate(scores)]
        )
    for test in (compare("a", "b").test, *(cell.test for cell in compare_all(["a", "b", "c"]).cells)):
        assert (test.figures.ties, test.figures.losses) == (12, 0)


def test_of_equal_evaluations_the_newest_is_in_the_recipe(evaluate: Evaluate) -> None:
    evaluate("a", [1.0] * 4, id="old", **sampled("a", 0))
    evaluate("a", [0.0] * 4, id="new", **sampled("a", 0))
    evaluate("a", [0.0] * 4, id="other", **sampled("a", 1))
    (found,) = board(["old", "new", "other"]).recipes.values()
    assert [one.runs for one in found] == [("other", "new")]


def test_the_interval_of_a_share_stays_within_its_bounds(evaluate: Evaluate) -> None:
    evaluate("a", [1.0] * 18 + [0.0] * 2, **sampled("a", 0))
    evaluate("a", [1.0] * 20, **sampled("a", 1))
    (recipe,) = recipes()
    assert recipe.ex.high == 1.0 and recipe.ex.low is not None and recipe.ex.low >= 0.0


def test_greedy_evaluations_of_one_model_are_no_seeds(evaluate: Evaluate) -> None:
    for seed in (0, 1):
        evaluate("a", [1.0, 0.0], **sampled("a", seed, temperature=0.0))
    assert recipes() == []


def test_other_rules_are_means_over_seeds_too(evaluate: Evaluate) -> None:
    for seed, bird in enumerate((0.0, 1.0)):
        evaluate("a", [record(i, 1.0, bird=bird) for i in range(4)], **sampled("a", seed))
    (rows,), (found,) = board().groups.values(), board().recipes.values()
    ((row, _),) = merged(rows, found)
    assert row.summary["modes"]["bird"] == 0.5


def test_figures_of_several_answers_and_cost_are_over_all_seeds(evaluate: Evaluate) -> None:
    for seed, rights in enumerate((2, 0, 1)):
        answers = [
            record(i, float(k < rights), sample_index=k, cost=rights) for i in range(3) for k in (0, 1)
        ]
        evaluate("a", answers, trained_by="", **sampled("a", seed))
    (rows,), (found,) = board().groups.values(), board().recipes.values()
    known = [replace(row, run=replace(row.run, seconds=10.0 * i, memory=i)) for i, row in enumerate(rows)]
    ((row, _),) = merged(known, found)
    assert row.summary["pass_at"] == {"1": 0.5, "2": pytest.approx(2 / 3)}
    assert row.summary["best_of"]["1"] == 0.5 and row.summary["majority"]["2"] == pytest.approx(2 / 3)
    assert row.summary["cost"] == pytest.approx(6.0)
    assert (row.run.seconds, row.run.memory, row.gain, row.summary["clustered"]) == (10.0, 2, None, None)
    assert sum(row.summary["reasons"].values()) == row.summary["completions"] == 18
    ((row, _),) = merged([*known[:2], replace(known[2], run=replace(known[2].run, memory=None))], found)
    assert row.run.memory is None


def test_pass_at_k_that_only_one_seed_has_is_no_figure_of_the_row(evaluate: Evaluate) -> None:
    evaluate("a", [record(0, 1.0, sample_index=k) for k in range(4)], **sampled("a", 0))
    evaluate("a", [record(0, 1.0, sample_index=k) for k in range(2)], **sampled("a", 1))
    (rows,), (found,) = board().groups.values(), board().recipes.values()
    ((row, _),) = merged(rows, found)
    assert row.summary["pass_at"] == {"1": 1.0, "2": 1.0} and row.summary["majority"] == {}


def test_turns_that_only_one_run_states_are_a_difference(evaluate: Evaluate) -> None:
    one = evaluate("a", [1.0], identity=identity("a"), sampling={"temperature": 0.0})
    other = replace(one, sampling={"temperature": 0.0, "turns": 3})
    assert asked_differently(one, other) == ["turns (1 and 3)"]
    assert asked_differently(other, one) == ["turns (3 and 1)"]
    assert asked_differently(one, replace(one, sampling={"turns": 1, "temperature": 0.0})) == []


def test_a_gate_without_questions_is_refused(evaluate: Evaluate) -> None:
    evaluate("a", [1.0, None])
    evaluate("b", [None, 1.0])
    evaluate("c", [1.0, 1.0])
    for result, runs in ((compare("a", "b"), 2), (compare_all(["a", "b", "c"]), 3)):
        with pytest.raises(DataError, match="no question was scored in both runs"):
            check(result, [condition("B < A", runs)])


@pytest.mark.parametrize(("name", "header"), [("=1+1", "'=1+1"), ("part:\x1b]0;x\x07", None)])
def test_a_header_of_csv_is_no_formula_and_no_command(name: str, header: str | None) -> None:
    printed = as_csv([Sheet([Column(name, lambda _: 1)], [1])]).splitlines()[0]
    assert printed.isprintable() and (header is None or printed == header)
