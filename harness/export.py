"""A task for other programs: a folder (or an object) for lm-evaluation-harness, a config for prime-rl.

The folder holds the resolved spec; lm-eval gets samples and verdicts from this module. So its
``execution_accuracy`` (``soft_f1`` in the mode ``bird_f1``) equals ours for every answer, and unscored
answers are left out of its means too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from harness.provenance.identity import task_digest
from rewards.grader import Grader
from tasks.common.errors import SpecError
from tasks.common.terminal import say
from tasks.spec import TaskSpec, load
from tasks.task import Task
from tasks.types import Mode

MODULE = '''"""A task for lm-evaluation-harness; written by `harness export lm-eval`."""

from pathlib import Path

from harness.export import LmEvalTask

TASK = LmEvalTask.read(Path(__file__).with_suffix(".json"))


def documents(**metadata):
    return TASK.documents()


def judge(document, answers):
    return TASK.judge(document, answers)
'''


def headline(mode: str) -> str:
    """The name of the task's headline mode among lm-eval's metrics."""
    return "soft_f1" if mode == Mode.BIRD_F1 else "execution_accuracy"


def lm_eval_name(task: str) -> str:
    """The name in lm-eval of the task with this name."""
    return "harness_" + re.sub(r"[^a-zA-Z0-9_-]", "_", task)


class LmEvalTask:
    """One split of a task for lm-eval. The sandbox starts with the first answer."""

    def __init__(self, task: Task, split: str = "") -> None:
        self.task = task
        self.split = split or task.spec.dataset.eval_split
        self.name = lm_eval_name(task.name)
        self._samples = task.samples(self.split)
        self._grader = Grader(task.spec.scoring, workers=1)

    @classmethod
    def read(cls, file: Path) -> LmEvalTask:
        """The task that ``write`` described in this JSON file."""
        description = json.loads(file.read_text(encoding="utf-8"))
        exported = cls(Task(TaskSpec.model_validate(description["task"])), description["split"])
        if description.get("digest", exported.digest) != exported.digest:
            say(
                f"{file}: the task's content has changed since this was exported, and lm-eval reports the old"
                " digest: export it again"
            )
        return exported

    def write(self, out: Path) -> Path:
        """Write the folder for ``lm_eval --include_path``; returns the path of its YAML file."""
        out.mkdir(parents=True, exist_ok=True)
        spec = self.task.spec.model_dump(mode="json", by_alias=True)
        description = {"task": spec, "split": self.split, "digest": self.digest}
        (out / f"{self.name}.json").write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")
        (out / f"{self.name}.py").write_text(MODULE, encoding="utf-8")
        settings = yaml.safe_dump(self.settings(), sort_keys=False, allow_unicode=True)
        functions = (
            f"custom_dataset: !function {self.name}.documents\nprocess_results: !function {self.name}.judge\n"
        )
        file = out / f"{self.name}.yaml"
        file.write_text(settings + functions, encoding="utf-8")
        return file

    def in_memory(self) -> Any:
        """The task as an object for ``lm_eval.evaluate(lm=..., task_dict={name: object})``."""
        from lm_eval.api.task import ConfigurableTask

        def documents(**metadata: Any) -> dict[str, Any]:
            return self.documents()

        functions = {
            "custom_dataset": documents,
            "process_results": lambda *arguments: self.judge(*arguments),
        }
        return ConfigurableTask(config=self.settings() | functions)

    def settings(self) -> dict[str, Any]:
        """lm-eval's task configuration without its functions; prompts are columns of the documents."""
        spec = self.task.spec
        return {
            "task": self.name,
            "test_split": self.split,
            "output_type": "generate_until",
            "description": "system",
            "doc_to_text": "prompt",
            "doc_to_target": "gold",
            "generation_kwargs": {
                "until": list(spec.answer.stop),
                "max_gen_toks": spec.answer.max_new_tokens,
                "do_sample": False,
                "temperature": 0.0,
            },
            "num_fewshot": 0,
            "metric_list": [
                {"metric": name, "aggregation": "mean", "higher_is_better": True} for name in self.metrics()
            ],
            "metadata": {"version": spec.version, "digest": self.digest},
        }

    @cached_property
    def digest(self) -> str:
        """Digest of the content of questions, golds, databases, prompts and scorer."""
        return task_digest(self.task, self.split, self._samples)

    def metrics(self) -> list[str]:
        """Names of the metrics that ``judge`` returns."""
        modes = [mode.value for mode in self.task.spec.scoring.modes]
        return [headline(self.task.spec.scoring.metric), *dict.fromkeys(modes), "reward"]

    def documents(self) -> dict[str, Any]:
        """The split as a dataset; ``number`` is the sample's index in it, from 0."""
        from datasets import Dataset

        rows = [
            {
                "number": number,
                "id": sample.id,
                "question": sample.question,
                "database": sample.database,
                "gold": sample.gold[0],
                "system": self.task.spec.prompt.system,
                "prompt": self.task.messages(sample)[-1]["content"],
            }
            for number, sample in enumerate(self._samples)
        ]
        return {self.split: Dataset.from_list(rows)}

    def judge(self, document: dict[str, Any], answers: Sequence[str]) -> dict[str, float]:
        """Metric -> value in [0, 1] of one answer; unscored metrics are left out."""
        sample = self._samples[document["number"]]
        (grade,) = self._grader.grade(self.task, [sample], answers[:1])
        verdicts = grade.attempt.verdicts
        metric = self.task.spec.scoring.metric
        values = {headline(metric): verdicts.get(metric), **verdicts}
        values["reward"] = grade.scores["reward"].value
        return {name: value for name in self.metrics() if (value := values.get(name)) is not None}


PRIME_RL = """\
# Written by `harness export prime-rl`. Start it in a checkout of prime-rl that has sql-harness installed.
max_steps = 200
seq_len = 4096

[model]
name = {model}

[orchestrator]
batch_size = 128
group_size = 8

[orchestrator.train.sampling]
max_completion_tokens = {tokens}

[[orchestrator.train.source]]
name = {name}

[orchestrator.train.source.env]
turns = {turns}

[orchestrator.train.source.env.taskset]
id = "harness_sql"
spec = {task}
split = {train}
overrides = {overrides}
trust = {trust}

[orchestrator.eval]
interval = 20

[orchestrator.eval.sampling]
max_completion_tokens = {tokens}
temperature = 0.0

[[orchestrator.eval.source]]
name = {name}

[orchestrator.eval.source.env]
turns = {turns}

[orchestrator.eval.source.env.taskset]
id = "harness_sql"
spec = {task}
split = {evaluated}
overrides = {overrides}
trust = {trust}

[trainer]

[inference]
"""
"""Source of the keys: prime-rl's ``configs/basic/*/rl.toml``, August 2026."""


def prime_rl(name: str, overrides: Sequence[str], model: str, turns: int, trust: bool = False) -> str:
    """The TOML file with which prime-rl trains a model on a task. Raises SpecError: no such task."""
    spec = load(name, overrides, trust)
    if spec.prompt.is_completion:
        raise SpecError(f"{name}: prime-rl asks by chat messages, not by a completion prompt")
    path = Path(name)
    values = {
        "model": model,
        "name": spec.name,
        "task": str(path.resolve()) if path.is_file() else name,
        "train": spec.dataset.train_split,
        "evaluated": spec.dataset.eval_split,
        "overrides": list(overrides),
        "tokens": spec.answer.max_new_tokens,
        "turns": turns,
        "trust": trust,
    }
    return PRIME_RL.format(**{key: _toml(value) for key, value in values.items()})


def _toml(value: object) -> str:
    """A text, number, flag or list of texts as TOML, with control characters escaped. Raises SpecError."""
    text = json.dumps(value, ensure_ascii=False)
    if not text.isprintable():
        text = "".join(char if char.isprintable() else f"\\U{ord(char):08x}" for char in text)
    if re.search(r"\\U0000d[89a-f]", text):
        raise SpecError(f"export: {value!r} is no text that TOML can hold")
    return text
