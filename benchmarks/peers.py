"""Adapters to other projects' evaluators, which are imported from their own checkouts.

``--peer-dir`` holds a folder for each repository, named as on GitHub: DAMO-ConvAI (AlibabaResearch),
test-suite-sql-eval (taoyds), SkyRL (NovaSky-AI), ArcticTraining (snowflakedb), sql-eval (defog-ai), SQL-R1
(DataArcTech), premsql (premAI-io); and, if they are not installed, ``site``: a folder of packages that these
import (func_timeout, sqlparse, sqlalchemy, tqdm). A repository that is missing is left out.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from workload import Pair, place

PeerScorer = Callable[[Pair], bool]
"""Whether a peer accepts the pair's prediction as right."""
SECONDS = 30.0


def bird(home: Path, databases: Path) -> PeerScorer:
    """BIRD's ``execute_model``."""
    evaluate = _module(home / "DAMO-ConvAI/bird/llm/src", "evaluation")
    return lambda pair: bool(
        evaluate.execute_model(pair.sql, pair.gold, str(place(databases, pair.database)), 0, SECONDS)["res"]
    )


def test_suite(home: Path, databases: Path) -> PeerScorer:
    """The Spider test-suite's ``eval_exec_match``, with its defaults. It asserts that the gold runs."""
    evaluate = _module(home / "test-suite-sql-eval", "exec_eval")

    def score(pair: Pair) -> bool:
        path = str(place(databases, pair.database))
        return bool(evaluate.eval_exec_match(path, pair.sql, pair.gold, False, False, False))

    return score


def skyrl(home: Path, databases: Path) -> PeerScorer:
    """SkyRL-SQL's reward ``compute_score_single``."""
    rewards = _module(home / "SkyRL/skyrl-gym/skyrl_gym/envs/sql", "utils")

    def score(pair: Pair) -> bool:
        text = f"<think>thought</think><solution>{pair.sql}</solution>"
        return bool(
            rewards.compute_score_single(text, pair.gold, str(place(databases, pair.database))) == 1.0
        )

    return score


def arctic(home: Path, databases: Path) -> PeerScorer:
    """Arctic-Text2SQL-R1's ``compare_sql_wrapper``."""
    evaluate = _module(home / "ArcticTraining/projects/arctic_text2sql_r1/bird_eval", "evaluate_bird")

    def score(pair: Pair) -> bool:
        arguments = (0, str(place(databases, pair.database)), "", pair.gold, pair.sql)
        return bool(evaluate.compare_sql_wrapper(arguments, SECONDS)[-1])

    return score


def arctic_reward(home: Path, databases: Path) -> PeerScorer:
    """The reward ``compute_score`` of Arctic's RL integration."""
    rewards = _module(home / "SkyRL/integrations/arctic_rl/envs", "bird_reward")

    def score(pair: Pair) -> bool:
        place_of = {"db_path": str(place(databases, pair.database))}
        text = f"<think>thought</think>\n```sql\n{pair.sql}\n```"
        return bool(rewards.compute_score("bird", text, pair.gold, place_of)["score"] == 1.0)

    return score


def defog(home: Path, databases: Path) -> PeerScorer:
    """defog's ``compare_query_results`` on SQLite; exact or subset, as its runner counts."""
    _package("eval", home / "sql-eval/eval")
    _package("utils", home / "sql-eval/utils")
    evaluate = import_module("eval.eval")
    folder = {"path_to_folder": f"{databases}/"}

    def score(pair: Pair) -> bool:
        question = "order" if "ORDER BY" in pair.gold else ""
        results = (pair.gold, pair.sql, pair.database, "sqlite", folder, question, "")
        return bool(any(evaluate.compare_query_results(*results)))

    return score


def sql_r1(home: Path, databases: Path) -> PeerScorer:
    """SQL-R1's reward ``compute_score``: over 5 only where the results match."""
    _package("sqlr1", home / "SQL-R1/verl/utils/reward_score")
    rewards = import_module("sqlr1.synsql")
    root = databases / "data/NL2SQL/SynSQL-2.5M"
    root.mkdir(parents=True, exist_ok=True)
    if not (root / "databases").exists():
        (root / "databases").symlink_to(databases.resolve())
    os.chdir(databases)

    def score(pair: Pair) -> bool:
        text = f"Assistant:<think>thought</think><answer>```sql\n{pair.sql}\n```</answer>"
        return bool(rewards.compute_score(text, {"db_id": pair.database, "sql": pair.gold}) > 5)

    return score


def premsql(home: Path, databases: Path) -> PeerScorer:
    """premsql's ``Text2SQLEvaluator`` with its ``SQLiteExecutor``."""
    for name in ("premsql", "premsql.executors", "premsql.evaluator"):
        _package(name, home / "premsql" / name.replace(".", "/"))
    executor = import_module("premsql.executors.from_sqlite").SQLiteExecutor()
    evaluator = import_module("premsql.evaluator.base").Text2SQLEvaluator(executor, databases)

    def score(pair: Pair) -> bool:
        path = str(place(databases, pair.database))
        result = evaluator._execute_model("accuracy", pair.sql, pair.gold, path, SECONDS)
        return bool(result["accuracy"])

    return score


PEERS: dict[str, tuple[str, Callable[[Path, Path], PeerScorer]]] = {
    "bird": ("DAMO-ConvAI", bird),
    "arctic": ("ArcticTraining", arctic),
    "arctic-rl": ("SkyRL", arctic_reward),
    "skyrl": ("SkyRL", skyrl),
    "premsql": ("premsql", premsql),
    "defog": ("sql-eval", defog),
    "test-suite": ("test-suite-sql-eval", test_suite),
    "sql-r1": ("SQL-R1", sql_r1),
}
"""Name -> the repository's folder, and the function that makes its scoring function."""


def load(name: str, home: Path, databases: Path) -> PeerScorer:
    """A peer's scoring function, loaded in this process. Its output is dropped; if it raises, it is False."""
    site = home / "site"
    if site.is_dir():
        sys.path.append(str(site))
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    score = PEERS[name][1](home, databases)

    def safe(pair: Pair) -> bool:
        try:
            return score(pair)
        except Exception:
            return False

    return safe


def _module(folder: Path, name: str) -> Any:
    sys.path.insert(0, str(folder))
    return import_module(name)


def _package(name: str, folder: Path) -> None:
    """Make a folder importable under a name, without running its ``__init__``."""
    package = ModuleType(name)
    package.__path__ = [str(folder)]
    sys.modules[name] = package
