"""Compute the identity of an evaluation or a training from the content of its inputs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from harness.provenance.source_files import source_files
from harness.spec import EvalSpec, TrainSpec
from leaderboards import store
from leaderboards.identity import Identity, changed, differences, identity_of, listed
from leaderboards.types import Run
from rewards.version import scorer_version
from runners.weights import identity as models
from tasks import examples, prompts
from tasks.common.digests import digest_of, file_digest, files_digest
from tasks.common.errors import DataError
from tasks.common.terminal import say
from tasks.databases.state import database_digest
from tasks.task import Task
from tasks.types import Sample

REWARD = ("reward", "weights", "terms")
"""Settings of scoring that decide only rewards, not verdicts."""


WITHOUT_EFFECT: dict[str, Any] = {"tracker": True, "deepspeed": True, "curriculum": {"run": True}}
"""Settings of a training that affect no result, or name inputs whose content is compared instead."""


def of_evaluation(spec: EvalSpec, task: Task, samples: Sequence[Sample]) -> Identity:
    """The identity of an evaluation on these samples. Raises SpecError, DataError."""
    split = spec.split or task.spec.dataset.eval_split
    settings = spec.model_dump(
        mode="json", include={"samples", "temperature", "top_p", "seed", "max_new_tokens", "turns"}
    )
    sampling = {
        **settings,
        "max_new_tokens": spec.max_new_tokens or task.spec.answer.max_new_tokens,
        "stop": task.spec.answer.stop,
        "feedback_rows": task.spec.scoring.feedback_rows if spec.turns > 1 else 0,
        **models.settings(spec.model, spec.runner),
    }
    parts = of_task(task, split, samples)
    if models.by_position(spec.model, spec.runner):
        parts["questions"] = digest_of(parts["questions"], task.row_keys(split))
    return Identity(**parts, sampling=digest_of(sampling), model=models.content(spec.model, spec.runner))


def of_training(spec: TrainSpec, task: Task, samples: Sequence[Sample], seen: object = None) -> Identity:
    """The identity of a training on these samples. ``seen``: the pass counts that a curriculum starts with.

    Raises SpecError, DataError.
    """
    settings = spec.config.model_dump(mode="json", exclude=WITHOUT_EFFECT)
    training = {
        "settings": digest_of(spec.method, settings, task.spec.answer.model_dump(mode="json")),
        "order of questions": digest_of([sample.id for sample in samples]),
    }
    if template := spec.config.template_identity():
        training["chat template"] = digest_of(template)
    if spec.config.deepspeed:
        training["deepspeed file"] = file_digest(Path(spec.config.deepspeed))
    if files := [name for name in spec.data if name != "gold"]:
        training["data"] = digest_of([file_digest(Path(name)) for name in files])
    if seen:
        training["curriculum"] = digest_of(seen)
    if spec.dev_limit and spec.dev_split in task.spec.dataset.splits:
        chosen = task.samples(spec.dev_split, spec.dev_limit, seed=0)
        training["dev questions"] = digest_of(questions(chosen), golds(chosen), databases(task, chosen))
    split = spec.split or task.spec.dataset.train_split
    return Identity(
        **of_task(task, split, samples),
        sampling="",
        model=models.content(spec.model),
        training=training,
    )


def of_task(task: Task, split: str, samples: Sequence[Sample]) -> dict[str, Any]:
    """The components of an identity that come from the task. ``samples``: the used ones; may be empty."""
    whole = task.samples(split) if samples else []
    all_questions, all_golds = questions(whole), golds(whole)
    complete = len(samples) == len(whole)
    scoring = task.spec.scoring.model_dump(mode="json", exclude={*REWARD, "feedback_rows"})
    return {
        "task": f"{task.name} {split}",
        "questions": all_questions if complete else questions(samples),
        "golds": all_golds if complete else golds(samples),
        "databases": databases(task, samples),
        "prompt": prompt(task),
        "examples": few_shot(task, whole),
        "scoring": digest_of(scoring, task.spec.version),
        "reward": reward(task),
        "scorer": scorer_version(task.spec.databases.runs_on),
        "split": {"questions": all_questions, "golds": all_golds},
    }


def task_digest(task: Task, split: str, samples: Sequence[Sample]) -> str:
    """One digest of the components that come from the task, for other programs. Raises DataError."""
    return digest_of(of_task(task, split, samples))


def current(task: Task, split: str) -> Identity:
    """The current identity of evaluations of a whole split, without the model. Raises DataError."""
    return Identity(**of_task(task, split, task.samples(split)), sampling="", model={})


def questions(samples: Iterable[Sample]) -> str:
    """Digest of the rows without their golds, independent of their order."""
    fields = [name for name in Sample.__slots__ if name != "gold"]
    return digest_of(sorted([getattr(sample, name) for name in fields] for sample in samples))


def golds(samples: Iterable[Sample]) -> str:
    """Digest of the golds, independent of the order of the rows."""
    return digest_of(sorted([sample.id, *sample.gold] for sample in samples))


def databases(task: Task, samples: Iterable[Sample]) -> dict[str, str]:
    """Database -> digest of the content of all its instances, including generated ones.

    The key of a row with its own DDL includes a digest of the DDL, because such rows may share a name.
    Raises DataError.
    """
    digests = {}
    for sample in samples:
        name = f"{sample.database} {digest_of(sample.ddl)[:8]}" if sample.ddl else sample.database
        if name not in digests:
            database = task.database(sample)
            contents = [
                database_digest(database, number) for number in range(max(1, len(database.instances)))
            ]
            private = sorted(database.private.patterns) if database.private else []
            described = _descriptions(task, sample)
            digests[name] = digest_of(database.engine, database.generated, contents, *private, *described)
    return dict(sorted(digests.items()))


def _descriptions(task: Task, sample: Sample) -> list[str]:
    """Digests of the files that describe a database, where the prompt depends on them."""
    parts = task.spec.prompt.schema_
    if not parts.comments and not parts.max_tokens:
        return []
    from tasks.databases.comments import description_files

    return [files_digest((file.name, file) for file in description_files(task.prompt_database(sample)))]


def prompt(task: Task) -> str:
    """Digest of the settings, templates and code that turn rows into prompts."""
    spec = task.spec.prompt.model_dump(mode="json", exclude={"template", "examples", "max_tokens"})
    texts = prompts.template_texts(task.spec.prompt.template)
    return digest_of(list(texts.values()), spec, _code(bool(task.spec.prompt.schema_.max_tokens)))


@cache
def _code(linking: bool) -> list[str]:
    """Digests of the source files that make prompts, with ``linking`` those that choose from a schema too.

    The files below ``tasks/databases`` are part of the scorer's version.
    """
    modules = [Path(module.__file__) for module in (prompts, examples) if module.__file__]
    choosing = sorted(modules[0].with_name("linking").glob("*.py")) if linking else []
    return [file_digest(file) for file in (*modules, *choosing)]


def few_shot(task: Task, whole: Sequence[Sample]) -> str:
    """Digest of the few-shot examples of the prompts, in their order; "" without examples.

    ``pick: nearest`` chooses from all training rows, and their order decides ties, so the digest covers
    all of them. Otherwise it covers the examples of the whole split, so that a limit does not change it.
    """
    spec = task.spec.prompt.examples
    if not spec.count:
        return ""
    if spec.pick == "nearest":
        shown = [ordered(task.samples(task.spec.dataset.train_split))]
    else:
        shown = sorted(ordered(examples) for examples in {task.examples(sample) for sample in whole})
    return digest_of(spec.model_dump(mode="json"), shown)


def ordered(samples: Iterable[Sample]) -> str:
    """Digest of the rows with their golds, in their order."""
    return digest_of([[getattr(sample, name) for name in Sample.__slots__] for sample in samples])


def reward(task: Task) -> str:
    """Digest of the reward's settings, and with ``module:Class`` also of the module's source and imports."""
    scoring = task.spec.scoring
    settings = scoring.model_dump(mode="json", include=set(REWARD))
    module, colon, _ = scoring.reward.partition(":")
    return digest_of(settings, [file_digest(file) for file in source_files(module)] if colon else "")


def report_changes(run: Run) -> None:
    """Report on stderr what has changed since the last finished runs of the same command."""
    command = _command(run)
    earlier = [other for other in reversed(store.runs()) if other.finished and _command(other) == command]
    changes = [(words, other) for other in earlier if (words := changed(run, other))]
    if changes:
        words, other = min(changes, key=lambda pair: len(pair[0]))
        say(f"{listed(words)} changed since run {other.id}: judging again")
    elif earlier:
        say(f"run {earlier[0].id} did not record its inputs: judging again")


def expect_unchanged(run: Run, spec: EvalSpec, task: Task, samples: Sequence[Sample]) -> None:
    """Raise DataError where inputs changed while answers were drawn and judged."""
    recorded = identity_of(run)
    now = of_evaluation(spec, task, samples)
    if recorded and (
        words := differences(now, replace(recorded, sampling=now.sampling), run.task, run.label)
    ):
        raise DataError(f"{listed(words)} changed during the evaluation: run the same command again")


def changed_databases(run: Run, task: Task, samples: Sequence[Sample]) -> list[str]:
    """The databases whose content has changed since a training began; a line on stderr if there are any.

    The training is kept, because its weights cannot be made again cheaply, but not as one on known data.
    """
    recorded = identity_of(run)
    now = databases(task, samples)
    names = (
        [name for name, content in recorded.databases.items() if now.get(name) != content] if recorded else []
    )
    if names:
        say(f"the content of {listed(names)} changed during the training {run.id}: its rewards are of both")
    return names


def _command(run: Run) -> tuple[Any, ...]:
    """The inputs of a run by name, without their content; equal for runs of the same command."""
    eval_spec = run.spec.get("eval")
    kept = (
        {key: value for key, value in eval_spec.items() if key not in ("task", "trust")}
        if isinstance(eval_spec, dict)
        else {}
    )
    return run.kind, run.model, run.task, run.split, kept
