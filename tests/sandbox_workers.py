"""The workers of the sandbox that run for this process."""

from __future__ import annotations

from collections.abc import Collection

import psutil


def workers(others: Collection[int] = ()) -> list[int]:
    """Process ids of the workers of this process, without the ``others`` that earlier tests have left."""
    found = []
    for child in psutil.Process().children():
        try:
            if "tasks.databases.sandbox.worker" in " ".join(child.cmdline()):
                found.append(child.pid)
        except psutil.Error:  # it has just ended
            continue
    return [pid for pid in found if pid not in others]
