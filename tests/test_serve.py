"""``harness serve``: verdicts equal to ``harness score``'s, and clients that are wrong, slow or hostile."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest
from serving import ROOT, TIGHT, Server, server

from harness.api import load_task, records
from harness.cli import main
from rewards.exploits import Target, load
from tools.reference.service import METRICS

TOKEN = "0123456789abcdef-token"
ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i), {} FROM n"
LIMITS = ("scoring.seconds=0.5", "scoring.steps=100000000000")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, pocket: Path) -> Iterator[Path]:
    """A HARNESS_HOME for all servers and commands of this file."""
    home = tmp_path_factory.mktemp("serve")
    (home / pocket.name).symlink_to(pocket)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARNESS_HOME", str(home))
        patch.delenv("HARNESS_TOKEN", raising=False)
        yield home


def settings(*overrides: str) -> list[str]:
    return [word for override in overrides for word in ("--set", override)]


@pytest.fixture(scope="module")
def running(place: Path) -> Iterator[Server]:
    command = ["-m", "harness.cli", "serve", "--task", "pocket", "--split", "dev", "--port", "0"]
    with server([*command, *settings(*LIMITS)], place / "log") as one:
        yield one


@pytest.fixture(scope="module")
def tight(place: Path) -> Iterator[Server]:
    """A server with small limits and one worker."""
    with server(["-c", TIGHT, *LIMITS], place / "tight") as one:
        yield one


@pytest.fixture(scope="module")
def question(place: Path) -> Any:
    return load_task("pocket").samples("dev")[0]


def test_right_wrong_and_unscored(running: Server, question: Any) -> None:
    gold = question.gold[0]
    right, wrong, prose, unscored = running.score(
        {"id": question.id, "text": f"```sql\n{gold}\n```"},
        {"id": question.id, "text": "SELECT 1, 2, 3, 4, 5, 6, 7"},
        {"id": question.id, "text": "I do not know."},
        {"id": "mine", "database": question.database, "gold": "SELECT nothing FROM nowhere", "text": gold},
    )
    assert (right["reason"], right["reward"], right["sql"]) == ("correct", 1, gold)
    assert set(right["verdicts"].values()) == {1}
    assert right["scores"] == {"syntax": 1, "execution": 1, "structure": 1}
    assert (wrong["reason"], wrong["verdicts"]["strict"]) == ("wrong_columns", 0)
    assert (prose["reason"], prose["reward"], prose["sql"]) == ("no_sql", 0, "")
    assert (unscored["id"], unscored["reason"], unscored["reward"]) == ("mine", "gold_failed", None)
    assert set(unscored["verdicts"].values()) == set(unscored["scores"].values()) == {None}


def test_golds_of_the_client(running: Server, question: Any) -> None:
    same = {"database": question.database, "text": "SELECT 2"}
    scored = running.score({**same, "gold": "SELECT 1"}, {**same, "gold": ["SELECT 1", "SELECT 2"]})
    assert [one["verdicts"]["strict"] for one in scored] == [0, 1]


def test_feedback(running: Server, question: Any) -> None:
    texts = (question.gold[0], "SELECT absent", "")
    scored = running.score(*({"id": question.id, "text": text} for text in texts), feedback=True)
    final, failed, empty = (one["feedback"] for one in scored)
    assert final == ""
    assert failed.startswith("Your query failed: no such column: absent.")
    assert empty.startswith("Your answer has no query in it.")
    assert "feedback" not in running.score({"id": question.id, "text": ""})[0]


def test_verdicts_are_those_of_harness_score(running: Server, tmp_path: Path) -> None:
    samples = load_task("pocket").samples("dev")[:60]
    exploits = [one for one in load("sqlite") if one.name not in ("letters", "lone_surrogate")]
    answers = []
    for number, sample in enumerate(samples):
        target = Target(sample.gold[0], "sqlite_master", "name", "1", sample.question, str(tmp_path / "none"))
        hostile = exploits[(7 * number) % len(exploits)].completion(target)
        texts = (sample.gold[0], samples[number - 1].gold[0], hostile[:200_000])
        answers.append({"id": sample.id, "text": texts[number % 3]})
    file = tmp_path / "answers.jsonl"
    file.write_text("".join(json.dumps({"id": one["id"], "sql": one["text"]}) + "\n" for one in answers))
    task = ["--task", "pocket", "--split", "dev", "--limit", "60"]
    assert main(["score", str(file), *task, *settings(*LIMITS)]) == 0
    modes = ("strict", "spider", "spider_ts", "bird")
    expected = {
        one.sample_id: (
            one.reason,
            one.reward,
            one.sql,
            one.detail,
            {mode: getattr(one, mode) for mode in modes},
            json.loads(one.parts) | {"reward": None},
        )
        for one in records(f"replay:{file}")
    }
    found = {
        one["id"]: (
            one["reason"],
            one["reward"],
            one["sql"],
            one["detail"],
            one["verdicts"],
            one["scores"] | {"reward": None},
        )
        for one in running.score(*answers)
    }
    assert found == expected
    assert {reason for reason, *_ in expected.values()} > {"correct", "wrong_rows", "no_sql"}


@pytest.mark.parametrize(
    ("item", "status", "line"),
    [
        ({"id": "dev-00O01", "text": ""}, 404, "items.0: no question 'dev-00O01': did you mean 'dev-0"),
        ({"id": "?", "text": ""}, 404, "items.0: no question '?': there are 500, such as 'dev-00001'"),
        ({"id": "dev-00001", "split": "devs", "text": ""}, 404, "no split 'devs': did you mean 'dev'?"),
        ({"database": "festivl", "gold": "SELECT 1", "text": ""}, 404, "did you mean 'festival'?"),
        ({"database": "../../etc/passwd", "gold": "SELECT 1", "text": ""}, 404, "no database '../../etc"),
        ({"gold": "SELECT 1", "text": ""}, 422, "items.0: give the database of the gold"),
        ({"database": "festival", "gold": [], "text": ""}, 422, "items.0.gold"),
        ({"database": "festival", "gold": "", "text": ""}, 422, "items.0.gold"),
        ({"database": "festival", "gold": ["SELECT 1"] * 17, "text": ""}, 422, "items.0.gold"),
        ({"id": "dev-00001", "database": "festival", "text": ""}, 422, "give database with gold"),
        ({"text": "SELECT 1"}, 422, "items.0: give id, or database and gold"),
        ({"id": "dev-00001"}, 422, "items.0.text: Field required"),
        ({"id": 1, "text": ""}, 422, "items.0.id: Input should be a valid string"),
        ({"id": "dev-00001", "text": "", "txt": ""}, 422, "did you mean 'text'?"),
        ({"id": "dev-00001", "text": None}, 422, "items.0.text"),
        ({"id": "d" * 300, "text": ""}, 422, "items.0.id: String should have at most 200 characters"),
        ({"id": "dev-00001", "text": "x" * 300_000}, 422, "items.0.text: String should have at most 262144"),
    ],
)
def test_an_item_that_is_wrong_is_one_line(running: Server, item: Any, status: int, line: str) -> None:
    found, content, _ = running.ask("/score", {"items": [item]})
    assert (found, list(content)) == (status, ["error"])
    assert line in content["error"] and len(content["error"]) < 700 and "\n" not in content["error"]


@pytest.mark.parametrize(
    ("body", "status", "line"),
    [
        (b"", 400, "not JSON"),
        (b"{", 400, "not JSON"),
        (b"[]", 400, "no JSON object"),
        (b"null", 400, "no JSON object"),
        (b'{"items": NaN}', 400, "NaN is no number of JSON"),
        (b'{"items": [-Infinity]}', 400, "no number of JSON"),
        (b'{"items": 1e999}', 400, "a number is too large"),
        (b'{"items": ' + b"9" * 10_000 + b"}", 400, "not JSON"),
        (b"[" * 200_000, 400, "nested too deeply"),
        (b'{"items":' * 50_000, 400, "nested too deeply"),
        (b'{"items": [], "items": []}', 400, "a key twice"),
        (b'{"items": [{"text": "a", "text": "b"}]}', 400, "a key twice"),
        (b'{"items": [{"text": "\xff"}]}', 400, "not UTF-8"),
        (b'{"items": [{"text": "\\ud800"}]}', 400, "lone surrogate"),
        (b'\xef\xbb\xbf{"items": []}', 400, "not JSON"),
        (b'{"items": []}', 422, "items"),
        (b'{"items": {}}', 422, "items"),
        (b'{"item": []}', 422, "items"),
        (b'{"items": [1]}', 422, "items.0"),
        (b'{"task": "pockt", "items": [{"text": "a"}]}', 404, "no task 'pockt': did you mean 'pocket'?"),
        (b'{"task": "pocket\\n\\u001b[31m", "items": [{"text": "a"}]}', 404, "no task 'pocket ␛[31m'"),
        (b'{"a\\nb": 1, "items": [{"text": "a"}]}', 422, "unknown key 'a b'"),
        (b'{"' + b"x" * 10**6 + b'": 1, "items": [{"text": "a"}]}', 422, "unknown key 'xxx"),
        (json.dumps(dict.fromkeys(map(str, range(65)), 0)).encode(), 400, "an object has over 64 keys"),
        (json.dumps({"items": [{"text": ""}] * 1025}).encode(), 413, "1,025 items: a request may have 1,024"),
        (b'{"items": [{"text": "", "gold": [' + b"1," * 10**6 + b"1]}]}", 422, "items.0.gold"),
        (b'{"items": [' + b"1," * 10**6 + b"1]}", 413, "1,000,001 items: a request may have 1,024"),
        (b" " * (8 * 2**20 + 1), 413, "over 8,388,608 bytes"),
    ],
)
def test_a_body_that_is_wrong_is_one_line(running: Server, body: bytes, status: int, line: str) -> None:
    found, content, _ = running.ask("/score", body)
    assert (found, list(content)) == (status, ["error"])
    assert line in content["error"] and len(content["error"]) < 700 and "\n" not in content["error"]


def test_where_and_how_to_ask(running: Server) -> None:
    asked = [
        ("/", None, {}, "GET", 404),
        ("/score", None, {}, "GET", 405),
        ("/health", b"", {}, "POST", 405),
        ("/score", b"{}", {"Content-Type": "text/plain"}, "POST", 415),
        ("/score", b"{}", {"Content-Encoding": "gzip"}, "POST", 415),
        ("/score", b"{}", {"Host": "attacker.invalid"}, "POST", 403),
        ("/metrics", None, {"Host": f"127.0.0.1:{running.port + 1}"}, "GET", 403),
        ("/health", None, {"Sec-Fetch-Site": "cross-site"}, "GET", 403),
    ]
    for path, body, headers, method, status in asked:
        found, content, _ = running.ask(path, body, headers, method)
        assert (found, list(content)) == (status, ["error"]), path
    assert running.ask("/health", headers={"Host": f"localhost:{running.port}"})[0] == 200


def test_health_tasks_and_metrics(running: Server, question: Any) -> None:
    assert running.ask("/health")[1] == {"status": "ok", "tasks": {"pocket": "ok"}}
    (task,) = running.ask("/tasks")[1]["tasks"]
    assert (task["name"], task["metric"], task["engine"]) == ("pocket", "strict", "sqlite")
    assert task["splits"]["dev"]["questions"] == 500
    name = 'harness_answers_total{reason="no_sql",task="pocket"}'
    before = running.metric(name), running.metric("harness_score_seconds_count")
    running.score(*[{"id": question.id, "text": ""}] * 3)
    after = running.metric(name), running.metric("harness_score_seconds_count")
    assert after == (before[0] + 3, before[1] + 1)
    refused = 'harness_refusals_total{cause="unknown"}'
    before_refused = running.metric(refused)
    running.ask("/score", {"items": [{"id": "none", "text": ""}]})
    assert running.metric(refused) == before_refused + 1


def test_the_metrics_are_those_of_the_reference(running: Server) -> None:
    found = re.findall(r"^# TYPE (harness_\w+) (\w+)$", running.ask("/metrics")[1], re.M)
    names = {name for name, kind in found if not name.endswith("_created")}
    assert names == {name for name in METRICS if name.startswith("harness_")}


def test_the_digest_is_that_of_an_exported_task(running: Server, place: Path) -> None:
    from harness.adapters.task_file import ExportedTask

    (task,) = running.ask("/tasks")[1]["tasks"]
    own = load_task("pocket", {"scoring.seconds": 0.5, "scoring.steps": 10**11})
    assert task["splits"]["dev"]["digest"] == ExportedTask(own, "dev").digest
    assert task["splits"]["dev"]["digest"] != ExportedTask(load_task("pocket"), "dev").digest


def test_a_flood_is_refused_politely(tight: Server, question: Any) -> None:
    def ask(number: int) -> tuple[int, Any, Any]:
        return tight.ask("/score", {"items": [{"id": question.id, "text": ENDLESS.format(number)}]})

    with ThreadPoolExecutor(10) as pool:
        found = list(pool.map(ask, range(10)))
    refused = [(content, headers) for status, content, headers in found if status == 429]
    scored = [content["items"][0] for status, content, _ in found if status == 200]
    assert len(refused) >= 2 and len(refused) + len(scored) == 10
    assert {one["reason"] for one in scored} == {"timeout"}
    assert all(headers["Retry-After"] == "1" and "answers wait" in c["error"] for c, headers in refused)
    assert tight.metric("harness_answers_in_flight") == tight.metric("harness_body_bytes") == 0
    assert tight.metric('harness_refusals_total{cause="queue"}') == len(refused)


def request(items: list[Any], length: int = 0) -> bytes:
    body = json.dumps({"items": items}).encode()
    head = "POST /score HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n"
    return head.format("localhost:{port}", length or len(body)).encode() + body


def send(server: Server, data: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=20)
    connection.sendall(data.replace(b"{port}", str(server.port).encode()))
    return connection


def test_a_client_that_leaves_frees_its_place(tight: Server, question: Any) -> None:
    before = tight.metric("harness_clients_left_total")
    waiting = 'harness_answers_waiting{task="pocket"}'
    items = [{"id": question.id, "text": ENDLESS.format(f"'left {n}'")} for n in range(4)]
    connection = send(tight, request(items))
    time.sleep(0.3)
    assert tight.ask("/score", {"items": items[:1]})[0] == 429
    assert tight.metric(waiting) >= 1
    connection.close()
    time.sleep(0.2)
    assert tight.metric("harness_clients_left_total") == before + 1
    assert tight.log.read_text().count("\n") == 1
    assert tight.metric("harness_answers_in_flight") == tight.metric(waiting) == 0
    assert tight.score({"id": question.id, "text": question.gold[0]})[0]["reward"] == 1


@pytest.mark.parametrize(
    ("sent", "received"),
    [
        (b"", b""),
        (b"POST /score HT", b""),
        (b"GET /health HTTP/1.1\r\nHost: x\r\nA: ", b""),
        (request([{"text": ""}], 5000), b"HTTP/1.1 408"),
        (b"GET /health HTTP/1.1\r\nHost: localhost:{port}\r\nX: " + b"x" * 300_000, b""),
        (b"\0\1\2 nonsense\r\n\r\n", b"HTTP/1.1 400"),
        (b"POST /score HTTP/1.1\r\nHost: localhost:{port}\r\nContent-Length: -5\r\n\r\n", b"HTTP/1.1 400"),
    ],
)
def test_a_slow_or_broken_client_is_cut_off(tight: Server, sent: bytes, received: bytes) -> None:
    started, answer = time.monotonic(), b""
    try:
        with send(tight, sent) as connection:
            while data := connection.recv(65536):
                answer += data
    except ConnectionError:
        pass
    assert answer.startswith(received) and bool(answer) == bool(received)
    assert time.monotonic() - started < 8


def test_too_large_bodies_are_refused_however_they_come(tight: Server) -> None:
    head = b"POST /score HTTP/1.1\r\nHost: localhost:{port}\r\nContent-Type: application/json\r\n"
    chunk = b"4000\r\n" + b" " * 0x4000 + b"\r\n"
    for data in (
        head + b"Content-Length: 1000000000\r\n\r\n",
        head + b"Content-Length: 99999999999999999999999\r\n\r\n",
        head + b"Transfer-Encoding: chunked\r\n\r\n" + 4 * chunk,
    ):
        with send(tight, data) as connection:
            assert connection.recv(65536).split()[1] in (b"413", b"400")
    assert tight.metric("harness_body_bytes") == 0


def test_too_many_connections_are_refused(tight: Server) -> None:
    time.sleep(0.1)
    connections = [send(tight, b"") for _ in range(20)]
    try:
        connections[-1].settimeout(5)
        text = connections[-1].recv(65536)
        assert text.startswith(b"HTTP/1.1 429") and b"Retry-After: 1" in text
    finally:
        for connection in connections:
            connection.close()
    time.sleep(0.1)
    assert tight.ask("/health")[0] == 200


def test_the_token_is_needed_on_other_addresses(place: Path, question: Any) -> None:
    command = ["-m", "harness.cli", "serve", "--task", "pocket", "--split", "dev", "--port", "0"]
    where = ["--host", "0.0.0.0", "--workers", "1"]
    with server([*command, *where], place / "token", {"HARNESS_TOKEN": TOKEN}) as one:
        body = {"items": [{"id": question.id, "text": question.gold[0]}]}
        for given in (None, "", "Bearer", f"Bearer {TOKEN}x", f"Basic {TOKEN}", TOKEN, "Bearer \xe9"):
            status, _, headers = one.ask("/score", body, {"Authorization": given} if given else {})
            assert (status, headers["WWW-Authenticate"]) == (401, "Bearer")
            assert one.ask("/metrics", headers={"Authorization": given} if given else {})[0] == 401
        right = {"Authorization": f"Bearer {TOKEN}", "Host": "training.internal"}
        assert one.ask("/score", body, right)[0] == 200
        assert one.ask("/health")[0] == 200
        for worker in psutil.Process(one.process.pid).children():
            assert TOKEN not in str(worker.environ())
        assert one.end(signal.SIGTERM) == 0


def test_sigterm_lets_requests_finish_and_leaves_no_worker(place: Path, question: Any) -> None:
    with server(["-c", TIGHT, *LIMITS], place / "ended") as one, ThreadPoolExecutor(1) as pool:
        workers = psutil.Process(one.process.pid).children()
        answer = pool.submit(one.score, {"id": question.id, "text": ENDLESS.format(0)})
        time.sleep(0.4)
        assert one.end(signal.SIGTERM) == 0
        assert answer.result()[0]["reason"] == "timeout"
        assert workers and psutil.wait_procs(workers, 5)[1] == []
        assert "Traceback" not in one.log.read_text()


def test_ctrl_c_ends_with_130(place: Path) -> None:
    command = ["-m", "harness.cli", "serve", "--task", "pocket", "--split", "dev", "--port", "0"]
    with server(command, place / "stopped") as one:
        assert one.end(signal.SIGINT) == 130
        assert one.log.read_text().splitlines()[1:] == ["harness: stopped; what was finished is kept"]


SHOP = """
name: shop
dataset:
  path: "{split}.jsonl"
  splits: {dev: dev, train: train}
  eval_split: dev
  fields: {gold: sql, database: db, id: key}
databases: {path: "{database}.sqlite"}
"""


def test_what_is_our_own_failure_reveals_no_path(place: Path, tmp_path: Path) -> None:
    import sqlite3

    (tmp_path / "shop.yaml").write_text(SHOP)
    for split, sql in (("dev", "SELECT 1"), ("train", "SELECT 2")):
        row = {"key": "q", "question": "?", "sql": sql, "db": "shop"}
        (tmp_path / f"{split}.jsonl").write_text(json.dumps(row))
    sqlite3.connect(tmp_path / "shop.sqlite").executescript("CREATE TABLE t (x)").connection.close()
    command = ["-m", "harness.cli", "serve", "--task", str(tmp_path / "shop.yaml"), "--task", "pocket"]
    with server([*command, "--port", "0", "--workers", "1"], place / "shop") as one:
        both = {"id": "q", "text": "SELECT 2"}
        assert one.ask("/score", {"items": [both]})[1]["error"] == "give task: pocket, shop are served"
        asked = one.ask("/score", {"task": "shop", "items": [both]})
        assert asked[1]["error"] == "items.0: the splits dev, train have a question 'q': give split"
        scored = one.score({**both, "split": "dev"}, {**both, "split": "train"}, task="shop")
        assert [item["verdicts"]["strict"] for item in scored] == [0, 1]
        (tmp_path / "shop.sqlite").unlink()
        (lost,) = one.score({"id": "q", "split": "dev", "text": "SELECT 3"}, task="shop")
        assert (lost["reason"], lost["reward"]) == ("infrastructure", None)
        assert str(tmp_path) not in json.dumps(lost) + json.dumps(one.ask("/tasks")[1])
        assert str(tmp_path) in one.log.read_text()


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        (["--host", "0.0.0.0"], "set HARNESS_TOKEN to the token that clients must send"),
        (["--host", "no.such.host.invalid"], "set HARNESS_TOKEN"),
        (["--max-queue", "5"], "--max-queue 5: it is less than --max-items 1024"),
        (["--split", "devs"], "no split 'devs': did you mean 'dev'?"),
        (["--set", "scoring.second=1"], "did you mean 'seconds'?"),
        (["--task", "pockt"], "did you mean 'pocket'?"),
        (["--task", "pocket"], "two tasks are named 'pocket'"),
    ],
)
def test_a_wrong_flag_is_one_line(
    place: Path, flags: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", "--task", "pocket", "--port", "0", *flags]) == 2
    text = capsys.readouterr().err
    assert line in text and text.count("\n") == 1


def test_a_port_in_use_and_a_weak_token_are_one_line(
    running: Server, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["serve", "--task", "pocket", "--port", str(running.port)]
    assert main(command) == 2
    assert f"--port {running.port}: Address already in use: choose another" in capsys.readouterr().err
    for token in ("short", "with a space in the token", "täglich-neues-token"):
        monkeypatch.setenv("HARNESS_TOKEN", token)
        assert main(command) == 2
        assert capsys.readouterr().err.count("HARNESS_TOKEN: use at least 16 ASCII characters") == 1
    assert os.environ["HARNESS_TOKEN"]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_thousand_hostile_clients_leave_nothing_behind(place: Path) -> None:
    """The benchmark itself compares verdicts, memory, processes and open files: a long and a short queue."""
    command = ["benchmarks/serve.py", "--clients", "1000", "--seconds", "30", "--queues", "10000", "100"]
    done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "wrong verdicts 0" in done.stdout
