"""Runners: what goes in as requests comes out as completions, and a wrong name is one clear line."""

import json
from pathlib import Path

import pytest
import tiny_models
from safetensors.torch import load_file, save_file

from runners.models import Source, load, merge_and_save, resolve
from runners.open import open_runner
from runners.types import Completion, Request, Runner, Sampling
from tasks.errors import ModelError
from tasks.types import Sample


def request(id: str, question: str = "How many?", gold: str = "SELECT 1") -> Request:
    sample = Sample(id=id, question=question, database="d", gold=(gold,))
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
    assert texts(runner, [request("2"), request("0"), request("1")]) == [["SELECT 3"], ["SELECT 1"], [""]]
    assert runner.name == "model"


def test_replay_of_too_few_lines_says_both_counts(tmp_path: Path) -> None:
    file = tmp_path / "model.sql"
    file.write_text("SELECT 1\nSELECT 2\n")
    with pytest.raises(ModelError, match=r"has 2 lines, the dataset has at least 3 rows"):
        answers(open_runner(f"replay:{file}"), [request("0"), request("2")])


def test_replay_of_lines_refuses_a_dataset_with_names(tmp_path: Path) -> None:
    file = tmp_path / "model.sql"
    file.write_text("SELECT 1\n")
    with pytest.raises(ModelError, match="such as 'q-7'"):
        answers(open_runner(f"replay:{file}"), [request("q-7")])


def test_replay_of_objects_and_of_a_mapping(tmp_path: Path) -> None:
    lines = tmp_path / "a.jsonl"
    rows = [{"id": 7, "completion": "x\ty\nz"}, {"id": "b", "sql": None}, {"id": 7, "text": "second"}]
    lines.write_text("\n".join(json.dumps(row) for row in rows))
    assert texts(open_runner(f"replay:{lines}"), [request("7")], n=2) == [["x\ty\nz", "second"]]
    assert texts(open_runner(f"replay:{lines}"), [request("b")]) == [[""]]
    mapping = tmp_path / "a.json"
    mapping.write_text(json.dumps({"0": "SELECT 1\t----- bird -----\tschool"}))
    assert texts(open_runner(f"replay:{mapping}"), [request("0")]) == [["SELECT 1"]]


def test_an_answer_that_the_file_lacks_is_an_error_and_never_wrong(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text('{"id": 1, "completion": "SELECT 1"}\n')
    [[missing]] = answers(open_runner(f"replay:{file}"), [request("2")])
    assert (missing.finish, missing.error) == ("error", "a.jsonl has 0 of 1 answers to question 2")
    [[first, second]] = answers(open_runner(f"replay:{file}"), [request("1")], n=2)
    assert (first.text, second.finish) == ("SELECT 1", "error")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", "{", "cannot be read"),
        ("a.jsonl", "[1]", 'line 1: expected an object with "id"'),
        ("a.jsonl", '{"id": 1}', "expected one of the keys completion, text, sql"),
        ("a.json", "[]", "expected a mapping of id to answer, found a list"),
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
def test_a_wrong_name_says_the_nearest_right_one(name: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        open_runner(name)


def test_a_folder_that_is_no_model_says_what_is_missing(tmp_path: Path, folder: str) -> None:
    with pytest.raises(ModelError, match=r"is no model folder: config\.json is missing"):
        resolve(str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelError, match=r"has no \*\.safetensors"):
        resolve(str(tmp_path))
    (tmp_path / "model.safetensors").write_text("garbage")
    with pytest.raises(ModelError, match="cannot be loaded"):
        load(str(tmp_path))
    for file in Path(folder).iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes()[:1000])
    (tmp_path / "config.json").write_bytes((Path(folder) / "config.json").read_bytes())
    with pytest.raises(ModelError, match=r"cannot be loaded: .*header"):
        load(str(tmp_path))
    (tmp_path / "model.safetensors").write_bytes((Path(folder) / "model.safetensors").read_bytes())
    with pytest.raises(ModelError, match="no tokenizer"):
        load(str(tmp_path))
    with pytest.raises(ModelError, match=f"did you mean '{folder}'"):
        resolve(folder[:-1])


def test_an_adapter_alone_is_told_how_to_be_named(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text('{"base_model_name_or_path": "some/base"}')
    with pytest.raises(ModelError, match=r"name it 'some/base\+"):
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


def test_a_prompt_longer_than_the_context_is_an_error_and_the_others_are_answered(folder: str) -> None:
    found = answers(open_runner(folder), [request("0", "x " * 600), request("1")], max_new_tokens=4)
    assert found[0][0].finish == "error" and "the model's context is 512" in found[0][0].error
    assert found[1][0].finish != "error"


def test_no_requests_no_answers(folder: str) -> None:
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


def test_a_folder_that_lacks_weights_is_refused(tmp_path: Path) -> None:
    folder = tiny_models.save(tmp_path / "tiny")
    file = tmp_path / "tiny" / "model.safetensors"
    weights = load_file(file)
    del weights["model.layers.0.mlp.up_proj.weight"]
    save_file(weights, file, {"format": "pt"})
    with pytest.raises(ModelError, match=r"1 weights are missing, such as model\.layers\.0\.mlp\.up_proj"):
        load(folder)
