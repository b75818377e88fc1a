"""What programs need that ask by chat messages."""

from __future__ import annotations

from tasks.common.errors import SpecError
from tasks.spec import TaskSpec


def expect_chat(spec: TaskSpec, program: str) -> None:
    """Raise SpecError: the task's prompts are no chat messages, by which the program asks."""
    if spec.prompt.is_completion:
        raise SpecError(f"{spec.name}: {program} asks by chat messages, not by a completion prompt")
