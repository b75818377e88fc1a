"""skyrl-gym 0.4.0 on an exported folder: its registry makes our environment, which gives our number."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

pytest.importorskip("skyrl_gym")

import skyrl_gym
from answer_table import GOLD
from omegaconf import OmegaConf
from skyrl_gym.envs import deregister, register
from skyrl_gym.envs.registration import EnvSpec
from skyrl_gym.metrics import aggregate_for_environment
from trainer_folder import ANSWERS, THOUGHT, Exported, exported, grades, rows

from rewards.feedback import ASK
from tasks.common.errors import DataError

NAME = "harness_sql"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exported]:
    """The exported task, in a HARNESS_HOME of the module, and its environment registered."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARNESS_HOME", str(tmp_path_factory.mktemp("home")))
        made = exported("skyrl", tmp_path_factory.mktemp("a = b, 'c'"), "--turns", "3")
        register(NAME, registration(made)["entry_point"], kwargs={"folder": str(made.folder)})
        yield made
        deregister(NAME)


def registration(made: Exported) -> dict[str, str]:
    """The arguments of ``register`` in the script of the folder, which needs SkyRL's trainer to run."""
    tree = ast.parse((made.folder / "main.py").read_text())
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    (call,) = (one for one in calls if isinstance(one.func, ast.Name) and one.func.id == "register")
    return {one.arg: one.value.value for one in call.keywords if isinstance(one.value, ast.Constant)}


def environment(made: Exported, turns: int = 1, **more: Any) -> Any:
    """The environment of the test split's question, made as SkyRL's generator makes it."""
    row = rows(made.folder, "test")[0]
    extras = {name: value for name, value in row.items() if name not in ("prompt", "env_class")}
    return skyrl_gym.make(row["env_class"], env_config={}, extras=extras | {"max_turns": turns} | more)


def test_the_printed_command_and_script_name_what_is_there(made: Exported) -> None:
    program, script, *settings = made.command
    assert (program, script) == ("python", str(made.folder / "main.py"))
    config = OmegaConf.from_cli(settings)
    assert config.data.train_data == [str(made.folder / "train.parquet")]
    assert config.data.val_data == [str(made.folder / "test.parquet")]
    assert config.environment.env_class == rows(made.folder, "test")[0]["env_class"] == NAME
    assert registration(made)["id"] == NAME
    assert (config.generator.max_turns, config.trainer.max_prompt_length) == (3, 256)
    assert config.generator.max_input_length >= config.trainer.max_prompt_length


def test_one_turn_gives_the_grader_s_number(made: Exported) -> None:
    """SkyRL steps its environments in threads."""

    def play(answer: str) -> tuple[float, bool, str, dict[str, Any]]:
        env = environment(made)
        prompt = rows(made.folder, "test")[0]["prompt"]
        assert env.init(prompt) == (prompt, {})
        step = env.step(answer)
        assert step["observations"] == []
        metrics = env.get_metrics()
        env.close()
        return step["reward"], step["done"], step["metadata"]["reason"], metrics

    with ThreadPoolExecutor(32) as threads:
        found = list(threads.map(play, ANSWERS))
    for grade, (reward, done, reason, metrics) in zip(grades(made), found, strict=True):
        verdicts = grade.attempt.verdicts
        assert (reward, done, reason) == (grade.scores["reward"].value, True, grade.attempt.reason.value)
        assert metrics == {"execution_accuracy": verdicts["strict"], **verdicts, "turns": 1}


def test_a_failed_query_is_asked_again_until_it_runs(made: Exported) -> None:
    env = environment(made, turns=3)
    first = env.step("<think>\nx\n</think>\nSELECT nothing FROM person")
    assert (first["reward"], first["done"]) == (0.0, False)
    (message,) = first["observations"]
    assert message["role"] == "user" and "nothing" in message["content"] and ASK in message["content"]
    second = env.step(GOLD)
    assert (second["reward"], second["done"], second["observations"]) == (1.0, True, [])
    assert env.get_metrics() == {"execution_accuracy": 1.0, "strict": 1.0, "bird": 1.0, "turns": 2}


def test_the_last_turn_is_final_and_only_its_answer_is_rewarded(made: Exported) -> None:
    env = environment(made, turns=2)
    env.step("SELECT nothing FROM person")
    last = env.step("SELECT nothing FROM person")
    alone = environment(made).step("SELECT nothing FROM person")
    assert (last["done"], last["reward"]) == (True, alone["reward"])


def test_rows_are_shown_once_where_the_task_asks_for_confirmation(tmp_path_factory: Any) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARNESS_HOME", str(tmp_path_factory.mktemp("home")))
        made = exported("skyrl", tmp_path_factory.mktemp("rows"), "--set", "scoring.feedback_rows=2")
    spec = EnvSpec(NAME, registration(made)["entry_point"], {"folder": str(made.folder)})
    env = skyrl_gym.make(spec, extras=rows(made.folder, "test")[0] | {"max_turns": 4})
    shown = env.step(GOLD)
    assert "2 of its 3 rows" in shown["observations"][0]["content"] and not shown["done"]
    again = env.step(GOLD)
    assert (again["done"], again["reward"]) == (True, 1.0)


def test_a_thought_that_the_template_opened_is_no_answer(made: Exported) -> None:
    extras = rows(made.folder, "test")[0]
    spec = skyrl_gym.spec(NAME)
    assert skyrl_gym.make(spec, extras=extras).step(THOUGHT)["reward"] == 1.0
    assert skyrl_gym.make(spec, extras=extras, opens="<think>").step(THOUGHT)["metadata"] == {
        "reason": "no_sql"
    }


def test_metrics_are_means_over_episodes(made: Exported) -> None:
    found = []
    for answer in (GOLD, "SELECT 1"):
        env = environment(made)
        env.step(answer)
        found.append(env.get_metrics())
    assert aggregate_for_environment(NAME, found)["execution_accuracy"] == 0.5


def test_a_row_of_another_task_and_an_unscored_answer_are_errors(made: Exported) -> None:
    with pytest.raises(DataError, match="a row is of 'other'"):
        environment(made, data_source="other")
    env = environment(made)
    database = made.folder.parent / "d.sqlite"
    content = database.read_bytes()
    database.unlink()
    try:
        with pytest.raises(RuntimeError, match="not scored: infrastructure"):
            env.step(f"{GOLD} -- unscored")
    finally:
        database.write_bytes(content)
