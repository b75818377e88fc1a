"""The evidence for one question in a terminal: prompt, answers, verdicts, results and rewards."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from harness.render.results import render_results
from harness.render.terminal import NONE, duration, number, plain, reason
from harness.results import EvidenceWithResults, Results
from leaderboards.evidence import messages, parts
from leaderboards.types import Record
from tasks.types import Mode


def render_evidence(shown: EvidenceWithResults) -> RenderableType:
    """The prompt once, then every answer with its results."""
    evidence = shown.evidence
    first = evidence.records[0]
    facts = [first.database, first.difficulty, first.part, first.family]
    head = plain(first.sample_id, "bold").append_text(
        plain("".join(f" · {fact}" for fact in facts if fact), "not bold dim")
    )
    prompt = [_block(role, content) for role, content in messages(first.prompt)]
    pairs = zip(evidence.records, shown.results, strict=True)
    answers = [_answer(record, results, len(evidence.records)) for record, results in pairs]
    origin = plain(f"{evidence.run.label} · {evidence.run.id}", "dim")
    return Group(head, origin, *prompt, _block("gold", first.gold), *answers)


def _block(title: str, text: str) -> RenderableType:
    return Group(Rule(plain(title, "dim"), align="left", style="dim"), Padding(plain(text), (0, 0, 0, 2)))


def _answer(record: Record, results: Results, count: int) -> RenderableType:
    title = "answer" if count == 1 else f"answer {record.sample_index + 1} of {count}"
    blocks = [_block(title, record.completion)]
    if record.sql.strip() != record.completion.strip():
        blocks.append(_block("the SQL read out of it", record.sql or "(none)"))
    if record.flags:
        blocks.append(_block("security flags", record.flags.replace(",", ", ")))
    if record.other_gold:
        blocks.append(_block("compared with another gold", record.other_gold))
    changed = [Text(f"judged now: {results.reason}", "yellow")] if _differs(record, results) else []
    shown = [Rule(style="dim"), _facts(record), Rule(style="dim"), *changed, render_results(results)]
    return Group(*blocks, *shown, Text())


def _differs(record: Record, results: Results) -> bool:
    """Whether an answer that the model gave has another reason now than in the run."""
    return results.reason not in ("", record.reason) and record.finish in ("stop", "length")


def _facts(record: Record) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_row(
        Text("why", "dim"), reason(record.reason).append_text(plain(f"  {record.detail}", "default"))
    )
    verdicts = [(mode.value, getattr(record, mode)) for mode in Mode]
    table.add_row(Text("verdicts", "dim"), _values([(name, v) for name, v in verdicts if v is not None]))
    table.add_row(Text("reward", "dim"), number(record.reward, 3))
    table.add_row(Text("scores", "dim"), _values(parts(record.parts)))
    gold = f"gold {record.gold_rows:,} x {record.gold_columns}"
    table.add_row(Text("rows", "dim"), f"{record.rows:,} x {record.columns}, {gold}")
    ended = f"{record.tokens:,} tokens, {duration(record.seconds)}, ended by {record.finish}"
    table.add_row(Text("length", "dim"), f"{ended}, after a prompt of {record.prompt_tokens:,}")
    return table


def _values(named: list[tuple[str, float | None]]) -> Text:
    return plain("   ".join(f"{name} {number(value, 2)}" for name, value in named) or NONE)
