"""What the cards of ``harness push`` say of the score, and the commands that repeat it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import published_runs
import pytest
import yaml

pytest.importorskip("huggingface_hub")

from harness.cli import main, parser
from harness.publishing.card import eval_results, model_card, records_card, scope
from harness.publishing.evaluation import METRICS, Published, hub_dataset, hub_id, is_whole
from harness.publishing.model_folder import uploaded
from harness.publishing.reproduce import commands, remarks, score_commands
from harness.publishing.stages import base_on_hub, stages
from harness.spec import EvalSpec
from harness.verbs.measure import _eval_spec
from harness.verbs.options import divided
from leaderboards import store
from leaderboards.identity import identity_of
from leaderboards.types import Run
from runners.known.models import MODELS
from tasks import spec as specs
from tasks.common import files
from tasks.common.digests import digest_of
from tasks.common.errors import DataError, ModelError
from tasks.types import Mode

MODEL = {"model.safetensors": b""}
SAMPLED = {"samples": 3, "temperature": 0.7, "top_p": 0.9, "max_new_tokens": 64, "turns": 2, "seed": 6}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("card")


@pytest.fixture(scope="module")
def run(folder: Path) -> Iterator[Run]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARNESS_HOME", str(folder / "home"))
        yield published_runs.scored(folder, published_runs.task(folder))


def published(run: Run, **values: Any) -> Published:
    return Published(replace(run, **values), store.records(run.id), "me/sql")


def card(run: Run, files: Mapping[str, bytes | Path], **values: Any) -> str:
    return model_card(published(run, **values), "me/sql", "me/sql-records", "v1", files)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"limit": 5}, "only its first 5 questions"),
        (
            {"limit": 5, "spec": {"sample_seed": 3}},
            "only its first 5 questions in the order drawn with the seed 3",
        ),
        ({"skipped": 2}, "without 2 questions whose database or gold was missing"),
        ({"limit": 5, "skipped": 2}, "only its first 5 questions, without 2 questions whose"),
    ],
)
def test_part_of_a_split_is_not_the_score_of_the_benchmark(
    run: Run, values: dict[str, Any], words: str
) -> None:
    identity = {**run.identity, "questions": "those five"} if "limit" in values else run.identity
    values = {**values, "identity": identity, "spec": {**run.spec, "eval": values.get("spec", {})}}
    part = published(run, **values)
    assert words in scope(part.run) and not is_whole(part.run)
    assert eval_results(part, "me/sql-records", "") == []
    text = card(run, MODEL, **values)
    assert words in text and "no score of the whole split" in text
    assert "model-index" not in yaml.safe_load(text.split("---\n")[1])
    assert words in records_card(part, "me/sql", "me/sql-records")


def test_of_a_models_evaluations_that_of_the_whole_split_is_published(
    run: Run, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["eval", "--model", f"replay:{folder}/answers.jsonl", "--task", str(folder / "task.yaml")]
    assert main([*line, "--workers", "1", "--limit", "2"]) == 0
    part = store.runs()[-1]
    capsys.readouterr()
    assert Published.find(part.model).run.id == run.id and part.limit == 2
    assert f"names 2 runs: this is {run.id}, the newest of the whole split" in capsys.readouterr().err
    assert Published.find(part.id).run.id == part.id
    assert capsys.readouterr().err == ""
    store.folder(part.id).rename(folder / part.id)


@pytest.mark.parametrize(
    ("dataset", "about", "words"),
    [
        ({"source": "python", "path": "tasks.pocket:rows"}, {}, "made by the code tasks.pocket:rows, split"),
        ({}, {"source": "https://x.org/a_b"}, "Questions: `https://x.org/a_b`, split"),
        ({}, {}, "Questions: a file that does not ship with sql-harness, split"),
    ],
)
def test_the_card_says_where_the_questions_come_from(
    run: Run, dataset: dict[str, str], about: dict[str, str], words: str
) -> None:
    task = run.spec["task"]
    task = {**task, "about": {**task["about"], **about}, "dataset": {**task["dataset"], **dataset}}
    assert words in card(run, MODEL, spec={**run.spec, "task": task})


def test_a_limit_that_leaves_nothing_out_is_the_whole_split(run: Run) -> None:
    for whole in (run, replace(run, limit=500, identity={**run.identity, "questions": _split(run)})):
        assert scope(whole) == "" and len(eval_results(published(whole), "me/sql-records", "")) == 1


def _split(run: Run) -> str:
    identity = identity_of(run)
    assert identity is not None
    return identity.split["questions"]


def test_nothing_scored_is_no_score(run: Run) -> None:
    modes = dict.fromkeys(("metric", "reward", *(mode.value for mode in Mode)))
    unscored = [replace(record, **modes) for record in store.records(run.id)]  # type: ignore[arg-type]
    nothing = Published(run, unscored, "me/sql")
    assert eval_results(nothing, "me/sql-records", "") == []
    text = model_card(nothing, "me/sql", "", "", MODEL)
    assert "**none**" in text and "model-index" not in text


def test_an_unknown_metric_is_one_line(run: Run) -> None:
    file = store.folder(run.id) / "run.json"
    kept = file.read_bytes()
    stored = files.without_checksum(json.loads(kept))
    file.write_bytes(files.as_json(files.with_checksum({**stored, "metric": "birds"})))
    try:
        with pytest.raises(DataError, match=r"has the metric 'birds': did you mean 'bird'\?"):
            Published.find(run.id)
    finally:
        file.write_bytes(kept)


def test_every_mode_has_a_metric() -> None:
    assert set(METRICS) >= {mode.value for mode in Mode}


@pytest.mark.parametrize("mode", [mode for mode in Mode if mode not in (Mode.DENOTATION, Mode.SPIDER2)])
def test_a_metric_is_named_by_its_mode(run: Run, mode: Mode) -> None:
    """In all modes that a task with gold SQL has."""
    name = METRICS[mode.value].name
    (entry,) = eval_results(published(run, metric=mode.value), "me/sql-records", "")
    assert entry["notes"].startswith(f"{name} (mode {mode.value})")
    text = card(run, MODEL, metric=mode.value)
    first = yaml.safe_load(text.split("---\n")[1])["model-index"][0]["results"][0]["metrics"][0]
    assert (first["type"], first["name"].partition(",")[0]) == (METRICS[mode.value].id, name)
    assert f"\n{name.replace('(', chr(92) + '(').replace(')', chr(92) + ')')} (mode " in text
    assert ("F1 of its rows" in text) == (mode is Mode.BIRD_F1)


@pytest.mark.parametrize(
    ("settings", "overrides", "left_out"),
    [
        ({}, [], []),
        ({**SAMPLED, "limit": 9, "sample_seed": 0, "split": "dev"}, [], []),
        ({"runner": {"hf": {"dtype": "float16", "deterministic": True}}}, [], []),
        ({"runner": {"chat_template_kwargs": {"enable_thinking": False, "a.b": 1, "c": "on"}}}, [], []),
        ({"runner": {"chat_template": "/home/me/t.jinja"}}, [], ["runner.chat_template"]),
        ({"runner": {"chat_template": "t.jinja"}}, [], ["runner.chat_template"]),
        ({"model": "vllm:m", "runner": {"vllm": {"extra": {"enforce_eager": True}}}}, [], []),
        (
            {"model": "vllm:m", "runner": {"endpoint": {"body": {"api_key": "[key]", "x": 1}}}},
            [],
            ["api_key"],
        ),
        ({}, ["scoring.seconds=99", "prompt.system=Use `no` SQL"], None),
        ({}, ["scoring.seconds=99", "prompt.system='Write SQL: now'", "answer.stop=['#', ';']"], []),
    ],
)
def test_the_command_asks_what_the_evaluation_asked(
    run: Run, settings: dict[str, Any], overrides: list[str], left_out: list[str] | None
) -> None:
    spec = EvalSpec.model_validate({"model": "m", "task": "pocket", "split": "test", **settings})
    task = specs.load("pocket", overrides).model_dump(mode="json", by_alias=True)
    stored = {"eval": spec.model_dump(mode="json"), "task": task}
    values = {"task": "pocket", "split": spec.split, "seed": spec.seed, "limit": spec.limit, "spec": stored}
    asked = published(run, **values)
    install, line = commands(asked, "me/sql")
    assert ("vllm" in install) == spec.model.startswith("vllm:")
    options = parser().parse_args(shlex.split(line)[1:])
    keys, others = divided(options.overrides, "runner.")
    (model,), (temperature,) = options.model, options.temperature
    again = _eval_spec(options, model, temperature, keys)
    assert model == ("vllm:me/sql" if spec.model == "vllm:m" else "me/sql")
    if left_out is None:
        assert options.task == "task.yaml" and others == [] and "spec.task" in remarks(asked)[0]
        return
    assert options.task == "pocket"
    assert specs.load("pocket", others) == specs.load("pocket", overrides)
    text = " ".join(remarks(asked))
    assert all(name in text for name in left_out) and bool(left_out) == bool(text) and "/home" not in text
    score = shlex.split(score_commands(asked, "me/sql-records")[1])
    judged = parser().parse_args(score[1:])
    assert (judged.file, judged.task, judged.overrides) == ("me/sql-records", options.task, others)
    assert all(getattr(judged, name) == getattr(spec, name) for name in ("split", "limit", "sample_seed"))
    if not left_out:
        assert again.model_copy(update={"model": "m"}) == spec.model_copy(update={"model": "m"})


def test_a_task_that_no_reader_has_is_named_as_such(run: Run) -> None:
    assert "--task task.yaml" in commands(published(run), "me/sql")[-1]
    assert "spec.task" in card(run, MODEL)
    code = specs.load("pocket", ["scoring.reward=mine:Reward"], trust=True).model_dump(
        mode="json", by_alias=True
    )
    values = {"task": "pocket", "spec": {**run.spec, "task": code}}
    assert "scoring" not in commands(published(run, **values), "me/sql")[-1]
    assert "mine:Reward" in remarks(published(run, **values))[0]
    own = {**run.spec["task"], "scoring": code["scoring"]}
    assert "--trust-task" in commands(published(run, spec={**run.spec, "task": own}), "me/sql")[-1]


def test_no_folder_of_this_machine_is_in_a_card(run: Run) -> None:
    path = "/srv/alice/private/rows.jsonl"
    prompt = {**run.spec["task"]["prompt"], "template": "/srv/alice/private/t.jinja"}
    task = {**run.spec["task"], "prompt": prompt, "description": f"From {path}."}
    training = {"sft": {"sees": f"the rows of {path}"}}
    text = card(run, MODEL, method="sft", training=training, spec={**run.spec, "task": task})
    assert "the rows of private/rows.jsonl" in text and "template private/t.jinja" in text
    assert "alice" not in text


def test_an_adapter_is_asked_on_its_base(run: Run) -> None:
    config = {"adapter_config.json": json.dumps({"base_model_name_or_path": "Qwen/Q"}).encode()}
    for name, base in (
        ("Qwen/Q@main+/home/me/a", "Qwen/Q@main+me/sql"),
        ("vllm:/srv/q+/home/me/a", "vllm:Qwen/Q+me/sql"),
        (f"{MODELS['smollm2'].folder}+a", "smollm2+me/sql"),
    ):
        spec = {**run.spec, "eval": {**run.spec["eval"], "model": name}}
        lines = commands(published(run, spec=spec), "me/sql", "Qwen/Q")
        assert shlex.split(lines[-1])[3] == base
        assert lines[1] == "hf download me/sql --local-dir me/sql"
        assert ("harness models get smollm2" in lines) == ("smollm2" in base)
    text = card(run, config, method="sft", spec=spec)
    assert yaml.safe_load(text.split("---\n")[1])["base_model"] == "Qwen/Q" and "An adapter that" in text


@pytest.mark.parametrize(
    ("model", "parts", "known"),
    [
        ("org/name@v1", {"name": "org/name", "revision": "abc"}, "org/name"),
        ("runs/sft", {"weights": "abc", "config": "d"}, ""),
        ("vllm:runs/sft", {"weights": "abc"}, ""),
        ("org/name", None, "org/name"),
        ("local/demo-sft", None, ""),
        ("../sft", None, ""),
        ("smollm2", {"weights": "abc"}, MODELS["smollm2"].hub_id),
        ("openai:org/name", {"name": "org/name"}, ""),
    ],
)
def test_a_folder_is_no_model_of_the_hub(model: str, parts: dict[str, str] | None, known: str) -> None:
    assert hub_id(model, parts) == known


def test_an_adapter_of_a_folder_has_no_base_on_the_hub(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "runs/base"}))
    (tmp_path / "adapter_model.safetensors").write_bytes(b"x")
    with pytest.raises(ModelError, match="the adapter's base runs/base is not on the Hub"):
        uploaded(tmp_path, "runs/base", {"weights": "abc", "adapter": "d"})


def test_a_saved_dataset_is_no_dataset_of_the_hub(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "{name: x, dataset: {source: huggingface, path: saved/rows, splits: {dev: dev}}}"
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "task.yaml").write_text(text)
    for folder, path in ((None, "saved/rows"), (tmp_path / "saved" / "rows", f"{tmp_path}/saved/rows")):
        if folder:
            folder.mkdir(parents=True)
        monkeypatch.chdir(tmp_path)
        task = specs.load("tasks/task.yaml").model_dump(mode="json", by_alias=True)
        assert task["dataset"]["path"] == path
        monkeypatch.chdir("/")
        found = hub_dataset(replace(run, spec={**run.spec, "task": task}))
        assert found == ("" if folder else path, "")


def test_a_stage_is_compared_with_the_evaluation_that_was_asked_alike(run: Run, folder: Path) -> None:
    file, task = str(folder / "answers.jsonl"), str(folder / "task.yaml")
    assert main(["score", file, "--task", task, "--workers", "1", "--set", "prompt.system=Be brief."]) == 0
    other = store.runs()[-1]
    trained = published_runs.scored(folder, task, "trained", [["SELECT 0"]] * len(published_runs.ANSWERS))
    identity = identity_of(run)
    assert identity is not None
    trained = replace(trained, parent_content=digest_of(identity.model), method="sft", parent="runs/base")
    before, after = stages(Published(trained, store.records(trained.id), "me/sql"))
    assert (
        before.run.id == run.id and after.gain == "on 8 shared questions: 0 wins, 3 losses, McNemar p = 0.25"
    )
    (store.folder(run.id) / "run.json").rename(folder / "run.json")
    try:
        before, after = stages(Published(trained, store.records(trained.id), "me/sql"))
    finally:
        (folder / "run.json").rename(store.folder(run.id) / "run.json")
    assert before.run.id == other.id and after.gain.endswith("; asked differently: the prompt")


def test_the_base_is_known_from_the_training(run: Run) -> None:
    made = replace(run, id="t1", kind="train", method="grpo", model="runs/grpo", parent="runs/base")
    cases = {"name": "runs/base", "weights": ""}
    for part, base in cases.items():
        training = replace(made, id=f"t-{part}", identity={**run.identity, "model": {part: "abc"}})
        with store.open_run(replace(training, digest=part, started="", ended="")) as writer:
            writer.finish({})
            trained = replace(run, method="grpo", parent="runs/base", trained_by=writer.run.id)
            assert base_on_hub([trained]) == base
            text = card(run, MODEL, **{name: getattr(trained, name) for name in ("method", "trained_by")})
            assert "reward of GRPO" not in text
            stage = {"grpo": {"rows": 3}}
            text = card(run, MODEL, method="grpo", trained_by=writer.run.id, training=stage)
            assert "The reward of GRPO was `gated`." in text and "| grpo | numbers dev | 3 |" in text
    text = card(run, MODEL, method="sft", training={"sft": {"rows": 3}})
    assert "reward of GRPO" not in text and "| sft | unknown | 3 |" in text
