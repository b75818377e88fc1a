"""Callbacks between the steps of a training: curve, evaluations, best weights, checkpoints, Ctrl-C."""

from __future__ import annotations

import json
import math
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Protocol

os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # read by huggingface_hub when it is imported

from transformers import TrainerCallback

from runners.training import distributed
from runners.training.config import GrpoConfig, TrainingConfig
from runners.training.folder import CurveRow, RunFolder, read_json, write_json
from runners.training.stopping import StoppingConditions, write_report
from runners.types import FeedbackFunction
from tasks.common import files

CURVE_NAMES = {
    "loss": "loss",
    "grad_norm": "grad_norm",
    "learning_rate": "learning_rate",
    "entropy": "entropy",
    "kl": "kl",
    "mean_token_accuracy": "token_accuracy",
    "sampling/sampling_logp_difference/mean": "vllm_gap",
    "sampling/importance_sampling_ratio/mean": "vllm_ratio",
}
"""TRL's name of a figure -> its name in the curve."""


class CheckpointState(Protocol):
    """A part of a training whose state goes into every checkpoint."""

    def state(self) -> Mapping[str, Any]:
        """The state as plain data, for JSON."""
        ...

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from an earlier state."""
        ...


@dataclass(frozen=True, slots=True)
class Hooks:
    """Functions and objects of the caller that a training uses."""

    evaluate: Callable[[Any], float] | None = None
    """Called with the live model every ``eval_every`` steps and at the end; the best weights are kept."""
    on_step: Callable[[Mapping[str, float]], Mapping[str, float] | None] | None = None
    """Called with every new row of the curve; figures that it returns are added to the row."""
    feedback: FeedbackFunction | None = None
    """Returns the database's feedback on answers; ``max_turns`` over 1 needs it."""
    batch_scored: Callable[[], None] | None = None
    """Called when all answers of a step are drawn and scored, and before the next step's are drawn."""
    checkpointed: Mapping[str, CheckpointState] = field(default_factory=dict)
    """Name -> an object of the caller whose state goes into every checkpoint."""
    trainer: Any = None
    """A subclass of ``GrpoTrainer`` to use instead, for comparisons."""


class TrainingCallback(TrainerCallback):
    """Writes the curve, evaluates, keeps the best weights, completes checkpoints and handles Ctrl-C."""

    def __init__(self, folder: RunFolder, config: TrainingConfig, hooks: Hooks) -> None:
        self.folder, self.config, self.hooks = folder, config, hooks
        self.conditions = StoppingConditions(config)
        self.rows: list[CurveRow] = []
        self.row: CurveRow = {}
        """Figures of the running step, to which the trainer adds those of its answers."""
        self.interrupted = False
        self.states: Mapping[str, CheckpointState] = {}
        self.evaluates = any(distributed.all_gather([hooks.evaluate is not None]))
        """Whether the main process evaluates, in which all processes must take part."""
        self._began = 0.0
        self._tokens = self._tokens_before = 0.0

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Evaluate the model before GRPO, which may make it worse.

        After a resume TRL's token count continues from the checkpoint in GRPO, and restarts at 0 in SFT.
        """
        self.rows = rows = self.folder.curve()
        self._tokens_before = rows[-1].get("tokens", 0.0) - state.num_input_tokens_seen if rows else 0.0
        if not rows and isinstance(self.config, GrpoConfig) and self.evaluates:
            self._evaluate(kwargs["model"], 0)

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.row.clear()
        self._began = time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        seconds = time.perf_counter() - self._began
        apart = [key for key in self.row if key.endswith("_seconds")]
        if "waiting_seconds" in self.row:  # answers were drawn and scored while the model learned
            apart = ["waiting_seconds"]
        other = sum(self.row[key] for key in apart)
        self.row |= {"step": state.global_step, "seconds": seconds, "learning_seconds": seconds - other}
        due = state.global_step % self.config.eval_every == 0 or state.global_step >= state.max_steps
        if due and self.evaluates:
            self.row["dev"] = self._evaluate(kwargs["model"], state.global_step)
        self.interrupted = any(distributed.all_gather([self.interrupted]))
        if self.interrupted:
            control.should_save = control.should_training_stop = True

    def _evaluate(self, model: Any, step: int) -> float:
        """Evaluate in the main process. All must call this, because each has a shard of the weights."""
        value, better = 0.0, False
        with distributed.whole_weights(model):
            if self.hooks.evaluate and distributed.is_main():
                value = self.hooks.evaluate(model)
                note = self.folder.best / "best.json"
                better = not note.is_file() or value > read_json(note)["value"]
        if any(distributed.all_gather([better])):
            self._save_best(model, {"step": step, "value": value})
        return value

    def _save_best(self, model: Any, note: Mapping[str, float]) -> None:
        best = self.folder.best
        with files.new_folder(best, replace=True) if distributed.is_main() else nullcontext(best) as folder:
            distributed.save_model(model, folder)
            if distributed.is_main():
                write_json(folder / "best.json", note)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        if "loss" not in logs or not distributed.is_main():  # the summary at the end
            return
        self.row |= {
            ours: logs[theirs] for theirs, ours in CURVE_NAMES.items() if logs.get(theirs) is not None
        }
        self._tokens = logs.get("num_tokens", self._tokens)  # absent if the step uses earlier answers
        self.row["tokens"] = self._tokens_before + self._tokens
        row = {key: round(value, 6) if isinstance(value, float) else value for key, value in self.row.items()}
        if self.hooks.on_step and math.isfinite(row["loss"]):
            row |= self.hooks.on_step(row) or {}
        self.rows.append(row)
        reason = self.conditions.reason(self.rows)
        if math.isfinite(row["loss"]):
            with (self.folder.out / "curve.jsonl").open("a") as file:
                file.write(json.dumps(row) + "\n")
        if reason:
            raise write_report(self.folder, reason, self.rows)

    def restore(self, states: Mapping[str, CheckpointState]) -> None:
        """Restore these objects from the last checkpoint; later ones get a ``<name>.json`` of each."""
        self.states = states
        checkpoint = self.folder.last_checkpoint()
        for name, part in states.items():
            if checkpoint and (file := checkpoint / f"{name}.json").is_file():
                part.restore(read_json(file))

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        checkpoint = self.folder.checkpoints / f"checkpoint-{state.global_step}"
        for name, part in self.states.items() if distributed.is_main() else ():
            write_json(checkpoint / f"{name}.json", part.state())
        distributed.barrier()
        if distributed.is_main():
            (checkpoint / "complete").touch()

    @contextmanager
    def handling_interrupts(self) -> Iterator[None]:
        """Let the first Ctrl-C end the running step and save a checkpoint, and a second one stop at once."""

        def interrupt(number: int, frame: Any) -> None:
            self.interrupted = True
            signal.signal(signal.SIGINT, previous)

        previous = signal.signal(signal.SIGINT, interrupt)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, previous)
