"""Figures as the page's tables show them, and bars as SVG. None is a dash, never a zero."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from harness.page.packs import shown
from harness.page.views import Stage
from harness.render import terminal
from harness.render.runs import size
from harness.render.terminal import number, percent
from leaderboards.pairs import PairedFigures
from leaderboards.types import Run

SIGNS = {"better": "up", "worse": "down", "no significant difference": "even"}
"""Outcome of a test -> the class of its colour."""
FIELDS = ("part", "difficulty", "feature", "tables")
"""The slices in the table of gains; a comparison has more."""
NONE = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"
MOST_TELLING = 4
"""Slices that are named in the sentence on where a stage helped."""
WIDE = 0.25
"""The difference, as a share, that fills one side of a bar of gain; a longer one is cut."""
REASONS = (
    *(
        "correct",
        "wrong_rows",
        "wrong_columns",
        "wrong_order",
        "empty_result",
        "execution_error",
        "syntax_error",
    ),
    *(
        "no_sql",
        "many_statements",
        "forbidden_statement",
        "private_data",
        "timeout",
        "memory",
        "too_many_rows",
    ),
    *("gold_failed", "infrastructure"),
)
"""The reasons that have a colour of their own; a reason of a newer version is drawn as ``other``."""

SVG = Markup(
    '<svg class="bar" viewBox="0 0 100 12" preserveAspectRatio="none" aria-hidden="true">'
    '<rect class="track" x="0" y="2" width="100" height="8"/>'
    '<rect class="value" x="0" y="2" width="{value:.2f}" height="8"/>{whisker}</svg>'
)
WHISKER = Markup('<path class="whisker" d="M{low:.2f} 6H{high:.2f}M{low:.2f} 2V10M{high:.2f} 2V10"/>')
GAIN = Markup(
    '<svg class="bar gain {sign}" viewBox="-50 0 100 12" preserveAspectRatio="none" aria-hidden="true">'
    '<rect class="value" x="{x:.2f}" y="2" width="{width:.2f}" height="8"/>'
    '<path class="axis" d="M0 0V12"/></svg>'
)
STACKED = Markup(
    '<svg class="stacked" viewBox="0 0 100 8" preserveAspectRatio="none" role="img"'
    ' aria-label="{label}">{parts}</svg>'
)
PART = Markup(
    '<rect class="r-{name}" x="{x:.3f}" width="{width:.3f}" height="8"><title>{title}</title></rect>'
)


def dashed(function: Callable[..., str]) -> Callable[..., str]:
    """A function of figures with the page's dash, where it has the terminal's for what is missing."""

    @wraps(function)
    def made(*values: Any) -> str:
        text = function(*values)
        return NONE if text == terminal.NONE else text

    return made


def points(value: float | None) -> str:
    """A difference of shares in percentage points, with its sign: 0.073 -> +7.3."""
    return NONE if value is None else f"{100 * value:+.1f}".replace("-", MINUS)


def memory(run: Run) -> str:
    """The peak memory of a run's process, and of its GPUs if it used any."""
    if run.memory is None:
        return NONE
    return size(run.memory) + (f" + {size(run.gpu_memory)} GPU" if run.gpu_memory else "")


def bar(value: float | None, low: float | None = None, high: float | None = None) -> Markup:
    """A bar of a share in [0, 1], with whiskers at the bounds of its interval."""
    if value is None:
        return Markup("")
    whisker = "" if low is None or high is None else WHISKER.format(low=100 * low, high=100 * high)
    return SVG.format(value=100 * value, whisker=whisker)


def interval(low: float | None, high: float | None) -> str:
    """The bounds of an interval of shares, in per cent."""
    return terminal.interval(low, high).replace("-", NONE)


def gain_bar(figures: PairedFigures | None) -> Markup:
    """A bar to the right of the middle for a gain, to the left for a loss."""
    difference = (figures and figures.difference) or 0.0
    width = min(abs(difference) / WIDE, 1.0) * 50
    return GAIN.format(sign=sign(figures), x=-width if difference < 0 else 0, width=width)


def sign(figures: PairedFigures | None) -> str:
    """``up`` or ``down`` for a significant difference, else ``even``."""
    return SIGNS[figures.outcome] if figures else "even"


def sentence(stage: Stage) -> str:
    """One sentence: whether a stage helped, and how sure that is."""
    gain = stage.gain
    if gain is None or gain.all.difference is None:
        return ""
    name = (stage.run.run.method or stage.run.run.label).upper()
    effect = {"up": "helped", "down": "did harm", "even": "made no sure difference"}[sign(gain.all)]
    shares = (
        f"{percent(gain.all.ex_a)} → {percent(gain.all.ex_b)} % of {gain.all.n:,} questions answered right"
    )
    low, high = gain.test.interval or (None, None)
    bounds = f" (95 % interval {points(low)} to {points(high)})" if gain.test.interval else ""
    besides = f"; besides the model they differ in {', '.join(gain.differ)}" if gain.differ else ""
    verdict = re.sub(r"\bp ([<=]) ", "p\N{NO-BREAK SPACE}\\1\N{NO-BREAK SPACE}", gain.test.verdict.text)
    return f"{name} {effect}: {shares}, {points(gain.all.difference)} points{bounds}; {verdict}{besides}."


def where(stage: Stage) -> str:
    """On which kinds of questions a stage helped most, did harm, and made no sure difference."""
    found: dict[str, list[tuple[float, str, str]]] = {"up": [], "down": [], "even": []}
    for field in FIELDS if stage.gain else ():
        for name, figures in stage.gain.slices.get(field, {}).items():  # type: ignore[union-attr]
            found[sign(figures)].append((figures.difference or 0.0, field, name))
    best, worst = sorted(found["up"], reverse=True)[:MOST_TELLING], sorted(found["down"])[:MOST_TELLING]
    if found["even"] and not best + worst:
        return "No sure difference on any kind of questions."
    lists = {
        "most on": [f"{_kind(field, name)} ({points(difference)})" for difference, field, name in best],
        "harm on": [f"{_kind(field, name)} ({points(difference)})" for difference, field, name in worst],
        "no sure difference on": _each_field_once([(field, name) for _, field, name in found["even"]]),
    }
    text = "; ".join(f"{words} {', '.join(names)}" for words, names in lists.items() if names)
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def _kind(field: str, name: str) -> str:
    return name if field == "tables" else f"{field} {name}"


def _each_field_once(slices: Sequence[tuple[str, str]]) -> list[str]:
    """The names of slices, of which only the first of each field has its field before it."""
    first = dict(reversed(slices))
    return [_kind(field, name) if first[field] == name else name for field, name in slices]


def gains(lineage: Sequence[Stage]) -> list[tuple[str, str, str, list[PairedFigures | None]]]:
    """Rows (field, value, questions, figures of each stage) of the table of gains; the total comes first.

    Questions are those of each stage where their number differs: ``1,200 / 100``.
    """
    compared = [stage.gain for stage in lineage if stage.gain]
    found: list[tuple[str, str, list[PairedFigures | None]]] = []
    if compared:
        found.append(("", "all", [comparison.all for comparison in compared]))
    for field in FIELDS:
        for name in compared[-1].slices.get(field, {}) if compared else ():
            found.append((field, name, [one.slices.get(field, {}).get(name) for one in compared]))
    return [(field, name, _counts(figures), figures) for field, name, figures in found]


def _counts(figures: Sequence[PairedFigures | None]) -> str:
    counts = [NONE if one is None else number(one.n) for one in figures]
    return counts[0] if len(set(counts)) == 1 else " / ".join(counts)


def reason_class(name: str) -> str:
    """The class of a reason's colour."""
    return name if name in REASONS else "other"


def stacked(reasons: Mapping[str, int]) -> Markup:
    """A stacked bar of reasons."""
    total = sum(reasons.values()) or 1
    x, parts = 0.0, Markup("")
    for name, count in reasons.items():
        width, title = 100 * count / total, f"{name}: {count:,}, {percent(count / total)} %"
        parts += PART.format(name=reason_class(name), x=x, width=width, title=title)
        x += width
    label = ", ".join(f"{name} {percent(count / total)} %" for name, count in reasons.items())
    return STACKED.format(label=label, parts=parts)


def segment(text: str) -> str:
    """A text, as the page shows it, as one segment of an address."""
    return quote(shown(text), safe="")


def pretty(value: Any) -> str:
    """A setting as JSON text."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)
