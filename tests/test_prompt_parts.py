"""The schema and the hint of a prompt are found again in the text that a template made."""

from __future__ import annotations

import pytest

from tasks.prompt_parts import parts_of
from tasks.prompts import TEMPLATES, messages, render_schema
from tasks.spec import PromptSpec
from tasks.types import Column, Sample, Schema, Table

SCHEMA = Schema(
    (
        Table("city", (Column("name", "TEXT"),), ddl="CREATE TABLE city (\n  name TEXT,\n\n  size INTEGER)"),
        Table("river", (Column("name", "TEXT"),), ddl="CREATE TABLE river (name TEXT)"),
    )
)
EXAMPLES = [Sample("e", "How many?\nReally?", "d", ("SELECT\n1",)), Sample("f", "Which?", "d", ("SELECT 2",))]


@pytest.mark.parametrize("template", sorted(file.stem for file in TEMPLATES.glob("*.jinja")))
@pytest.mark.parametrize("style", ["compact", "ddl"])
@pytest.mark.parametrize("evidence", ["", "large: size > 5; Hint: none"])
@pytest.mark.parametrize("examples", [0, 2])
def test_the_parts_of_a_prompt_are_found_again(
    template: str, style: str, evidence: str, examples: int
) -> None:
    spec = PromptSpec.model_validate({"template": template, "schema": {"format": style}})
    for question in ("Which is large?", "Which one:\n\nHint: this\nQuestion: or that? "):
        sample = Sample("q", question, "d", ("SELECT 3",), evidence)
        text = messages(spec, "sqlite", SCHEMA, sample, EXAMPLES[:examples])[-1]["content"]
        found = parts_of(template, "sqlite", text, question, examples)
        assert found is not None
        assert (found.schema, found.evidence) == (render_schema(spec.schema_, SCHEMA), evidence)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("instruct", "city(name)\n\nWhich?"),
        ("plain", "city(name)\n\nWhich one?"),
        ("plain", "Which?"),
        ("plain", ""),
        ("../templates/plain", "city(name)\n\nWhich?"),
        ("mine.jinja", "city(name)\n\nWhich?"),
    ],
)
def test_a_text_that_the_template_did_not_make_has_no_parts(template: str, text: str) -> None:
    assert parts_of(template, "sqlite", text, "Which?") is None
    assert parts_of("plain", "sqlite", "city(name)\n\nWhich?", "Which?") is not None
