"""Check a task without a model: every gold must run and score 1.0 against itself in every mode."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from harness.linking import LinkingCheck, check_linking
from harness.prepare import prepare_databases, volatile_golds
from harness.provenance.identity import of_task
from harness.render.progress import bar
from rewards.composite import is_scored
from rewards.grader import Grader
from rewards.types import Attempt, Reason
from runners.types import Request
from tasks.common import files
from tasks.common.digests import digest_of
from tasks.common.errors import MissingData
from tasks.common.terminal import say
from tasks.task import Task
from tasks.types import LostGold, Sample, Workers

SLOW = 1.0
"""Seconds after which a gold counts as slow."""
CHUNK = 256
MAX_TOKENS = 2**18
"""Most tokens of a prompt that are counted if no model is named."""


@dataclass(frozen=True, slots=True)
class BrokenGold:
    """A row whose gold query does not score 1.0 against itself, and why."""

    id: str
    database: str
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class SplitCheck:
    """The counts of one split. ``rows``: rows with a database; ``right[mode]``: golds that score 1.0."""

    split: str
    total: int
    rows: int
    right: dict[str, int]
    empty: int
    empty_ids: tuple[str, ...]
    """The ids of the questions whose gold returns no rows."""
    single_cell: int
    slow: int
    cut: int
    """Golds whose LIMIT cuts through tied rows: ``strict`` accepts any of these."""
    volatile: int
    """Golds that read the clock or random numbers: verdicts may change from run to run."""
    duplicates: int
    shared_questions: int
    """Questions that are also in the training split, on the same database."""
    shared_pairs: int
    """Shared questions that also have the same gold."""
    longest_prompt: int
    """Tokens; 0: not counted."""
    over_budget: int
    context: int
    """Tokens of the named model's context; 0: no model was named."""
    over_context: int
    """Prompts that leave no room for an answer in the context."""
    broken: tuple[BrokenGold, ...]
    lost: tuple[LostGold, ...] = ()
    """Golds that could not be translated to another engine; a question with no other gold is not a row."""
    linking: LinkingCheck | None = None
    """The effect of ``prompt.schema.max_tokens``; None where it is not set."""

    @property
    def ceiling(self) -> float:
        """The share of the rows with a database that a perfect model gets right."""
        return (self.rows - len(self.broken)) / self.rows


@dataclass(frozen=True, slots=True)
class TaskCheck:
    """The checks of all splits of a task. ``digest``: a digest of the content of all checked inputs."""

    task: str
    digest: str
    budget: int
    splits: tuple[SplitCheck, ...]
    clean: tuple[Sample, ...] = field(repr=False)

    @property
    def broken(self) -> int:
        return sum(len(split.broken) for split in self.splits)

    def as_dict(self) -> dict[str, Any]:
        """Plain data for ``--json``."""
        splits = [asdict(split) | {"ceiling": split.ceiling} for split in self.splits]
        return {"task": self.task, "digest": self.digest, "prompt_budget": self.budget, "splits": splits}

    def write_clean(self, file: Path) -> None:
        """Write the rows whose gold passes: one JSON object per line, with the fields of a Sample."""
        lines = [json.dumps(asdict(sample), ensure_ascii=False) for sample in self.clean]
        files.write(file, "".join(line + "\n" for line in lines).encode())


def check_task(
    name: str,
    overrides: Sequence[str],
    splits: Sequence[str],
    tokenizer: str | None,
    workers: Workers,
    trust: bool = False,
) -> TaskCheck:
    """Check the named splits of a task; with none named, all splits that are on this machine.

    Raises SpecError, DataError: the task or its data cannot be read.
    """
    task = Task.named(name, overrides, trust)
    task.progress = bar
    trained = task.spec.dataset.train_split
    known = list(task.spec.dataset.splits)
    wanted = [split or task.spec.dataset.eval_split for split in splits]
    by_split = {split: task.samples(split) for split in wanted} or _present(task, known)
    with_train = _present(task, [*wanted, trained]) if wanted and trained in known else by_split
    train = with_train.get(trained, [])
    count = counter(tokenizer, task.spec.prompt.is_completion)
    checks, clean = [], []
    with Grader(task.spec.scoring, workers, ties_at_limit=True) as grader:
        for split, samples in by_split.items():
            prepare_databases(task, samples)
            attempts = _judge_golds(task, grader, split, samples)
            seen = [] if split == trained else train
            checks.append(_check_split(task, split, samples, attempts, seen, count))
            bad = {broken.id for broken in checks[-1].broken}
            clean += [sample for sample in samples if sample.id not in bad]
    contents = [of_task(task, split, samples) for split, samples in by_split.items()]
    return TaskCheck(task.name, digest_of(contents), task.spec.prompt.max_tokens, tuple(checks), tuple(clean))


def _present(task: Task, splits: Sequence[str]) -> dict[str, list[Sample]]:
    """The samples of those splits that are on this machine; a line on stderr names each other one.

    Raises MissingData: none is.
    """
    found, missing = {}, {}
    for split in splits:
        try:
            found[split] = task.samples(split)
        except MissingData as error:
            missing[split] = error
    for split, cause in missing.items():
        if not found:
            raise cause
        say(f"{task.name}: the split '{split}' is left out: {cause}")
    return found


def _judge_golds(task: Task, grader: Grader, split: str, samples: Sequence[Sample]) -> list[list[Attempt]]:
    """For each sample, the attempt of each of its golds, compared with itself alone."""
    single = [replace(sample, gold=(gold,)) for sample in samples for gold in sample.gold]
    attempts: list[Attempt] = []
    with bar(f"{task.name} {split}", len(single)) as report:
        for start in range(0, len(single), CHUNK):
            chunk = single[start : start + CHUNK]
            grades = grader.grade(task, chunk, [sample.gold[0] for sample in chunk])
            attempts += [grade.attempt for grade in grades]
            report(len(grades))
    remaining = iter(attempts)
    return [[next(remaining) for _ in sample.gold] for sample in samples]


def _check_split(
    task: Task,
    split: str,
    samples: Sequence[Sample],
    attempts: Sequence[Sequence[Attempt]],
    train: Sequence[Sample],
    count: PromptCounter | None,
) -> SplitCheck:
    refused = task.refused.get(split, [])
    first = [group[0] for group in attempts]
    pairs = zip(samples, first, strict=True)
    empty = tuple(sample.id for sample, attempt in pairs if is_scored(attempt) and attempt.gold_rows == 0)
    question_counts = Counter((sample.database, sample.question.strip().lower()) for sample in samples)
    trained = {(s.database, s.question.strip().lower()): s.gold for s in train}
    shared = [sample for sample in samples if (sample.database, sample.question.strip().lower()) in trained]
    lengths = count.lengths(task, samples) if count else []
    budget = task.spec.prompt.max_tokens
    modes = [mode.value for mode in task.spec.scoring.modes]
    return SplitCheck(
        split=split,
        total=len(samples) + task.skipped[split],
        rows=len(samples) + len(refused),
        right={m: sum(all(a.verdicts.get(m) == 1 for a in group) for group in attempts) for m in modes},
        empty=len(empty),
        empty_ids=empty,
        single_cell=sum(attempt.gold_rows == 1 and attempt.gold_columns == 1 for attempt in first),
        slow=sum(attempt.seconds > SLOW for attempt in first),
        cut=sum(attempt.ties_at_limit for attempt in first),
        volatile=len(volatile_golds(task, samples)),
        duplicates=sum(number - 1 for number in question_counts.values()),
        shared_questions=len(shared),
        shared_pairs=sum(trained[s.database, s.question.strip().lower()] == s.gold for s in shared),
        longest_prompt=max(lengths, default=0),
        over_budget=sum(length > budget for length in lengths) if budget else 0,
        context=count.context if count else 0,
        over_context=count.over(lengths) if count else 0,
        broken=(*map(_private, refused), *_all_broken(samples, attempts, modes)),
        lost=task.lost.get(split, ()),
        linking=check_linking(task, samples, count),
    )


def _private(sample: Sample) -> BrokenGold:
    reason = Reason.PRIVATE_DATA.value
    return BrokenGold(sample.id, sample.database, reason, "the gold reads private data")


def _all_broken(
    samples: Sequence[Sample], attempts: Sequence[Sequence[Attempt]], modes: Sequence[str]
) -> Iterator[BrokenGold]:
    for sample, group in zip(samples, attempts, strict=True):
        yield from _broken(sample, group, modes)


def _broken(sample: Sample, group: Sequence[Attempt], modes: Sequence[str]) -> list[BrokenGold]:
    for attempt in group:
        wrong = [mode for mode in modes if attempt.verdicts.get(mode) != 1]
        if wrong:
            detail = attempt.detail or f"does not equal itself in {', '.join(wrong)}"
            return [BrokenGold(sample.id, sample.database, attempt.reason.value, detail)]
    return []


@dataclass(frozen=True, slots=True)
class PromptCounter:
    """Counts the tokens of prompts. ``context``: tokens of the model's context; 0: no model was named."""

    tokenizer: Any
    context: int

    def lengths(self, task: Task, samples: Sequence[Sample]) -> list[int]:
        """Tokens of each prompt; a prompt over the context, or that cannot be encoded, counts as the context.

        Raises ModelError: the chat template fails for every prompt.
        """
        from runners.decoding.tokens import encode_each

        requests = [Request(sample, task.messages(sample)) for sample in samples]
        limit = self.context or MAX_TOKENS
        prompts = encode_each(self.tokenizer, requests, limit)
        return [limit if isinstance(prompt, str) else len(prompt) for prompt in prompts]

    def over(self, lengths: Sequence[int]) -> int:
        """How many of these lengths leave no room for an answer."""
        return sum(length >= self.context for length in lengths) if self.context else 0


def prompt_tokens(task: Task, samples: Sequence[Sample]) -> int:
    """The tokens of the longest prompt, as nano counts them; 0: not counted."""
    count = counter(None, task.spec.prompt.is_completion)
    return max(count.lengths(task, samples), default=0) if count else 0


def counter(name: str | None, completion: bool = False) -> PromptCounter | None:
    """The counter of the named model, else of nano; None: no model is named and transformers is missing.

    ``completion``: prompts are plain text.
    """
    if name is None and find_spec("transformers") is None:
        return None
    from runners.chat_templates import COMPLETION, TemplateSettings
    from runners.weights.loading import context, load_tokenizer
    from runners.weights.source import resolve

    settings = TemplateSettings(chat_template=COMPLETION if completion else "")
    source = resolve(name or "nano", weights=False).with_template(settings)
    return PromptCounter(load_tokenizer(source), context(source) if name else 0)
