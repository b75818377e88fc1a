"""The formats in which ``harness export RUN --to FORMAT`` writes a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from harness.publishing import csv_file, every_eval_ever, inspect_log, lm_eval_results, wandb_table
from harness.publishing.evaluation import Published

WRITERS: Mapping[str, Callable[[Published, Path], list[Path]]] = {
    "csv": csv_file.write,
    "lm-eval": lm_eval_results.write,
    "every-eval-ever": every_eval_ever.write,
    "inspect": inspect_log.write,
    "wandb": wandb_table.write,
}
"""Name of a format -> its writer, which returns what it has written."""
