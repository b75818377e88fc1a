"""Facts that no type has: files, figures, variables, exit codes. ``tests/test_reference.py`` compares them with runs."""

from __future__ import annotations

RUN_FILES = {
    "run.json": "The run: what was asked, with which settings, versions and digests. `ended` is set last.",
    "partial.jsonl": "Records so far, one on a line, while an evaluation runs; a torn last line is dropped.",
    "records.parquet": "The records of a finished evaluation, one row for each answer.",
    "scores.json": "The summary of a finished run. Of a training: steps, seconds, tokens, best step, alarms,"
    " and the databases that changed meanwhile.",
    "curve.jsonl": "One line for each training step.",
    "lock": "Held by the process that writes the run.",
    "tags": "Empty files, whose names are the run's tags.",
}
"""Files in ``HARNESS_HOME/runs/ID``."""

TRAINING_FILES = {
    "settings.json": "Method, model, digest of the rows and all settings. Another training in this folder is refused.",
    "identity.json": "Digests of everything that decides the result.",
    "curve.jsonl": "One line for each step; see the table of figures below.",
    "checkpoints": "`checkpoint-STEP`, the two newest, while the training runs. One with the file `complete` is whole.",
    "best": "The best weights on dev so far, and `best.json` with their step and value, while the training runs.",
    "model": "The result: a plain model folder. `harness.json` in it names the parent, the task and the stages.",
    "adapter": "The LoRA adapter, before merging; `base.json` has the digest of the base's weights.",
    "training.json": "The result in numbers. A folder that has it is finished, and is not trained again.",
    "stopped.json": "Why a training was stopped early, the best weights so far, and the last rows of the curve.",
    "wandb": "Runs of Weights & Biases, with `train.tracker=wandb`.",
    "tracked.json": "With `train.tracker`: the last step that the tracker has, and whether it has the evaluations.",
    "lock": "Held by the process that trains.",
}
"""Files in ``--out`` of ``harness train``; with ``sft+grpo`` in ``sft/`` and ``grpo/`` below it."""

HOME_FILES = {
    "runs": "One directory for each run.",
    "pocket-1": "The databases of the task `pocket`, built on first use.",
    "demo": "The models of `harness demo`.",
    "gold-VERSION": "The gold cache: results of golds that took over 0.1 s, by database content, SQL and engine version.",
    "values": "Indexes of the values of databases, by which those of a question are found.",
    "variants": "Generated instances of databases.",
    "public": "Copies of databases without what tasks mark as private.",
    "received": "On a node of a Ray cluster: databases that were sent to it, by the digest of their content.",
    "digests": "Digests of files that were read, by path, inode, size and both times of change.",
}
"""Folders in ``HARNESS_HOME``."""

FIGURES = {
    "step": "Optimizer step, from 1.",
    "elapsed": "Seconds since the run began, over all sessions.",
    "seconds": "Seconds of the step.",
    "sampling_seconds": "GRPO: seconds of sampling.",
    "scoring_seconds": "GRPO: seconds spent waiting for scores.",
    "waiting_seconds": "GRPO with `async`: seconds in which the model waited for answers and sent its weights. The seconds of"
    " sampling and scoring are those of another thread.",
    "learning_seconds": "Seconds of forward and backward passes and the optimizer.",
    "loss": "The loss.",
    "grad_norm": "Norm of the gradient before clipping.",
    "learning_rate": "Learning rate of the step.",
    "entropy": "Mean entropy of the predicted tokens.",
    "kl": "GRPO with `beta`: mean KL divergence from the reference model.",
    "token_accuracy": "SFT: share of the predicted tokens that are the most likely ones.",
    "tokens": "Number of tokens in all prompts and conversations so far, feedback included.",
    "dev": "Execution match on dev questions, at the steps that evaluate.",
    "reward": "GRPO: mean training reward of the prompts that were asked first (refills left out).",
    "reward_std": "GRPO: standard deviation of these rewards.",
    "unscored": "GRPO: share of the answers without a score.",
    "no_spread": "GRPO: share of the first groups whose rewards are all equal.",
    "mixed": "GRPO: share of the first groups with right and wrong answers.",
    "idle": "GRPO: share of the step's groups with zero advantage, after refills.",
    "expected": "GRPO with a curriculum: share of mixed groups that it predicted.",
    "asked": "GRPO with a curriculum or refills: groups that were drawn, refills included.",
    "length": "GRPO: mean number of tokens that the model wrote in a conversation, over all turns.",
    "clipped": "GRPO: share of conversations with an answer that reached `max_new_tokens`.",
    "turns": "GRPO over several turns: mean number of answers in a conversation.",
    "parts/*": "GRPO: mean of each part of the reward, such as `parts/execution`.",
    "alarms/*": "GRPO: the alarms over the last 512 answers, such as `alarms/spider_gap`.",
    "vllm_gap": "GRPO with vLLM: mean difference of log-probabilities between vLLM and the model.",
    "vllm_ratio": "GRPO with vLLM: mean importance weight.",
    "lag": "GRPO with `async`: optimizer steps between the weights that drew the answers and those that learn from them.",
    "overlap": "GRPO with `async`: share of the seconds of drawing and scoring these answers in which the model was"
    " learning.",
}
"""Figures in ``curve.jsonl``. Sums and means are over all processes."""

ALARMS = {
    "spider_gap": "How much more the mode `spider` accepts than `strict`, as a difference of means.",
    "bird_gap": "How much more the mode `bird` accepts than `strict`.",
    "empty_matches": "Share of the right answers whose gold returns no rows.",
    "single_cells": "Share of the right answers whose gold returns one cell.",
    "repeated": "Share of the questions that got the most frequent answer, word for word.",
    "unscored": "Share of the answers that are unscored; 0 where fewer than three questions are concerned.",
}
"""Alarm -> its measure. ``leaderboards.alarms.LIMITS`` has the limits."""

VARIABLES = {
    "HARNESS_HOME": "Where runs, built databases and caches are kept. Default: `~/.harness`.",
    "HARNESS_DATA": "Where the shipped specs find Spider, BIRD and GeoQuery. No default.",
    "OPENAI_API_KEY": "Key of an endpoint; `runner.endpoint.key` names another variable.",
    "OPENAI_BASE_URL": "Base URL of an endpoint, where neither `--base-url` nor `runner.endpoint.base_url` is set.",
    "HF_TOKEN": "Opens gated models and datasets on the Hugging Face Hub.",
    "HF_HOME": "Where models and datasets of the Hub are kept. Default: `~/.cache/huggingface`.",
    "HF_HUB_DISABLE_TELEMETRY": "Telemetry of huggingface_hub. Default in trainings: `1` (off).",
    "WANDB_API_KEY": "Logs a training with `train.tracker=wandb` to Weights & Biases; without a key it is logged offline.",
    "WANDB_MODE": "Overrides the choice between online and offline.",
    "WANDB_PROJECT": "Project in Weights & Biases. Default: `sql-harness`.",
    "WANDB_DIR": "Where offline runs are kept. Default: the training's folder.",
    "WANDB_DATA_DIR": "Where tables and artifacts of offline runs are kept. Default: `wandb` in the training's folder.",
    "WANDB_CACHE_DIR": "Where wandb keeps its cache and its own logs. Default: `wandb/cache` in the training's folder.",
    "TRACKIO_PROJECT": "Project in trackio, with `train.tracker=trackio`. Default: `sql-harness`.",
    "TRACKIO_DIR": "Where trackio keeps its database. Default: `~/.cache/huggingface/trackio`.",
    "TRACKIO_SPACE_ID": "A Space to which trackio uploads a training, questions and answers included; a new one is private.",
    "TRACKIO_SERVER_URL": "A server to which trackio uploads a training, questions and answers included.",
    "PRIME_RUNS_MODE": "`online` allows `vf-eval` to upload results; the environment sets it to `disabled` otherwise.",
    "RAY_ADDRESS": "The cluster that `--on ray` connects to. Default: the one that runs on this machine.",
    "RAY_TMPDIR": "Where Ray keeps its sockets and logs. Default: `/tmp`.",
    "HARNESS_TOKEN": "The token that clients of `harness serve` must send; needed where other machines can reach it.",
    "OMP_NUM_THREADS": "Threads of torch; with `--processes` it defaults to each process's share of the cores.",
    "TOKENIZERS_PARALLELISM": "Threads of tokenizers. Default: `false`.",
}
"""Variables that a user may set."""

LAUNCHED = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "TORCHELASTIC_ERROR_FILE")
"""Variables that torch's launcher sets for its processes."""

EXIT_CODES = {
    "0": "Done.",
    "1": "`harness eval`: not every model could be asked; `check`: a gold failed; `compare --fail-if`: it holds; "
    "`rerun`: a verdict differs; `doctor`: a problem; `runs rm`: not confirmed. With a traceback: a bug.",
    "2": "A mistake in a command, spec, dataset or model: one line on stderr says what is wrong and how to fix it.",
    "130": "Ctrl-C. What was finished is kept; the same command continues.",
}
