"""Runners answer every request, and the error of a wrong name is one clear line."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import tiny_models
from safetensors.torch import load_file, save_file

from runners.open import open_runner
from runners.replay import ReplayRunner
from runners.settings import HfConfig, RunnerConfig
from runners.types import Completion, Request, Runner, Sampling
from runners.weights.loading import load
from runners.weights.saving import merge_and_save
from runners.weights.source import Source, resolve
from tasks.common.errors import ModelError
from tasks.types import Sample


def request(id: str, question: str = "How many?", gold: str = "SELECT 1") -> Request:
    sample = Sample(id=id, question=question, database="db", gold=(gold,))
    return Request(sample, ({"role": "user", "content": f"member(name text)\n\n{question}"},))


def answers(runner: Runner, requests: list[Request], **sampling: object) -> list[list[Completion]]:
    found = dict(runner.generate(requests, Sampling(**sampling)))
    return [found[index] for index in range(len(requests))]


def texts(runner: Runner, requests: list[Request], **sampling: object) -> list[list[str]]:
    return [[one.text for one in group] for group in answers(runner, requests, **sampling)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny_models.save(tmp_path_factory.mktemp("models") / "tiny")


def test_gold_answers_with_the_first_gold_and_empty_with_nothing() -> None:
    assert texts(open_runner("gold"), [request("0", gold="SELECT 2")], n=2) == [["SELECT 2", "SELECT 2"]]
    assert texts(open_runner("empty"), [request("0")]) == [[""]]


@pytest.mark.parametrize(
    "content",
    ["SELECT 1\tdb\n\nSELECT 3\n", "SELECT 1\tdb\n\nSELECT 3", "SELECT 1 \n  \nSELECT 3\tdb\n"],
)
def test_replay_aligns_lines_with_row_numbers_though_rows_are_missing(tmp_path: Path, content: str) -> None:
    file = tmp_path / "model.sql"
    file.write_text(content)
    runner = open_runner(f"replay:{file}")
    assert isinstance(runner, ReplayRunner)
    runner.expect([("0", "db"), ("1", "db"), ("2", "db")])
    assert texts(runner, [request("2"), request("0"), request("1")]) == [["SELECT 3"], ["SELECT 1"], [""]]
    assert runner.name == "model"


def test_an_error_for_too_few_lines_names_both_counts(tmp_path: Path) -> None:
    file = tmp_path / "model.sql"
    file.write_text("SELECT 1\nSELECT 2\n")
    runner = open_runner(f"replay:{file}")
    assert isinstance(runner, ReplayRunner)
    with pytest.raises(ModelError, match=r"has 2 lines, the dataset has 3 rows"):
        runner.expect([("0", "db"), ("1", "db"), ("2", "db")])


def test_replay_of_lines_follows_the_rows_of_a_dataset_with_names(tmp_path: Path) -> None:
    file = tmp_path / "model.sql"
    file.write_text("SELECT 1\nSELECT 2\tdb\n")
    runner = open_runner(f"replay:{file}")
    assert isinstance(runner, ReplayRunner)
    runner.expect([("q-7", "db"), ("q-8", "db")])
    assert texts(runner, [request("q-8")]) == [["SELECT 2"]]


def test_replay_of_objects_and_of_a_mapping(tmp_path: Path) -> None:
    lines = tmp_path / "a.jsonl"
    rows = [{"id": 7, "completion": "x\ty\nz"}, {"id": "b", "sql": None}, {"id": 7, "text": "second"}]
    lines.write_text("\n".join(json.dumps(row) for row in rows))
    runner = open_runner(f"replay:{lines}")
    assert isinstance(runner, ReplayRunner)
    runner.expect([("7", "db"), ("b", "db")])
    assert texts(runner, [request("7")], n=2) == [["x\ty\nz", "second"]]
    assert texts(runner, [request("b")]) == [[""]]
    mapping = tmp_path / "a.json"
    mapping.write_text(json.dumps({"0": "SELECT 1\t----- bird -----\tschool"}))
    assert texts(open_runner(f"replay:{mapping}"), [request("0")]) == [["SELECT 1"]]


def test_a_missing_answer_is_an_error_and_not_wrong(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text('{"id": 1, "completion": "SELECT 1"}\n')
    runner = open_runner(f"replay:{file}")
    assert isinstance(runner, ReplayRunner)
    runner.expect([("1", "db"), ("2", "db")])
    with pytest.raises(ModelError, match="no answer to question '2'"):
        answers(runner, [request("2")])
    [[first, second]] = answers(open_runner(f"replay:{file}"), [request("1")], n=2)
    assert (first.text, second.finish) == ("SELECT 1", "error")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", "{", "line 1: Expecting property name"),
        ("a.jsonl", "[1]", 'line 1: expected an object with "id"'),
        ("a.jsonl", '{"id": 1}', "expected one of the keys completion, text, sql"),
        ("a.json", "[]", "expected a mapping of id to answer, found an empty list"),
        ("a.json", "[" * 100_000, "cannot be read"),
        ("a.sql", b"\xff\xfe", "cannot be read"),
    ],
)
def test_a_broken_replay_file_is_one_line(
    tmp_path: Path, name: str, content: str | bytes, message: str
) -> None:
    file = tmp_path / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ModelError, match=message) as error:
        open_runner(f"replay:{file}")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("repaly:x", "no runner 'repaly:' .did you mean 'replay'"),
        ("replay:nowhere.sql", "replay:nowhere.sql: no such file"),
        ("nanoo", "no model 'nanoo'.*did you mean 'nano'"),
        ("nano+nowhere", "nowhere is no LoRA adapter: adapter_config.json is missing"),
    ],
)
def test_a_wrong_name_suggests_the_nearest_one(name: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        open_runner(name)


def test_an_error_for_a_folder_without_a_model_names_the_missing_file(tmp_path: Path, folder: str) -> None:
    with pytest.raises(ModelError, match=r"is no model folder: config\.json is missing"):
        resolve(str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelError, match=r"has no \*\.safetensors"):
        resolve(str(tmp_path))
    (tmp_path / "model.safetensors").write_text("garbage")
    for file in Path(folder).iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes()[:1000])
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelError, match="no tokenizer"):
        load(str(tmp_path))
    for file in Path(folder).glob("*token*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    with pytest.raises(ModelError, match="cannot be loaded"):
        load(str(tmp_path))
    (tmp_path / "config.json").write_bytes((Path(folder) / "config.json").read_bytes())
    with pytest.raises(ModelError, match=r"cannot be loaded: .*header"):
        load(str(tmp_path))
    with pytest.raises(ModelError, match=f"did you mean '{folder}'"):
        resolve(folder[:-1])


def test_an_adapter_alone_is_refused_with_the_right_name(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text('{"base_model_name_or_path": "some/base"}')
    with pytest.raises(ModelError, match=r"use the name 'some/base\+"):
        resolve(str(tmp_path))


def test_a_hub_name_carries_its_revision() -> None:
    assert resolve("org/name@v1.0") == Source("org/name", "v1.0")
    assert resolve("org/name") == Source("org/name")


def test_hf_counts_tokens_and_reproduces_its_samples(folder: str) -> None:
    requests = [request(str(i), f"How many {i}?") for i in range(5)]
    runner = open_runner(folder)
    drawn = {"n": 3, "temperature": 1.0, "max_new_tokens": 12}
    first = texts(runner, requests, seed=1, **drawn)
    assert texts(runner, requests[2:3], seed=1, **drawn) == first[2:3]
    assert texts(runner, requests, seed=2, **drawn) != first
    one = answers(runner, requests, seed=1, **drawn)[0][0]
    assert 0 < one.tokens <= 12 < one.prompt_tokens
    assert one.logprob is not None and one.logprob < 0 < one.seconds


def test_hf_stops_at_a_string_and_leaves_it_out(folder: str) -> None:
    runner = open_runner(folder)
    [[whole]] = answers(runner, [request("0")], max_new_tokens=20, temperature=1.0)
    stop = whole.text[6:8]
    [[cut]] = answers(runner, [request("0")], max_new_tokens=20, temperature=1.0, stop=(stop,))
    assert cut.text == whole.text.partition(stop)[0]
    assert cut.finish == "stop" and cut.tokens < whole.tokens


def test_a_prompt_longer_than_the_context_is_unanswered_and_the_others_are_answered(
    folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = answers(open_runner(folder), [request("0", "x " * 600), request("1")], max_new_tokens=4)
    assert found[0][0].finish == "unanswered" and "the model's context is 512" in found[0][0].error
    assert found[1][0].finish in ("stop", "length")
    assert "1 of 2 questions are not asked: the prompt has " in capsys.readouterr().err


@pytest.mark.parametrize("question", ["x" * 20_000_000, " " * 20_000_000, "word " * 4_000_000])
def test_a_question_of_20_mb_is_unanswered_without_being_tokenized(folder: str, question: str) -> None:
    """Tokenized, it would be a panic of the tokenizers library, or minutes of work."""
    for name in (folder, "nano"):
        began = time.monotonic()
        runner = open_runner(name)
        found = answers(runner, [request("0"), request("1", question)], max_new_tokens=4)
        assert found[1][0].finish == "unanswered" and "the prompt has at least " in found[1][0].error
        assert found[0][0].finish in ("stop", "length") and time.monotonic() - began < 10


def test_an_answer_ends_at_the_context(folder: str) -> None:
    """Whatever else is in the batch; the other answers are as long as requested."""
    runner = open_runner(folder)
    long = request("0", "x" * 435)
    [[alone]] = answers(runner, [long], max_new_tokens=200)
    found = answers(runner, [request("1"), long, request("2")], max_new_tokens=200)
    assert alone.prompt_tokens + alone.tokens <= 512 and alone.prompt_tokens > 400
    assert (found[1][0].text, found[1][0].tokens) == (alone.text, alone.tokens)


RAISES = "{{ raise_exception('no system role') if messages[0].role == 'system' }}" + tiny_models.TEMPLATE
ODD = "{{ raise_exception('odd') if 'odd' in messages[0].content }}" + tiny_models.TEMPLATE


def with_template(tmp_path: Path, template: str) -> str:
    name = tiny_models.save(tmp_path / "model")
    (tmp_path / "model" / "chat_template.jinja").write_text(template)
    return name


def test_a_chat_template_that_raises_is_one_line(tmp_path: Path) -> None:
    runner = open_runner(with_template(tmp_path, RAISES))
    asked = Request(request("0").sample, ({"role": "system", "content": "SQL."}, *request("0").messages))
    with pytest.raises(
        ModelError, match=r"messages \(system, user\): TemplateError: no system role"
    ) as error:
        answers(runner, [asked, asked])
    assert "\n" not in str(error.value)
    [[answer]] = answers(runner, [request("0")], max_new_tokens=4)
    assert answer.finish in ("stop", "length")


def test_a_template_that_refuses_one_question_leaves_the_others(tmp_path: Path) -> None:
    runner = open_runner(with_template(tmp_path, ODD))
    asked = [request("0"), request("1", "an odd one"), request("2", "lone \ud800")]
    found = answers(runner, asked, max_new_tokens=4)
    assert [one.finish == "unanswered" for [one] in found] == [False, True, True]
    assert "TemplateError: odd" in found[1][0].error


OTHERS = {
    "gpt2": {"n_positions": 64, "n_embd": 32, "n_layer": 2, "n_head": 2},
    "opt": {"max_position_embeddings": 64, "hidden_size": 32, "ffn_dim": 64, "num_hidden_layers": 2}
    | {"num_attention_heads": 2, "word_embed_proj_dim": 32},
    "bloom": {"hidden_size": 32, "n_layer": 2, "n_head": 2},
    "gpt_neox": {"max_position_embeddings": 64, "hidden_size": 32, "intermediate_size": 64}
    | {"num_hidden_layers": 2, "num_attention_heads": 2},
    "mamba": {"hidden_size": 32, "num_hidden_layers": 2, "state_size": 4},
}
"""Architectures with other names for their sizes, with learned positions, or without a context."""


@pytest.mark.parametrize("kind", OTHERS)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_an_old_architecture_answers_up_to_its_context(tmp_path: Path, kind: str) -> None:
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model(
        kind, vocab_size=400, pad_token_id=0, eos_token_id=1, bos_token_id=1, **OTHERS[kind]
    )
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path / kind)
    tiny_models.tokenizer().save_pretrained(tmp_path / kind)
    runner = open_runner(str(tmp_path / kind))
    found = answers(runner, [request("0"), request("1", "x " * 100)], max_new_tokens=50)
    limited = kind not in ("bloom", "mamba")
    assert found[0][0].finish in ("stop", "length")
    assert (found[1][0].finish == "unanswered") is limited
    if limited:
        assert found[0][0].prompt_tokens + found[0][0].tokens <= 64


SETTINGS = {
    "do_sample": True,
    "temperature": 0.3,
    "top_k": 3,
    "top_p": 0.5,
    "min_p": 0.4,
    "repetition_penalty": 1.7,
    "no_repeat_ngram_size": 2,
    "bad_words_ids": [[20], [21], [22], [30]],
    "suppress_tokens": [40, 41, 42],
    "forced_eos_token_id": 50,
    "min_new_tokens": 9,
    "max_new_tokens": 3,
    "stop_strings": ["a"],
    "num_beams": 3,
}
WAYS = ["hf", "separate", "lm-eval", "engine"]


def drawn_by(way: str, folder: str, temperature: float) -> list[list[str]]:
    sampling = {"max_new_tokens": 24, "temperature": temperature, "seed": 3, "n": 1}
    asked = [request(str(i), f"How many {i}?") for i in range(6)]
    if way == "lm-eval":
        pytest.importorskip("lm_eval")
        return texts(open_runner(f"lm-eval:hf:pretrained={folder},batch_size=2"), asked, **sampling)
    if way == "engine":
        import torch

        from runners.decoding.tokens import encode
        from runners.training.engine import SamplingSettings, generate

        model, tokenizer = load(folder)
        torch.manual_seed(3)
        prompts = [list(ids) for ids in encode(tokenizer, asked)]
        found = generate(model, prompts, SamplingSettings(temperature, 1.0, 24, (1,)), 0)
        return [[tokenizer.decode(one.tokens)] for one in found]
    runner = open_runner(folder)
    if way == "separate":
        from runners.hf import HfRunner

        assert isinstance(runner, HfRunner)
        runner.longest_shared = 0
    return texts(runner, asked, **sampling)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("place", ["generation_config.json", "config.json"])
def test_a_model_s_own_sampling_changes_no_answer(
    tmp_path: Path, way: str, temperature: float, place: str
) -> None:
    """Neither its ``generation_config`` nor, as old models have it, its ``config``."""
    plain = tiny_models.save(tmp_path / "plain", initializer_range=0.3)
    other = tiny_models.save(tmp_path / "other", initializer_range=0.3)
    file = tmp_path / "other" / place
    file.write_text(json.dumps(json.loads(file.read_text()) | SETTINGS))
    assert drawn_by(way, other, temperature) == drawn_by(way, plain, temperature)


def test_the_tokens_that_end_an_answer_are_the_generation_config_s(tmp_path: Path) -> None:
    name = tiny_models.save(tmp_path / "model", initializer_range=0.3)
    file = tmp_path / "model" / "generation_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"eos_token_id": list(range(1, 400))}))
    [[cut]] = answers(open_runner(name), [request("0")], max_new_tokens=24)
    assert (cut.finish, cut.tokens) == ("stop", 1)


def test_deterministic_answers_do_not_depend_on_what_is_asked_beside_them(folder: str) -> None:
    """In bfloat16, where batching changes answers otherwise."""
    asked = [request(str(i), f"How many {i} " * (i % 5 + 1)) for i in range(9)]
    sampling = {"n": 2, "temperature": 1.0, "max_new_tokens": 12}
    for dtype in ("bfloat16", "auto"):
        hf = HfConfig(deterministic=True, dtype=dtype)
        runner = open_runner(folder, RunnerConfig(hf=hf))
        together = answers(runner, asked, **sampling)
        few = open_runner(folder, RunnerConfig(hf=hf.model_copy(update={"batch_tokens": 100})))
        alone = [answers(few, [one], **sampling)[0] for one in asked[::3]]
        assert [[(a.text, a.logprob) for a in group] for group in together[::3]] == [
            [(a.text, a.logprob) for a in group] for group in alone
        ]
    assert runner.model.dtype.itemsize == 4, "float32 where nothing else is asked for"


@pytest.mark.slow
def test_an_unreachable_hub_is_one_line_at_once(tmp_path: Path) -> None:
    """In a process of its own: the Hub's address is read when its client is imported."""
    env = {**os.environ, "HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path)}
    env |= {"HARNESS_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "0"}
    for line in (
        ["eval", "--model", "org/name", "--task", "pocket"],
        ["check", "pocket", "--tokenizer", "org/name@v1"],
    ):
        began = time.monotonic()
        command = [sys.executable, "-m", "harness.cli", *line]
        done = subprocess.run(command, capture_output=True, text=True, env=env)
        assert done.returncode == 2
        [printed] = done.stderr.strip().splitlines()
        assert printed.startswith(f"harness {line[0]}: org/name: the Hugging Face Hub cannot be reached")
        assert time.monotonic() - began < 30, "most of it starts Python on a busy machine"


def test_no_requests_give_no_answers(folder: str) -> None:
    assert answers(open_runner(folder), []) == []


def test_a_merged_adapter_answers_like_base_plus_adapter(tmp_path: Path, folder: str) -> None:
    import torch
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(0)
    base, _ = load(folder)
    adapted = get_peft_model(base, LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False))
    adapted.save_pretrained(tmp_path / "adapter")
    ids = torch.arange(5, 40)[None]
    expected = adapted(ids).logits
    merge_and_save(Source(folder, adapter=str(tmp_path / "adapter")), tmp_path / "merged")
    for name in (str(tmp_path / "merged"), f"{folder}+{tmp_path / 'adapter'}"):
        model, _ = load(name)
        assert torch.allclose(model(ids).logits, expected, atol=1e-5)
    assert any("lora_A" in part for part, _ in model.named_modules()), "the adapter stands beside its base"


def test_a_merge_into_bfloat16_is_rounded_once(tmp_path: Path) -> None:
    import torch
    from peft import LoraConfig, get_peft_model

    base: Any = tiny_models.model().bfloat16()
    source = tiny_models.save(tmp_path / "base")
    base.save_pretrained(source)
    lora = LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False)
    adapted: Any = get_peft_model(base, lora)
    adapted.save_pretrained(tmp_path / "adapter")
    layer = adapted.get_base_model().model.layers[0].mlp.up_proj.float()
    expected = (layer.base_layer.weight + layer.get_delta_weight("default")).bfloat16()
    merge_and_save(Source(source, adapter=str(tmp_path / "adapter")), tmp_path / "merged")
    merged, _ = load(str(tmp_path / "merged"), "stored")
    assert merged.dtype == torch.bfloat16
    assert torch.equal(merged.model.layers[0].mlp.up_proj.weight, expected)


def test_a_folder_that_lacks_weights_is_refused(tmp_path: Path) -> None:
    folder = tiny_models.save(tmp_path / "tiny")
    file = tmp_path / "tiny" / "model.safetensors"
    weights = load_file(file)
    del weights["model.layers.0.mlp.up_proj.weight"]
    save_file(weights, file, {"format": "pt"})
    with pytest.raises(ModelError, match=r"1 weights are missing, such as model\.layers\.0\.mlp\.up_proj"):
        load(folder)
