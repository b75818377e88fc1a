"""Scorers, composites and presets over attempts."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.composite import CLASSIC_OUTCOMES, Execution, Structure, Syntax, Weighted
from rewards.presets import PRESETS, reward_scorer
from rewards.structure.clauses import CLAUSES
from rewards.types import UNSCORED, Attempt, Reason, Score, Scorer
from tasks.common.errors import SpecError
from tasks.spec import ScoringSpec
from tasks.types import Mode

ALL = (*PRESETS, "weights")


class Own:
    """A user's scorer."""

    def __call__(self, attempt: Attempt) -> Score:
        return Score(7.0, attempt.reason)


def composite(name: str) -> Scorer:
    if name == "weights":
        return reward_scorer(ScoringSpec(weights={"execution": 2, "structure": 1, "syntax": 1}))
    return reward_scorer(ScoringSpec(reward=name))


fractions = st.floats(0, 1)


def attempts(*reasons: Reason, verdict: float, gold_rows: int = 1) -> st.SearchStrategy[Attempt]:
    """Attempts with one of these reasons and any other evidence."""
    clauses = st.fixed_dictionaries(dict.fromkeys((*CLAUSES, "overall"), fractions))
    return st.builds(
        Attempt,
        sql=st.just("SELECT 1"),
        reason=st.sampled_from(reasons),
        verdicts=st.just({Mode.STRICT: verdict}),
        parses=st.booleans(),
        executes=st.booleans(),
        clauses=clauses | st.just({}),
        gold_rows=st.just(gold_rows),
        row_overlap=fractions,
    )


right = attempts(Reason.CORRECT, verdict=1.0)
wrong = attempts(*sorted(set(Reason) - {Reason.CORRECT} - UNSCORED), verdict=0.0)


def value(name: str, attempt: Attempt) -> float:
    score = composite(name)(attempt).value
    assert score is not None
    return score


@pytest.mark.parametrize("name", ALL)
@given(one=right, two=wrong)
def test_correct_strictly_dominates(name: str, one: Attempt, two: Attempt) -> None:
    assert value(name, one) > value(name, two)


@pytest.mark.parametrize("name", ALL)
@given(attempt=right | wrong)
def test_every_score_is_in_range(name: str, attempt: Attempt) -> None:
    score = composite(name)(attempt)
    assert score.value is not None and (-1 if name == "classic" else 0) <= score.value <= 1 + 1e-12
    assert not score.parts or sum(score.parts.values()) == pytest.approx(score.value)
    for scorer in (Syntax(), Execution(), Structure()):
        single = scorer(attempt).value
        assert single is None or 0 <= single <= 1


@pytest.mark.parametrize("name", ALL)
@given(
    ours=attempts(*sorted(UNSCORED), verdict=0.0), empty=attempts(Reason.CORRECT, verdict=1.0, gold_rows=0)
)
def test_unscored_attempts_and_empty_golds_have_no_reward(name: str, ours: Attempt, empty: Attempt) -> None:
    assert composite(name)(ours).value is None
    assert composite(name)(empty).value is None


PERFECT = Attempt(
    "SELECT 1",
    Reason.CORRECT,
    {Mode.STRICT: 1.0},
    parses=True,
    executes=True,
    clauses=dict.fromkeys((*CLAUSES, "overall"), 1.0),
    gold_rows=1,
    row_overlap=1.0,
)


@pytest.mark.parametrize(
    ("reason", "value"),
    [
        (Reason.CORRECT, 1.0),
        (Reason.WRONG_ROWS, 0.3),
        (Reason.WRONG_COLUMNS, 0.3),
        (Reason.WRONG_ORDER, 0.3),
        (Reason.EMPTY_RESULT, 0.3),
        (Reason.EXECUTION_ERROR, -0.8),
        (Reason.TIMEOUT, -0.8),
        (Reason.SYNTAX_ERROR, -0.5),
        (Reason.NO_SQL, -0.5),
        (Reason.GOLD_FAILED, None),
    ],
)
def test_classic_has_its_named_outcomes(reason: Reason, value: float | None) -> None:
    verdict = {Mode.STRICT: float(reason is Reason.CORRECT)}
    assert composite("classic")(replace(PERFECT, reason=reason, verdicts=verdict)).value == value


def test_classic_has_a_value_for_every_reason_without_a_result() -> None:
    ran = {r for r in Reason if r in ("correct", "empty_result") or r.startswith("wrong_")}
    assert set(CLASSIC_OUTCOMES) == set(Reason) - ran - UNSCORED


def test_gated_and_binary() -> None:
    assert composite("gated")(PERFECT).value == 1.0
    assert composite("binary")(PERFECT).value == 1.0
    near = replace(PERFECT, reason=Reason.WRONG_ROWS, verdicts={Mode.STRICT: 0.0})
    assert composite("gated")(near).value == pytest.approx(0.3)
    assert composite("binary")(near).value == 0.0


@pytest.mark.parametrize("name", [*ALL, "test_scorers:Own"])
def test_composites_are_picklable_and_have_a_repr(name: str) -> None:
    scorer = composite(name)
    assert type(pickle.loads(pickle.dumps(scorer))) is type(scorer)
    if ":" not in name:
        assert pickle.loads(pickle.dumps(scorer)) == scorer
        assert repr(scorer).startswith(type(scorer).__name__ + "(")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"reward": "gatd"}, "no preset 'gatd': did you mean 'gated'?"),
        ({"reward": "no.such.module:X"}, "No module named 'no'"),
        ({"reward": "test_scorers:Nope"}, "no attribute 'Nope'"),
        ({"weights": {"exection": 1}}, "no scorer 'exection': did you mean 'execution'?"),
        ({"weights": {"execution": 1, "structure": 1}}, "execution must weigh more than structure"),
        ({"weights": {"structure": 1}}, "execution must weigh more than structure"),
        ({"weights": {"execution": 1, "syntax": -1}}, "-1.0 is negative"),
    ],
)
def test_invalid_rewards_raise_one_line(spec: Mapping[str, object], message: str) -> None:
    with pytest.raises(SpecError, match=message.replace("?", r"\?").replace(".", r"\.")) as error:
        reward_scorer(ScoringSpec.model_validate(spec))
    assert "\n" not in str(error.value)


def test_a_custom_reward() -> None:
    assert reward_scorer(ScoringSpec(reward="test_scorers:Own"))(PERFECT).value == 7.0


def test_weights_are_normalised() -> None:
    assert Weighted({"execution": 3, "syntax": 1})(PERFECT).value == 1.0
