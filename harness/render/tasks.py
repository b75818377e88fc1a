"""Tasks in a terminal: a line for each, and all that a spec says of its data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tasks import sources
from tasks.spec import TaskSpec

HEAD = f"{'task':22}{'questions':>9}  {'official':12}{'license':22}data"


def facts(spec: TaskSpec) -> dict[str, Any]:
    """Plain data for ``--json``. ``data``: ``found``, ``Hub``, or what is missing."""
    return {
        "splits": list(spec.dataset.splits),
        "description": spec.description,
        **spec.about.model_dump(mode="json"),
        "data": sources.state(spec.dataset),
    }


def line(spec: TaskSpec) -> str:
    """One line of at most 80 characters, under ``HEAD``."""
    about, data = spec.about, sources.state(spec.dataset)
    questions = f"{about.questions:,}" if about.questions else "-"
    state = data if data in ("found", "Hub") else "missing"
    return f"{spec.name:22}{questions:>9}  {about.official or '-':12}{about.license or '-':22}{state}"


def details(spec: TaskSpec) -> Iterator[str]:
    """All that the spec says of its data, a fact in each line."""
    about, dataset, scoring = spec.about, spec.dataset, spec.scoring
    splits = (f"{name} (evaluated)" if name == dataset.eval_split else name for name in dataset.splits)
    size = f"{about.questions:,} questions on {about.databases:,} databases" if about.questions else ""
    yield f"{spec.name}: {spec.description}"
    for name, text in {
        "splits": ", ".join(splits),
        "size": size,
        "metric": scoring.metric.value,
        "official": about.official.value if about.official else "",
        "modes": ", ".join(scoring.modes),
        "source": about.source,
        "license": about.license,
        "get it": about.get,
        "data": sources.state(dataset),
    }.items():
        if text:
            yield f"  {name:10}{text}"
