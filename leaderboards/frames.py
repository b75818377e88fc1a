"""Runs as pandas data frames, for a notebook: runs, their answers, and training curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import TYPE_CHECKING

from leaderboards import store
from leaderboards.find import find
from leaderboards.types import Run
from tasks.common.errors import DataError

if TYPE_CHECKING:
    import pandas as pd


def runs(listed: Sequence[Run]) -> pd.DataFrame:
    """These runs, one row each: the fields of ``Run``."""
    import pandas as pd

    return pd.DataFrame([asdict(run) for run in listed], columns=[one.name for one in fields(Run)])


def records(*names: str) -> pd.DataFrame:
    """The answers of these evaluations, one row each: ``Record``'s fields, and ``run``, the model's label.

    A name is a run's id or a model. Raises DataError: no such evaluation.
    """
    import pandas as pd

    evaluations = [find(name) for name in names]
    labels = {run.id: run.label for run in evaluations}
    rows = store.query("SELECT * EXCLUDE (filename) FROM records", list(labels))
    frame = pd.DataFrame(rows)
    frame["run"] = frame["run"].map(labels)
    return frame.sort_values(["run", "sample_id", "sample_index"], ignore_index=True)


def curve(model: Run | str) -> pd.DataFrame:
    """The curve of a training run, or of the training of an evaluated model, by step.

    Raises DataError: no such model, or one without a training here.
    """
    import pandas as pd

    run = find(model) if isinstance(model, str) else model
    training = run.id if run.kind == "train" else run.trained_by
    rows = store.curve(training) if training else []
    if not rows:
        raise DataError(f"{run.label} has no training curve here: it was not trained under this HARNESS_HOME")
    return pd.DataFrame(rows).set_index("step")
