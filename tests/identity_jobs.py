"""Work for sandbox workers in ``test_identity``."""

from __future__ import annotations

import sys

from tasks.common.named_code import load_object
from tasks.databases.sandbox.executor import Executor


def loaded(executor: Executor, work: str) -> list[str]:
    """The files of all modules that are loaded once this work has been."""
    load_object(work)
    modules = list(sys.modules.values())
    return [file for module in modules if (file := getattr(module, "__file__", None))]
