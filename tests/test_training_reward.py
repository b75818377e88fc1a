"""Groups that were handed in early get the rewards that they would get at the end, and are scored once."""

from collections.abc import Sequence
from threading import Event

import pytest

from runners.training.rollout import ScoringQueue
from runners.types import Reward
from tasks.types import Sample

SAMPLES = [Sample(id=str(i), question="", database="d", gold=("SELECT 1",)) for i in range(4)]
TEXTS = [f"answer {i}" for i in range(8)]


class Scorer:
    """Rewards the last digit, notes its calls, and works only once it may."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.begun, self.may = Event(), Event()

    def __call__(self, samples: Sequence[Sample], texts: Sequence[str]) -> list[Reward]:
        self.calls.append(list(texts))
        self.begun.set()
        assert self.may.wait(10)
        return [Reward(float(text[-1]) + 10 * int(s.id)) for s, text in zip(samples, texts, strict=True)]


def expected() -> list[float]:
    return [i + 10.0 * (i // 2) for i in range(8)]


def test_what_waits_meanwhile_is_scored_in_one_call() -> None:
    scorer = Scorer()
    queue = ScoringQueue(scorer)
    queue.submit(SAMPLES[2], TEXTS[4:6])
    assert scorer.begun.wait(10)
    queue.submit(SAMPLES[0], TEXTS[:2])
    queue.submit(SAMPLES[1], TEXTS[2:4])
    queue.submit(SAMPLES[1], TEXTS[2:4])
    scorer.may.set()
    rows = [sample for sample in SAMPLES for _ in range(2)]
    rewards = queue.rewards(rows, TEXTS, 2)
    assert [reward.value for reward in rewards] == expected()
    assert sorted(text for call in scorer.calls for text in call) == TEXTS
    assert scorer.calls[0] == TEXTS[4:6]
    assert scorer.calls[1][:4] == TEXTS[:4]


def test_the_same_answers_are_scored_anew_in_the_next_batch() -> None:
    scorer = Scorer()
    scorer.may.set()
    queue = ScoringQueue(scorer)
    for _ in range(2):
        assert queue.rewards(SAMPLES[:1] * 2, TEXTS[:2], 2) == [Reward(0.0), Reward(1.0)]
    assert scorer.calls == [TEXTS[:2]] * 2


def test_what_the_scorer_raises_reaches_the_trainer_and_the_next_batch_is_scored() -> None:
    def fails_once(samples: Sequence[Sample], texts: Sequence[str]) -> list[Reward]:
        if texts[0] == TEXTS[0]:
            raise OSError("no worker left")
        return [Reward(1.0) for _ in texts]

    queue = ScoringQueue(fails_once)
    with pytest.raises(OSError, match="no worker left"):
        queue.rewards(SAMPLES[:1] * 2, TEXTS[:2], 2)
    assert queue.rewards(SAMPLES[1:2] * 2, TEXTS[2:4], 2) == [Reward(1.0)] * 2
