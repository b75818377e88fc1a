"""Start vLLM: its log and the error in it, its environment, and its settings on a CPU."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from runners.decoding.tokens import NO_LIMIT
from tasks.common.secrets import redacted

ERROR = re.compile(
    r"(?:^|\] |\s)((?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Exit|Interrupt)|Exception): (.*)$"
)
"""The last line of a traceback, after what vLLM puts before each line."""
WRAPPERS = re.compile(
    r"see (the )?(root cause|stack trace)|initialization failed|failed to start", re.IGNORECASE
)
"""Errors that only say that there was another one."""
BATCHED_TOKENS = 8192
"""Fewest tokens that an engine on a CPU computes in one step."""
LONGEST = 300
"""Most characters of an error that are quoted."""


def last_error(log: Path) -> str:
    """The last error in a log that says what happened, or else its last line, in one line without secrets."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.is_file() else []
    lines = [line.strip() for line in lines if line.strip()]
    found = [match for line in lines if (match := ERROR.search(line)) and not WRAPPERS.search(line)]
    if found:
        text = f"{found[-1][1].rpartition('.')[2]}: {found[-1][2]}"
    else:
        text = lines[-1] if lines else "its log is empty"
    return redacted(text)[:LONGEST]


@contextmanager
def output_to(log: Path) -> Iterator[None]:
    """Write what this process and those that it starts print into ``log``; they go on doing so afterwards."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    kept = [os.dup(number) for number in (1, 2)]
    with log.open("ab") as file:
        for number in (1, 2):
            os.dup2(file.fileno(), number)
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        for number, copy in zip((1, 2), kept, strict=True):
            os.dup2(copy, number)
            os.close(copy)


@contextmanager
def kept_environment() -> Iterator[None]:
    """Take back what vLLM writes into this process's environment when the block ends.

    It preloads libraries into every process that is started afterwards, and names a rank and a world size.
    """
    before = dict(os.environ)
    try:
        yield
    finally:
        for name in set(os.environ) - set(before):
            del os.environ[name]
        os.environ.update(before)


def whole_prompts(context: int) -> dict[str, Any]:
    """Engine arguments with which each prompt, up to ``context`` tokens, is computed in one step; 0: unknown.

    On a CPU vLLM ends where a prompt with a seed is computed in parts: a CPU's random generator has no offset
    that could be set back (``GPUModelRunner`` in vLLM 0.31).
    """
    return {
        "enable_chunked_prefill": False,
        "max_num_batched_tokens": max(BATCHED_TOKENS, context % NO_LIMIT),
    }
