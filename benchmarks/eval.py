"""The speed of ``harness eval`` and ``lm_eval`` with the same model, prompts, greedy decoding and batches.

    OMP_NUM_THREADS=1 python benchmarks/eval.py

Prompts are pocket's, their schemas padded with tables of its other databases to a number of tokens; questions
on one database share their schema, as they do in every text-to-SQL benchmark. Rates do not include loading;
rounds of the two programs alternate, and the best of each counts. Start-up is the time of each command for
one question. ``--cpu`` counts CPU seconds instead of wall-clock seconds, for a machine with other work.
``--vllm-python`` adds vLLM with its prefix cache, in float32, in another environment (``make vllm-env``); it
answers once.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import cycle
from pathlib import Path
from typing import Any

from runners.types import Request, Runner, Sampling
from runners.weights.source import resolve
from tasks import prompts
from tasks.databases.schema import describe
from tasks.task import Task
from tasks.types import Message, Schema

LENGTHS = (0, 400, 1600)
"""Tokens that a schema is padded to; 0: pocket's own."""


@dataclass(frozen=True, slots=True)
class Rate:
    """Questions per second of both programs at one length of the schema."""

    schema_tokens: int
    prompt_tokens: float
    """Mean length of a prompt."""
    ours: float
    theirs: float
    identical: float
    """Share of the answers that are the same text."""
    vllm: float | None = None
    """Questions per second of vLLM."""
    vllm_identical: float = 0.0
    """Share of our answers that are vLLM's text."""

    @property
    def ratio(self) -> float:
        return self.ours / self.theirs


def main() -> None:
    """Measure, and print a table or JSON."""
    options = _options()
    if options.json:
        rows = [asdict(rate) | {"ratio": rate.ratio} for rate in _rates(options)]
        print(json.dumps({"rates": rows, "start": _starts(options)}, indent=2))
        return
    header = "schema   prompt   harness   lm_eval   ratio   identical answers"
    print(header + ("      vllm   ratio   identical answers" if options.vllm_python else ""))
    for rate in _rates(options):
        lengths = f"{rate.schema_tokens or 'own':>6}   {rate.prompt_tokens:6.0f}"
        speeds = f"{rate.ours:5.2f}/s   {rate.theirs:5.2f}/s   {rate.ratio:4.1f}x"
        print(f"{lengths}   {speeds}   {rate.identical:>17.1%}{_vllm_cells(rate)}", flush=True)
    for name, seconds in _starts(options).items():
        print(f"first result, {name}: {seconds:.1f} s")


def _vllm_cells(rate: Rate) -> str:
    """vLLM's speed, ours divided by it, and the share of identical answers; "": it was not asked for."""
    if rate.vllm is None:
        return ""
    return f"   {rate.vllm:5.2f}/s   {rate.ours / rate.vllm:4.1f}x   {rate.vllm_identical:>17.1%}"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="compare the speed of harness eval and lm_eval")
    parser.add_argument("--model", default="nano", help="a model's name or folder")
    parser.add_argument("--questions", type=int, default=64)
    parser.add_argument("--batch", type=int, default=32, help="answers in flight, for both")
    parser.add_argument("--new-tokens", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--length", type=int, action="append", help=f"default: {LENGTHS}")
    parser.add_argument("--no-start", action="store_true", help="leave out the start-up times")
    parser.add_argument("--cpu", action="store_true", help="count CPU seconds, not wall-clock seconds")
    parser.add_argument("--vllm-python", help="the Python of an environment that has vLLM")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    options.model = resolve(options.model).path
    return options


def _rates(options: argparse.Namespace) -> Iterator[Rate]:
    from runners.decoding.tokens import encode
    from runners.hf import HfRunner
    from runners.lm_eval.runner import open_lm_eval
    from runners.weights.loading import load

    model, tokenizer = load(options.model)
    theirs = open_lm_eval(f"hf:pretrained={options.model},dtype=float32,batch_size={options.batch}")
    sampling = Sampling(max_new_tokens=options.new_tokens)
    for length in options.length or LENGTHS:
        requests = list(_requests(options.questions, length, tokenizer))
        lengths = [len(ids) for ids in encode(tokenizer, requests)]
        ours = HfRunner(model, tokenizer, batch_tokens=_room(requests, tokenizer, options))
        best, texts = {"ours": 0.0, "theirs": 0.0}, {}
        for _ in range(options.rounds):
            runners: dict[str, Runner] = {"ours": ours, "theirs": theirs}
            for name, runner in runners.items():
                rate, texts[name] = _timed(runner, requests, sampling, options.cpu)
                best[name] = max(best[name], rate)
        same = sum(a == b for a, b in zip(texts["ours"], texts["theirs"], strict=True))
        row = Rate(length, sum(lengths) / len(lengths), best["ours"], best["theirs"], same / len(requests))
        if options.vllm_python:
            found = _vllm(requests, max(lengths) + options.new_tokens, options)
            same = sum(a == b for a, b in zip(texts["ours"], found["texts"], strict=True))
            row = replace(row, vllm=found["rate"], vllm_identical=same / len(requests))
        yield row


def _vllm(requests: Sequence[Request], context: int, options: argparse.Namespace) -> dict[str, Any]:
    """The rate and texts of vLLM."""
    job = {
        "model": options.model,
        "messages": [list(request.messages) for request in requests],
        "context": context,
        "batch": options.batch,
        "new_tokens": options.new_tokens,
        "cpu": options.cpu,
    }
    command = [options.vllm_python, str(Path(__file__).with_name("eval_vllm.py"))]
    done = subprocess.run(command, input=json.dumps(job), capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr}")
    answers: dict[str, Any] = json.loads(done.stdout)
    return answers


def _room(requests: Sequence[Request], tokenizer: Any, options: argparse.Namespace) -> int:
    """The tokens of ``batch`` answers in one batch: lm-eval counts answers, our batches count tokens."""
    from runners.decoding.prefix_cache import prefix_groups
    from runners.decoding.tokens import encode

    groups = prefix_groups(encode(tokenizer, requests), 1)
    tokens = sum(
        len(group.prefix) + sum(len(rest) + options.new_tokens for _, rest in group.answers)
        for group in groups
    )
    return int(tokens * options.batch / len(requests))


def _timed(
    runner: Runner, requests: Sequence[Request], sampling: Sampling, cpu: bool
) -> tuple[float, list[str]]:
    clock = time.process_time if cpu else time.perf_counter
    began = clock()
    texts = {index: answers[0].text.strip() for index, answers in runner.generate(requests, sampling)}
    return len(requests) / (clock() - began), [texts[index] for index in range(len(requests))]


def _requests(count: int, schema_tokens: int, tokenizer: Any) -> Iterator[Request]:
    """The first questions of pocket's test split, database by database, with padded schemas."""
    task = Task.named("pocket")
    samples = sorted(task.samples(), key=lambda sample: sample.database)[:count]
    one_each = {sample.database: sample for sample in task.samples()}
    schemas = {name: describe(task.database(sample)) for name, sample in one_each.items()}
    shown = {
        name: _padded(name, schemas, schema_tokens, tokenizer, task)
        for name in {sample.database for sample in samples}
    }
    for sample in samples:
        messages: tuple[Message, ...] = prompts.messages(
            task.spec.prompt, "sqlite", shown[sample.database], sample
        )
        yield Request(sample, messages)


def _padded(name: str, schemas: dict[str, Schema], tokens: int, tokenizer: Any, task: Task) -> Schema:
    """A database's schema and as many tables of the others, again and again, as fit into ``tokens``."""
    schema = schemas[name]
    spare = [table for other in sorted(schemas) if other != name for table in schemas[other].tables]
    for table in cycle(spare):
        longer = Schema((*schema.tables, replace(table, name=f"{table.name}_{len(schema.tables)}")))
        text = prompts.render_schema(task.spec.prompt.schema_, longer)
        if len(tokenizer(text).input_ids) > tokens:
            break
        schema = longer
    return schema


def _starts(options: argparse.Namespace) -> dict[str, float]:
    """Seconds from the command to its first result, of each program."""
    if options.no_start:
        return {}
    with tempfile.TemporaryDirectory() as folder:
        harness = str(Path(sys.executable).with_name("harness"))
        theirs = str(Path(sys.executable).with_name("lm_eval"))
        model = options.model
        _run([harness, "export", "lm-eval", "--task", "pocket", "--out", folder])
        ours = [harness, "eval", "--model", model, "--task", "pocket", "--limit", "1", "--fresh"]
        other = [theirs, "run", "--model", "hf", "--model_args", f"pretrained={model},dtype=float32"]
        other += ["--device", "cpu", "--tasks", "harness_pocket", "--include_path", folder]
        other += ["--limit", "1", "--apply_chat_template"]
        commands = {"harness eval": ours, "lm_eval run": other}
        return {name: min(_run(command, options.cpu) for _ in range(2)) for name, command in commands.items()}


def _run(command: Sequence[str], cpu: bool = False) -> float:
    began = _children() if cpu else time.perf_counter()
    env = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr}")
    return (_children() if cpu else time.perf_counter()) - began


def _children() -> float:
    """CPU seconds of all processes that were started here and have ended."""
    times = os.times()
    return times.children_user + times.children_system


if __name__ == "__main__":
    main()
