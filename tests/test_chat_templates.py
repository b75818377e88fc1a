"""Chat templates: arguments, system messages, thoughts; and base models, which have no template."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import tiny_models

from harness.cli import main
from harness.spec import EvalSpec, TrainSpec
from runners.chat_templates import TemplateSettings
from runners.decoding.tokens import Stops, encode
from runners.settings import RunnerConfig
from runners.training.config import GrpoConfig
from runners.training.rollout import Conversation, answer_figures
from runners.training.sft_rows import sft_rows
from runners.types import Request, TrainingExample
from runners.weights import identity
from runners.weights.loading import load_tokenizer
from runners.weights.source import Source
from tasks.common.digests import digest_of
from tasks.common.errors import ModelError, SpecError
from tasks.spec import load
from tasks.types import Message, Sample

ASK = "{% if add_generation_prompt %}<|assistant|>"
QWEN3 = (
    "{% for m in messages %}<|{{ m.role }}|>{% if m.role == 'assistant' and loop.last %}"
    "<think>\n\n</think>\n\n{% endif %}{{ m.content }}<|end|>{% endfor %}"
    + ASK
    + "{% if enable_thinking is defined and"
    " enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
"""As Qwen3's: an empty thought before the last answer, and in the prompt where thinking is switched off."""
OPENS = tiny_models.TEMPLATE.replace("<|assistant|>{% endif", "<|assistant|><think>\n{% endif")
"""As DeepSeek R1's: opens a thought in the prompt, and earlier answers have none."""
NO_SYSTEM = (
    "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    + tiny_models.TEMPLATE
)
"""As Gemma 2's."""
DROPS_SYSTEM = tiny_models.TEMPLATE.replace("messages %}<", "messages if m.role != 'system' %}<")
EFFORT = (
    "{% set level = reasoning_effort or 'medium' %}<|system|>Reasoning: {{ level }}" + tiny_models.TEMPLATE
)
"""As GPT-OSS's."""


def model(folder: Path, template: str | None = None, positions: int = 512) -> str:
    tokenizer = tiny_models.tokenizer()
    tokenizer.chat_template = template
    tiny_models.model(max_position_embeddings=positions).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def tokenizer_of(path: str, template: str = "", **arguments: Any) -> Any:
    settings = TemplateSettings(chat_template=template, chat_template_kwargs=arguments)
    return load_tokenizer(Source(path).with_template(settings))


def prompt(tokenizer: Any, *contents: str) -> str:
    """The rendered prompt of a user message, or of a system and a user message."""
    roles: Sequence[Any] = ("user",) if len(contents) == 1 else ("system", "user")
    messages = tuple(Message(role=role, content=text) for role, text in zip(roles, contents, strict=True))
    (ids,) = encode(tokenizer, [Request(Sample("1", "?", "d", ("SELECT 1",)), messages)])
    return str(tokenizer.decode(ids))


def row(tokenizer: Any, answer: str, question: str = "q") -> tuple[str, str]:
    """The two parts of an SFT row: what is not learned, and what is."""
    (made,) = sft_rows(tokenizer, [TrainingExample((Message(role="user", content=question),), answer)])
    learned = sum(made["completion_mask"])
    return tokenizer.decode(made["input_ids"][:-learned]), tokenizer.decode(made["input_ids"][-learned:])


def test_arguments_are_defaults_of_the_template_and_stay_with_a_saved_tokenizer(tmp_path: Path) -> None:
    path = model(tmp_path / "m", QWEN3)
    assert prompt(tokenizer_of(path), "q").endswith("<|assistant|>")
    off = tokenizer_of(path, enable_thinking=False)
    assert prompt(off, "q").endswith("<|assistant|><think>\n\n</think>\n\n")
    asked = off.apply_chat_template(
        [{"role": "user", "content": "q"}], tokenize=False, add_generation_prompt=True, enable_thinking=True
    )
    assert asked.endswith("<|assistant|>")
    off.save_pretrained(path)
    assert prompt(tokenizer_of(path), "q").endswith("</think>\n\n")
    assert tokenizer_of(path, enable_thinking=False).chat_template == off.chat_template


@pytest.mark.parametrize(
    ("value", "shown"),
    [("low", "low"), ('a "quoted" \\ line\n', 'a "quoted" \\ line\n'), (3, "3"), (None, "medium")],
)
def test_arguments_of_all_types(tmp_path: Path, value: object, shown: str) -> None:
    tokenizer = tokenizer_of(model(tmp_path / "m", EFFORT), reasoning_effort=value)
    assert prompt(tokenizer, "q").startswith(f"<|system|>Reasoning: {shown}<|user|>")


def test_an_argument_that_the_template_does_not_have(tmp_path: Path) -> None:
    path = model(tmp_path / "m", QWEN3)
    with pytest.raises(ModelError, match=r"its chat template has no argument 'enable_thoughts'"):
        tokenizer_of(path, enable_thoughts=False)


def test_a_switch_in_the_system_message_and_the_default_text_are_taken(tmp_path: Path) -> None:
    switch = "{% set quick = '/no_think' in messages[0].content %}" + DROPS_SYSTEM
    tokenizer = tokenizer_of(model(tmp_path / "switch", switch + "{% if quick %}<think></think>{% endif %}"))
    assert prompt(tokenizer, "/no_think", "q") == "<|user|>q<|end|><|assistant|><think></think>"
    default = (
        "{% if messages[0].role != 'system' %}<|system|>be brief<|end|>{% endif %}" + tiny_models.TEMPLATE
    )
    tokenizer = tokenizer_of(model(tmp_path / "default", default))
    assert prompt(tokenizer, "be brief", "q") == prompt(tokenizer, "q")


@pytest.mark.parametrize("template", [NO_SYSTEM, DROPS_SYSTEM])
def test_a_system_message_without_a_system_role_is_refused(tmp_path: Path, template: str) -> None:
    tokenizer = tokenizer_of(model(tmp_path / "m", template))
    assert prompt(tokenizer, "q") == "<|user|>q<|end|><|assistant|>"
    with pytest.raises(ModelError, match=r"move the text of prompt.system into prompt.template$"):
        prompt(tokenizer, "be brief", "q")


@pytest.mark.parametrize(
    ("template", "arguments", "answer", "learned"),
    [
        (tiny_models.TEMPLATE, {}, "SELECT 1", "SELECT 1<|end|>"),
        (QWEN3, {}, "SELECT 1", "<think>\n\n</think>\n\nSELECT 1<|end|>"),
        (QWEN3, {"enable_thinking": False}, "SELECT 1", "SELECT 1<|end|>"),
        (OPENS, {}, "SELECT 1", "\n</think>\n\nSELECT 1<|end|>"),
        (OPENS, {}, "<think>why</think>SELECT 1", "why</think>SELECT 1<|end|>"),
        (tiny_models.TEMPLATE.replace("<|end|>", ""), {}, "SELECT 1", "SELECT 1<|end|>"),
        (None, {}, "SELECT 1", "SELECT 1<|end|>"),
    ],
)
def test_sft_learns_after_the_prompt_of_evaluation(
    tmp_path: Path, template: str | None, arguments: dict[str, Any], answer: str, learned: str
) -> None:
    path = model(tmp_path / "m", template)
    tokenizer = tokenizer_of(path, "" if template else "completion", **arguments)
    assert row(tokenizer, answer) == (prompt(tokenizer, "q"), learned)


def test_another_template_from_a_file(tmp_path: Path) -> None:
    path = model(tmp_path / "m", QWEN3)
    (tmp_path / "own.jinja").write_text("Q: {{ messages[-1].content }}\nA:")
    assert prompt(tokenizer_of(path, str(tmp_path / "own.jinja")), "q") == "Q: q\nA:"
    with pytest.raises(ModelError, match=r"none.jinja': No such file or directory: name a Jinja file"):
        tokenizer_of(path, str(tmp_path / "none.jinja"))


def test_a_base_model_continues_text(tmp_path: Path) -> None:
    path = model(tmp_path / "m")
    with pytest.raises(ModelError, match=r"has no chat template: .* set prompt.template=completion"):
        tokenizer_of(path)
    assert prompt(tokenizer_of(path, "completion"), "be brief", "SQL: ") == "be brief\n\nSQL: "
    chat = tokenizer_of(model(tmp_path / "chat", tiny_models.TEMPLATE), "completion")
    assert prompt(chat, "SQL: ") == "SQL: "


def test_a_base_model_with_a_first_token_keeps_it(tmp_path: Path) -> None:
    from tokenizers.processors import TemplateProcessing

    path = model(tmp_path / "m")
    tokenizer = tiny_models.tokenizer()
    tokenizer.chat_template = None
    tokenizer.add_special_tokens({"bos_token": "<|system|>"})
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<|system|> $A", special_tokens=[("<|system|>", tokenizer.bos_token_id)]
    )
    tokenizer.save_pretrained(path)
    assert prompt(tokenizer_of(path, "completion"), "SQL: ") == "<|system|>SQL: "


COMPLETION = ["--set", "prompt.template=completion"]


def test_a_base_model_is_evaluated_and_trained(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = model(tmp_path / "base")
    asked = [
        "--task",
        "pocket",
        *COMPLETION,
        "--set",
        "answer.max_new_tokens=8",
        "--set",
        "prompt.schema.keys=false",
    ]
    base = ["eval", "--model", path, "--task", "pocket", "--limit", "4"]
    assert main(base) == 2
    assert "set prompt.template=completion" in capsys.readouterr().err
    assert main([*base, *asked[2:], "--json"]) == 0
    assert json.loads(capsys.readouterr().out)
    assert main([*base, *COMPLETION, "--turns", "2"]) == 2
    assert "has one turn" in capsys.readouterr().err
    assert main(["export", "prime-rl", "--task", "pocket", *COMPLETION]) == 2
    assert "not by a completion prompt" in capsys.readouterr().err
    assert main(["export", "lm-eval", "--task", "pocket", "--out", str(tmp_path / "lm"), *COMPLETION]) == 0
    assert "--apply_chat_template" not in capsys.readouterr().out


def test_stop_strings_cut_tokens_and_text() -> None:
    tokenizer = tiny_models.tokenizer()
    stops = Stops(tokenizer, ("```", ";;"))
    ids = tokenizer("SELECT 1 ;; SELECT ```", add_special_tokens=False)["input_ids"]
    length = stops.length(ids)
    assert tokenizer.decode(ids[:length]) == "SELECT 1 ;;"
    assert not stops.end(ids[: length - 1]) and stops.end(ids[:length])
    assert stops.before("SELECT 1 ;; SELECT ```") == "SELECT 1 "
    values = [float(number) for number in range(len(ids))]
    assert stops.cut([ids, [5]], [values, [0.5]]) == ([ids[:length], [5]], [values[:length], [0.5]])
    assert Stops(tokenizer, ()).length(ids) == len(ids) and not Stops(tokenizer, ()).end(ids)


def test_an_answer_that_a_stop_string_ends_is_not_clipped() -> None:
    tokenizer = tiny_models.tokenizer()
    question = Request(Sample("1", "?", "d", ("SELECT 1",)), (Message(role="user", content="q"),))
    for texts, clipped in (((";",), 0.0), ((), 1.0)):
        conversation = Conversation(question, [3])
        conversation.add_answer(Stops(tokenizer, texts), tokenizer("SELECT 1;")["input_ids"], None)
        assert conversation.text == ("SELECT 1" if texts else "SELECT 1;")
        assert answer_figures([conversation], {1}, several_turns=False)["clipped"] == clipped


def test_the_settings_that_the_task_decides() -> None:
    task = load("pocket", ["prompt.template=completion"])
    assert task.answer.stop == ("```",)
    assert load("pocket", ["prompt.template=completion", "answer.stop=[]"]).answer.stop == ()
    assert load("pocket").answer.stop == ()
    grpo = TrainSpec(task="pocket", method="grpo", model="m").of_task(task).grpo
    assert (grpo.chat_template, grpo.stop) == ("completion", ("```",))
    evaluated = EvalSpec(task="pocket", model="m").of_task(task).runner
    assert evaluated.chat_template == "completion" and not evaluated.chat_template_kwargs
    with pytest.raises(SpecError, match="has one turn"):
        TrainSpec(task="pocket", method="grpo", model="m", grpo=GrpoConfig(max_turns=2)).of_task(task)


def test_the_settings_of_the_template_belong_to_the_identity(tmp_path: Path) -> None:
    def of(model: str, **changed: Any) -> Any:
        return identity.settings(model, RunnerConfig(**changed))

    (tmp_path / "own.jinja").write_text("{{ messages }}")
    own = {"chat_template": str(tmp_path / "own.jinja")}
    thinking = {"chat_template_kwargs": {"enable_thinking": True}}
    for name in ("hf:m", "vllm:m", "openai:m"):
        found = [of(name), of(name, **own), of(name, **thinking), of(name, chat_template="completion")]
        assert len({digest_of(settings) for settings in found}) == 4
    before = of("hf:m", **own)
    (tmp_path / "own.jinja").write_text("{{ messages[0] }}")
    assert of("hf:m", **own) != before
    assert of("gold", **thinking) == of("gold")


@pytest.mark.slow
def test_a_base_model_is_trained(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = model(tmp_path / "base", positions=4096), str(tmp_path / "out")
    small = ["train.max_steps=2", "grpo.prompts_per_step=4", "grpo.micro_groups=4", "grpo.group_size=2"]
    settings = [word for setting in [*small, "grpo.max_new_tokens=8"] for word in ("--set", setting)]
    command = [
        "train",
        "--task",
        "pocket",
        "--model",
        path,
        "--method",
        "sft+grpo",
        "--out",
        out,
        "--limit",
        "16",
    ]
    assert main([*command, *settings, *COMPLETION, "--no-eval"]) == 0
    trained = f"{out}/grpo/model"
    assert prompt(tokenizer_of(trained), "SQL: ") == "SQL: "
    assert main(["eval", "--task", "pocket", "--model", trained, "--limit", "4", *COMPLETION]) == 0
