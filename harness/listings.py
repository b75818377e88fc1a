"""The verbs that list what is known by name: ``harness tasks`` and ``harness models``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from typing import Any

from runners.known.models import MODELS, KnownModel
from tasks import spec as specs
from tasks.common.errors import ModelError, nearest


def tasks(options: argparse.Namespace) -> int:
    """``harness tasks``: print the name, splits and description of each shipped task."""
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


def models(options: argparse.Namespace) -> int:
    """``harness models``: print the known models; ``harness models get NAME`` fetches one first."""
    chosen = list(MODELS.values())
    if options.action == "get":
        from runners.known.fetch import get

        if not options.name:
            raise ModelError(f"name the model: harness models get NAME ({nearest('', MODELS)})")
        get(options.name)
        chosen = [MODELS[options.name]]
    facts = {model.name: _facts(model) for model in chosen}
    if options.json:
        print(json.dumps(facts, indent=2))
        return 0
    for name, values in facts.items():
        size = f"{values['bytes'] / 1e6:,.0f} MB"
        print(f"{name:10}{values['state']:14}{size:>7}  {values['license']:12}{values['description']}")
        print(f"{'':10}{values['folder'] if values['state'] != ABSENT else f'harness models get {name}'}")
    return 0


ABSENT = "not fetched"


def _facts(model: KnownModel) -> dict[str, Any]:
    state = "ships" if model.wheel is None else "fetched" if model.is_present() else ABSENT
    return {
        "state": state,
        "bytes": model.size,
        "license": model.license,
        "description": model.description,
        "folder": str(model.folder),
        "hub_id": model.hub_id,
    }
