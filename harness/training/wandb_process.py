"""Start a run in Weights & Biases, whose library has a process of its own."""

from __future__ import annotations

from contextlib import suppress
from typing import Any


def init_wandb(**settings: Any) -> Any:
    """``wandb.init``, also after wandb's own process has ended, for which wandb starts no other by itself."""
    import wandb
    from wandb.sdk.mailbox import MailboxClosedError

    quiet = wandb.Settings(silent=True, console="off", disable_git=True)
    try:
        wandb.setup(quiet)
        return wandb.init(**settings)
    except MailboxClosedError:
        with suppress(Exception):
            wandb.teardown()
        wandb.setup(quiet)
        return wandb.init(**settings)
