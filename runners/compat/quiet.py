"""Hide the warnings and log lines of libraries: deprecations, loading reports, notices."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

LOGGERS = ("accelerate", "bitsandbytes", "datasets", "huggingface_hub", "peft", "ray", "transformers", "trl")
VARIABLES = ("DATASETS_VERBOSITY", "HF_HUB_VERBOSITY", "TRANSFORMERS_VERBOSITY")
"""Log levels of libraries that set their logger's level when they are imported."""
OURS = r"(harness|leaderboards|rewards|runners|tasks)\b"
"""Modules whose warnings are shown."""


@contextmanager
def quiet() -> Iterator[None]:
    """Show no warning of a library and none of its log lines below ERROR, until the block ends.

    Where ``-W`` or ``PYTHONWARNINGS`` is set, all warnings are shown.
    """
    if sys.warnoptions:
        yield
        return
    loggers = [logging.getLogger(name) for name in LOGGERS]
    levels = [logger.level for logger in loggers]
    unset = [name for name in VARIABLES if name not in os.environ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.filterwarnings("default", module=OURS)
        os.environ.update(dict.fromkeys(unset, "error"))
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
            for name in unset:
                os.environ.pop(name, None)
