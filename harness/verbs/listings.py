"""Verbs that list what is at hand: ``tasks``, ``models`` and ``doctor``."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from harness.verbs.options import Verbs

if TYPE_CHECKING:
    from runners.known.models import KnownModel


def add(verbs: Verbs) -> None:
    """Add these verbs to the parser."""
    _tasks_options(verbs)
    _models_options(verbs)
    _doctor_options(verbs)


def _tasks_options(verbs: Verbs) -> None:
    verb = verbs.add_parser("tasks", help="list the shipped tasks, or say where the data of one comes from")
    verb.set_defaults(call=tasks)
    verb.add_argument("task", nargs="?", default="", metavar="TASK", help="a shipped task or a YAML file")
    verb.add_argument("--json", action="store_true", help="print JSON")


def _models_options(verbs: Verbs) -> None:
    verb = verbs.add_parser("models", help="list the models known by name, or fetch one")
    verb.set_defaults(call=models)
    verb.add_argument("action", nargs="?", choices=("get",), help="get: fetch a model with pip")
    verb.add_argument("name", nargs="?", default="", metavar="NAME", help="model to fetch")
    verb.add_argument("--json", action="store_true", help="print JSON")


def _doctor_options(verbs: Verbs) -> None:
    verb = verbs.add_parser("doctor", help="examine the installation, the machine and the data folders")
    verb.set_defaults(call=doctor)
    verb.add_argument("--json", action="store_true", help="print JSON")


def tasks(options: argparse.Namespace) -> int:
    """``harness tasks``: a line for each shipped task; with a task, all that its spec says of its data."""
    from harness.render.tasks import HEAD, details, facts, line
    from tasks import spec as specs

    names = [options.task] if options.task else specs.shipped()
    chosen = {name: specs.load(name) for name in names}
    if options.json:
        print(json.dumps({name: facts(spec) for name, spec in chosen.items()}, indent=2))
    elif options.task:
        print("\n".join(details(chosen[options.task])))
    else:
        print("\n".join([HEAD, *map(line, chosen.values())]))
    return 0


def models(options: argparse.Namespace) -> int:
    """``harness models``: print the known models; ``harness models get NAME`` fetches one first."""
    from runners.known.models import MODELS
    from tasks.common.errors import ModelError, nearest

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


def doctor(options: argparse.Namespace) -> int:
    """``harness doctor``: print versions, devices, folders and what is missing; exit 1 for problems."""
    from harness.doctor import examine
    from harness.render.doctor import render_doctor
    from harness.render.output import emit

    report = examine()
    emit(report, render_doctor, options.json)
    return int(bool(report.problems))


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
