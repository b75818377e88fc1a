"""Verbs that judge answers: ``eval``, ``sample`` and ``score``."""

from __future__ import annotations

import argparse
import traceback
from collections.abc import Sequence
from contextlib import nullcontext
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from harness.arguments import above_zero, path, positive, shard, temperatures
from harness.verbs.options import (
    Verbs,
    add_common,
    add_engine,
    add_on,
    add_questions,
    add_sampling,
    divided,
    on_engine,
)
from harness.verbs.results import emit_board
from tasks.common import files
from tasks.common.errors import DataError, HarnessError
from tasks.common.terminal import say

if TYPE_CHECKING:
    from harness.spec import EvalSpec
    from leaderboards.shards import Shard
    from leaderboards.types import Run
    from tasks.types import Workers


def add(verbs: Verbs) -> None:
    """Add these verbs to the parser."""
    _eval_options(verbs)
    _sample_options(verbs)
    _score_options(verbs)


def _eval_options(verbs: Verbs) -> None:
    verb = verbs.add_parser("eval", help="evaluate models on a task")
    verb.set_defaults(call=evaluate)
    verb.add_argument(
        "--model",
        action="append",
        required=True,
        metavar="M",
        help="nano, smollm2, a folder, org/name[@revision], BASE+ADAPTER, vllm:M, openai:M, anthropic:M, "
        "lm-eval:BACKEND:ARGS, replay:FILE, gold or empty; may be repeated (docs/how-to/models.md)",
    )
    verb.add_argument(
        "--task", help="a shipped task or a YAML file; default: the task that the model was trained on"
    )
    verb.add_argument("--samples", type=positive, default=1, metavar="N", help="answers to each question")
    verb.add_argument(
        "--temperature",
        type=temperatures,
        default=[0.0],
        metavar="T[,T]",
        help="0 is greedy; several make one run each",
    )
    add_sampling(verb)
    verb.add_argument(
        "--out", type=path, metavar="DIR", help="also write records.parquet and scores.json there"
    )
    verb.add_argument("--fresh", action="store_true", help="evaluate again even if there is a finished run")
    verb.add_argument(
        "--shard",
        type=shard,
        metavar="I/N",
        help="judge shard I of N of the questions; the last of the N processes makes the run",
    )
    add_engine(verb)
    add_questions(verb)
    add_common(verb, " or runner.KEY=VALUE")
    add_on(verb)


def _sample_options(verbs: Verbs) -> None:
    verb = verbs.add_parser("sample", help="write a model's own right answers as training data (RFT)")
    verb.set_defaults(call=sample)
    verb.add_argument("--model", required=True, metavar="M", help="as for eval")
    verb.add_argument("--task", required=True, help="a shipped task or a YAML file")
    verb.add_argument("--samples", type=positive, default=16, metavar="N", help="answers to each question")
    verb.add_argument(
        "--temperature", type=above_zero, default=1.0, metavar="T", help="temperature of sampling"
    )
    verb.add_argument(
        "--keep",
        choices=("correct", "likeliest"),
        default="correct",
        help="every distinct right query, or the most likely one of each question",
    )
    verb.add_argument(
        "--out", type=path, required=True, metavar="FILE", help="jsonl file to write, for train --data"
    )
    add_sampling(verb)
    add_engine(verb)
    add_questions(verb)
    add_common(verb, " or runner.KEY=VALUE")
    add_on(verb)


def _score_options(verbs: Verbs) -> None:
    verb = verbs.add_parser("score", help="score stored answers in all modes, without a model")
    verb.set_defaults(call=score)
    verb.add_argument(
        "file", metavar="FILE", help="jsonl, json, csv, tsv, a file with one SQL on each line, or a run"
    )
    verb.add_argument("--column", metavar="NAME", default="", help="key or column of the answers in the file")
    verb.add_argument("--task", required=True, help="a shipped task or a YAML file")
    add_engine(verb)
    add_questions(verb)
    add_common(verb)
    add_on(verb)


def evaluate(options: argparse.Namespace) -> int:
    """``harness eval``: evaluate each model; exit 1 if one left questions unanswered."""
    from harness.cluster.workers import scoring_workers
    from harness.provenance import outputs

    jobs = list(product(options.model, options.temperature))
    if options.samples > 1 and 0 in options.temperature:
        say(f"temperature 0 draws one answer {options.samples} times: set --temperature")
    if options.shard and options.fresh:
        raise DataError("--fresh does not go with --shard: harness runs rm removes the run to repeat")
    out = Path(options.out) if options.out else None
    if out and len(jobs) > 1 and out.exists() and not out.is_dir():
        raise DataError(f"--out {out}: it is a file: name a folder")
    with outputs.evaluation_into(out) if out and len(jobs) == 1 else nullcontext():
        with scoring_workers(options.on, options.workers) as workers:
            runs = as_they_are_now(_evaluate_each(options, jobs, workers), options.shard)
        complete = [_has_all_answers(run, options.shard) for run in runs]
        finished = [run for run in runs if run.finished]
        for run in finished if out else []:
            outputs.copy_run(run.id, Path(options.out) / (run.id if len(jobs) > 1 else ""))
    if finished:
        emit_board(finished, options.json)
    return int(sum(complete) < len(jobs))


def _evaluate_each(
    options: argparse.Namespace, jobs: Sequence[tuple[str, float]], workers: Workers
) -> list[Run]:
    """Evaluate these models; an error of one does not stop the others. Returns the runs of all others."""
    from harness.evaluation import evaluate_model

    runner_keys, overrides = divided(options.overrides, "runner.")
    runs: list[Run] = []
    for model, temperature in jobs:
        spec = _eval_spec(options, model, temperature, runner_keys)
        spec = spec.model_copy(update={"shard": options.shard})
        try:
            task_overrides = on_engine(spec.task, options.engine, overrides, spec.trust)
            run = evaluate_model(spec, task_overrides, workers, options.fresh)
        except Exception as error:
            if len(jobs) == 1:
                raise
            if not isinstance(error, HarnessError):
                traceback.print_exc()
            say(f"harness eval: {model}: {error}")
            continue
        runs.append(run)
    return runs


def as_they_are_now(runs: Sequence[Run], shard: Shard | None) -> list[Run]:
    """The runs as they are now: another process may have finished one while this one evaluated the next."""
    from leaderboards import shards

    return [run if run.finished or shard is None else shards.merge(run.id) for run in runs]


def _has_all_answers(run: Run, shard: Shard | None) -> bool:
    """Whether a run, or the shard of it that was asked for, is complete; says what is missing."""
    from leaderboards import shards

    if run.finished:
        return True
    left = shards.missing(run.id) if shard else []
    if shard is None or shard in left:
        say(f"{run.model}: questions are left unanswered; run the same command again")
        return False
    waits = f"; run {run.id} waits for {', '.join(map(str, left))}" if left else ""
    say(f"{run.model}: shard {shard} is complete{waits}")
    return True


def _eval_spec(
    options: argparse.Namespace, model: str, temperature: float, settings: Sequence[str]
) -> EvalSpec:
    from harness.spec import EvalSpec
    from runners.settings import RunnerConfig
    from tasks.common.parse import parse

    first, *others = _urls(options.base_url) or [""]
    chosen = {"endpoint": {"base_url": first, "replicas": others}}
    return EvalSpec(
        runner=parse(RunnerConfig, chosen, settings, where="--set runner"),
        model=model,
        task=options.task or _trained_on(model),
        split=options.split,
        limit=options.limit,
        sample_seed=options.sample_seed,
        samples=options.samples,
        temperature=temperature,
        top_p=options.top_p,
        turns=options.turns,
        seed=options.seed,
        max_new_tokens=options.max_new_tokens,
        trust=options.trust_task,
    )


def _urls(given: Sequence[str]) -> list[str]:
    """The URLs, with those in files in place of the files' names. Raises DataError."""
    return [url for text in given for url in ([text] if "://" in text or not text else _urls_in(text))]


def _urls_in(name: str) -> list[str]:
    """The URLs in a file, one on each line. Raises DataError: there are none."""
    file = Path(name)
    if not file.is_file():
        raise DataError(f"--base-url {name}: no URL, as http://localhost:8000/v1, and no file of URLs")
    try:
        lines = files.read(file).decode("utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise DataError(f"--base-url {name}: cannot be read: {error}") from None
    found = [url for line in lines if (url := line.partition("#")[0].strip())]
    if not found:
        raise DataError(f"--base-url {name}: no line of the file has a URL")
    return found


def _trained_on(model: str) -> str:
    """The task that a model was trained on, else ``pocket``; prints its name on stderr."""
    from harness.provenance import lineage

    task = lineage.read(lineage.model_path(model)).task or "pocket"
    say(f"no --task: {model} is evaluated on {task}")
    return task


def sample(options: argparse.Namespace) -> int:
    """``harness sample``: write the model's own right answers to a file to train on."""
    from harness.cluster.workers import scoring_workers
    from harness.provenance import outputs
    from harness.sample import sample as draw_samples
    from tasks.task import Task

    settings, overrides = divided(options.overrides, "runner.")
    spec = _eval_spec(options, options.model, options.temperature, settings)
    overrides = on_engine(spec.task, options.engine, overrides, spec.trust)
    split = options.split or Task.named(spec.task, overrides, spec.trust).spec.dataset.train_split
    spec = spec.model_copy(update={"split": split})
    out = Path(options.out)
    with outputs.rows_into(out), scoring_workers(options.on, options.workers) as workers:
        run, rows = draw_samples(spec, overrides, options.keep, out, workers)
    say(f"{options.out}: {rows:,} right answers")
    emit_board([run], options.json)
    return 0


def score(options: argparse.Namespace) -> int:
    """``harness score``: judge stored answers in every mode."""
    from harness.cluster.workers import scoring_workers
    from harness.stored import score_stored

    fields = {name: getattr(options, name) for name in ("task", "split", "limit", "sample_seed")}
    fields["trust"] = options.trust_task
    overrides = on_engine(options.task, options.engine, options.overrides, options.trust_task)
    with scoring_workers(options.on, options.workers) as workers:
        run = score_stored(options.file, fields, overrides, workers, options.column)
    emit_board([run], options.json, reasons=True)
    return 0
