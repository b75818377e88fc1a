"""The parts of a prompt that was sent: the schema and the hint, as a shipped template has put them there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

from tasks.prompts import ENGINE_NAMES, TEMPLATES, parsed_template
from tasks.types import Sample

MARK = "\0"
"""Stands for each value where a template is rendered to see what it writes around its values."""


@dataclass(frozen=True, slots=True)
class PromptParts:
    """What a prompt shows of the database and of the dataset's hint, as the model read it."""

    schema: str
    evidence: str
    """"" if the prompt has none."""


def parts_of(template: str, engine: str, text: str, question: str, examples: int = 0) -> PromptParts | None:
    """The parts of the text that this template has made; None if it is not shipped or did not make the text.

    ``examples``: how many solved questions the text shows.
    """
    if template not in _shipped() or engine not in ENGINE_NAMES:
        return None
    for has_evidence in (True, False):
        first, *middle, before, after = _around(template, engine, has_evidence, examples)
        values = _values(text.strip(), first, middle, f"{before}{question}{after}".rstrip())
        if values and all(values) and values[-1] == values[-1].strip("\n"):
            return PromptParts(values[0], values[-1] if has_evidence else "")
    return None


@cache
def _shipped() -> frozenset[str]:
    """The names of the shipped templates."""
    return frozenset(file.stem for file in TEMPLATES.glob("*.jinja"))


@lru_cache
def _around(template: str, engine: str, has_evidence: bool, examples: int) -> list[str]:
    """What a template writes before, between and after its values, which end with hint and question."""
    example = Sample(MARK, MARK, MARK, (MARK,))
    text = parsed_template(template).template.render(
        schema=MARK,
        examples=[example] * examples,
        evidence=MARK if has_evidence else "",
        question=MARK,
        engine=ENGINE_NAMES[engine],
        database="",
    )
    return text.strip().split(MARK)


def _values(text: str, first: str, separators: Sequence[str], last: str) -> list[str]:
    """The values of a text with these separators, which are found from its end; empty if it has not all."""
    if not text.startswith(first) or not text.endswith(last) or len(text) < len(first) + len(last):
        return []
    rest = text[len(first) : len(text) - len(last)]
    values: list[str] = []
    for separator in reversed(separators):
        rest, found, value = rest.rpartition(separator)
        if not found:
            return []
        values.insert(0, value)
    return [rest, *values]
