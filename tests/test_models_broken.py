"""Model folders with broken files: one line that names the file, never a traceback."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

pytest.importorskip("torch")

import tiny_models
from peft import LoraConfig, get_peft_model

from runners.open import open_runner
from runners.types import Request, Sampling
from runners.weights.loading import load
from tasks.common.errors import ModelError
from tasks.types import Sample


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model, and in it an adapter of it."""
    folder = tmp_path_factory.mktemp("models") / "good"
    tiny_models.save(folder)
    adapted = get_peft_model(tiny_models.model(), LoraConfig(r=2, target_modules=["q_proj"]))
    adapted.save_pretrained(folder / "adapter")
    return folder


@pytest.mark.parametrize(
    ("file", "content", "expected"),
    [
        ("config.json", b'{"model_type"', "config.json: cannot be read: "),
        ("config.json", b"[]", "config.json: expected an object, found list"),
        ("config.json", b"{}", "Unrecognized model"),
        ("generation_config.json", b"\xff", "generation_config.json: cannot be read: "),
        ("tokenizer.json", b'{"model": ', "no tokenizer: "),
        ("tokenizer_config.json", b"{", "no tokenizer: "),
        ("tokenizer.json", None, "no tokenizer: "),
        ("model.safetensors", b"\x08\0\0", "cannot be loaded: "),
        ("adapter/adapter_config.json", b'{"base', "adapter_config.json: cannot be read: "),
        ("adapter/adapter_config.json", b"null", "adapter_config.json: expected an object, found NoneType"),
        ("adapter/adapter_config.json", b"{}", "does not fit"),
        ("adapter/adapter_model.safetensors", b"", "does not fit"),
        ("adapter/adapter_model.safetensors", None, "adapter_model.safetensors is missing"),
        ("adapter/base.json", b"{", "base.json: cannot be read: "),
        ("adapter/base.json", b"[]", "base.json: expected an object, found list"),
    ],
)
def test_a_broken_file_is_one_line(
    good: Path, tmp_path: Path, file: str, content: bytes | None, expected: str
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(good, folder)
    if content is None:
        (folder / file).unlink()
    else:
        (folder / file).write_bytes(content)
    name = f"{folder}+{folder}/adapter" if file.startswith("adapter/") else str(folder)
    with pytest.raises(ModelError) as error:
        load(name)
    assert expected in str(error.value) and "\n" not in str(error.value)


def test_a_missing_tokenizer_is_reported_before_weights_are_read(good: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(good, folder)
    for file in folder.glob("tokenizer*"):
        file.unlink()
    (folder / "model.safetensors").write_bytes(b"")
    with pytest.raises(ModelError, match=r"no tokenizer: tokenizer\.json is missing"):
        load(str(folder))


def test_a_template_that_renders_an_empty_prompt_is_not_asked(good: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(good, folder)
    (folder / "chat_template.jinja").write_text("")
    runner = open_runner(str(folder))
    request = Request(Sample("1", "?", "d", ("SELECT 1",)), ({"role": "user", "content": "?"},))
    [(_, [answer])] = runner.generate([request], Sampling())
    assert answer.finish == "unanswered" and "renders the messages as an empty prompt" in answer.error
