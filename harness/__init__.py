"""Measure and train language models that write SQL: the score of the evaluation is the training reward.

The Python interface is ``harness.api``. Its names can be imported from here; they are loaded on first use.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as in typing, whose import would slow the start of the command line
if TYPE_CHECKING:
    from typing import Any

    from harness.api import (
        Board,
        Comparison,
        DataError,
        EvalSpec,
        Grade,
        HarnessError,
        MissingExtra,
        ModelError,
        Record,
        Run,
        Sample,
        Score,
        SpecError,
        Summary,
        Task,
        TrainSpec,
        board,
        compare,
        curve,
        evaluate,
        load_task,
        records,
        runs,
        score,
        summary,
        train,
    )

__all__ = [
    "Board",
    "Comparison",
    "DataError",
    "EvalSpec",
    "Grade",
    "HarnessError",
    "MissingExtra",
    "ModelError",
    "Record",
    "Run",
    "Sample",
    "Score",
    "SpecError",
    "Summary",
    "Task",
    "TrainSpec",
    "board",
    "compare",
    "curve",
    "evaluate",
    "load_task",
    "records",
    "runs",
    "score",
    "summary",
    "train",
]


def __dir__() -> list[str]:
    """The names of the interface, for completion in a notebook."""
    return [*globals(), *__all__]


def __getattr__(name: str) -> Any:
    """Import a name of ``harness.api`` on first use (PEP 562). Raises AttributeError: no such name."""
    if name not in __all__:
        raise AttributeError(f"module 'harness' has no attribute '{name}'")
    from harness import api

    return getattr(api, name)
