"""SkyRL: a task as its parquet files, and an environment of skyrl-gym that scores with our grader.

SkyRL cannot drop an answer: an unscored one is an error, which ends the training (it resumes from its
checkpoint). Questions whose gold fails are not exported, so that only a failure of this machine is left.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from skyrl_gym.envs.base_text_env import BaseTextEnv, BaseTextEnvStepOutput

from harness.adapters.parquet_folder import Question


class SqlEnv(BaseTextEnv):
    """One question. An answer whose query fails or returns no rows gets the database's feedback.

    ``folder``: what ``harness export skyrl`` wrote. ``opens``: the tag with which the model's chat template
    opens a thought at the end of the prompt. ``extras``: the columns of the row; SkyRL adds ``max_turns``.
    """

    def __init__(
        self, folder: str, extras: Mapping[str, Any], env_config: object = None, opens: str = ""
    ) -> None:
        super().__init__()
        info, gold = extras["extra_info"], extras["reward_spec"]["ground_truth"]
        self._question = Question.of_row(Path(folder), extras["data_source"], info, gold)
        self._opens = opens
        self.max_turns = int(extras.get("max_turns", 1))
        self._conversation = self._question.conversation(self.max_turns)

    def step(self, action: str) -> BaseTextEnvStepOutput:
        """Score an answer. Its reward is that of the last answer of the conversation, and 0 before.

        Raises RuntimeError: the answer is unscored.
        """
        self.turns += 1
        answer, conversation = self._opens + action, self._conversation
        grade = self._question.submit(answer).result()
        if not conversation.add(answer, grade):
            asked = [conversation.history[-1]]
            return BaseTextEnvStepOutput(observations=asked, reward=0.0, done=False, metadata={})
        return BaseTextEnvStepOutput(
            observations=[],
            reward=conversation.reward,
            done=True,
            metadata={"reason": grade.attempt.reason.value},
        )

    def get_metrics(self) -> dict[str, Any]:
        """The verdicts on the last answer, and how many answers there were."""
        grade = self._conversation.grade
        verdicts = self._question.metrics(grade) if grade else {}
        return {**verdicts, "turns": self.turns}
