"""A task for lm-evaluation-harness, as a folder or an object.

The folder holds the resolved spec; lm-eval gets samples and verdicts from this module. So its
``execution_accuracy`` (``soft_f1`` in the mode ``bird_f1``) equals ours for every answer, and unscored
answers are left out of its means too.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from harness.adapters.options import ExportOptions
from harness.adapters.task_file import ExportedTask
from rewards.grader import Grader
from tasks.task import Task
from tasks.types import Mode

MODULE = '''"""A task for lm-evaluation-harness; written by `harness export lm-eval`."""

from pathlib import Path

from harness.adapters.lm_eval import LmEvalTask

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


class LmEvalTask(ExportedTask):
    """One split of a task for lm-eval. The sandbox starts with the first answer."""

    def __init__(self, task: Task, split: str = "") -> None:
        super().__init__(task, split)
        self.name = lm_eval_name(task.name)
        self._grader = Grader(task.spec.scoring, workers=1)

    def write_folder(self, out: Path) -> Path:
        """Write the folder for ``lm_eval --include_path``; returns the path of its YAML file."""
        self.write(out / f"{self.name}.json")
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
            for number, sample in enumerate(self.samples)
        ]
        return {self.split: Dataset.from_list(rows)}

    def judge(self, document: dict[str, Any], answers: Sequence[str]) -> dict[str, float]:
        """Metric -> value in [0, 1] of one answer; unscored metrics are left out."""
        sample = self.samples[document["number"]]
        (grade,) = self._grader.grade(self.task, [sample], answers[:1])
        verdicts = grade.attempt.verdicts
        metric = self.task.spec.scoring.metric
        values = {headline(metric): verdicts.get(metric), **verdicts}
        values["reward"] = grade.scores["reward"].value
        return {name: value for name in self.metrics() if (value := values.get(name)) is not None}


def export(options: ExportOptions) -> str:
    """Write the folder; the command that uses it. Raises SpecError, DataError."""
    exported = LmEvalTask(Task.named(options.task, options.overrides, options.trust), options.split)
    out = options.out or "lm_eval_tasks"
    exported.write_folder(Path(out))
    template = "" if exported.task.spec.prompt.is_completion else " --apply_chat_template"
    return f"lm_eval run --tasks {exported.name} --include_path {shlex.quote(out)}{template}\n"
