"""What a checkpoint keeps of a curriculum, so that a resumed run asks what the undisturbed one would have."""

from __future__ import annotations

import json
from typing import Any

from transformers import TrainerCallback

from runners import processes
from runners.curriculum import Chooser
from runners.folder import RunFolder, write_json

FILE = "curriculum.json"


class Keeper(TrainerCallback):
    """Writes the chooser's state into every checkpoint, and reads it from the last whole one."""

    def __init__(self, chooser: Chooser, folder: RunFolder) -> None:
        self.chooser, self.folder = chooser, folder
        if checkpoint := folder.last_checkpoint():
            chooser.restore(json.loads((checkpoint / FILE).read_text()))

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if not processes.main():
            return
        write_json(self.folder.checkpoints / f"checkpoint-{state.global_step}" / FILE, self.chooser.state())
