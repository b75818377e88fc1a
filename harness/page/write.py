"""Render the page: one HTML file with its style, scripts and data, and a policy that allows no others."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from harness.page import formats
from harness.page.packs import Questions, packed, shown
from harness.page.tables import ANSWERS, chosen, tables
from harness.page.views import Evaluated, Group, Page
from harness.render import terminal
from leaderboards.compare import Comparison
from leaderboards.slices import engine_of
from leaderboards.statistics.significance import ALPHA
from tasks.common import files
from tasks.common.terminal import HOSTILE
from tasks.types import Mode

FOLDER = Path(__file__).parent
FILTERS: tuple[Callable[..., Any], ...] = (
    *(formats.bar, formats.gain_bar, formats.gains, formats.interval, formats.memory, formats.points),
    *(formats.pretty, formats.reason_class, formats.segment, formats.sentence, formats.sign, formats.stacked),
    formats.where,
    *(formats.dashed(terminal.duration), formats.dashed(terminal.number), formats.dashed(terminal.percent)),
    terminal.p_value,
)
"""The filters of the templates."""
LIBRARIES = ("d3.min.js", "plot.min.js")
"""In ``vendor``, in the order in which they are loaded."""


def write_page(page: Page, file: Path, answers: int = ANSWERS, trust: bool = False) -> None:
    """Write the page with the result tables of so many answers of each group.

    ``trust``: tasks may run code that they name. Raises OSError, DataError: the file cannot be written.
    """
    packs = all_packs(page)
    for number, group in enumerate(page.groups):
        packs[f"tables-{number}"] = tables(group, chosen(group, answers), trust)
    content = render(page, packs).encode("utf-8", "replace")
    with files.writing(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        files.write(file, content)


def render(page: Page, packs: Mapping[str, Any] | None = None) -> str:
    """The page's HTML with these packs; None: a server hands them out."""
    served = packs is None
    scripts = [*(_asset(f"vendor/{name}") for name in LIBRARIES), _asset("js")]
    style = _asset("css/page.css")
    return (
        environment()
        .get_template("page.html")
        .render(
            page=page,
            made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            index=packed(index(page)),
            packs={name: packed(value) for name, value in (packs or {}).items()},
            scripts=[Markup(script) for script in scripts],
            style=Markup(style),
            policy=policy(scripts, style, served),
            served=served,
        )
    )


def policy(scripts: Sequence[str], style: str, served: bool) -> str:
    """The content security policy: these scripts and this style only, and no request."""
    directives = [
        "default-src 'none'",
        f"script-src {' '.join(map(_source, scripts))}",
        f"style-src {_source(style)}",
        "img-src data:",
        "connect-src 'self'" if served else "connect-src 'none'",
        "base-uri 'none'",
        "form-action 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ]
    return "; ".join(directives)


def _source(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


@cache
def _asset(name: str) -> str:
    """A file of this package; of a folder, all its files in the order of their names."""
    path = FOLDER / name
    parts = sorted(path.glob("*.js")) if path.is_dir() else [path]
    text = "\n".join(part.read_text(encoding="utf-8") for part in parts)
    return f'"use strict";\n(() => {{\n{text}\n}})();\n' if path.is_dir() else text


@cache
def environment() -> Environment:
    """Jinja2 with escaping; every text has its hostile characters made visible."""
    made = Environment(
        loader=PackageLoader("harness.page"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        finalize=lambda value: shown(value) if type(value) is str else _visible(value),
    )
    made.filters.update({function.__name__: function for function in FILTERS})
    return made


def _visible(value: object) -> object:
    """Markup with its hostile characters made visible; anything else as it is."""
    return value.translate(HOSTILE) if isinstance(value, Markup) else value


def index(page: Page) -> dict[str, Any]:
    """What the scripts need at once: the runs of each group that can be opened, and unfinished curves."""
    return {
        "version": page.version,
        "modes": [mode.value for mode in Mode],
        "alpha": ALPHA,
        "groups": [_group_index(group) for group in page.groups],
        "unfinished": [
            {"id": one.run.id, "label": one.run.label, "curve": one.curve} for one in page.unfinished
        ],
    }


def _group_index(group: Group) -> dict[str, Any]:
    names = group.names
    runs = [{"id": run.run.id, "label": names[run.run.id]} for run in group.opened]
    return {"task": group.key.task, "metric": group.key.metric, "runs": runs}


def all_packs(page: Page) -> dict[str, Any]:
    """Name -> content of every pack: ``group-N`` (questions, comparisons), ``run-N-M`` (answers, curve)."""
    packs: dict[str, Any] = {}
    for number, group in enumerate(page.groups):
        questions = Questions()
        for place, run in enumerate(group.opened):
            packs[f"run-{number}-{place}"] = _run_pack(run, questions)
        comparisons = [_comparison(comparison) for comparison in group.comparisons.values()]
        packs[f"group-{number}"] = {**questions.as_dict(), "comparisons": comparisons}
    return packs


def _run_pack(run: Evaluated, questions: Questions) -> dict[str, Any]:
    answers = questions.answers(run.records, engine_of(run.run), run.template)
    return {"answers": answers, "curve": run.curve}


def _comparison(comparison: Comparison) -> dict[str, Any]:
    named = {"a": comparison.a.id, "b": comparison.b.id}
    whole = comparison.as_dict()
    return whole | named | {"slices": {field: whole[field] for field in comparison.slices}}
