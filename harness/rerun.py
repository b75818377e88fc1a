"""Repeat an evaluation from the spec that its run holds, and compare the verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.evaluation import evaluate_task
from harness.spec import EvalSpec
from harness.stored_task import stored_task
from leaderboards import store
from leaderboards.find import candidates
from leaderboards.types import Run
from leaderboards.verdicts import Rerun, verdict_changes
from tasks.common.errors import DataError, ModelError, SpecError, nearest
from tasks.common.parse import parse
from tasks.common.secrets import MARK
from tasks.task import Task
from tasks.types import Mode


def rerun(name: str, settings: Sequence[str] = (), workers: int = 0, trust: bool = False) -> Rerun:
    """Ask the same questions with the same settings again, and compare the verdicts with the stored ones.

    ``settings``: ``KEY=VALUE`` of the runner, for keys and headers, which no run stores.

    Raises SpecError, DataError, ModelError (also if questions are left unanswered).
    """
    run, records = store.first_readable(candidates(name))
    spec = _stored_spec(run, settings, trust)
    task = Task(stored_task(run, trust))
    repeated = evaluate_task(spec, task, workers, fresh=True, modes=_modes(run))
    if not repeated.finished:
        raise ModelError("questions are left unanswered: run the same command again to ask them")
    changes, texts = verdict_changes((run, records), (repeated, again := store.records(repeated.id)))
    return Rerun(
        old=run,
        new=repeated,
        changes=changes,
        n=len({record.key for record in (*records, *again)}),
        answers_differ=texts,
        ex_old=store.summary(run.id)["ex"],
        ex_new=store.summary(repeated.id)["ex"],
    )


def _stored_spec(run: Run, settings: Sequence[str], trust: bool) -> EvalSpec:
    stored = run.spec.get("eval")
    if not isinstance(stored, dict):
        raise SpecError(f"run {run.id} did not store its settings: evaluate again")
    assignments = [f"runner.{setting}" for setting in settings]
    spec = parse(EvalSpec, {**stored, "trust": trust}, assignments, where=f"settings of run {run.id}")
    if missing := _redacted(spec.runner.model_dump(mode="json"), "runner"):
        raise SpecError(f"run {run.id} does not hold the secret {missing}: add --set {missing}=VALUE")
    return spec


def _redacted(settings: Any, where: str) -> str:
    """The key of a setting that was a secret; "" if there is none."""
    if settings == MARK:
        return where
    if isinstance(settings, dict):
        found = (_redacted(value, f"{where}.{key}") for key, value in settings.items())
        return next(filter(None, found), "")
    return ""


def _modes(run: Run) -> tuple[Mode, ...]:
    """The modes in which the run was judged. Raises DataError: this version does not have one of them."""
    names = run.spec.get("modes", [])
    known = [mode.value for mode in Mode]
    for name in names:
        if name not in known:
            raise DataError(f"run {run.id} was judged in the mode '{name}': {nearest(str(name), known)}")
    return tuple(map(Mode, names))
