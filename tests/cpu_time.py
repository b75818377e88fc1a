"""CPU time of a piece of work, for tests that tell a bounded one from one that grows with its input.

One measurement says little: another process on the same core doubles it, and the garbage collector walks all
that earlier tests left. So the collector is off, and the test passes if one of several attempts does.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

ATTEMPTS = 5

Work = Callable[[], object]


def cpu_seconds(work: Work) -> float:
    gc.disable()
    try:
        began = time.process_time()
        work()
        return time.process_time() - began
    finally:
        gc.enable()


def takes_less(work: Work, seconds: float) -> bool:
    """Whether one of several attempts takes less CPU time; what the first one cached must not help."""
    return any(cpu_seconds(work) < seconds for _ in range(ATTEMPTS))


def takes_less_than(work: Work, times: float, other: Work) -> bool:
    """Whether one of several attempts takes less than ``times`` the CPU time of other work, run beside it."""
    return any(cpu_seconds(work) < times * cpu_seconds(other) for _ in range(ATTEMPTS))
