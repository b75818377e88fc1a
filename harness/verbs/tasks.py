"""Verbs about a task: ``check`` and ``demo``."""

from __future__ import annotations

import argparse
from contextlib import nullcontext
from pathlib import Path

from harness.arguments import seed
from harness.verbs.options import Verbs, add_common, add_engine, add_on, on_engine
from tasks.common.home import home


def add(verbs: Verbs) -> None:
    """Add these verbs to the parser."""
    _check_options(verbs)
    _demo_options(verbs)


def _check_options(verbs: Verbs) -> None:
    verb = verbs.add_parser("check", help="check a task without a model: every gold must score 1")
    verb.set_defaults(call=check)
    verb.add_argument("task", metavar="TASK", help="a shipped task or a YAML file")
    verb.add_argument("--split", action="append", help="split to check, may be repeated; default: all")
    verb.add_argument("--tokenizer", metavar="M", help="model whose tokenizer counts prompts; default: nano")
    verb.add_argument("--write-clean", metavar="FILE", help="write the rows that pass as jsonl")
    verb.add_argument("--allow-broken-gold", action="store_true", help="exit with 0 even if a gold fails")
    add_engine(verb)
    add_common(verb)
    add_on(verb)


def _demo_options(verbs: Verbs) -> None:
    verb = verbs.add_parser("demo", help="run base, SFT, GRPO and leaderboard by a recipe that ships")
    verb.set_defaults(call=demo)
    verb.add_argument("--model", default="nano", metavar="M", help="nano, or smollm2 (a real model; an hour)")
    verb.add_argument("--task", default="pocket", metavar="T", help="pocket; for smollm2 also spider_small")
    verb.add_argument("--seed", type=seed, default=0, help="seed of SFT and GRPO")
    verb.add_argument(
        "--out", metavar="DIR", default="", help="folder of the models; default: HARNESS_HOME/demo..."
    )


def check(options: argparse.Namespace) -> int:
    """``harness check``: check the golds of a task; exit 1 if one fails."""
    from harness.check import check_task
    from harness.cluster.workers import scoring_workers
    from harness.provenance import outputs
    from harness.render.check import render_check
    from harness.render.output import emit

    clean = Path(options.write_clean) if options.write_clean else None
    with outputs.rows_into(clean, "check") if clean else nullcontext():
        overrides = on_engine(options.task, options.engine, options.overrides, options.trust_task)
        source = (options.task, overrides, options.split or ())
        with scoring_workers(options.on, options.workers) as workers:
            report = check_task(*source, options.tokenizer, workers, options.trust_task)
        emit(report, render_check, options.json)
        if clean:
            report.write_clean(clean)
    return int(report.broken > 0 and not options.allow_broken_gold)


def demo(options: argparse.Namespace) -> int:
    """``harness demo``: base, SFT and GRPO by a recipe."""
    from harness.demo import run_demo
    from harness.recipes import recipe_of

    recipe = recipe_of(options.model, options.task)
    run_demo(recipe, options.seed, Path(options.out) if options.out else home() / recipe.name)
    return 0
