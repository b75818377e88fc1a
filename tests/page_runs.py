"""Runs for the tests of the leaderboard's page: a lineage with training curves, and runs of hostile texts."""

from __future__ import annotations

import json
import math
import random
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from harness import evaluate
from leaderboards import store
from leaderboards.summary import summary
from leaderboards.types import Record, Run

HOSTILE = (
    "<script>alert(1)</script>",
    "<img src=http://attacker.invalid/x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "</script><script>alert(1)</script>",
    "</textarea><iframe src='javascript:alert(1)'></iframe>",
    "javascript:alert(1)",
    "{{ 7 * 7 }}{% include 'page.html' %}",
    "\x1b[31mred\x1b[0m \x1b]0;title\x07",
    "abc \u202ecba\u202c \u2066isolate\u2069 \u200f",
    "x" * 1_000_000,
    "<!-- <style>*{display:none}</style>",
    "&lt;b&gt; &amp;lt; \u2028 \u0000",
    "'; DROP TABLE runs; --",
    "lone \ud800 and \udfff surrogates, \u2029, \ufeff, \x9b31m",
    "__proto__",
    "constructor",
    "__END__ ]]> --> */ <![CDATA[ <base href=//attacker.invalid> <meta http-equiv=refresh content=0>",
    "data:text/html,<script>alert(1)</script>",
    "`${alert(1)}` onmouseover=alert(1) style=background:url(//attacker.invalid)",
    "\u0301" * 5000,
    "$& $1 $` %s %n %00 %2e%2e/ ../../etc/passwd #/run/?a=b",
)
"""What a model or a dataset may write to run code in a browser, hide text or break the page."""
HOSTILE_PROMPTS: tuple[Callable[[str], str], ...] = (
    lambda text: text,
    lambda text: json.dumps([{"role": text, "content": text}]),
    lambda text: json.dumps([{"role": role, "content": text} for role in ("user", "assistant", "user")]),
)


TASK = """
name: shop
dataset: {path: "dev.jsonl", splits: {dev: dev}, fields: {id: id, gold: query, database: db_id}}
databases: {path: "{database}.sqlite"}
"""
HINT = "size counts people in thousands"
"""The evidence of each question."""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty HARNESS_HOME."""
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path))
    return tmp_path


def lineage(questions: int = 60) -> tuple[str, str, str]:
    """Ids of the evaluations of a base, its SFT and its GRPO model, with two other models' runs beside."""
    shares = {"base": 0.3, "sft": 0.5, "grpo": 0.7}
    parents = {"base": "", "sft": "models/base", "grpo": "models/sft"}
    evaluations = []
    for method, share in shares.items():
        trained = _training(method) if method != "base" else ""
        records = [_record(number, share, method) for number in range(questions)]
        changes = {"method": method, "parent": parents[method], "trained_by": trained}
        evaluations.append(evaluation(f"models/{method}", records, **changes))
    sampled = [_record(number, 0.6, "sampled", index) for number in range(questions) for index in range(4)]
    evaluation("other:sampled", sampled, task="other")
    return evaluations[0], evaluations[1], evaluations[2]


def short_evaluation(questions: int) -> str:
    """Id of a second evaluation of the GRPO model of a lineage, of its first questions."""
    records = [_record(number, 0.7, "grpo") for number in range(questions)]
    changes = {"method": "grpo", "parent": "models/sft", "limit": questions, "digest": "of fewer questions"}
    return evaluation("models/grpo", records, id="short", **changes)


def shop(home: Path) -> None:
    """Two runs of a task of its own: one of right answers, one of wrong ones to two of three questions."""
    gold = "SELECT id, name FROM item ORDER BY id"
    with closing(sqlite3.connect(home / "shop.sqlite")) as connection:
        connection.execute("CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT)")
        connection.execute("INSERT INTO item VALUES (1, 'a'), (2, '\u202eb')")
        connection.commit()
    rows = [{"id": f"q{i}", "question": "Which?", "query": gold, "db_id": "shop"} for i in range(3)]
    (home / "dev.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (home / "shop.yaml").write_text(TASK)
    for name, sql in (("right", gold), ("wrong", f"SELECT * FROM ({gold}) LIMIT 1")):
        answers = [{"id": f"q{i}", "sql": sql if i else gold} for i in range(3)]
        (home / f"{name}.jsonl").write_text("\n".join(map(json.dumps, answers)))
        evaluate(f"replay:{home}/{name}.jsonl", home / "shop.yaml")


def hostile() -> str:
    """Id of a run of which every text is hostile, and of which numbers are huge or none."""
    records = [
        _record(
            number,
            0.0,
            "hostile",
            question=text,
            completion=text,
            sql=text,
            gold=text,
            detail=text,
            database=text,
            difficulty=text[:40],
            part=text[:40],
            family=text,
            reason=text,
            finish=text,
            sample_id=f"q-{number:03} {text[:80]}",
            prompt=HOSTILE_PROMPTS[number % 3](text),
            parts=json.dumps({text: (1.0, 1e308, math.nan, -math.inf)[number % 4]}),
            reward=(0.5, 1e308, math.nan, math.inf)[number % 4],
            logprob=(None, -math.inf)[number % 2],
            seconds=(math.nan, 1e300)[number % 2],
            tokens=2**53 * (number % 2),
            rows=-(2**31),
        )
        for number, text in enumerate(HOSTILE)
    ]
    texts = {"split": HOSTILE[0], "metric": HOSTILE[2], "commit": HOSTILE[4], "parent": HOSTILE[3]}
    return evaluation(HOSTILE[1], records, task=HOSTILE[0], id="<b>&\"'%2e;hostile", **texts)


def evaluation(model: str, records: Sequence[Record], **changes: Any) -> str:
    """Store a finished evaluation; returns its id."""
    run = _run("eval", model, **changes)
    with store.open_run(run) as writer:
        writer.append(records)
        return writer.finish(summary(records)).id


def _training(method: str) -> str:
    with store.open_run(_run("train", f"models/{method}", digest=f"train {method}")) as writer:
        writer.append_curve(curve(30))
        return writer.finish({"warnings": ["the reward fell"]}).id


def curve(steps: int) -> list[dict[str, float]]:
    """The curve of a training of GRPO."""
    wave: Callable[[int], float] = lambda step: 0.02 * (step * 7 % 5)  # noqa: E731
    return [
        {
            "step": step,
            "reward": 0.4 + 0.01 * step + wave(step),
            "parts/execution": 0.3 + 0.01 * step,
            "no_spread": 0.2 + wave(step),
            "kl": 0.001 * step,
            "entropy": 1 / (step + 1),
            "clipped": wave(step),
            "sampling_seconds": 2.0,
            "learning_seconds": 1.0 + wave(step),
            **({"dev": 0.5 + step / 100} if step % 10 == 0 else {}),
        }
        for step in range(1, steps + 1)
    ]


def _run(kind: Any, model: str, **changes: Any) -> Run:
    name = f"{kind}-{model}".replace("/", "-").replace(":", "-")
    facts: dict[str, Any] = {
        "id": "".join(c for c in name if c.isalnum() or c == "-")[:60],
        "task": "pocket",
        "task_digest": "d1",
        "split": "test",
        "metric": "strict",
        "scorer_version": "1",
        "digest": f"digest of {model}",
        "versions": {"python": "3.11"},
        "spec": {"task": {"prompt": {"template": "plain"}}},
    }
    return Run(kind=kind, model=model, **{**facts, **changes})


def _record(number: int, share: float, method: str, index: int = 0, **changes: Any) -> Record:
    """The record of one answer; which questions are right is decided by the question, then by the share."""
    right = (
        random.Random(number).random() < share + 0.1 * random.Random(f"{number} {method} {index}").random()
    )
    gold = f"SELECT name FROM city WHERE size > {number} ORDER BY name"
    question = f"Which cities are larger than {number}?"
    facts: dict[str, Any] = {
        "sample_id": f"q-{number:03}",
        "sample_index": index,
        "question": question,
        "database": f"db{number % 3}",
        "difficulty": ("easy", "hard")[number % 2],
        "part": ("seen", "unseen")[number % 4 == 0],
        "reason": "correct" if right else "wrong_rows",
        "detail": "" if right else f"row 1: gold ('Paris',) and answer ('Rome',) of {method}",
        "completion": f"The query is:\n{gold}" if right else f"SELECT name FROM city -- {method} {number}",
        "sql": gold if right else f"SELECT name FROM city -- {method} {number}",
        "gold": gold,
        "prompt": json.dumps([{"role": "user", "content": f"city(name, size)\n\n{HINT}\n{question}"}]),
        "metric": float(right),
        "strict": float(right),
        "bird": float(right),
        "reward": 1.0 if right else 0.2,
        "parts": json.dumps({"syntax": 1.0, "execution": float(right), "reward": 1.0}),
        "executes": True,
        "rows": 3,
        "gold_rows": 3 + number % 2,
        "columns": 1,
        "gold_columns": 1,
        "tokens": 12,
        "prompt_tokens": 30,
    }
    return Record(**{**facts, **changes})


def realistic(number: int, run: int) -> Record:
    """A record with texts as long and as different as those of a benchmark: half of the answers are wrong."""
    own = random.Random(number * 100 + run)
    shared = random.Random(number)
    words = ["name", "city", "size", "country", "total", "price", "order_id", "customer", "date", "amount"]
    columns = [f"t{shared.randrange(9)}.{shared.choice(words)}" for _ in range(6)]
    where = f"{columns[0]} > {shared.random()} GROUP BY {columns[1]}"
    gold = f"SELECT {', '.join(columns)} FROM orders WHERE {where}"
    right = own.random() < 0.5
    other = [f"t{own.randrange(9)}.{own.choice(words)}" for _ in range(6)]
    wrong = f"SELECT {', '.join(other)} FROM orders WHERE {other[0]} < {own.random()} ORDER BY {other[1]}"
    schema = "\n".join(f"table_{number % 20}_{i}({', '.join(words)})" for i in range(30))
    sql = gold if right else wrong
    question = f"For each {shared.choice(words)}, which {columns[2]} has more than {shared.random()}?"
    hint = f"{shared.choice(words)} refers to {columns[3]} = {shared.random()}"
    prompt = json.dumps([{"role": "user", "content": f"{schema}\n\n{hint}\n{question}"}])
    return _record(
        number,
        0.5,
        str(run),
        question=question,
        gold=gold,
        sql=sql,
        completion=f"The tables are joined on {other[2]}, then filtered.\n```sql\n{sql}\n```",
        detail="" if right else f"no such column: {other[3]}",
        prompt=prompt,
        metric=float(right),
        seconds=own.random(),
        logprob=-own.random(),
        tokens=own.randrange(400),
        reward=1.0 if right else own.random() / 4,
        parts=json.dumps({"syntax": 1.0, "execution": float(right), "structure": own.random()}),
    )
