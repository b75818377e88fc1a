"""The verifier of an exported Harbor task: scores the answer's file and writes ``reward.json``.

``python -m harness.adapters.harbor_verifier TESTS ANSWER LOGS`` runs in the verifier's container, by
``tests/test.sh``. The answer's file is an agent's: it may be anything.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from harness.adapters.grades import metrics, reward
from harness.adapters.question_file import Question
from rewards.grader import Grader
from tasks.common import files
from tasks.common.terminal import say

MOST_BYTES = 2**20
"""A longer file is no answer."""


def main(tests: str, answer: str, logs: str) -> int:
    """Exit status 0 with ``LOGS/reward.json``; 1 without it, where our side failed and nothing is scored."""
    question = Question.read(Path(tests))
    with TemporaryDirectory() as home:
        os.environ["HARNESS_HOME"] = home  # an agent may have written to the caches of another one
        with Grader(question.scoring, workers=1) as grader:
            [grade] = grader.grade_answers([question.answer(text_of(Path(answer)))])
    say(f"{question.id}: {grade.attempt.reason.value}: {grade.attempt.detail}")
    values = {
        "reward": reward(grade, question.scoring, question.training),
        **metrics(grade, question.scoring),
    }
    if values["reward"] is None:
        return 1
    scored = {name: float(value) for name, value in values.items() if value is not None}
    Path(logs).mkdir(parents=True, exist_ok=True)
    files.write(Path(logs) / "reward.json", json.dumps(scored).encode())
    return 0


def text_of(file: Path) -> str:
    """The text of an answer's file; "" where there is none, or no regular file of at most MOST_BYTES.

    Links are not followed: one to the question's file would be an answer with the gold in it.
    """
    try:
        if file.lstat().st_size > MOST_BYTES:
            return ""
        return files.read(file, follow=False).decode("utf-8", "replace")
    except (OSError, ValueError):
        return ""


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
