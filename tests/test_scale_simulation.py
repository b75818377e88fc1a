"""The simulation of ``benchmarks/scale.py``: times that can be worked out by hand."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))
from scale_simulation import PLACEMENTS, Load, simulate


def load(databases: list[int], seconds: list[float], opening: float = 0.0, step: int = 4) -> Load:
    openings = np.full(max(databases) + 1, opening)
    return Load(np.array(databases), np.array(seconds), openings, step)


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_all_work_is_done_once(placement: str) -> None:
    rng = np.random.default_rng(3)
    drawn = Load(rng.integers(50, size=400), rng.exponential(size=400), np.zeros(50), 100)
    found = simulate(drawn, (4, 2), placement)
    assert len(found.steps) == 4
    assert found.use * 8 * sum(found.steps) == pytest.approx(drawn.seconds.sum())
    for first, seconds in zip(range(0, 400, 100), found.steps, strict=True):
        of_step = drawn.seconds[first : first + 100]
        assert seconds >= max(of_step.max(), of_step.sum() / 8)


def test_a_node_of_two_workers_takes_chunks_in_their_order() -> None:
    found = simulate(load([0, 0, 0, 0], [3, 1, 1, 2]), (1, 2), "pull")
    assert found.steps == [4.0] and found.use == pytest.approx(7 / 8)


def test_a_hash_leaves_a_node_idle_and_taking_does_not() -> None:
    same_node = load([0, 2, 4, 6], [1, 1, 1, 1])
    found = {name: simulate(same_node, (2, 1), name).steps for name in PLACEMENTS}
    assert found["hash"] == [4.0] and found["pull"] == [2.0] and found["hash, pull"] == [2.0]


def test_a_database_is_opened_once_by_a_worker_that_keeps_it() -> None:
    twice = load([0, 0, 1, 1], [1, 1, 1, 1], opening=0.5, step=2)
    found = simulate(twice, (1, 1), "any")
    assert found.steps == [2.5, 2.5] and found.opened == 0.5 and found.held == 2
    many = [*range(65), 0]  # a worker keeps 64 open: the first is closed when the 65th is opened
    assert simulate(load(many, [1.0] * 66, step=66), (1, 1), "any").opened == 0


def test_a_hash_sends_each_database_to_one_node() -> None:
    drawn = load([*range(8)] * 8, [1.0] * 64, step=8)
    assert simulate(drawn, (4, 1), "hash").held == 2
    assert simulate(drawn, (4, 1), "pull").held > 2 or simulate(drawn, (4, 1), "any").held > 2
