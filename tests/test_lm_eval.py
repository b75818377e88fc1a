"""lm-evaluation-harness as a runner and as a client: the same greedy texts, errors, and EX."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("lm_eval")

import tiny_models
from servers.hostile import hostile

from harness.adapters.lm_eval import LmEvalTask
from harness.cli import main
from leaderboards import store
from runners.batching import MAX_FAILURES
from runners.lm_eval.model import HarnessLM
from runners.lm_eval.runner import LmEvalRunner, open_lm_eval
from runners.open import open_runner
from runners.types import Completion, Request, Runner, Sampling
from tasks.common.errors import ModelError
from tasks.task import Task
from tasks.types import Sample


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A random model with weights large enough to give different answers."""
    return tiny_models.save(tmp_path_factory.mktemp("models") / "tiny", initializer_range=0.3)


def request(id: int, question: str = "How many?") -> Request:
    content = f"member(name text)\n\n{id} {question}"
    return Request(Sample(str(id), question, "d", ("SELECT 1",)), ({"role": "user", "content": content},))


def answers(runner: Runner, requests: list[Request], **sampling: Any) -> list[list[Completion]]:
    found = dict(runner.generate(requests, Sampling(**{"max_new_tokens": 12} | sampling)))
    return [found[index] for index in range(len(requests))]


def texts(runner: Runner, requests: list[Request], **sampling: Any) -> list[list[str]]:
    return [[one.text for one in group] for group in answers(runner, requests, **sampling)]


REQUESTS = [request(i, "How many " * (i % 4 + 1)) for i in range(12)]


def test_the_same_greedy_texts_through_hf_and_lm_eval(folder: str) -> None:
    ours = answers(open_runner(folder), REQUESTS)
    theirs = answers(open_runner(f"lm-eval:hf:pretrained={folder},batch_size=4"), REQUESTS)
    assert [a.text for [a] in theirs] == [a.text for [a] in ours]
    assert [a.prompt_tokens for [a] in theirs] == [a.prompt_tokens for [a] in ours]
    assert len({a.text for [a] in ours}) == len(REQUESTS)
    assert all(a.tokens > 0 for [a] in theirs)


def test_several_samples_are_reproducible(folder: str) -> None:
    runner = open_lm_eval(f"hf:pretrained={folder},batch_size=8")
    drawn = {"n": 3, "temperature": 1.0, "top_p": 0.9}
    first = texts(runner, REQUESTS[:4], seed=1, **drawn)
    assert [len(group) for group in first] == [3] * 4
    assert texts(runner, REQUESTS[:4], seed=1, **drawn) == first
    assert texts(runner, REQUESTS[:4], seed=2, **drawn) != first


def test_a_prompt_that_lm_eval_would_cut_is_an_error_and_the_others_are_answered(folder: str) -> None:
    found = answers(open_lm_eval(f"hf:pretrained={folder}"), [request(0), request(1, "x " * 600), request(2)])
    assert [one.finish == "unanswered" for [one] in found] == [False, True, False]
    assert "new ones exceed 512" in found[1][0].error


class Failing:
    """A backend that raises on some questions."""

    max_length = 10**6

    def __init__(self, bad: str) -> None:
        self.bad = bad

    def apply_chat_template(self, messages: list[dict[str, str]]) -> str:
        return messages[-1]["content"]

    def generate_until(self, requests: list[Any], disable_tqdm: bool) -> list[str]:
        if any(self.bad in one.args[0] for one in requests):
            raise RuntimeError("the server\nis gone")
        return ["SELECT 1" for _ in requests]


def test_a_backend_that_raises_loses_only_the_question_at_fault() -> None:
    found = answers(LmEvalRunner(Failing("\n7 "), "x"), [request(i) for i in range(20)])
    assert [i for i, [one] in enumerate(found) if one.finish == "failed"] == [7]
    assert found[7][0].error == "RuntimeError: the server is gone"


def test_a_backend_that_always_raises_ends_the_run() -> None:
    with pytest.raises(ModelError, match=f"{MAX_FAILURES} questions in a row got no answer: RuntimeError"):
        answers(LmEvalRunner(Failing(""), "x"), [request(i) for i in range(100)])


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("lm-eval:nosuch:x=1", "no model for this name found"),
        ("lm-eval:hf:pretrained=/nowhere/at/all", "lm-eval:hf: "),
        ("lm-eval:local-chat-completions:model=m,api_key=sk-1", "set keys in the environment"),
    ],
)
def test_a_wrong_name_is_one_line(name: str, says: str) -> None:
    with pytest.raises(ModelError, match=says) as error:
        open_runner(name)
    assert "\n" not in str(error.value) and "sk-1" not in str(error.value)


def test_our_runner_as_their_model(folder: str) -> None:
    """Plain and chat contexts, and stop strings, in the order asked."""
    from lm_eval.api.instance import Instance

    lm = HarnessLM(model=folder, batch_size=8, device="cpu")
    question = REQUESTS[0]
    [expected] = texts(open_runner(folder), [question])
    stop = expected[0][4:6]
    chat = lm.apply_chat_template(list(question.messages))
    plain = question.messages[0]["content"]
    base = {"max_gen_toks": 12, "do_sample": False, "temperature": 0.0}
    asked = [(chat, base | {"until": []}), (chat, base | {"until": [stop]}), (plain, base | {"until": []})]
    found = lm.generate_until([Instance("generate_until", {}, one, i) for i, one in enumerate(asked)])
    assert found == [expected[0], expected[0].partition(stop)[0], expected[0]]
    with pytest.raises(NotImplementedError, match="only generates"):
        lm.loglikelihood([])


# our tasks in their evaluator

PAIRS = [(f"SELECT {i}", f"SELECT {i if i % 3 else 99}") for i in range(10)]
"""Gold and answer: 6 of 10 are right."""


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A task whose questions contain the answers of ``hostile``; one gold fails."""
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path / "home"))
    with sqlite3.connect(tmp_path / "d.sqlite") as connection:
        connection.execute("CREATE TABLE t (x INTEGER)")
    connection.close()
    rows = [
        {"question": f"plan: ok\nanswer: {answer}", "query": gold, "db_id": "d"} for gold, answer in PAIRS
    ]
    rows.append({"question": "plan: ok", "query": "SELECT gone FROM t", "db_id": "d"})
    (tmp_path / "dev.json").write_text(json.dumps(rows))
    path = tmp_path / "task.yaml"
    path.write_text(
        f"name: scripted\ndataset: {{path: '{tmp_path}/dev.json', splits: {{dev: dev}}}}\n"
        f"databases: {{path: '{tmp_path}/{{database}}.sqlite'}}\n"
        "prompt: {system: 'You write {{ SQL }}.'}\nscoring: {modes: [strict, bird]}\n"
    )
    return str(path)


def test_judging_in_memory_leaves_out_what_is_not_scored(task: str) -> None:
    exported = LmEvalTask(Task.named(task))
    rows = list(exported.documents()["dev"])
    assert exported.judge(rows[1], ["SELECT 1"]) == {
        "execution_accuracy": 1.0,
        "strict": 1.0,
        "bird": 1.0,
        "reward": 1.0,
    }
    assert exported.judge(rows[1], ["SELECT 2"])["execution_accuracy"] == 0.0
    assert "execution_accuracy" not in exported.judge(rows[10], ["SELECT 1"])


@pytest.mark.parametrize("behaviour", ["echo", "401"])
def test_a_key_that_a_server_repeats_is_cut_out_of_errors_and_not_of_answers(
    task: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    behaviour: str,
) -> None:
    key = "sk-secret-0123456789"
    monkeypatch.setenv("OPENAI_API_KEY", key)
    (tmp_path / "dev.json").write_text(
        json.dumps([{"question": f"plan: {behaviour}", "query": "SELECT 1", "db_id": "d"}])
    )
    with hostile() as server:
        arguments = f"model=m,base_url={server.url}/chat/completions,max_retries=1,num_concurrent=1"
        model = f"lm-eval:local-chat-completions:{arguments}"
        assert main(["eval", "--model", model, "--task", task, "--workers", "1"]) == 0
        assert server.headers[0]["Authorization"] == f"Bearer {key}"
    if behaviour == "401":
        assert store.records(store.runs()[-1].id)[0].finish == "failed", "a plain question is answered"
        assert "[key]" in caplog.text and key not in caplog.text
        kept = b"".join(path.read_bytes() for path in (tmp_path / "home").rglob("*") if path.is_file())
        assert key.encode() not in kept
    else:
        assert store.records(store.runs()[-1].id)[0].completion == f"SELECT 'Bearer {key}'"


def test_a_chat_template_that_always_raises_ends_the_run(
    task: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tiny_models.save(tmp_path / "raises")
    (Path(folder) / "chat_template.jinja").write_text("{{ raise_exception('no such role') }}")
    line = ["eval", "--model", f"lm-eval:hf:pretrained={folder}", "--task", task, "--workers", "1"]
    assert main(line) == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert "no question got an answer: TemplateError: no such role" in last


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_lm_eval_on_the_exported_folder_reports_our_number(task: str, tmp_path: Path) -> None:
    """Both ask the same server: ours, and lm-eval's command line with its own client."""
    assert main(["export", "lm-eval", "--task", task, "--out", str(tmp_path / "folder")]) == 0
    with hostile() as server:
        line = ["eval", "--model", "openai:m", "--base-url", server.url, "--task", task, "--workers", "1"]
        assert main(line) == 0
        ours = store.scores(store.runs()[-1].id)
        arguments = f"model=m,base_url={server.url}/chat/completions,num_concurrent=1"
        command = [sys.executable, "-m", "lm_eval", "run", "--model", "local-chat-completions"]
        command += ["--model_args", arguments, "--include_path", str(tmp_path / "folder")]
        command += [
            "--tasks",
            "harness_scripted",
            "--apply_chat_template",
            "--output_path",
            str(tmp_path / "out"),
        ]
        done = subprocess.run(command, capture_output=True, text=True)
        asked = [json.dumps(body["messages"]) for body in server.bodies]
    assert done.returncode == 0, done.stderr[-2000:]
    assert sorted(asked[:11]) == sorted(asked[11:]), "the same prompts, system message and all"
    (file,) = (tmp_path / "out").rglob("results_*.json")
    theirs = json.loads(file.read_text())["results"]["harness_scripted"]
    assert (ours["ex"], ours["n"], ours["unscored"]) == (0.6, 10, 1)
    assert theirs["execution_accuracy,none"] == ours["ex"]
    assert theirs["bird,none"] == ours["modes"]["bird"]
    assert theirs["reward,none"] == pytest.approx(ours["reward"])
