"""Score stored answers, from a file or from an earlier run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.evaluation import evaluate_model
from harness.spec import EvalSpec
from leaderboards import store
from leaderboards.find import find
from leaderboards.types import Run
from runners.replay import ReplayRunner
from runners.settings import ReplayConfig, RunnerConfig
from tasks.common.errors import DataError
from tasks.types import ROW_MODES, Workers


def score_stored(
    name: str, fields: Mapping[str, Any], overrides: Sequence[str], workers: Workers, column: str = ""
) -> Run:
    """Judge all answers of ``name`` in every mode. ``fields``: fields of ``EvalSpec`` except the model.

    ``column`` names the key or column of the file that holds the answers.

    Raises SpecError, DataError, ModelError.
    """
    path = _located(name)
    runner = RunnerConfig(replay=ReplayConfig(column=column))
    samples = ReplayRunner(path, column).samples
    spec = EvalSpec(model=f"replay:{path}", samples=samples, runner=runner, **fields)
    return evaluate_model(spec, overrides, workers, fresh=True, modes=ROW_MODES)


def _located(name: str) -> Path:
    """The file or folder of this name, else the folder of the run. Raises DataError: neither exists."""
    path = Path(name)
    if path.exists():
        return path
    try:
        return store.folder(find(name).id)
    except DataError as error:
        raise DataError(f"{name}: no such file, and {error}") from None
