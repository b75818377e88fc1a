"""Several answers to a question: votes, best-of-k and pass@k against values computed by hand."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaderboards.statistics import best_of_k
from leaderboards.summary import by_question, majority, several_answers, summary
from leaderboards.types import Record
from rewards.results import result_digest

NOTHING: dict[str, dict[str, float]] = {"pass": {}, "best": {}, "majority": {}}


def answer(result: str, metric: float | None, index: int = 0, question: str = "q", **changes: Any) -> Record:
    """An answer that returned ``result``; "": it failed."""
    values = {
        "sample_id": question,
        "question": "?",
        "database": "d",
        "completion": f"SELECT {index}",
        "reason": "correct" if metric else "wrong_rows",
        "sample_index": index,
        "metric": metric,
        "reward": metric,
        "executes": bool(result),
        "result": result,
    }
    return Record(**(values | changes))


VOTES = [
    # results, with log-probabilities -> which answer is picked
    ("the most votes win", [("a", None), ("b", None), ("b", None)], 1),
    ("they win against likelihood", [("a", -0.1), ("b", -5.0), ("b", -6.0)], 1),
    ("the likeliest of them is chosen", [("b", -7.0), ("a", -0.1), ("b", -5.0)], 2),
    ("equal votes go to the likeliest", [("a", -3.0), ("b", -2.0), ("b", -9.0), ("a", -1.0)], 3),
    ("and without likelihood to the first", [("a", None), ("b", None)], 0),
    ("an unknown likelihood is the least", [("a", None), ("b", -99.0)], 1),
    ("what did not run has no vote", [("", -0.1), ("", -0.1), ("a", -9.0)], 2),
    ("unless nothing ran", [("", -2.0), ("", -1.0)], 1),
    ("one answer is its own majority", [("a", None)], 0),
]


@pytest.mark.parametrize(("rule", "votes", "picked"), VOTES, ids=[rule for rule, _, _ in VOTES])
def test_a_vote_by_result(rule: str, votes: list[tuple[str, float | None]], picked: int) -> None:
    answers = [answer(result, 0.0, i, logprob=logprob) for i, (result, logprob) in enumerate(votes)]
    assert majority(answers).sample_index == picked


def test_measures_against_values_computed_by_hand() -> None:
    """The majority is right in question 1, wrong in question 2; in 3 the likelier of two is right."""
    records = [
        *(answer(r, m, i, "1") for i, (r, m) in enumerate([("x", 1.0), ("y", 0.0), ("x", 1.0)])),
        *(answer(r, m, i, "2") for i, (r, m) in enumerate([("z", 0.0), ("z", 0.0), ("x", 1.0)])),
        *(
            answer(r, m, i, "3", logprob=p)
            for i, (r, m, p) in enumerate([("u", 0.0, -3.0), ("", 0.0, -1.0), ("v", 1.0, -2.0)])
        ),
    ]
    found = several_answers(reversed(records))
    assert found["majority"] == {"3": pytest.approx(2 / 3)}
    assert found["pass"] == {"1": pytest.approx((2 + 1 + 1) / 9), "2": pytest.approx((1 + 2 / 3 + 2 / 3) / 3)}
    assert found["best"] == pytest.approx(found["pass"])
    whole = summary(records)
    assert whole["ex"] == pytest.approx((2 + 1 + 1) / 9)
    assert (whole["majority"], whole["pass_at"]) == (found["majority"], found["pass"])


def test_unscored_answers_neither_vote_nor_count() -> None:
    records = [answer("a", None, 0), answer("a", None, 1), answer("b", 1.0, 2), answer("c", 0.0, 3)]
    assert [one.result for one in by_question(records)["q"]] == ["b", "c"]
    both = {"1": 0.5, "2": 1.0}
    assert several_answers(records) == {"pass": both, "best": both, "majority": {"2": 1.0}}


def test_one_answer_per_question_has_no_such_measures() -> None:
    assert several_answers([answer("a", 1.0), answer("a", 1.0, question="r")]) == {
        "pass": {},
        "best": {},
        "majority": {},
    }
    assert several_answers([]) == NOTHING


def test_best_of_k_follows_the_reward_and_not_the_metric() -> None:
    """The reward prefers the second answer, which is wrong: of two, it is always picked."""
    answers = [(0.2, 1.0), (0.9, 0.0)]
    assert best_of_k(answers, 1) == 0.5
    assert best_of_k(answers, 2) == 0.0


def test_equal_rewards_are_picked_equally() -> None:
    assert best_of_k([(0.5, 1.0), (0.5, 0.0), (0.1, 1.0)], 3) == 0.5


@given(
    st.lists(st.tuples(st.integers(0, 50), st.floats(0, 1)), min_size=1, max_size=7, unique_by=lambda p: p[0])
)
def test_best_of_k_is_the_mean_over_all_subsets(answers: list[tuple[int, float]]) -> None:
    for k in range(1, len(answers) + 1):
        picks = [max(subset)[1] for subset in combinations(answers, k)]
        assert best_of_k(answers, k) == pytest.approx(sum(picks) / len(picks))


@pytest.mark.parametrize("k", [0, 2])
def test_best_of_k_refuses_an_invalid_k(k: int) -> None:
    with pytest.raises(ValueError, match=f"the best of {k} of 1"):
        best_of_k([(1.0, 1.0)], k)


SAME = [
    ("row order", [(1, "a"), (2, "b")], [(2, "b"), (1, "a")]),
    ("column order", [(1, "a"), (2, "b")], [("a", 1), ("b", 2)]),
    ("whole floats", [(1,)], [(1.0,)]),
    ("noise", [(0.1 + 0.2,)], [(0.3,)]),
    ("large numbers", [(10**15,)], [(1e15,)]),
]
DIFFERENT = [
    ("a row twice", [(1,)], [(1,), (1,)]),
    ("no rows", [(1,)], []),
    ("NULL and empty text", [(None,)], [("",)]),
    ("text and number", [("1",)], [(1,)]),
    ("text and blob", [("a",)], [(b"a",)]),
    ("rows mixed", [(1, 2), (3, 4)], [(1, 4), (3, 2)]),
    ("numbers", [(0.3,)], [(0.31,)]),
    ("NaN", [(float("nan"),)], [(None,)]),
]


@pytest.mark.parametrize(("what", "one", "two"), SAME, ids=[what for what, _, _ in SAME])
def test_results_with_equal_digests(what: str, one: Any, two: Any) -> None:
    assert result_digest(one) == result_digest(two)


@pytest.mark.parametrize(("what", "one", "two"), DIFFERENT, ids=[what for what, _, _ in DIFFERENT])
def test_results_with_different_digests(what: str, one: Any, two: Any) -> None:
    assert result_digest(one) != result_digest(two)


def test_results_of_surrogates_and_infinities_have_a_digest() -> None:
    assert len(result_digest([("\ud800", float("inf"), b"\xff")])) == 16
