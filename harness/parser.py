"""The verbs of the command line and what each takes."""

from __future__ import annotations

import argparse
from typing import TypeAlias

from harness.arguments import Parser, above_zero, only, positive, seed, share, temperatures

Verbs: TypeAlias = "argparse._SubParsersAction[Parser]"


def add_all(verbs: Verbs) -> None:
    """Add every verb to the parser."""
    for add in (_eval, _sample, _train, _score, _check, _export, _board, _compare, _show, _tasks, _demo):
        add(verbs)


def _eval(verbs: Verbs) -> None:
    verb = verbs.add_parser("eval", help="ask a model the questions of a task and judge its answers")
    verb.add_argument(
        "--model",
        action="append",
        required=True,
        metavar="M",
        help="nano, a folder, org/name[@revision], BASE+ADAPTER, vllm:M, openai:M, anthropic:M, "
        "lm-eval:BACKEND:ARGS, replay:FILE, gold or empty; may be repeated (docs/how-to/models.md)",
    )
    verb.add_argument("--task", help="a shipped task or a YAML file; default: what the model was trained on")
    verb.add_argument("--samples", type=positive, default=1, metavar="N", help="answers a question")
    verb.add_argument(
        "--temperature", type=temperatures, default=[0.0], metavar="T[,T]", help="0 is greedy; each is a run"
    )
    _asking(verb)
    verb.add_argument("--out", metavar="DIR", help="also write records.parquet and scores.json there")
    verb.add_argument("--fresh", action="store_true", help="ask again although a finished run stands there")
    _questions(verb)
    _common(verb)


def _sample(verbs: Verbs) -> None:
    verb = verbs.add_parser("sample", help="write a model's own right answers, to train it on (RFT)")
    verb.add_argument("--model", required=True, metavar="M", help="as for eval; a teacher's name too")
    verb.add_argument("--task", required=True, help="a shipped task or a YAML file")
    verb.add_argument("--samples", type=positive, default=16, metavar="N", help="answers a question")
    verb.add_argument("--temperature", type=above_zero, default=1.0, metavar="T")
    verb.add_argument(
        "--keep",
        choices=("correct", "likeliest"),
        default="correct",
        help="every distinct right query, or the likeliest of a question",
    )
    verb.add_argument("--out", required=True, metavar="FILE", help="jsonl, for train --data")
    _asking(verb)
    _questions(verb)
    _common(verb)


def _train(verbs: Verbs) -> None:
    verb = verbs.add_parser("train", help="train a model on a task: the reward is the score")
    verb.add_argument("--task", required=True, help="a shipped task or a YAML file")
    verb.add_argument("--method", required=True, choices=("sft", "grpo", "sft+grpo"))
    verb.add_argument("--model", required=True, metavar="M", help="nano, a folder or org/name")
    verb.add_argument(
        "--out", required=True, metavar="DIR", help="checkpoints, and the trained model in DIR/model"
    )
    verb.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="FIELD=A[,B]",
        type=only,
        help="only questions whose database (or difficulty, family, part) is A or B",
    )
    verb.add_argument(
        "--data",
        action="append",
        metavar="FILE",
        help="SFT's rows: a file of harness sample, or gold, the task's own (default); may be repeated",
    )
    verb.add_argument(
        "--recipe", default="", metavar="R", help="settings to begin with: 24gb, 48gb, 80gb, 8x80gb or a file"
    )
    verb.add_argument(
        "--plan", action="store_true", help="only predict memory and time; refuse what does not fit"
    )
    verb.add_argument("--sft-limit", type=positive, default=0, metavar="N", help="as --limit, for SFT alone")
    verb.add_argument("--no-eval", action="store_true", help="do not evaluate the model before and after")
    verb.add_argument(
        "--processes",
        type=positive,
        default=0,
        metavar="N",
        help="train in N processes: one a GPU, or on CPU; default: what the recipe says, else 1",
    )
    verb.add_argument("--seed", type=seed, default=0)
    _questions(verb)
    _common(verb)


def _score(verbs: Verbs) -> None:
    verb = verbs.add_parser("score", help="judge stored answers on the CPU alone, in all modes")
    verb.add_argument("file", metavar="FILE", help="a jsonl, json, csv or tsv, one SQL a line, or a run")
    verb.add_argument("--column", metavar="NAME", default="", help="of the file: the answers' key or column")
    verb.add_argument("--task", required=True)
    _questions(verb)
    _common(verb)


def _check(verbs: Verbs) -> None:
    verb = verbs.add_parser("check", help="prove a task without a model: does every gold answer score 1.0?")
    verb.add_argument("task", metavar="TASK")
    verb.add_argument("--split", action="append", help="default: all")
    verb.add_argument(
        "--tokenizer", metavar="M", help="count prompt tokens with this model's; default: nano's"
    )
    verb.add_argument("--write-clean", metavar="FILE", help="write the good rows as jsonl")
    verb.add_argument("--allow-broken-gold", action="store_true", help="exit 0 although a gold fails")
    _common(verb)


def _export(verbs: Verbs) -> None:
    verb = verbs.add_parser("export", help="a task for another program")
    verb.add_argument("form", choices=("lm-eval", "prime-rl"))
    verb.add_argument("--task", required=True, help="a shipped task or a YAML file")
    verb.add_argument("--out", default="lm_eval_tasks", metavar="DIR", help="lm-eval: the --include_path")
    verb.add_argument("--split", default="", help="lm-eval: default: the task's own")
    verb.add_argument("--model", default="Qwen/Qwen3-0.6B", metavar="M", help="prime-rl: what to train")
    verb.add_argument("--turns", type=positive, default=1, metavar="N", help="prime-rl: answers at most")
    verb.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides")
    _trust(verb)


def _board(verbs: Verbs) -> None:
    verb = verbs.add_parser("board", help="the leaderboard")
    verb.add_argument("--task", default="", help="only this task")
    verb.add_argument("--reasons", action="store_true", help="also why answers failed")
    verb.add_argument("--json", action="store_true", help="print JSON")


def _compare(verbs: Verbs) -> None:
    verb = verbs.add_parser("compare", help="two runs, question by question")
    verb.add_argument("a", metavar="A", help="a run's id, its beginning, or a model's name")
    verb.add_argument("b", metavar="B")
    verb.add_argument("--json", action="store_true", help="print JSON")


def _show(verbs: Verbs) -> None:
    verb = verbs.add_parser("show", help="the evidence for one answer")
    verb.add_argument("run", metavar="RUN")
    verb.add_argument("sample", metavar="QUESTION", help="the question's id")
    verb.add_argument("--json", action="store_true", help="print JSON")


def _tasks(verbs: Verbs) -> None:
    verb = verbs.add_parser("tasks", help="the tasks that come with the package")
    verb.add_argument("--json", action="store_true", help="print JSON")


def _demo(verbs: Verbs) -> None:
    verb = verbs.add_parser("demo", help="base -> SFT -> GRPO -> leaderboard on the embedded task and model")
    verb.add_argument("--seed", type=seed, default=0)
    verb.add_argument("--out", metavar="DIR", default="", help="default: HARNESS_HOME/demo")


def _asking(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--base-url", metavar="URL", default="", help="of the server that openai: asks")
    verb.add_argument(
        "--turns", type=positive, default=1, metavar="N", help="a failed query may be corrected"
    )
    verb.add_argument("--top-p", type=share, default=1.0, metavar="P", help="draw from the likeliest P")
    verb.add_argument("--seed", type=seed, default=0, help="of sampling")
    verb.add_argument("--max-new-tokens", type=positive, default=0, help="default: what the task says")


def _questions(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--split", default="", help="default: the task's own")
    verb.add_argument("--limit", type=positive, default=0, metavar="N", help="the first N questions")
    verb.add_argument("--sample-seed", type=seed, default=None, help="shuffle the questions before --limit")


def _common(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="overrides",
        help="override one key of the task, such as scoring.seconds=10; or train.KEY=VALUE, runner.KEY=VALUE",
    )
    _trust(verb)
    verb.add_argument("--workers", type=positive, default=0, help="scoring processes; default: one a core")
    verb.add_argument("--json", action="store_true", help="print JSON")


def _trust(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--trust-task",
        action="store_true",
        help="run the code that the task names (module:name), also of this folder",
    )
