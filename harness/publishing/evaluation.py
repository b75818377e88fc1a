"""A finished evaluation as the formats of other programs need it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, NamedTuple

from harness.provenance.lineage import model_path
from harness.publishing.private_paths import shown
from harness.publishing.shape import expect_publishable
from leaderboards import store
from leaderboards.find import candidates
from leaderboards.identity import identity_of
from leaderboards.summary import part, summary
from leaderboards.types import Record, Run, Slice, Summary, label
from runners.known.models import MODELS
from runners.weights.identity import runner_of
from tasks.common import files
from tasks.common.errors import DataError, nearest
from tasks.common.terminal import say

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
"""A model's name on the Hub: ``org/name``."""
REWARD = "reward"
"""The metric beside the modes: the task's composite score."""
LOCAL = "local"
"""The organization in the name of a model that is not on the Hub."""


class Metric(NamedTuple):
    """A metric as other programs name it."""

    id: str
    name: str
    kind: str
    """The kind in the schema of Every Eval Ever."""


METRICS = {
    "strict": Metric("sql_harness.strict", "Execution accuracy", "accuracy"),
    "spider": Metric("spider.execution_accuracy", "Execution accuracy (Spider)", "accuracy"),
    "spider_ts": Metric("spider.test_suite_accuracy", "Test suite accuracy (Spider)", "accuracy"),
    "bird": Metric("bird.execution_accuracy", "Execution accuracy (BIRD)", "accuracy"),
    "bird_f1": Metric("bird.soft_f1", "Soft F1 (BIRD)", "f1"),
    "denotation": Metric(
        "wikitablequestions.denotation_accuracy", "Denotation accuracy (WikiTableQuestions)", "accuracy"
    ),
    "spider2": Metric("spider2.execution_accuracy", "Execution accuracy (Spider 2.0)", "accuracy"),
    REWARD: Metric("sql_harness.reward", "Mean training reward", "reward"),
}
"""Each of our metrics -> its names."""


@dataclass(frozen=True)
class Published:
    """One evaluation with its records. ``model`` is the model's name in the form ``org/name``."""

    run: Run
    records: Sequence[Record]
    model: str

    @classmethod
    def find(cls, name: str, model: str = "") -> Published:
        """The newest readable evaluation of this name, with ``model`` as its model's name if given.

        Of several, the newest of the whole split is taken, if there is one, and named on stderr.

        Raises DataError: there is none, its files are damaged, this version does not have its metric, or a
        setting that is published is missing.
        """
        named = sorted(candidates(name), key=lambda run: not is_whole(run))
        run, records = store.first_readable(named)
        if len(named) > 1:
            part = "the whole split" if is_whole(run) else "a part of the split"
            say(f"'{name}' names {len(named)} runs: this is {run.id}, the newest of {part}")
        expect_publishable(run)
        if run.metric not in METRICS:
            raise DataError(f"run {run.id} has the metric '{run.metric}': {nearest(run.metric, METRICS)}")
        return cls(run, records, model or hub_name(run))

    @cached_property
    def summary(self) -> Summary:
        """The figures of the records."""
        return summary(self.records)

    @property
    def metrics(self) -> list[str]:
        """The modes of which the records hold verdicts, the headline mode first, then the reward."""
        modes = sorted(self.summary["modes"], key=lambda mode: mode != self.run.metric)
        return modes + [REWARD] * (self.summary["reward"] is not None)

    def figures(self, metric: str) -> Slice:
        """Mean over questions, 95 % interval, and scored questions, of one of ``metrics``."""
        return part([replace(record, metric=value(record, metric)) for record in self.records])

    @cached_property
    def questions(self) -> list[list[Record]]:
        """The answers to each question, in order."""
        ordered = sorted(self.records, key=lambda record: record.key)
        return [list(group) for _, group in groupby(ordered, key=lambda record: record.sample_id)]

    def standard_error(self, metric: str) -> float | None:
        """The standard error of the mean over questions: sample deviation / sqrt(n). None below n = 2."""
        means = [mean for group in self.questions if (mean := mean_of(group, metric)) is not None]
        return stdev(means) / math.sqrt(len(means)) if len(means) > 1 else None


def expect_hub_id(flag: str, name: str) -> None:
    """Raise DataError where a name is not of the form ``org/name``."""
    if not HUB_ID.fullmatch(name):
        raise DataError(f"{flag} {name}: write it as ORG/NAME")


def asked(run: Run) -> str:
    """The model as ``--model`` named it, with the prefix of its runner."""
    return str(run.spec.get("eval", {}).get("model") or run.model)


def value(record: Record, metric: str) -> float | None:
    """The value of a record in one of ``Published.metrics``; None if it is unscored."""
    found: float | None = getattr(record, metric)
    return found


def mean_of(answers: Sequence[Record], metric: str) -> float | None:
    """The mean of the scored answers to a question; None if none is scored."""
    values = [found for record in answers if (found := value(record, metric)) is not None]
    return fmean(values) if values else None


def hub_name(run: Run) -> str:
    """The name of a run's model as ``org/name``; ``local/...`` where it is not known by such a name."""
    if known := hub_id(asked(run), run.identity.get("model")):
        return known
    runner = runner_of(asked(run))
    if runner in ("openai", "anthropic"):
        return f"{runner}/{slug(asked(run).removeprefix(f'{runner}:'))}"
    return local_name(run.model)


def local_name(model: str) -> str:
    """The name of a model that is not on the Hub, in the form ``org/name``."""
    return f"{LOCAL}/{slug(label(shown(model)))}"


def hub_id(model: str, parts: Mapping[str, str] | None = None) -> str:
    """The id on the Hub of a model that ``--model`` names; "" if it has none that is known.

    ``parts``: of the model's identity, from when it was used. They tell a name on the Hub from a folder of
    the same form, which may be relative to another current folder.
    """
    runner = runner_of(model)
    rest = model.removeprefix(f"{runner}:")
    if rest in MODELS:
        return MODELS[rest].hub_id
    name = rest.partition("@")[0]
    if runner not in ("hf", "vllm") or not HUB_ID.fullmatch(name) or name.startswith((f"{LOCAL}/", ".")):
        return ""
    on_hub = "name" in parts if parts else model_path(model) is None
    return name if on_hub else ""


def hub_dataset(run: Run) -> tuple[str, str]:
    """The dataset of the Hub with the task's questions and its revision; "" and "" if it is none."""
    dataset = run.spec["task"]["dataset"]
    on_hub = dataset["source"] == "huggingface" and HUB_ID.fullmatch(dataset["path"])
    here = Path(dataset["path"]).exists()
    return (dataset["path"], dataset["revision"]) if on_hub and not here else ("", "")


def is_whole(run: Run) -> bool:
    """Whether all questions of the split were asked: only then is its score that of the benchmark."""
    identity = identity_of(run)
    all_asked = not run.limit or (identity and identity.questions == identity.split.get("questions"))
    return bool(all_asked) and not run.skipped


def slug(text: str) -> str:
    """A text as a part of a file's name or of a repository's.

    >>> slug("demo/grpo: 2")
    'demo-grpo-2'
    """
    return re.sub(r"[^a-zA-Z0-9._-]+", "-", text).strip("-._")[:80] or "unnamed"


def write_new(path: Path, content: bytes) -> Path:
    """Write a file that does not exist, or that has this content. Raises DataError: it has another one."""
    try:
        if files.read(path) == content:
            return path
    except FileNotFoundError:
        with files.writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        files.write(path, content)
        return path
    except (OSError, ValueError):
        pass
    raise DataError(f"--out: {path} exists and holds something else: choose another name, or remove it")


def expect_suffix(path: Path, suffix: str) -> None:
    """Raise DataError where a file's name does not end as its readers expect."""
    if path.suffix != suffix:
        raise DataError(f"--out {path}: the name must end with {suffix}")


def texts(values: dict[str, Any]) -> dict[str, str]:
    """The values as texts, without the empty ones."""
    return {name: str(found) for name, found in values.items() if found not in (None, "", {}, [])}
