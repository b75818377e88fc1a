"""Train on generated questions of a database, and measure on the questions that people wrote for it.

    OMP_NUM_THREADS=1 HARNESS_DATA=... python benchmarks/generate.py [--database NAME]... [--write FILE]

For each Spider database: nano (or ``--model``) answers the hand-written questions, ``harness generate`` makes
pairs for the schema, SFT trains on them, and the model answers again. The generator sees the schema and the
rows; it does not see the questions, except to leave equal ones out. Prints EX before and after with its
interval, the questions won and lost with McNemar's test, and the same by gold: Spider asks for most golds in
two wordings, which are not independent. Started again, it continues where it stopped.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from harness.generation.generate import generate
from harness.spec import TrainSpec
from harness.training.train import train_model
from leaderboards import store
from leaderboards.statistics.intervals import wilson
from leaderboards.statistics.significance import mcnemar
from runners.training.config import SftConfig
from tasks.common.home import home
from tasks.task import Task

DATABASES = ("concert_singer", "world_1")
"""Chosen by name before any question of them was read; the grammar was developed on databases of Spider's
training split."""
SFT = SftConfig(learning_rate=1e-3, epochs=3, batch_size=32, same_prefix=8, eval_every=10_000)


@dataclass(frozen=True, slots=True)
class Measured:
    """The right answers to ``n`` questions before and after, and the questions and golds won and lost.

    A gold is won if more of its questions are answered right after the training than before.
    """

    name: str
    n: int
    pairs: int
    before: int
    after: int
    wins: int
    losses: int
    golds_won: int
    golds_lost: int


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--database", action="append", help=f"default: {' '.join(DATABASES)}")
    parser.add_argument("--split", default="dev_exec", help="file of the questions below HARNESS_DATA/spider")
    parser.add_argument("--model", default="nano")
    parser.add_argument("--n", type=int, default=2000, help="generated pairs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", action="append", default=[], dest="settings", metavar="KEY=VALUE")
    parser.add_argument("--out", type=Path, default=home() / "generate")
    options = parser.parse_args()
    config = SftConfig.model_validate(
        SFT.model_dump() | {"seed": options.seed} | dict(map(_setting, options.settings))
    )
    print("| database | questions | pairs | EX before | EX after | won, lost, p | golds won, lost, p |")
    print("|---|---|---|---|---|---|---|", flush=True)
    rows = []
    for name in options.database or DATABASES:
        rows.append(measure(name, options, config))
        print(line(rows[-1]), flush=True)
    if len(rows) > 1:
        print(line(together(rows)))
    return 0


def _setting(text: str) -> tuple[str, object]:
    key, _, value = text.partition("=")
    return key, yaml.safe_load(value)


def measure(name: str, options: argparse.Namespace, config: SftConfig) -> Measured:
    """Generate, train and evaluate on one database."""
    out = options.out / f"{name}-{options.model.replace('/', '_')}-{options.n}-{config.digest}"
    task = Task.named(str(hand_written(name, options.split, options.out)))
    generated = options.out / f"{name}-{options.n}-{options.seed}"
    if not generated.exists():
        generate(task, options.n, options.seed, generated)
    spec = TrainSpec(
        task=str(generated / "task.yaml"), method="sft", model=options.model, dev_limit=0, sft=config
    )
    before, after = train_model(spec, (), out)
    first, second = (
        {record.sample_id: record for record in store.records(run.id)} for run in (before, after)
    )
    right = [round(sum(record.metric or 0 for record in answers.values())) for answers in (first, second)]
    changes = {key: (second[key].metric or 0) - (record.metric or 0) for key, record in first.items()}
    by_gold: Counter[str] = Counter()
    for key, change in changes.items():
        by_gold[first[key].gold] += round(change)
    pairs = sum(len((generated / f"{split}.jsonl").read_text().splitlines()) for split in ("train", "dev"))
    flips = [sum(sign * change > 0 for change in changes.values()) for sign in (1, -1)]
    golds = [sum(sign * change > 0 for change in by_gold.values()) for sign in (1, -1)]
    return Measured(name, len(first), pairs, *right, *flips, *golds)


def hand_written(name: str, split: str, folder: Path) -> Path:
    """The task of the questions that people wrote for a database of Spider."""
    spec = {
        "name": name,
        "dataset": {
            "path": f"${{HARNESS_DATA}}/spider/{split}.json",
            "splits": {"test": "test"},
            "where": {"db_id": name},
            "eval_split": "test",
        },
        "databases": {"path": "${HARNESS_DATA}/spider/database/{database}/{database}.sqlite"},
        "scoring": {"modes": ["strict", "spider"]},
        "answer": {"max_new_tokens": 96},
    }
    file = folder / f"{name}.yaml"
    folder.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(spec, sort_keys=False))
    return file


def together(rows: Sequence[Measured]) -> Measured:
    """All questions of all databases."""
    names = ("n", "pairs", "before", "after", "wins", "losses", "golds_won", "golds_lost")
    return Measured("together", *(sum(getattr(row, name) for row in rows) for name in names))


def line(row: Measured) -> str:
    """A row of the table."""
    ends = []
    for right in (row.before, row.after):
        low, high = wilson(right, row.n) or (0.0, 1.0)
        ends.append(f"{right / row.n:.1%} ({100 * low:.1f}-{100 * high:.1f})")
    questions = f"{row.wins}, {row.losses}, {mcnemar(row.wins, row.losses):.2g}"
    golds = f"{row.golds_won}, {row.golds_lost}, {mcnemar(row.golds_won, row.golds_lost):.2g}"
    return f"| {row.name} | {row.n} | {row.pairs:,} | {ends[0]} | {ends[1]} | {questions} | {golds} |"


if __name__ == "__main__":
    sys.exit(main())
