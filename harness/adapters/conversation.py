"""One question that is asked until its answer is final, for environments that other programs step through."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from harness.adapters.grades import metrics, scored_reward
from harness.adapters.task_file import ExportedTask
from rewards.feedback import feedback
from rewards.types import Grade
from runners.dialogue import follow_up, previous_answer
from tasks.types import Message, Sample


@dataclass
class Conversation:
    """The question, its turns so far, and the grade of its last answer. ``turns``: most answers."""

    task: ExportedTask
    sample: Sample
    turns: int = 1
    history: list[Message] = field(default_factory=list)
    """The turns between the prompt and the next answer: answer, feedback, answer, feedback, ..."""
    grade: Grade | None = None
    reward: float | None = None
    """The composite reward, once the answer is final."""

    async def answer(self, text: str) -> bool:
        """Grade an answer; returns whether it is final, else ``messages`` ask again.

        Raises RuntimeError: it cannot be scored, by a failure of our own.
        """
        return self.add(text, await asyncio.wrap_future(self.task.submit(self.sample.id, text)))

    def add(self, text: str, grade: Grade) -> bool:
        """Add an answer with its grade; returns whether it is final. Raises RuntimeError: it is unscored."""
        self.grade = grade
        reward = scored_reward(grade, self.task.task.spec.scoring, self.task.is_training)
        comment = feedback(grade.attempt, previous_answer(self.history))
        asked = follow_up(self.history, text, comment, self.turns)
        self.history += asked
        self.reward = None if asked else reward
        return not asked

    @property
    def messages(self) -> list[Message]:
        """The prompt and the turns so far."""
        return [*self.task.task.messages(self.sample), *self.history]

    @property
    def metrics(self) -> dict[str, float]:
        """The verdicts on the last answer: in the headline mode, and in each mode of the task."""
        if self.grade is None:
            return {}
        values = metrics(self.grade, self.task.task.spec.scoring)
        return {name: value for name, value in values.items() if value is not None}
