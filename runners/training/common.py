"""What every training method shares: arguments, the curve, the best weights, resuming, saving."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from typing import Any

os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # read by huggingface_hub when it is imported

from transformers import PrinterCallback, TrainerCallback

from runners.training import processes, sharding
from runners.training.config import GrpoConfig, TrainingConfig
from runners.training.folder import Row, RunFolder, Trained, read_json, write_json
from runners.training.keeper import Keeper, Kept
from runners.training.stopping import Guard, disk, stopped
from runners.types import FeedbackFunction
from runners.weights import adapters, loading, saving
from runners.weights.source import Source
from tasks.common import files

NAMES = {
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


@dataclass(frozen=True, slots=True)
class Hooks:
    """What the caller wants done while a model is trained."""

    evaluate: Callable[[Any], float] | None = None
    """Called with the live model every ``eval_every`` steps and at the end; the best weights are kept."""
    on_step: Callable[[Mapping[str, float]], Mapping[str, float] | None] | None = None
    """Called with every new row of the curve; figures that it returns are added to the row."""
    feedback: FeedbackFunction | None = None
    """Needed for ``max_turns`` over 1."""
    kept: Mapping[str, Kept] = field(default_factory=dict)
    """What else of the caller's goes into every checkpoint."""
    trainer: Any = None
    """A class of GRPO trainer in place of ours, to compare the two."""


class Watch(TrainerCallback):
    """Writes the curve, evaluates, keeps the best weights, marks whole checkpoints, heeds Ctrl-C."""

    def __init__(self, folder: RunFolder, config: TrainingConfig, hooks: Hooks) -> None:
        self.folder, self.config, self.hooks = folder, config, hooks
        self.guard = Guard(config)
        self.rows: list[Row] = []
        self.row: Row = {}
        """Figures of the running step."""
        self.interrupted = False
        self.evaluates = any(processes.gathered([hooks.evaluate is not None]))
        """Does the main process? Then all of them meet for it."""
        self._began = 0.0
        self._tokens = self._tokens_before = 0.0

    def note(self, figures: Mapping[str, float]) -> None:
        """Add figures to the row of the running step."""
        self.row |= figures

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """GRPO may harm: where it begins is a candidate too.

        After a resume GRPO's token count goes on from the checkpoint, SFT's begins again at 0.
        """
        self.rows = rows = self.folder.curve()
        self._tokens_before = rows[-1].get("tokens", 0.0) - state.num_input_tokens_seen if rows else 0.0
        if not rows and isinstance(self.config, GrpoConfig) and self.evaluates:
            self._evaluate(kwargs["model"], 0)

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.row, self._began = {}, time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        seconds = time.perf_counter() - self._began
        booked = sum(value for key, value in self.row.items() if key.endswith("_seconds"))
        self.row |= {"step": state.global_step, "seconds": seconds, "learning_seconds": seconds - booked}
        due = state.global_step % self.config.eval_every == 0 or state.global_step >= state.max_steps
        if due and self.evaluates:
            self.row["dev"] = self._evaluate(kwargs["model"], state.global_step)
        self.interrupted = any(processes.gathered([self.interrupted]))
        if self.interrupted:
            control.should_save = control.should_training_stop = True

    def _evaluate(self, model: Any, step: int) -> float:
        """By the main process; all are here, as each has a part of a sharded model."""
        value, better = 0.0, False
        with sharding.whole(model):
            if self.hooks.evaluate and processes.main():
                value = self.hooks.evaluate(model)
                note = self.folder.best / "best.json"
                better = not note.is_file() or value > read_json(note)["value"]
        if any(processes.gathered([better])):
            self._keep(model, {"step": step, "value": value})
        return value

    def _keep(self, model: Any, note: Mapping[str, float]) -> None:
        best = self.folder.best
        with files.new_folder(best, replace=True) if processes.main() else nullcontext(best) as folder:
            sharding.save(model, folder)
            if processes.main():
                write_json(folder / "best.json", note)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        if "loss" not in logs or not processes.main():  # the summary at the end
            return
        self.row |= {ours: logs[theirs] for theirs, ours in NAMES.items() if logs.get(theirs) is not None}
        self._tokens = logs.get("num_tokens", self._tokens)  # absent where answers are used again
        self.row["tokens"] = self._tokens_before + self._tokens
        row = {key: round(value, 6) if isinstance(value, float) else value for key, value in self.row.items()}
        if self.hooks.on_step and math.isfinite(row["loss"]):
            row |= self.hooks.on_step(row) or {}
        self.rows.append(row)
        complaint = self.guard.complaint(self.rows)
        if math.isfinite(row["loss"]):
            with (self.folder.out / "curve.jsonl").open("a") as file:
                file.write(json.dumps(row) + "\n")
        if complaint:
            raise stopped(self.folder, complaint, self.rows)

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        processes.join()
        if processes.main():
            (self.folder.checkpoints / f"checkpoint-{state.global_step}" / "complete").touch()

    @contextmanager
    def stopping(self) -> Iterator[None]:
        """The first Ctrl-C ends the running step and saves; a second one stops at once."""

        def note(number: int, frame: Any) -> None:
            self.interrupted = True
            signal.signal(signal.SIGINT, previous)

        previous = signal.signal(signal.SIGINT, note)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, previous)


def arguments(folder: RunFolder, config: TrainingConfig, steps: int) -> dict[str, Any]:
    """The settings that all of TRL's trainers take, by their names."""
    gpu = loading.device() == "cuda"
    return {
        "output_dir": str(folder.checkpoints),
        "max_steps": steps,
        "learning_rate": config.learning_rate,
        "lr_scheduler_type": config.scheduler,
        "warmup_steps": math.ceil(config.warmup * steps),
        "weight_decay": config.weight_decay,
        "max_grad_norm": config.max_grad_norm,
        "seed": config.seed,
        "gradient_checkpointing": config.gradient_checkpointing,
        "use_cpu": not gpu,
        "bf16": gpu,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "save_steps": config.save_every,
        "save_total_limit": 2,
        "ddp_find_unused_parameters": False,
        "deepspeed": config.deepspeed or None,
        "report_to": [],
        "disable_tqdm": True,
    }


def run(
    trainer: Any, source: Source, folder: RunFolder, watch: Watch, kept: Mapping[str, Kept] | None = None
) -> Trained:
    """Train from the last whole checkpoint, or from the start, to the end, and save the best weights.

    A Ctrl-C leaves a checkpoint and comes back as KeyboardInterrupt.
    """
    checkpoint = folder.last_checkpoint()
    if processes.main():
        folder.cut_curve(int(checkpoint.name.rpartition("-")[2]) if checkpoint else 0)
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(Keeper({**(kept or {}), **watch.hooks.kept}, folder))
    trainer.add_callback(watch)
    with watch.stopping(), disk(folder):
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    if watch.interrupted:
        raise KeyboardInterrupt
    with disk(folder):
        if not processes.gathered([folder.best.is_dir()])[0]:
            sharding.save(trainer.model, folder.best)
        if processes.main():
            _finish(trainer, source, folder)
    processes.join()
    result = folder.done()
    assert result is not None, "just written"
    return result


def _finish(trainer: Any, source: Source, folder: RunFolder) -> None:
    """Write ``model/`` and ``training.json`` and remove what only a running training needs."""
    step, value = trainer.state.global_step, None
    tokenizer = loading.load_tokenizer(source)
    if (folder.best / "best.json").is_file():
        note = read_json(folder.best / "best.json")
        step, value = note["step"], note["value"]
    out = folder.out / "model"
    if lora := (folder.best / "adapter_config.json").is_file():
        adapters.note(source, folder.best)
        saving.merge_and_save(replace(source, adapter=str(folder.best)), out)
    else:
        tokenizer.save_pretrained(folder.best)
    (folder.best / "best.json").unlink(missing_ok=True)
    shutil.rmtree(folder.out / "adapter" if lora else out, ignore_errors=True)
    folder.best.rename(folder.out / "adapter" if lora else out)
    rows = folder.curve()
    result = Trained(
        model=str(out),
        steps=trainer.state.global_step,
        seconds=round(sum(row.get("seconds", 0.0) for row in rows), 3),
        tokens=int(rows[-1].get("tokens", 0)),
        best_step=step,
        best=value,
    )
    write_json(folder.out / "training.json", {"result": asdict(result)})
    shutil.rmtree(folder.checkpoints, ignore_errors=True)
