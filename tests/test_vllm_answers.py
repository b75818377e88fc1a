"""Answers from vLLM in this process, run for real on a CPU, beside those of `hf`: `make test-vllm`."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tiny_models
import vllm_models
from test_training import GRPO, letters
from test_training import requests as small
from vllm_models import SETTINGS, TIE, differences, pocket_requests

from harness.turns import TurnsRunner
from runners.open import open_runner
from runners.training.config import LoraSpec
from runners.training.grpo import train_grpo
from runners.types import Completion, Request, Runner, Sampling
from tasks.common.errors import ModelError
from tasks.task import Task

pytestmark = [pytest.mark.vllm, pytest.mark.slow]
GREEDY = Sampling(max_new_tokens=48)


def answers(runner: Runner, requests: Sequence[Request], sampling: Sampling) -> list[list[Completion]]:
    found = dict(runner.generate(requests, sampling))
    return [found[index] for index in range(len(requests))]


@pytest.fixture(scope="module")
def asked() -> list[Request]:
    return pocket_requests(100)


@pytest.fixture(scope="module")
def engine() -> Iterator[Runner]:
    runner = open_runner("vllm:nano", SETTINGS)
    yield runner
    runner.close()


@pytest.fixture(scope="module")
def hf() -> Iterator[Runner]:
    runner = open_runner("nano", SETTINGS)
    yield runner
    runner.close()


def test_greedy_texts_are_those_of_hf(engine: Runner, hf: Runner, asked: list[Request]) -> None:
    mine, theirs = (answers(runner, asked, GREEDY) for runner in (hf, engine))
    gaps = differences("nano", asked, *([one.text for (one,) in each] for each in (mine, theirs)))
    assert len(gaps) <= 1 and all(gap < TIE for gap in gaps.values())
    for (one,), (other,) in zip(mine, theirs, strict=True):
        assert one.text != other.text or (one.tokens, one.finish) == (other.tokens, other.finish)
        assert one.prompt_tokens == other.prompt_tokens
        assert one.text != other.text or one.logprob == pytest.approx(other.logprob, abs=1e-3)


def test_sampling_depends_on_the_seed_alone(engine: Runner, asked: list[Request]) -> None:
    """Seeds at a temperature end an engine on a CPU that computes prompts in parts."""
    drawn = Sampling(temperature=1.0, top_p=0.9, n=4, max_new_tokens=24, seed=7)
    first, again, other = (
        [[one.text for one in each] for each in answers(engine, asked[:30], sampling)]
        for sampling in (drawn, drawn, replace(drawn, seed=8))
    )
    assert first == again != other
    assert any(len(set(texts)) > 1 for texts in first)


def test_a_long_prompt_with_a_seed_is_answered(engine: Runner, asked: list[Request]) -> None:
    long = replace(asked[0], messages=({"role": "user", "content": "member " * 600},))
    found = answers(engine, [long, *asked[:8]], Sampling(temperature=1.0, max_new_tokens=8))
    assert all(one.finish in ("stop", "length") for (one,) in found)


def test_a_prompt_over_the_context_is_unanswered_and_the_others_are_answered(
    engine: Runner, asked: list[Request]
) -> None:
    long = replace(asked[0], messages=({"role": "user", "content": "member " * 4000},))
    (refused,), *others = answers(engine, [long, *asked[:3]], GREEDY)
    assert refused.finish == "unanswered" and all(one.finish in ("stop", "length") for (one,) in others)


def test_a_stop_string_ends_an_answer_before_it(engine: Runner, hf: Runner, asked: list[Request]) -> None:
    stopped = replace(GREEDY, stop=("FROM",))
    mine, theirs = ([one.text for (one,) in answers(runner, asked[:10], stopped)] for runner in (hf, engine))
    assert mine == theirs and not any("FROM" in text for text in theirs)


def test_turns_are_those_of_hf(engine: Runner, hf: Runner, home: Path) -> None:
    task, requests = Task.named("pocket"), pocket_requests(24)
    mine, theirs = (answers(TurnsRunner(runner, task, 1, 3), requests, GREEDY) for runner in (hf, engine))
    assert any(one.history for (one,) in mine)
    played = [[(one.history, one.text) for (one,) in each] for each in (mine, theirs)]
    assert sum(one == other for one, other in zip(*played, strict=True)) >= 23


def test_an_adapter_changes_answers_as_it_does_with_hf(tmp_path: Path) -> None:
    base = vllm_models.save(tmp_path / "base")
    config = GRPO.model_copy(update={"lora": LoraSpec(r=4, alpha=64), "learning_rate": 3e-2, "max_steps": 3})
    train_grpo(base, small(), letters, config, tmp_path / "run")
    name = f"{base}+{tmp_path / 'run' / 'adapter'}"
    requests = small(16)
    plain, mine = (
        [one.text for (one,) in answers(open_runner(each, SETTINGS), requests, Sampling(max_new_tokens=12))]
        for each in (base, name)
    )
    runner = open_runner(f"vllm:{name}", SETTINGS)
    theirs = [one.text for (one,) in answers(runner, requests, Sampling(max_new_tokens=12))]
    runner.close()
    cut = "\N{REPLACEMENT CHARACTER}"  # the first bytes of a letter at the token limit, which vLLM leaves out
    assert [text.rstrip(cut) for text in mine] == [text.rstrip(cut) for text in theirs]
    assert mine != plain


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"gpu_memory": 1.0}, r"Available memory .* less than desired CPU memory utilization \(1\.0"),
        ({"dtype": "float8"}, "Input should be 'auto', 'half'"),
    ],
)
def test_a_failed_start_says_why(changes: dict[str, Any], says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VLLM_CPU_KVCACHE_SPACE", raising=False)
    config = SETTINGS.model_copy(update={"vllm": SETTINGS.vllm.model_copy(update=changes)})
    with pytest.raises(ModelError, match=says) as error:
        open_runner("vllm:nano", config)
    assert "\n" not in str(error.value)


def test_an_engine_that_ends_while_it_answers_says_why(tmp_path: Path) -> None:
    """The attention of vLLM on a CPU has no heads of eight numbers, which it notices at the first prompt."""
    runner = open_runner(f"vllm:{tiny_models.save(tmp_path / 'tiny')}", SETTINGS)
    with pytest.raises(ModelError, match="Unsupported CPU attention configuration: head_dim=8") as error:
        list(runner.generate(small(4), GREEDY))
    assert "\n" not in str(error.value)
    runner.close()
