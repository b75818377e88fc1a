"""The verbs that only read: the board, two runs, one answer, the shipped tasks."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from typing import Any

from tasks import spec as specs
from tasks.common.errors import DataError, nearest


def board_(options: argparse.Namespace) -> int:
    """``harness board``."""
    from harness import screens
    from leaderboards import board

    found = board.board(task=options.task, reasons=options.reasons)
    if options.task and not found.groups and options.task not in specs.shipped():
        known = {key.task for key in board.board().groups} | set(specs.shipped())
        raise DataError(f"no evaluation of a task '{options.task}': {nearest(options.task, known)}")
    screens.emit(found, options.json)
    return 0


def compare(options: argparse.Namespace) -> int:
    """``harness compare``."""
    from harness import screens
    from leaderboards.compare import compare as paired

    screens.emit(paired(options.a, options.b), options.json)
    return 0


def show(options: argparse.Namespace) -> int:
    """``harness show``."""
    from harness import screens
    from leaderboards import evidence

    screens.emit(evidence.show(options.run, options.sample), options.json)
    return 0


def tasks(options: argparse.Namespace) -> int:
    """``harness tasks``: name, splits and description of each shipped task."""
    shipped: dict[str, Mapping[str, Any]] = {}
    for name in specs.shipped():
        spec = specs.load(name)
        shipped[name] = {"splits": list(spec.dataset.splits), "description": spec.description}
    if options.json:
        print(json.dumps(shipped, indent=2))
        return 0
    for name, facts in shipped.items():
        print(f"{name:18}{', '.join(facts['splits']):22}{facts['description']}")
    return 0
