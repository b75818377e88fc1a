"""Pandas data frames of runs, their answers and training curves, for a notebook."""

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
    """A row for each run, with the fields of ``Run``."""
    import pandas as pd

    return pd.DataFrame([asdict(run) for run in listed], columns=[field.name for field in fields(Run)])


def records(*names: str) -> pd.DataFrame:
    """A row for each answer of these evaluations: the fields of ``Record``, and ``run``, the model's label.

    A name is a run's id or a model. Raises DataError: no such evaluation.
    """
    import pandas as pd

    evaluations = [find(name) for name in names]
    labels = {run.id: run.label for run in evaluations}
    rows = store.query("SELECT * FROM records", list(labels))
    frame = pd.DataFrame(rows)
    frame["run"] = frame["run"].map(labels)
    return frame.sort_values(["run", "sample_id", "sample_index"], ignore_index=True)


def curve(model: Run | str) -> pd.DataFrame:
    """A row for each step of a training: of this run, or of the training that made an evaluated model.

    Raises DataError: no such model, or it was not trained under this HARNESS_HOME.
    """
    import pandas as pd

    run = find(model) if isinstance(model, str) else model
    training = run.id if run.kind == "train" else run.trained_by
    rows = store.curve(training) if training else []
    if not rows:
        raise DataError(f"{run.label} has no training curve here: it was not trained under this HARNESS_HOME")
    return pd.DataFrame(rows).set_index("step")
