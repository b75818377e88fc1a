"""Run a trainer of any method: its arguments, resuming, and the result."""

from __future__ import annotations

import ctypes
import math
import shutil
from collections.abc import Mapping
from dataclasses import asdict, replace
from types import MappingProxyType
from typing import Any

from transformers import PrinterCallback

from runners.training import distributed
from runners.training.callbacks import CheckpointState, TrainingCallback
from runners.training.config import TrainingConfig
from runners.training.folder import RunFolder, TrainingResult, read_json, write_json
from runners.training.stopping import disk_advice
from runners.weights import adapters, loading, saving
from runners.weights.source import Source


def trainer_arguments(folder: RunFolder, config: TrainingConfig, steps: int) -> dict[str, Any]:
    """Name -> value of the arguments that all of TRL's trainers take."""
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


def run_training(
    trainer: Any,
    source: Source,
    callback: TrainingCallback,
    states: Mapping[str, CheckpointState] = MappingProxyType({}),
) -> TrainingResult:
    """Train to the end, from the last complete checkpoint if there is one, and save the best weights.

    ``states`` are written into checkpoints and restored from the last one. After Ctrl-C this writes a
    checkpoint and raises KeyboardInterrupt.
    """
    folder = callback.folder
    checkpoint = folder.last_checkpoint()
    if distributed.is_main():
        folder.truncate_curve(int(checkpoint.name.rpartition("-")[2]) if checkpoint else 0)
    trainer.remove_callback(PrinterCallback)
    callback.restore({**states, **callback.hooks.checkpointed})
    trainer.add_callback(callback)
    with callback.handling_interrupts(), disk_advice(folder):
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    if callback.interrupted:
        raise KeyboardInterrupt
    with disk_advice(folder):
        if not distributed.all_gather([folder.best.is_dir()])[0]:
            distributed.save_model(trainer.model, folder.best)
        if callback.config.lora and not distributed.is_sharded(trainer.model):
            _release(trainer)
        if distributed.is_main():
            _finish(trainer, source, folder)
    distributed.barrier()
    result = folder.result()
    assert result is not None, "just written"
    return result


def _release(trainer: Any) -> None:
    """Free weights and optimizer, because merging the adapter needs their memory. They are of no use then."""
    trainer.optimizer.state.clear()
    for tensor in (*trainer.model.parameters(), *trainer.model.buffers()):
        tensor.grad, tensor.data = None, tensor.data.new_empty(0)
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):  # glibc keeps what small tensors leave free
        trim(0)


def _finish(trainer: Any, source: Source, folder: RunFolder) -> None:
    """Write ``model/`` and ``training.json``, then remove the files that only a running training needs."""
    step, value = trainer.state.global_step, None
    tokenizer = loading.load_tokenizer(source)
    if (folder.best / "best.json").is_file():
        note = read_json(folder.best / "best.json")
        step, value = note["step"], note["value"]
    out = folder.out / "model"
    if lora := (folder.best / "adapter_config.json").is_file():
        adapters.record_base(source, folder.best)
        saving.merge_and_save(replace(source, adapter=str(folder.best)), out)
    else:
        tokenizer.save_pretrained(folder.best)
    (folder.best / "best.json").unlink(missing_ok=True)
    shutil.rmtree(folder.out / "adapter" if lora else out, ignore_errors=True)
    folder.best.rename(folder.out / "adapter" if lora else out)
    rows = folder.curve()
    result = TrainingResult(
        model=str(out),
        steps=trainer.state.global_step,
        seconds=round(sum(row.get("seconds", 0.0) for row in rows), 3),
        tokens=int(rows[-1].get("tokens", 0)),
        best_step=step,
        best=value,
    )
    write_json(folder.out / "training.json", {"result": asdict(result)})
    shutil.rmtree(folder.checkpoints, ignore_errors=True)
