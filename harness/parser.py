"""The verbs of the command line and their options."""

from __future__ import annotations

import argparse
from typing import TypeAlias

from harness.arguments import Parser, above_zero, only, path, positive, seed, share, temperatures

Verbs: TypeAlias = "argparse._SubParsersAction[Parser]"


def add_all(verbs: Verbs) -> None:
    """Add every verb to the parser."""
    for add in (
        _eval,
        _sample,
        _train,
        _score,
        _check,
        _export,
        _board,
        _compare,
        _show,
        _tasks,
        _models,
        _demo,
    ):
        add(verbs)


def _eval(verbs: Verbs) -> None:
    verb = verbs.add_parser("eval", help="evaluate models on a task")
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
    _sampling_options(verb)
    verb.add_argument(
        "--out", type=path, metavar="DIR", help="also write records.parquet and scores.json there"
    )
    verb.add_argument("--fresh", action="store_true", help="evaluate again even if there is a finished run")
    _question_options(verb)
    _common_options(verb, " or runner.KEY=VALUE")


def _sample(verbs: Verbs) -> None:
    verb = verbs.add_parser("sample", help="write a model's own right answers as training data (RFT)")
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
    _sampling_options(verb)
    _question_options(verb)
    _common_options(verb, " or runner.KEY=VALUE")


def _train(verbs: Verbs) -> None:
    verb = verbs.add_parser("train", help="train a model on a task: the reward is the score")
    verb.add_argument("--task", required=True, help="a shipped task or a YAML file")
    verb.add_argument(
        "--method", required=True, choices=("sft", "grpo", "sft+grpo"), help="stages of the training"
    )
    verb.add_argument("--model", required=True, metavar="M", help="nano, smollm2, a folder or org/name")
    verb.add_argument(
        "--out",
        type=path,
        required=True,
        metavar="DIR",
        help="folder of the training; the model is written to DIR/model",
    )
    _row_options(verb)
    verb.add_argument(
        "--recipe",
        default="",
        metavar="R",
        help="settings to start from: 24gb, 48gb, 80gb, 8x80gb or a YAML file",
    )
    verb.add_argument(
        "--plan", action="store_true", help="only predict memory and time, and refuse what does not fit"
    )
    verb.add_argument("--no-eval", action="store_true", help="do not evaluate the model before and after")
    verb.add_argument(
        "--processes",
        type=positive,
        default=0,
        metavar="N",
        help="train in N processes, one for each GPU, or on CPUs; default: the recipe's number, otherwise 1",
    )
    verb.add_argument("--seed", type=seed, default=0, help="seed of the training")
    _question_options(verb)
    _common_options(verb, ", train.KEY=VALUE, or sft.KEY=VALUE and grpo.KEY=VALUE for one stage")


def _row_options(verb: argparse.ArgumentParser) -> None:
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
        help="rows of SFT: gold (the task's own, default) or a file of harness sample; may be repeated",
    )
    verb.add_argument(
        "--sft-limit", type=positive, default=0, metavar="N", help="as --limit, for the SFT stage only"
    )


def _score(verbs: Verbs) -> None:
    verb = verbs.add_parser("score", help="score stored answers in all modes, without a model")
    verb.add_argument(
        "file", metavar="FILE", help="jsonl, json, csv, tsv, a file with one SQL on each line, or a run"
    )
    verb.add_argument("--column", metavar="NAME", default="", help="key or column of the answers in the file")
    verb.add_argument("--task", required=True, help="a shipped task or a YAML file")
    _question_options(verb)
    _common_options(verb)


def _check(verbs: Verbs) -> None:
    verb = verbs.add_parser("check", help="check a task without a model: every gold must score 1")
    verb.add_argument("task", metavar="TASK", help="a shipped task or a YAML file")
    verb.add_argument("--split", action="append", help="split to check, may be repeated; default: all")
    verb.add_argument("--tokenizer", metavar="M", help="model whose tokenizer counts prompts; default: nano")
    verb.add_argument("--write-clean", metavar="FILE", help="write the rows that pass as jsonl")
    verb.add_argument("--allow-broken-gold", action="store_true", help="exit with 0 even if a gold fails")
    _common_options(verb)


def _export(verbs: Verbs) -> None:
    verb = verbs.add_parser("export", help="write a task for another program")
    verb.add_argument("program", choices=("lm-eval", "prime-rl"), help="program")
    verb.add_argument("--task", required=True, help="a shipped task or a YAML file")
    verb.add_argument(
        "--out", type=path, default="lm_eval_tasks", metavar="DIR", help="lm-eval: folder for --include_path"
    )
    verb.add_argument("--split", default="", help="lm-eval: split; default: the task's eval_split")
    verb.add_argument("--model", default="Qwen/Qwen3-0.6B", metavar="M", help="prime-rl: model to train")
    verb.add_argument(
        "--turns", type=positive, default=1, metavar="N", help="prime-rl: most answers to a question"
    )
    verb.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="overrides",
        help="override a key of the task",
    )
    _trust_option(verb)


def _board(verbs: Verbs) -> None:
    verb = verbs.add_parser("board", help="show the leaderboard")
    verb.add_argument("--task", default="", help="only this task")
    verb.add_argument("--reasons", action="store_true", help="also show why answers failed")
    verb.add_argument("--json", action="store_true", help="print JSON")


def _compare(verbs: Verbs) -> None:
    verb = verbs.add_parser("compare", help="compare two runs question by question")
    verb.add_argument("a", metavar="A", help="a run's id, the beginning of one, or a model")
    verb.add_argument("b", metavar="B", help="the run to compare with A")
    verb.add_argument("--json", action="store_true", help="print JSON")


def _show(verbs: Verbs) -> None:
    verb = verbs.add_parser("show", help="show the evidence for one answer")
    verb.add_argument("run", metavar="RUN", help="a run's id, the beginning of one, or a model")
    verb.add_argument("sample", metavar="QUESTION", help="id of the question")
    verb.add_argument("--json", action="store_true", help="print JSON")


def _tasks(verbs: Verbs) -> None:
    verb = verbs.add_parser("tasks", help="list the shipped tasks")
    verb.add_argument("--json", action="store_true", help="print JSON")


def _models(verbs: Verbs) -> None:
    verb = verbs.add_parser("models", help="list the models known by name, or fetch one")
    verb.add_argument("action", nargs="?", choices=("get",), help="get: fetch a model with pip")
    verb.add_argument("name", nargs="?", default="", metavar="NAME", help="model to fetch")
    verb.add_argument("--json", action="store_true", help="print JSON")


def _demo(verbs: Verbs) -> None:
    verb = verbs.add_parser("demo", help="run base, SFT, GRPO and leaderboard by a recipe that ships")
    verb.add_argument("--model", default="nano", metavar="M", help="nano, or smollm2 (a real model; an hour)")
    verb.add_argument("--task", default="pocket", metavar="T", help="pocket; for smollm2 also spider_small")
    verb.add_argument("--seed", type=seed, default=0, help="seed of SFT and GRPO")
    verb.add_argument(
        "--out", metavar="DIR", default="", help="folder of the models; default: HARNESS_HOME/demo..."
    )


def _sampling_options(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--base-url", metavar="URL", default="", help="base URL of the server of openai:NAME")
    verb.add_argument(
        "--turns",
        type=positive,
        default=1,
        metavar="N",
        help="most answers to a question: a failed query may be corrected",
    )
    verb.add_argument("--top-p", type=share, default=1.0, metavar="P", help="nucleus sampling")
    verb.add_argument("--seed", type=seed, default=0, help="seed of sampling")
    verb.add_argument(
        "--max-new-tokens", type=positive, default=0, help="most tokens of an answer; default: the task's"
    )


def _question_options(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--split", default="", help="split of the dataset; default: the task's")
    verb.add_argument("--limit", type=positive, default=0, metavar="N", help="use only the first N questions")
    verb.add_argument("--sample-seed", type=seed, default=None, help="shuffle the questions before --limit")


def _common_options(verb: argparse.ArgumentParser, also: str = "") -> None:
    verb.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="overrides",
        help="override a key of the task (scoring.seconds=10)" + also,
    )
    _trust_option(verb)
    verb.add_argument(
        "--workers", type=positive, default=0, help="scoring processes; default: one for each core"
    )
    verb.add_argument("--json", action="store_true", help="print JSON")


def _trust_option(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--trust-task",
        action="store_true",
        help="allow the task to run code (module:name), also from the current folder",
    )
