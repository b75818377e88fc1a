"""Several turns in GRPO: feedback is masked, the last answer counts, tokens are those of the messages."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tiny_models
import torch
from test_training import GRPO, curve, letters, requests, weights

from runners.training.callbacks import Hooks
from runners.training.grpo import train_grpo
from runners.training.grpo_step import GrpoTrainer
from runners.training.rollout import Conversation, Turns, between
from runners.types import Reward
from tasks.common.errors import ModelError
from tasks.types import Message, Sample

THREE = GRPO.model_copy(update={"max_turns": 3, "turn_cost": 0.2, "max_new_tokens": 6})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny_models.save(tmp_path_factory.mktemp("models") / "tiny")


def odd_ones(samples: Sequence[Sample], texts: Sequence[str], before: Sequence[str]) -> list[str]:
    """Every second question's answers are never good enough."""
    return ["Your query failed: no such table." if int(sample.id) % 2 else "" for sample in samples]


@pytest.mark.parametrize("ended", [True, False])
def test_a_conversations_tokens_are_those_of_the_rendered_messages(ended: bool) -> None:
    tokenizer = tiny_models.tokenizer()
    end = (tokenizer.eos_token_id,)
    asked = [{"role": "user", "content": "How many?"}]

    def ids(messages: list[dict[str, str]]) -> list[int]:
        return list(
            tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True)["input_ids"]
        )

    def encoded(text: str) -> list[int]:
        return list(tokenizer(text, add_special_tokens=False)["input_ids"]) + list(end) * ended

    prompt, first = ids(asked), encoded("SELECT 1")
    conversation = Conversation(replace(requests()[0], messages=tuple(asked)), prompt)
    feedback = iter(["Your query failed: x. Answer again.", "It returns no rows."])
    answers = iter([first, encoded("SELECT 2"), encoded("SELECT 2")])
    turns = Turns(3, 500, tokenizer, end)
    turns.play([conversation], lambda turn, asked: ([next(answers)], None), lambda *_: [next(feedback)])
    assert conversation.turns == 3
    assert [message["role"] for message in conversation.messages] == ["assistant", "user"] * 2 + ["assistant"]
    assert conversation.text == "SELECT 2"
    whole = ids([*asked, *conversation.messages[:-1]])
    assert prompt + conversation.tokens == whole + encoded("SELECT 2")
    drawn = zip(conversation.tokens, conversation.sampled, strict=True)
    assert [token for token, sampled in drawn if sampled] == first + encoded("SELECT 2") * 2


def test_a_conversation_without_room_stays_as_it_is() -> None:
    tokenizer = tiny_models.tokenizer()
    answer, feedback = Message(role="assistant", content="x"), Message(role="user", content="No.")
    room = 22 + len(between(tokenizer, "No.") or ())
    for space, fits in ((room - 1, False), (room, True)):
        conversation = Conversation(requests()[0], [5] * 20, [6, 7], [1, 1], [answer])
        longer = Turns(2, space, tokenizer, (1,)).extend(conversation, (answer, feedback))
        assert (longer is conversation) is fits
        assert conversation.messages == [answer, feedback][: 1 + fits]


def keeping(batches: list[dict[str, torch.Tensor]]) -> type[GrpoTrainer]:
    """A trainer that also keeps what it learns from."""

    class Keeping(GrpoTrainer):
        def make_batch(self) -> Any:
            batch = super().make_batch()
            batches.append({name: value.clone() for name, value in batch.items()})
            return batch

    return Keeping


@pytest.mark.parametrize("shared", [True, False])
def test_feedback_is_masked_and_the_last_answer_counts(tmp_path: Path, folder: str, shared: bool) -> None:
    batches: list[dict[str, torch.Tensor]] = []
    kind = keeping(batches)
    scored: list[tuple[str, str]] = []

    def noting(samples: Sequence[Sample], texts: Sequence[str]) -> list[Reward]:
        scored.extend((sample.id, text) for sample, text in zip(samples, texts, strict=True))
        return letters(samples, texts)

    config = THREE.model_copy(update={"shared_prefix": shared, "max_steps": 1})
    train_grpo(folder, requests(), noting, config, tmp_path, Hooks(feedback=odd_ones, trainer=kind))
    (batch,) = batches
    tokenizer = tiny_models.tokenizer()
    complaint = tokenizer("Your query failed: no such table.", add_special_tokens=False)["input_ids"]
    for row, (sample, text) in enumerate(scored):
        length = int(batch["completion_mask"][row].sum())
        tokens, own = (batch[name][row][:length].tolist() for name in ("completion_ids", "tool_mask"))
        feedback_tokens = [token for token, mine in zip(tokens, own, strict=True) if not mine]
        if int(sample) % 2:
            assert tokenizer.decode(feedback_tokens).count("no such table") == 2 and len(
                feedback_tokens
            ) > 2 * len(complaint)
            last = tokens[len(own) - own[::-1].index(0) :]
        else:
            assert feedback_tokens == []
            last = tokens
        assert tokenizer.decode(last, skip_special_tokens=True) == text
    asked = [int(sample) % 2 for sample, _ in scored]
    assert curve(tmp_path)[0]["turns"] == pytest.approx(1 + 2 * sum(asked) / len(asked))
    assert int(batch["num_items_in_batch"]) == int((batch["completion_mask"] * batch["tool_mask"]).sum())


def test_shared_prefixes_learn_the_same_from_conversations(tmp_path: Path, folder: str) -> None:
    """The same conversations, trained on with prefixes computed once and with TRL's own loss."""
    from test_training_shared import StockLoss

    for name, kind in (("ours", None), ("stock", StockLoss)):
        config = THREE.model_copy(update={"micro_groups": 4, "scheduler": "constant"})
        train_grpo(
            folder, requests(), letters, config, tmp_path / name, Hooks(feedback=odd_ones, trainer=kind)
        )
    ours, stock = (weights(tmp_path / name / "model") for name in ("ours", "stock"))
    assert all(torch.allclose(ours[key], stock[key], atol=2e-5) for key in ours)


def test_turns_cost_and_need_someone_who_answers(tmp_path: Path, folder: str) -> None:
    config = THREE.model_copy(update={"max_steps": 1})
    with pytest.raises(ModelError, match=r"Hooks\.feedback is missing: set it"):
        train_grpo(folder, requests(), letters, config, tmp_path / "none")

    def all_right(samples: Sequence[Sample], texts: Sequence[str]) -> list[Reward]:
        return [Reward(1.0) for _ in texts]

    train_grpo(folder, requests(), all_right, config, tmp_path / "cost", Hooks(feedback=odd_ones))
    row = curve(tmp_path / "cost")[0]
    assert row["reward"] == pytest.approx(1 - 0.2 * (row["turns"] - 1) / 2)
