"""Which prompt a model answers best: every prompt below x every task, on the same questions.

    OMP_NUM_THREADS=1 python benchmarks/prompts.py smollm2 [--task pocket] [--task spider] [--limit 100]

Prompts are the templates in ``tasks/templates`` and in ``benchmarks/prompts``, some of them those of other
projects with the schema first, each with the schema as DDL or in the compact format. Prints a row for each:
the mean tokens of a prompt, execution accuracy with its 95 % interval, and the reasons of the wrong answers.
An interrupted benchmark continues where it stopped; ``--sample-seed`` chooses other questions.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from statistics import fmean

import harness
from leaderboards.statistics import wilson

FOLDER = Path(__file__).parent / "prompts"
SCHEMAS: dict[str, dict[str, object]] = {
    "compact": {"prompt.schema.format": "compact", "prompt.schema.rows": 0},
    "ddl": {"prompt.schema.format": "ddl", "prompt.schema.rows": 0},
    "compact, values": {
        "prompt.schema.format": "compact",
        "prompt.schema.rows": 0,
        "prompt.schema.values": True,
    },
    "ddl, 3 rows": {"prompt.schema.format": "ddl", "prompt.schema.rows": 3},
}
PROMPTS = (
    ("plain", "compact", 0),
    ("plain", "ddl", 0),
    ("instruct", "compact", 0),
    ("instruct", "ddl", 0),
    ("instruct", "ddl, 3 rows", 0),
    ("instruct", "compact", 3),
    ("omnisql", "ddl", 0),
    ("sqlcoder", "ddl", 0),
    ("bird", "ddl", 0),
    ("labelled", "compact", 0),
    ("select", "compact", 0),
    ("select", "compact, values", 0),
    ("question_first", "compact", 0),
)
"""Template, schema, number of solved examples."""


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model")
    parser.add_argument("--task", action="append", default=[], help="default: pocket")
    parser.add_argument("--prompt", action="append", default=[], help="only these templates")
    parser.add_argument("--limit", type=int, default=100)
    parser.add_argument("--sample-seed", type=int, default=0)
    options = parser.parse_args()
    print("| task | template | schema | examples | tokens | EX | 95 % | executes | most frequent failures |")
    print("|---|---|---|---|---|---|---|---|---|")
    for task in options.task or ["pocket"]:
        for template, schema, examples in PROMPTS:
            if not options.prompt or template in options.prompt:
                row = measure(options, task, template, schema, examples)
                print("| " + " | ".join((task, template, schema, str(examples), *row)) + " |", flush=True)


def measure(
    options: argparse.Namespace, task: str, template: str, schema: str, examples: int
) -> Iterable[str]:
    """The cells of one evaluation."""
    own = FOLDER / f"{template}.jinja"
    run = harness.evaluate(
        options.model,
        task,
        limit=options.limit,
        overrides={
            "prompt.template": str(own) if own.is_file() else template,
            "prompt.examples.count": examples,
            "eval.sample_seed": options.sample_seed,
            "eval.max_new_tokens": 96,
            **SCHEMAS[schema],
        },
    )
    records = harness.records(run)
    failures = Counter(record.reason for record in records if record.reason != "correct")
    right = len(records) - failures.total()
    interval = wilson(right, len(records))
    assert interval is not None, "some questions were asked"
    return (
        f"{fmean(record.prompt_tokens for record in records):.0f}",
        f"{right / len(records):.0%}",
        f"{interval[0]:.0%}-{interval[1]:.0%}",
        f"{fmean(record.executes for record in records):.0%}",
        ", ".join(f"{count} {reason}" for reason, count in failures.most_common(3)),
    )


if __name__ == "__main__":
    main()
