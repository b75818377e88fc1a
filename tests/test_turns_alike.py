"""Conversations are the same in evaluation, in training and in the verifiers environment."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

pytest.importorskip("verifiers")

import tiny_models
import verifiers.v1 as vf
from renderers import CustomRendererConfig
from servers.scripted import scripted
from test_verifiers import chat, play

from harness.cli import main
from harness.training.train import database_feedback, training_reward
from harness.turns import TurnsRunner
from leaderboards import store
from leaderboards.alarms import with_alarm_modes
from rewards.feedback import feedback
from rewards.grader import Grader
from rewards.types import Attempt, Reason
from runners.decoding.tokens import encode
from runners.open import open_runner
from runners.training.engine import SamplingSettings, TokenEngine, generate
from runners.training.rollout import Conversation, Draw, Turns
from runners.types import Request, Sampling
from runners.weights.loading import load
from tasks.task import Task
from tasks.types import Message, Sample

TURNS = 3
GOLD = "the gold"
SCRIPTS: dict[str, tuple[list[str], int]] = {
    "right at once": ([GOLD], 1),
    "fails, then right": (["SELECT gone FROM nowhere", GOLD], 2),
    "nothing, then right": (["SELECT 1 WHERE 1 = 0", GOLD], 2),
    "wrong, which no feedback contradicts": (["SELECT 'no such answer'", GOLD], 1),
    "never right": (["SELECT gone FROM nowhere", "SELEC 1", "SELECT 1 WHERE 1 = 0", GOLD], 3),
    "never changes": (["SELECT gone FROM nowhere"], 3),
    "no SQL, then silence": (["I cannot say.", "", "Nor now."], 3),
    "silence, then right": (["", GOLD], 2),
    "only blanks, then right": ([" \n", GOLD], 2),
    "forbidden, then two statements, then right": (["DELETE FROM member", "SELECT 1; SELECT 2", GOLD], 3),
    "fenced and padded": (["\n```sql\nSELECT gone FROM nowhere\n```\n\n", f"  {GOLD};  \n"], 2),
    "unusual letters": (["SELECT 'é' AS \"naïve\" FROM nowhere -- 😀", GOLD], 2),
}
"""Answers by turn, and how many of them are requested."""
QUESTIONS, MOST = 12, 40
ENVIRONMENT: dict[str, Any] = {
    "taskset": {"id": "harness_sql", "spec": "pocket", "split": "dev"},
    "turns": TURNS,
}


class Played(NamedTuple):
    """One conversation: its messages from the first answer on, and the reward of its last answer."""

    messages: Sequence[tuple[str, str]]
    turns: int
    reward: float | None


def by_the_runner(url: str, overrides: Sequence[str], limit: int = len(SCRIPTS)) -> list[Played]:
    """As ``harness eval --turns 3``."""
    settings = [part for one in overrides for part in ("--set", one)]
    line = ["eval", "--model", "openai:m", "--base-url", url, "--task", "pocket", "--split", "dev"]
    assert main([*line, "--limit", str(limit), "--turns", str(TURNS), "--workers", "1", *settings]) == 0
    found = []
    for record in store.records(store.runs()[-1].id):
        conversation = [*json.loads(record.prompt), {"role": "assistant", "content": record.completion}]
        messages = [(one["role"], one["content"]) for one in conversation]
        turns = sum(role == "assistant" for role, _ in messages)
        found.append(Played(messages, turns, record.reward))
    return found


def by_the_environment(url: str, overrides: Sequence[str]) -> list[Played]:
    """As ``vf-eval harness_sql --env.turns 3``."""
    config = {**ENVIRONMENT, "taskset": {**ENVIRONMENT["taskset"], "overrides": overrides}}
    found = []
    for episode in play(config, chat(url), limit=len(SCRIPTS)):
        assert episode.ok, episode.traces[0].errors
        (trace,) = episode.traces
        (branch,) = trace.branches
        messages = [(one.role, one.content or "") for one in branch.messages]
        found.append(Played(messages, trace.num_turns, trace.reward))
    return found


def by_the_trainer(task: Task, samples: list[Sample], script: dict[str, list[str]]) -> list[Played]:
    """As GRPO with ``max_turns=3``, its answers drawn from the script."""
    tokenizer = tiny_models.tokenizer()  # one token a byte at least: every text survives it
    requests = [Request(sample, task.messages(sample)) for sample in samples]

    def draw(turn: int, asked: Sequence[Conversation]) -> tuple[list[list[int]], None]:
        scripts = [script[one.request.messages[-1]["content"]] for one in asked]
        return [ids(tokenizer, answers[min(turn, len(answers) - 1)]) for answers in scripts], None

    with Grader(with_alarm_modes(task.spec.scoring), 1) as grader:
        conversations = trainers_conversations(requests, [[]] * len(requests), tokenizer, draw, grader, task)
        rewards = training_reward(task, grader)(samples, [one.text for one in conversations])
    found = []
    for conversation, reward in zip(conversations, rewards, strict=True):
        messages = [
            (one["role"], one["content"]) for one in [*conversation.request.messages, *conversation.messages]
        ]
        found.append(Played(messages, conversation.turns, reward.value))
    return found


def trainers_conversations(
    requests: Sequence[Request],
    prompts: Sequence[Sequence[int]],
    tokenizer: Any,
    draw: Draw,
    grader: Grader,
    task: Task,
) -> list[Conversation]:
    """The trainer's loop, with its own feedback."""
    conversations = [Conversation(request, list(ids)) for request, ids in zip(requests, prompts, strict=True)]
    turns = Turns(TURNS, 10**6, tokenizer, (tokenizer.eos_token_id,))
    turns.play(conversations, draw, database_feedback(task, grader))
    return conversations


def ids(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def assistant(text: str) -> Message:
    return {"role": "assistant", "content": text}


@pytest.mark.parametrize("overrides", [[], ["prompt.system=You write SQL."], ["scoring.feedback_rows=2"]])
def test_runner_environment_and_trainer_play_the_same(home: Path, overrides: list[str]) -> None:
    task = Task.named("pocket", overrides)
    samples = task.samples("dev", len(SCRIPTS))
    script = {
        task.messages(sample)[-1]["content"]: [one.replace(GOLD, sample.gold[0]) for one in answers]
        for sample, (answers, _) in zip(samples, SCRIPTS.values(), strict=True)
    }
    with scripted(script) as url:
        run, environment = by_the_runner(url, overrides), by_the_environment(url, overrides)
    trained = by_the_trainer(task, samples, script)
    for name, *ways in zip(SCRIPTS, run, environment, trained, strict=True):
        assert ways[0] == ways[1] == ways[2], name
        shown = "scoring.feedback_rows=2" in overrides
        turns = (2 if name == "right at once" else TURNS) if shown else SCRIPTS[name][1]
        assert ways[0].turns == turns, name
    first = "system" if any("system" in one for one in overrides) else "user"
    assert {one.messages[0][0] for one in run} == {first}
    assert [one.reward for one in run[:3]] == [1.0] * 3 and (run[4].reward or 0) < 1


QWEN = (
    "{% for m in messages %}<|{{ m.role }}|>{% if m.role == 'assistant' and not loop.last %}"
    "{{ m.content.split('</think>')[-1].lstrip('\n') }}{% else %}{{ m.content }}{% endif %}"
    "<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
"""Drops earlier thoughts, as Qwen3's template does."""
THOUGHTS = [
    ["<think>a draft: SELECT 1</think>SELECT gone FROM nowhere", f"<think>hm</think>\n\n{GOLD}"],
    [
        "<think>x</think>\nSELECT gone FROM nowhere",
        "[THINK]y[/THINK] SELECT 1 WHERE 1 = 0",
        f"</think>{GOLD}",
    ],
    ["<think>never ends: SELECT 1", "<think></think>SELECT 1 WHERE 1 = 0", GOLD],
    ["SELECT gone FROM nowhere", "SELECT '<think>' FROM nowhere", GOLD],
]


@pytest.mark.parametrize("template", [tiny_models.TEMPLATE, QWEN], ids=["keeps", "drops"])
def test_earlier_thoughts_are_dropped_whatever_the_template_does(home: Path, template: str) -> None:
    """What a model is asked at each turn is the same, and so is the reward of its last answer."""
    task = Task.named("pocket")
    samples = task.samples("dev", len(THOUGHTS))
    script = {
        task.messages(sample)[-1]["content"]: [one.replace(GOLD, sample.gold[0]) for one in answers]
        for sample, answers in zip(samples, THOUGHTS, strict=True)
    }
    asked: dict[str, list[list[dict[str, str]]]] = {"runner": [], "environment": []}
    limit = len(THOUGHTS)
    with scripted(script, asked["runner"]) as url:
        line = ["eval", "--model", "openai:m", "--base-url", url, "--task", "pocket", "--split", "dev"]
        assert main([*line, "--limit", str(limit), "--turns", str(TURNS), "--workers", "1"]) == 0
    with scripted(script, asked["environment"]) as url:
        episodes = play(ENVIRONMENT, chat(url), limit=limit)
    records = store.records(store.runs()[-1].id)
    assert (
        [episode.traces[0].reward for episode in episodes] == [one.reward for one in records] == [1] * limit
    )
    turns = sorted(map(repr, asked["runner"]))
    assert turns == sorted(map(repr, asked["environment"])) and len(turns) == 2 + 3 * 3
    assert not [one for one in turns if "draft" in one or "hm" in one or "never ends" in one]

    tokenizer = tiny_models.tokenizer()
    tokenizer.chat_template = template
    requests = [Request(sample, task.messages(sample)) for sample in samples]
    prompts = [encoded(tokenizer, request.messages) for request in requests]
    seen: list[str] = []

    def draw(turn: int, open_ones: Sequence[Conversation]) -> tuple[list[list[int]], None]:
        seen.extend(tokenizer.decode(one.prompt + one.tokens) for one in open_ones)
        answers = [script[one.request.messages[-1]["content"]][turn] for one in open_ones]
        return [ids(tokenizer, text) for text in answers], None

    with Grader(with_alarm_modes(task.spec.scoring), 1) as grader:
        conversations = trainers_conversations(requests, prompts, tokenizer, draw, grader, task)
    rendered = [tokenizer.decode(encoded(tokenizer, messages)) for messages in asked["runner"]]
    assert sorted(seen) == sorted(rendered), "the trainer shows what the endpoint is asked"
    for one in conversations[:3]:
        pairs = zip(one.tokens, one.sampled, strict=True)
        drawn = tokenizer.decode([token for token, sampled in pairs if sampled])
        assert drawn == one.text, "only what was drawn behind this very prompt is trained"


def test_a_turn_that_overflows_the_context_keeps_the_answer_before_it(tmp_path: Path, home: Path) -> None:
    task = Task.named("pocket")
    [sample] = task.samples("dev", 1)
    request = Request(sample, task.messages(sample))
    room = len(encoded(tiny_models.tokenizer(), request.messages)) + 16
    model = open_runner(tiny_models.save(tmp_path / "model", max_position_embeddings=room))
    sampling = Sampling(max_new_tokens=12, n=2, temperature=1.0)
    [(_, first)] = model.generate([request], sampling)
    runner = TurnsRunner(model, task, 1, TURNS)
    [(_, answers)] = runner.generate([request], sampling)
    runner.close()
    assert [(one.text, one.finish, one.history) for one in answers] == [
        (one.text, one.finish, ()) for one in first
    ]
    assert all(f"the model's context is {room}" in one.error for one in answers), "and says why"


def test_an_endpoint_s_context_that_ends_a_conversation_keeps_the_answer_before_it(home: Path) -> None:
    task = Task.named("pocket")
    [sample] = task.samples("dev", 1)
    wrong = f"SELECT * FROM ({sample.gold[0].rstrip(';')}) WHERE 1 = 0"
    question = task.messages(sample)[-1]["content"]
    with scripted({question: [wrong, GOLD]}, room=len(question) + 10) as url:
        [runs] = [by_the_runner(url, [], limit=1)]
        [episode] = play(ENVIRONMENT, chat(url), limit=1)
    [trace] = episode.traces
    assert episode.ok and not trace.errors
    assert (runs[0].messages[-1], runs[0].turns) == (("assistant", wrong), 1)
    assert (trace.last_reply, trace.num_turns, trace.reward) == (wrong, 1, runs[0].reward)


def encoded(tokenizer: Any, messages: Sequence[Any]) -> list[int]:
    found = tokenizer.apply_chat_template(list(messages), add_generation_prompt=True, return_dict=True)
    return list(found["input_ids"])


@pytest.mark.slow
def test_a_model_answers_alike_in_the_trainer_and_in_the_environment(home: Path) -> None:
    """nano, greedy, with a low token limit: both extend the sampled tokens."""
    task, (model, tokenizer) = Task.named("pocket"), load("nano")
    samples = task.samples("dev", QUESTIONS)
    how = SamplingSettings(0.0, 1.0, MOST, (tokenizer.eos_token_id,))

    def draw(turn: int, asked: Sequence[Conversation]) -> tuple[list[list[int]], None]:
        found = generate(model, [one.prompt + one.tokens for one in asked], how, tokenizer.pad_token_id)
        return [one.tokens for one in found], None

    requests = [Request(sample, task.messages(sample)) for sample in samples]
    with Grader(with_alarm_modes(task.spec.scoring), 1) as grader:
        prompts = encode(tokenizer, requests)
        conversations = trainers_conversations(requests, prompts, tokenizer, draw, grader, task)
    with TokenEngine(model, tokenizer.pad_token_id) as engine:
        client = vf.TrainClientConfig(
            base_url=engine.url,
            api_key_var="NO_KEY",
            renderer=CustomRendererConfig(import_path="runners.training.renderer.TemplateRenderer"),
            renderer_model_name=tokenizer.name_or_path,
        )
        sampling = vf.SamplingConfig(temperature=0.0, max_tokens=MOST)
        episodes = play(ENVIRONMENT, vf.ModelContext("nano", client, sampling), limit=QUESTIONS)
    branches = [episode.traces[0].branches[0] for episode in episodes]
    contents = [[one.content for one in branch.messages[1:]] for branch in branches]
    assert contents == [[message["content"] for message in one.messages] for one in conversations]
    assert [branch.token_ids for branch in branches] == [one.prompt + one.tokens for one in conversations]
    assert {len(one) for one in contents} >= {1, 2 * TURNS - 1}


ROWS = ("('id', 'name')", "(1, 'a')", "(2, 'b')")
SQL, SHOWN = "SELECT id, name FROM t", "\n(1, 'a')\n(2, 'b')\n"
NOTHING = "Your query returns no rows. Answer again with one corrected query."
CONFIRM = "Give the same query again if that answers the question, else one corrected query."


@pytest.mark.parametrize(
    ("rows", "preview", "before", "message"),
    [
        (2, (), "", ""),
        (2, ROWS, "", f"Your query returns ('id', 'name'), its rows:{SHOWN}{CONFIRM}"),
        (9, ROWS, "", f"Your query returns ('id', 'name'), 2 of its 9 rows:{SHOWN}{CONFIRM}"),
        (2, ROWS, f"```sql\n{SQL}\n```", ""),
        (2, ROWS, "SELECT id FROM t", f"Your query returns ('id', 'name'), its rows:{SHOWN}{CONFIRM}"),
        (0, (), SQL, NOTHING),
    ],
)
def test_the_feedback_on_rows(rows: int, preview: tuple[str, ...], before: str, message: str) -> None:
    attempt = Attempt("SELECT id, name FROM t", Reason.WRONG_ROWS, executes=True, rows=rows, preview=preview)
    assert feedback(attempt, before) == message
