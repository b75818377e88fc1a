"""What a user sets for a task that is written for another program."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ExportOptions:
    """The options of ``harness export PROGRAM --task TASK``. A program ignores what does not concern it."""

    task: str
    overrides: tuple[str, ...] = ()
    trust: bool = False
    split: str = ""
    """Default: the task's evaluation split."""
    limit: int = 0
    """Most questions, the first ones; 0: all."""
    out: str = ""
    model: str = ""
    turns: int = 1
