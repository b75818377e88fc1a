"""Code that relies on undocumented parts of lm-evaluation-harness.

``CHECKED`` is the version that was read. ``tests/test_compat.py`` fails where a later one differs.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import lm_eval.models  # noqa: F401 - registers the backends
from lm_eval.api.registry import get_model

from tasks.common.secrets import redacted

CHECKED = "0.4.13"
LIBRARY, API_MODELS = "lm_eval", "lm_eval.models.api_models"
"""Names of loggers."""


def load_backend(backend: str, arguments: str) -> Any:
    """Load a model of a backend (``key=value,...``). Raises whatever the backend's libraries raise."""
    lm = get_model(backend).create_from_arg_string(arguments)
    getattr(lm, "api_key", None)  # raises where the backend needs a key that is not set
    return lm


def set_seed(lm: Any, seed: int) -> None:
    """Set the seed that backends which call an API send."""
    if hasattr(lm, "_seed"):
        lm._seed = seed


def max_length(lm: Any) -> int:
    """Most tokens of prompt and answer; lm-eval cuts longer prompts at their beginning."""
    return int(lm.max_length)


def count_tokens(lm: Any, text: Any) -> int:
    """Tokens of a text; 0 if the backend has no tokenizer of its own."""
    local = getattr(lm, "tokenizer", None) is not None and isinstance(text, str)
    return len(lm.tok_encode(text)) if local else 0


def transformers_model(lm: Any) -> Any:
    """The model of a backend that loads it with transformers."""
    return lm.model


@contextmanager
def limited_logs() -> Iterator[None]:
    """Log errors only, and the replies of API models without secrets, until the block ends.

    lm-eval logs an introduction of each backend, and failed replies completely.
    """
    library, api_models = logging.getLogger(LIBRARY), logging.getLogger(API_MODELS)
    levels = library.level, api_models.level
    library.setLevel(logging.ERROR)
    api_models.setLevel(logging.WARNING)
    with redacted_logs():
        try:
            yield
        finally:
            library.setLevel(levels[0])
            api_models.setLevel(levels[1])


@contextmanager
def redacted_logs() -> Iterator[None]:
    """Remove secrets from the logged replies of API models, until the block ends."""
    logger = logging.getLogger(API_MODELS)
    logger.addFilter(_redact)
    try:
        yield
    finally:
        logger.removeFilter(_redact)


def _redact(record: logging.LogRecord) -> bool:
    record.msg, record.args = redacted(record.getMessage()), ()
    return True
