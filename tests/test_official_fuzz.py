"""Spider's and BIRD's verdicts against rules written anew, on random databases and queries.

``HARNESS_FUZZ`` sets the number of pairs of the slow test (100,000) and ``HARNESS_SEED`` its seed.
"""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path

import official_rules
import pytest
from official_cases import Cases

from rewards.grader import Grader
from rewards.types import Answer
from tasks.spec import ScoringSpec
from tasks.types import Database, Mode

MODES = (Mode.SPIDER, Mode.BIRD, Mode.BIRD_F1)


def differences(count: int, seed: int, folder: Path) -> tuple[list[tuple[object, ...]], dict[str, float]]:
    """The pairs with another verdict than the official one, and how many were correct by each rule."""
    cases, found, right = iter(Cases(seed, folder)), [], dict.fromkeys(MODES, 0.0)
    with Grader(ScoringSpec(metric=Mode.SPIDER, modes=MODES), structure=False) as grader:
        while chunk := list(islice(cases, min(count, 5000))):
            count -= len(chunk)
            answers = [
                Answer(Database("d", instances=(path,)), (gold,), f"```sql\n{sql}\n```")
                for path, gold, sql in chunk
            ]
            for (path, gold, sql), grade in zip(chunk, grader.grade_answers(answers), strict=True):
                official = official_rules.spider(path, gold, sql)
                expected = {Mode.SPIDER: official, Mode.BIRD: None, Mode.BIRD_F1: None}
                if grade.attempt.verdicts[Mode.BIRD] is not None or official_rules.runs(path, gold):
                    expected[Mode.BIRD] = official_rules.bird(path, gold, sql)
                    expected[Mode.BIRD_F1] = official_rules.bird_f1(path, gold, sql)
                found += [
                    (mode.value, path, gold, sql, value, grade.attempt.verdicts[mode])
                    for mode, value in expected.items()
                    if grade.attempt.verdicts[mode] != value
                ]
                for mode, value in expected.items():
                    right[mode] += value or 0.0
    return found, right


def test_a_few(tmp_path: Path) -> None:
    found, right = differences(1500, 7, tmp_path)
    assert found == []
    assert all(200 < value < 1300 for value in right.values())


@pytest.mark.slow
def test_many(tmp_path: Path) -> None:
    count, seed = int(os.environ.get("HARNESS_FUZZ", "100000")), int(os.environ.get("HARNESS_SEED", "1"))
    found, right = differences(count, seed, tmp_path)
    print(f"{count:,} pairs, seed {seed}: {len(found)} differences; right by rule: {right}")
    assert found == []
