"""The peak memory of this process, in the machine and on its GPUs."""

from __future__ import annotations

import re
import resource
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

_STATUS = Path("/proc/self/status")
_RESET = Path("/proc/self/clear_refs")


def reset_peaks() -> None:
    """Begin anew, so that ``peak`` and ``gpu_peak`` tell of what follows; only Linux can for ``peak``."""
    with suppress(OSError):
        _RESET.write_text("5")
    if cuda := _cuda():
        for device in range(cuda.device_count()):
            cuda.reset_peak_memory_stats(device)


def peak() -> int:
    """The peak of resident memory of this process, in bytes.

    On Linux the kernel's VmHWM: ``getrusage`` there counts what the process that started this one had, and
    keeps what was before ``reset_peaks``. It gives kibibytes on Linux and bytes on macOS.
    """
    with suppress(OSError):
        if found := re.search(r"^VmHWM:\s*(\d+) kB$", _STATUS.read_text(), re.MULTILINE):
            return int(found[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def gpu_peak() -> int | None:
    """The peak that torch allocated on the GPUs of this process, in bytes; None where it used none."""
    cuda = _cuda()
    return sum(map(cuda.max_memory_allocated, range(cuda.device_count()))) or None if cuda else None


def _cuda() -> Any:
    """torch's CUDA, if this process uses it; torch is not imported for it."""
    torch = sys.modules.get("torch")
    return torch.cuda if torch and torch.cuda.is_initialized() else None
