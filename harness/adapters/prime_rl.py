"""prime-rl's config file for a task."""

from __future__ import annotations

from pathlib import Path

from harness.adapters.chat import expect_chat
from harness.adapters.options import ExportOptions
from harness.adapters.toml import toml
from tasks.spec import load

PRIME_RL = """\
# Written by `harness export prime-rl`. Start it in a checkout of prime-rl that has sql-harness installed.
max_steps = 200
seq_len = 4096

[model]
name = {model}

[orchestrator]
batch_size = 128
group_size = 8

[orchestrator.train.sampling]
max_completion_tokens = {tokens}

[[orchestrator.train.source]]
name = {name}

[orchestrator.train.source.env]
turns = {turns}

[orchestrator.train.source.env.taskset]
id = "harness_sql"
spec = {task}
split = {train}
overrides = {overrides}
trust = {trust}

[orchestrator.eval]
interval = 20

[orchestrator.eval.sampling]
max_completion_tokens = {tokens}
temperature = 0.0

[[orchestrator.eval.source]]
name = {name}

[orchestrator.eval.source.env]
turns = {turns}

[orchestrator.eval.source.env.taskset]
id = "harness_sql"
spec = {task}
split = {evaluated}
overrides = {overrides}
trust = {trust}

[trainer]

[inference]
"""
"""Keys: prime-rl at 559b447 (21 August 2026), ``packages/prime-rl-configs/src/prime_rl/configs/rl.py``."""


def export(options: ExportOptions) -> str:
    """The TOML file with which prime-rl trains a model on a task. Raises SpecError: no such task."""
    name = options.task
    spec = load(name, options.overrides, options.trust)
    expect_chat(spec, "prime-rl")
    path = Path(name)
    values = {
        "model": options.model,
        "name": spec.name,
        "task": str(path.resolve()) if path.is_file() else name,
        "train": spec.dataset.train_split,
        "evaluated": spec.dataset.eval_split,
        "overrides": list(options.overrides),
        "tokens": spec.answer.max_new_tokens,
        "turns": options.turns,
        "trust": options.trust,
    }
    return PRIME_RL.format(**{key: toml(value) for key, value in values.items()})
