"""Code that relies on undocumented parts of renderers, which verifiers tokenizes with.

``CHECKED`` is the version that was read. ``tests/test_compat.py`` fails where a later one differs.
"""

import asyncio

from renderers import client

CHECKED = "0.1.12"


def renew_lock() -> None:
    """Let another event loop ask for an engine's context: the lock belongs to the first loop that waited."""
    client._max_prompt_len_lock = asyncio.Lock()
