"""Runs as pandas data frames, for a notebook: answers, and training curves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leaderboards import store
from leaderboards.find import find
from tasks.common.errors import DataError

if TYPE_CHECKING:
    import pandas as pd


def records(*names: str) -> pd.DataFrame:
    """The answers of these evaluations, one row each: ``Record``'s fields, and ``run``, the model's label.

    A name is a run's id or a model. Raises DataError: no such evaluation.
    """
    import pandas as pd

    runs = [find(name) for name in names]
    labels = {run.id: run.label for run in runs}
    rows = store.query("SELECT * EXCLUDE (filename) FROM records", list(labels))
    frame = pd.DataFrame(rows)
    frame["run"] = frame["run"].map(labels)
    return frame.sort_values(["run", "sample_id", "sample_index"], ignore_index=True)


def curve(name: str) -> pd.DataFrame:
    """The training curve of a model, one row a step, by step. Raises DataError: no such model, or a base."""
    import pandas as pd

    run = find(name)
    rows = store.curve(run.trained_by) if run.trained_by else []
    if not rows:
        raise DataError(f"{run.label} has no training curve here: it was not trained under this HARNESS_HOME")
    return pd.DataFrame(rows).set_index("step")
