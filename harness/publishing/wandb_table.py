"""A run as a table in Weights & Biases: an evaluation with its figures, settings and records."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from harness.publishing.evaluation import Published
from harness.training.tracking import wandb_run
from leaderboards.types import Record
from tasks.common.errors import DataError, MissingExtra
from tasks.common.secrets import without_secrets


def write(published: Published, out: Path) -> list[Path]:
    """Log the run, offline into a folder unless WANDB_API_KEY is set; ``wandb sync`` uploads it later.

    Raises DataError: more records than a table of wandb can hold; or wandb cannot start a run;
    MissingExtra: wandb is not installed.
    """
    try:
        import wandb
    except ImportError:
        raise MissingExtra("wandb", "track") from None
    run, most = published.run, wandb.Table.MAX_ARTIFACT_ROWS
    if len(published.records) > most:
        raise DataError(f"--to wandb: {len(published.records):,} records; a table holds at most {most:,}")
    out.mkdir(parents=True, exist_ok=True)
    names: list[str | int] = [field.name for field in fields(Record)]
    rows: list[Iterable[Any]] = [list(asdict(record).values()) for record in published.records]
    with wandb_run(run, out, _config(published), "eval") as logged:
        logged.log({"records": wandb.Table(columns=names, data=rows)})
        logged.summary.update(_figures(published))
        return [Path(logged.settings.sync_dir)]


def _config(published: Published) -> dict[str, Any]:
    run = published.run
    names = ("task", "split", "metric", "task_digest", "scorer_version", "method", "parent", "seed", "commit")
    config: dict[str, Any] = without_secrets(
        {
            **{name: getattr(run, name) for name in names},
            "model": published.model,
            "sampling": dict(run.sampling),
            "lineage": run.training,
            "versions": run.versions,
        }
    )
    return config


def _figures(published: Published) -> dict[str, Any]:
    figures = {metric: published.figures(metric)["ex"] for metric in published.metrics}
    headline = published.figures(published.run.metric)
    return {**figures, "ex": headline["ex"], "ex_low": headline["low"], "ex_high": headline["high"]}
