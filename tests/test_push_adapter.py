"""An adapter that harness trained: its lineage, and the pushed card."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

pytest.importorskip("huggingface_hub")
pytest.importorskip("peft")

from harness.cli import main
from harness.provenance import lineage
from harness.spec import TrainSpec
from harness.training.train import train_model
from leaderboards import store
from runners.training.config import LoraSpec, SftConfig


@pytest.mark.slow
def test_an_adapter_has_the_lineage_of_its_training(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sft = SftConfig(max_steps=1, epochs=1, lora=LoraSpec(r=2))
    spec = TrainSpec(task="pocket", method="sft", model="nano", limit=2, dev_limit=0, sft=sft)
    train_model(spec, (), tmp_path / "out", workers=1, evaluated=False)
    merged, adapter = (lineage.read(tmp_path / "out" / name) for name in ("model", "adapter"))
    assert (adapter.method, adapter.parent, adapter.run) == ("sft", "nano", merged.run)
    assert adapter.training == merged.training and adapter.content != merged.content
    folder = tmp_path / "out" / "adapter"
    line = ["eval", "--model", f"nano+{folder}", "--task", "pocket", "--limit", "2", "--workers", "1"]
    assert main([*line, "--max-new-tokens", "4"]) == 0
    run = store.runs()[-1]
    assert (run.method, run.parent, run.trained_by) == ("sft", "nano", merged.run)
    assert main(["push", run.id, "--to", "me/sql", "--dry-run", str(tmp_path / "refused")]) == 2
    assert "the adapter's base" in capsys.readouterr().err
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps({**config, "base_model_name_or_path": "me/nano"}))
    lineage.write(folder, adapter)
    assert main([*line, "--max-new-tokens", "4"]) == 0
    assert main(["push", store.runs()[-1].id, "--to", "me/sql", "--dry-run", str(tmp_path / "dry")]) == 0
    text = (tmp_path / "dry" / "model" / "README.md").read_text()
    assert yaml.safe_load(text.split("---\n")[1])["base_model"] == "me/nano"
    assert "An adapter that writes SQL, trained with SFT from nano" in text
    assert (
        "\nharness eval --model nano+me/sql --task pocket --split test --limit 2 --max-new-tokens 4" in text
    )
