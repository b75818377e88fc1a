"""Repeat an evaluation from the spec that its run holds, and compare the verdicts.

A run may come from somebody else. What its spec names is therefore used only where it can neither send data
or keys to a place that the caller did not choose, nor run code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.evaluation import evaluate_task
from harness.prepare import prepare_databases
from harness.provenance.identity import databases
from harness.spec import EvalSpec
from harness.stored_task import stored_task
from leaderboards import store
from leaderboards.find import candidates
from leaderboards.identity import identity_of
from leaderboards.types import Run
from leaderboards.verdicts import Rerun, verdict_changes
from runners.settings import RunnerConfig
from tasks.common.errors import DataError, ModelError, SpecError, nearest
from tasks.common.parse import parse
from tasks.common.secrets import MARK
from tasks.common.terminal import one_line
from tasks.task import Task
from tasks.types import Mode

DECISIVE = (
    ("endpoint", "base_url"),
    ("endpoint", "replicas"),
    ("endpoint", "key"),
    ("endpoint", "body"),
    ("vllm", "extra"),
)
"""Settings of the runner that decide where data and keys go, or what is done there, or that can run code."""
REMOTE = ("openai", "anthropic", "lm-eval")
"""Prefixes of models that may be asked on another machine."""


def rerun(name: str, settings: Sequence[str] = (), workers: int = 0, trust: bool = False) -> Rerun:
    """Ask the same questions with the same settings again, and compare the verdicts with the stored ones.

    ``settings``: ``KEY=VALUE`` of the runner, for keys and headers, which no run stores, and for the URL and
    the key's name, which are not taken from the run. ``trust``: the task may run code that it names, the
    model may be one of lm-eval's, and the databases need not be those of the run.

    Raises SpecError, DataError, ModelError (also if questions are left unanswered).
    """
    run, records = store.first_readable(candidates(name))
    spec = _stored_spec(run, settings, trust)
    task = Task(stored_task(run, trust))
    if not trust:
        _expect_databases(run, spec, task)
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
    _expect_chosen(run, spec.runner, parse(RunnerConfig, {}, settings))
    if not trust and _has_arguments(spec.model):
        raise SpecError(
            f"run {run.id} passes arguments to lm-eval, which can run code: if you trust it, add --trust-task"
        )
    if missing := _redacted(spec.runner.model_dump(mode="json"), "runner"):
        raise SpecError(f"run {run.id} does not hold the secret {missing}: add --set {missing}=VALUE")
    return spec


def _expect_chosen(run: Run, stored: RunnerConfig, chosen: RunnerConfig) -> None:
    """Raise SpecError where a decisive setting of a run is neither the default nor what the caller chose."""
    for section, key in DECISIVE:
        value, *accepted = (
            getattr(getattr(config, section), key) for config in (stored, chosen, RunnerConfig())
        )
        if value not in accepted:
            name, value = _not_chosen(f"runner.{section}.{key}", value, accepted[0])
            value = list(value) if isinstance(value, tuple) else value
            raise SpecError(
                f"run {run.id} was made with {name}={one_line(str(value))[:200]}:"
                f" to use it again, add --set {name}=VALUE"
            )


def _not_chosen(name: str, value: Any, chosen: Any) -> tuple[str, Any]:
    """The name and value of a setting that was not chosen: of a mapping, those of its first such key."""
    if not isinstance(value, Mapping) or not isinstance(chosen, Mapping):
        return name, value
    differ = (key for key in value if key not in chosen or chosen[key] != value[key])
    return next(((f"{name}.{one_line(key)}", value[key]) for key in differ), (name, value))


def _has_arguments(model: str) -> bool:
    """Whether a model's name holds arguments of lm-eval, such as a URL or ``trust_remote_code``."""
    prefix, _, rest = model.partition(":")
    return prefix == "lm-eval" or (prefix == "anthropic" and any(sign in rest for sign in ",="))


def _expect_databases(run: Run, spec: EvalSpec, task: Task) -> None:
    """Raise DataError where a database is not one of the run's; for a remote model, also a changed one."""
    samples = task.samples(spec.split, spec.limit, spec.sample_seed)
    prepare_databases(task, samples)
    identity = identity_of(run)
    stored = identity.databases if identity else {}
    remote = spec.model.partition(":")[0] in REMOTE
    for name, content in databases(task, samples).items():
        if name not in stored:
            raise DataError(
                f"run {run.id} does not name the database {name} among its inputs:"
                " evaluate again; if you trust the run, add --trust-task"
            )
        if remote and stored[name] != content:
            raise DataError(
                f"the database {name} has changed since run {run.id}: evaluate again;"
                " if you trust the run, add --trust-task"
            )


def _redacted(settings: Any, where: str) -> str:
    """The key of a setting that was a secret; "" if there is none."""
    if isinstance(settings, str) and MARK in settings:
        return where
    if isinstance(settings, dict):
        found = (_redacted(value, f"{where}.{key}") for key, value in settings.items())
        return next(filter(None, found), "")
    return ""


def _modes(run: Run) -> tuple[Mode, ...]:
    """The modes in which the run was judged. Raises DataError: this version does not have one of them."""
    stored = run.spec.get("modes", [])
    names = stored if isinstance(stored, list) else [stored]
    known = [mode.value for mode in Mode]
    for name in names:
        if name not in known:
            shown = one_line(str(name))[:100]
            raise DataError(f"run {run.id} was judged in the mode '{shown}': {nearest(shown, known)}")
    return tuple(map(Mode, names))
