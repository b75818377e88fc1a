"""The programs for which ``harness export PROGRAM --task TASK`` writes a task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module

from harness.adapters.options import ExportOptions

_EXPORTERS: Mapping[str, str] = {
    "harbor": "harness.adapters.harbor:export",
    "lm-eval": "harness.adapters.lm_eval:export",
    "nemo-gym": "harness.adapters.nemo_gym_export:export",
    "prime-rl": "harness.adapters.prime_rl:export",
    "skyrl": "harness.adapters.skyrl_export:export",
    "verl": "harness.adapters.verl:export",
}
"""Name of a program -> the function that writes a task for it and returns what is printed."""
PROGRAMS = tuple(_EXPORTERS)


def exporter(program: str) -> Callable[[ExportOptions], str]:
    """The function of one of PROGRAMS. Its result goes to stdout; it raises SpecError, DataError."""
    module, function = _EXPORTERS[program].split(":")
    write: Callable[[ExportOptions], str] = getattr(import_module(module), function)
    return write
