"""What a push publishes of names: no folder of this machine, nothing that a model's folder injects."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import published_runs
import pytest
import yaml

pytest.importorskip("huggingface_hub")

from harness.publishing import card
from harness.publishing.evaluation import Published
from harness.publishing.model_folder import uploaded
from harness.publishing.private_paths import public
from leaderboards.identity import identity_of
from leaderboards.types import Run
from runners.known.models import MODELS
from tasks.common.digests import digest_of
from tasks.common.errors import ModelError


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Published:
    folder = tmp_path_factory.mktemp("private")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARNESS_HOME", str(folder / "home"))
        run = published_runs.scored(folder, published_runs.task(folder))
        return Published.find(run.id, "me/sql")


@pytest.mark.parametrize(
    ("text", "published"),
    [
        ("/home/alice/x", "x"),
        ("/home/alice", "~"),
        ("/home/al", "~"),
        ("/home/alice/model", "model"),
        ("/scratch/al/x", "x"),
        ("/srv/p/demo/grpo/model", "demo/grpo"),
        ("/srv/p/my data/{database}.sqlite", "my data/{database}.sqlite"),
        ("vllm:/home/alice/m", "vllm:m"),
        ("Qwen/Q@main+/home/alice/run/adapter", "Qwen/Q@main+run/adapter"),
        ("/srv/a/base+/home/alice/run/adapter", "base+run/adapter"),
        ("file:///home/alice/x.json", "file://x.json"),
        ("read /home/alice/x.json, then stop", "read x.json, then stop"),
        ("http://host:8000/v1/models", "http://host:8000/v1/models"),
        ("<think> and/or </think> /no_think", "<think> and/or </think> /no_think"),
        ("org/name", "org/name"),
    ],
)
def test_a_path_is_published_by_its_last_parts(
    text: str, published: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/al")
    assert public({"a": [text], text: 1}) == {"a": [published], published: 1}


def adapter(folder: Path, base: str) -> Path:
    folder.mkdir()
    settings = {"base_model_name_or_path": base, "r": 4}
    (folder / "adapter_config.json").write_text(json.dumps(settings))
    (folder / "adapter_model.safetensors").write_bytes(b"x")
    return folder


def test_an_adapter_names_its_base_on_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path / "home"))
    smollm2 = MODELS["smollm2"]
    cases = {
        str(smollm2.folder): smollm2.hub_id,
        "Qwen/Qwen2.5-0.5B": "Qwen/Qwen2.5-0.5B",
        "/home/alice/.cache/huggingface/hub/models--Qwen--Q-1/snapshots/abc": "Qwen/Q-1",
    }
    for i, (base, name) in enumerate(cases.items()):
        content = uploaded(adapter(tmp_path / str(i), base), "")["adapter_config.json"]
        assert isinstance(content, bytes)
        assert json.loads(content) == {"base_model_name_or_path": name, "r": 4}
    folder = adapter(tmp_path / "named", "/home/alice/elsewhere")
    content = uploaded(folder, "hf:smollm2")["adapter_config.json"]
    assert isinstance(content, bytes) and smollm2.hub_id in content.decode()
    with pytest.raises(ModelError, match="the adapter's base elsewhere is not on the Hub") as refused:
        uploaded(folder, "")
    assert "alice" not in str(refused.value).partition("the adapter")[2]


def test_the_settings_of_a_model_name_no_folder(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"x")
    settings = {"_name_or_path": "/home/alice/q/m", "rope": {"x_file": "/home/alice/q/f"}, "eos": "/s/t>"}
    (tmp_path / "config.json").write_text(json.dumps(settings))
    kept = b'{"name_or_path":  "org/name"}'
    (tmp_path / "tokenizer_config.json").write_bytes(kept)
    content = uploaded(tmp_path, "")
    assert content["tokenizer_config.json"] == kept
    assert isinstance(content["config.json"], bytes)
    expected = {"_name_or_path": "q/m", "rope": {"x_file": "q/f"}, "eos": "/s/t>"}
    assert json.loads(content["config.json"]) == expected


HOSTILE = "<img src=x onerror=alert(1)>\n\n# INJECTED\n[click](http://evil)\n"


@pytest.mark.parametrize("name", ["rows", "seen", "sees", "learning_rate", "epochs", "max_steps", "seed"])
def test_no_setting_of_a_training_is_markup(name: str, scored: Published) -> None:
    stored: dict[str, Any] = {"method": f"sft {HOSTILE}", "training": {HOSTILE: {name: HOSTILE}}}
    run = replace(scored.run, parent=HOSTILE, **stored)
    text = rendered(run, scored)
    assert "<img" not in text and "\n# INJECTED" not in text and "[click](" not in text
    assert text.lower().count("&lt;img") >= 3


def rendered(run: Run, scored: Published) -> str:
    published = Published(run, scored.records, scored.model)
    text = card.model_card(published, "me/sql", "me/my_sql-records", "v1", {"model.safetensors": b""})
    assert "`me/my_sql-records`, revision v1" in text
    return text


def test_the_base_of_a_model_that_equals_its_parent(scored: Published) -> None:
    identity = identity_of(scored.run)
    assert identity is not None
    run = replace(scored.run, parent="Qwen/Q-1", parent_content=digest_of(identity.model), method="sft")
    assert base_of(rendered(run, scored)) == "Qwen/Q-1"
    assert base_of(rendered(replace(run, parent="/home/alice/m"), scored)) is None


@pytest.mark.parametrize(
    ("model", "parts", "printed"),
    [
        ("Qwen/Q@main", {"name": "Qwen/Q", "revision": "abc"}, "harness eval --model Qwen/Q@abc --task"),
        ("vllm:Qwen/Q", {"name": "Qwen/Q", "revision": ""}, "harness eval --model vllm:Qwen/Q --task"),
        ("openai:gpt-5", {"name": "gpt-5"}, "pip install -e .\nharness eval --model openai:gpt-5 --task"),
        ("anthropic:claude,base_url=http://10.0.0.1", {"arguments": "abc"}, ""),
        ("runs/sft", {"weights": "abc"}, ""),
        ("replay:a.jsonl", {"answers": "abc"}, ""),
    ],
)
def test_records_of_a_model_that_all_can_ask_say_how(
    model: str, parts: dict[str, str], printed: str, scored: Published
) -> None:
    stored = {**scored.run.spec, "eval": {**scored.run.spec["eval"], "model": model}}
    run = replace(scored.run, spec=stored, identity={**scored.run.identity, "model": parts})
    text = card.records_card(Published(run, scored.records, "me/sql"), "me/sql", "me/sql-records")
    assert printed in text and ("harness eval" in text) == bool(printed)
    assert "\nharness score me/sql-records --task task.yaml --split dev" in text


def base_of(text: str) -> Any:
    return yaml.safe_load(text.split("---\n")[1]).get("base_model")
