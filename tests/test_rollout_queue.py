"""The queue of batches that are drawn while the model learns: order, lag, weights, errors, its end."""

import threading
import time
from collections.abc import Sequence

import pytest

from runners.training.rollout_queue import Drawn, RolloutQueue
from tasks.common.errors import ModelError


class Bench:
    """What a queue does in its two threads: draws that take some time, and weights that are sent."""

    def __init__(self, max_lag: int, steps: int, seconds: Sequence[float] = (0.0,), wrong: int = -1) -> None:
        self.seconds, self.wrong = seconds, wrong
        self.drawing, self.drawn, self.sent = False, list[int](), 0
        self.queue = RolloutQueue(self.draw, self.send, max_lag, steps)

    def draw(self, step: int) -> int:
        self.drawing = True
        time.sleep(self.seconds[step % len(self.seconds)])
        if step == self.wrong:
            raise ModelError("the server says no")
        self.drawn.append(step)
        self.drawing = False
        return step

    def send(self) -> None:
        assert not self.drawing, "weights change while answers are drawn"
        self.sent += 1


@pytest.mark.parametrize("max_lag", [1, 2, 5])
@pytest.mark.parametrize("first", [0, 7])
@pytest.mark.parametrize(
    ("drawing", "learning"), [((0.0,), 0.0), ((0.004, 0.0, 0.02), 0.005), ((0.001,), 0.01)]
)
def test_no_batch_is_older_than_the_bound(
    max_lag: int, first: int, drawing: Sequence[float], learning: float
) -> None:
    bench = Bench(max_lag, 20, drawing)
    with bench.queue:
        for step in range(first, 20):
            batch, figures = bench.queue.take(step)
            assert batch == step and 0 <= figures["lag"] <= min(max_lag, step - first)
            assert 0 <= figures["overlap"] <= 1 and figures["waiting_seconds"] >= 0
            assert max_lag > 1 or figures["lag"] == (step > first)
            time.sleep(learning)
    assert bench.drawn == [*range(first, 20)] and bench.sent <= 20 - first


def test_the_share_that_overlaps() -> None:
    drawn = Drawn("batch", began=10.0, ended=14.0)
    assert [drawn.overlap(asked) for asked in (9.0, 10.0, 11.0, 14.0, 15.0)] == [0.0, 0.0, 0.25, 1.0, 1.0]
    bench = Bench(1, 3, (0.05,))
    with bench.queue:
        shares = []
        for step in range(3):
            shares.append(bench.queue.take(step)[1]["overlap"])
            time.sleep(0.1)
    assert shares == [0.0, 1.0, 1.0]


@pytest.mark.parametrize("max_lag", [1, 3])
def test_an_error_comes_at_the_step_whose_answers_it_ended(max_lag: int) -> None:
    bench = Bench(max_lag, 9, wrong=2)
    with bench.queue:
        assert [bench.queue.take(step)[0] for step in range(2)] == [0, 1]
        time.sleep(0.05)
        with pytest.raises(ModelError, match="the server says no"):
            bench.queue.take(2)


def test_a_closed_queue_draws_nothing_more() -> None:
    bench = Bench(5, 9, (0.05,))
    with bench.queue:
        bench.queue.take(0)
    time.sleep(0.1)
    assert len(bench.drawn) <= 2 and not alive()


def alive() -> bool:
    return any(thread.name == "rollouts" for thread in threading.enumerate())
