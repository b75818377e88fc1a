"""Is the Hugging Face Hub there? Asked once and quickly: its own client tries again for a minute."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from tasks.common.errors import ModelError

SECONDS = 5.0
"""Longest wait for the Hub."""


def expect(path: str, revision: str | None) -> None:
    """Where a model is neither a folder nor reachable, read the cache only.

    Raises ModelError where it is not there either.
    """
    from huggingface_hub import constants, try_to_load_from_cache

    if Path(path).is_dir() or (not constants.HF_HUB_OFFLINE and _reachable(constants.ENDPOINT)):
        return
    constants.HF_HUB_OFFLINE = True
    cached = try_to_load_from_cache(path, "config.json", revision=revision)
    if not isinstance(cached, str):
        raise ModelError(
            f"{path}: the Hugging Face Hub cannot be reached ({constants.ENDPOINT}), and the model is"
            " not in its cache: name a folder"
        )


@cache
def _reachable(url: str) -> bool:
    import httpx

    try:
        httpx.head(url, timeout=SECONDS)
    except (httpx.HTTPError, httpx.InvalidURL):
        return False
    return True
