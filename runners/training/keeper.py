"""What a checkpoint keeps besides the trainer's own state, so that a resumed run is the undisturbed one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from transformers import TrainerCallback

from runners.training import processes
from runners.training.folder import RunFolder, read_json, write_json


class Kept(Protocol):
    """A part of a training whose state goes into every checkpoint, as plain data."""

    def state(self) -> Mapping[str, Any]: ...

    def restore(self, state: Mapping[str, Any]) -> None: ...


class Keeper(TrainerCallback):
    """Writes ``<name>.json`` of each part into every checkpoint, and reads it from the last whole one."""

    def __init__(self, parts: Mapping[str, Kept], folder: RunFolder) -> None:
        self.parts, self.folder = parts, folder
        checkpoint = folder.last_checkpoint()
        for name, part in parts.items():
            if checkpoint and (file := checkpoint / f"{name}.json").is_file():
                part.restore(read_json(file))

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        checkpoint = self.folder.checkpoints / f"checkpoint-{state.global_step}"
        for name, part in self.parts.items() if processes.main() else ():
            write_json(checkpoint / f"{name}.json", part.state())
