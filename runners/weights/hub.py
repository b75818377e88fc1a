"""Check once, with a short timeout, whether the Hugging Face Hub can be reached: its client retries long."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from runners.known.models import MODELS
from tasks.common.errors import ModelError

SECONDS = 5.0
"""Longest wait for the Hub, in seconds."""


def expect_available(path: str, revision: str | None) -> None:
    """Make the libraries read only the Hub's cache if a model is no folder and the Hub cannot be reached.

    Raises ModelError: the model is not in the cache.
    """
    from huggingface_hub import constants, try_to_load_from_cache

    from runners.compat.huggingface_hub import go_offline

    if Path(path).is_dir() or (not constants.HF_HUB_OFFLINE and _reachable(constants.ENDPOINT)):
        return
    go_offline()
    cached = try_to_load_from_cache(path, "config.json", revision=revision)
    if not isinstance(cached, str):
        raise ModelError(
            f"{path}: the Hugging Face Hub cannot be reached ({constants.ENDPOINT}), and the model is"
            f" not in its cache: {_remedy(path)}"
        )


def _remedy(path: str) -> str:
    """What to do without the Hub."""
    names = [model.name for model in MODELS.values() if model.hub_id == path]
    return f"use --model {names[0]} (harness models get {names[0]})" if names else "name a folder"


@cache
def _reachable(url: str) -> bool:
    import httpx

    try:
        httpx.head(url, timeout=SECONDS)
    except (httpx.HTTPError, httpx.InvalidURL):
        return False
    return True
