"""One model, four ways to run it, one table: the same greedy texts and, for the same text, one verdict."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("lm_eval")
pytest.importorskip("verifiers")
pytest.importorskip("fastapi")

from servers.transformers_serve import transformers_serve

from harness.cli import main
from leaderboards import store
from runners.nano import FOLDER

QUESTIONS = 100
Way = dict[str, tuple[str, float | None]]
"""Question -> text and verdict."""


def served(folder: Path) -> str:
    """A copy of nano that shows ``transformers serve`` what an answer is; it would guess Qwen3's markers."""
    shutil.copytree(FOLDER, folder)
    config = folder / "tokenizer_config.json"
    content = {"close": "<|end|>", "content": "text"}
    template = {
        "defaults": {"role": "assistant"},
        "start_anchor": "<|assistant|>",
        "fields": {"content": content},
    }
    config.write_text(json.dumps(json.loads(config.read_text()) | {"response_template": template}))
    return str(folder)


def evaluated(model: str, *more: str) -> Way:
    assert main(["eval", "--model", model, "--task", "pocket", "--limit", str(QUESTIONS), *more]) == 0
    records = store.records(store.runs()[-1].id)
    return {record.sample_id: (record.completion.strip(), record.metric) for record in records}


def through_verifiers(folder: str, url: str, out: Path) -> Way:
    command = [str(Path(sys.executable).with_name("vf-eval")), "harness_sql", "-m", folder, "-o", str(out)]
    command += ["--env.taskset.spec", "pocket", "-n", str(QUESTIONS), "--no-push", "--no-rich", "-c", "8"]
    command += ["--client.base-url", url, "--client.api-key-var", "NO_KEY"]
    command += ["--sampling.temperature", "0", "--sampling.max-tokens", "96"]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr[-2000:]
    (file,) = out.rglob("traces.jsonl")
    traces = [json.loads(line)["traces"][0] for line in file.read_text().splitlines()]
    return {
        trace["task"]["data"]["id"]: (trace["nodes"][-1]["message"]["content"], trace["metrics"]["strict"])
        for trace in traces
    }


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_four_ways_agree(home: Path, tmp_path: Path) -> None:
    folder = served(tmp_path / "nano")
    ways = {
        "hf": evaluated(folder),
        "lm-eval:hf": evaluated(f"lm-eval:hf:pretrained={folder},dtype=float32,batch_size=16"),
    }
    with transformers_serve(folder, tmp_path / "serve.log") as url:
        ways["openai:"] = evaluated(f"openai:{folder}", "--base-url", url)
        ways["harness_sql"] = through_verifiers(folder, url, tmp_path / "out")
    ours = ways["hf"]
    print(f"\n{'':12} same text  other verdict on it     EX")
    for name, way in ways.items():
        assert way.keys() == ours.keys()
        same = [question for question in ours if way[question][0] == ours[question][0]]
        apart = [question for question in same if way[question][1] != ours[question][1]]
        accuracy = sum(verdict or 0 for _, verdict in way.values())
        print(f"{name:12} {len(same):9}  {len(apart):19}  {accuracy:5.0f}")
        assert len(same) >= 0.98 * QUESTIONS and apart == []
