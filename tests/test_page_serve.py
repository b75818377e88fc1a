"""The page's server: this machine only, GET only, its own Host only, and it follows the runs."""

from __future__ import annotations

import html
import http.client
import json
import socket
import struct
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import page_runs
import pytest
from browser import serving
from page_runs import home as home

from harness import evaluate
from harness.cli import main
from harness.page.collect import Collector
from harness.page.serve import server
from leaderboards import store
from leaderboards.types import Run


@pytest.fixture
def port(home: Path) -> Iterator[int]:
    with serving() as running:
        yield running


def ask(port: int, path: str, method: str = "GET", host: str = "") -> tuple[int, str, dict[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request(method, path, headers={"Host": host or f"127.0.0.1:{port}"})
    answer = connection.getresponse()
    return answer.status, answer.read().decode(), dict(answer.getheaders())


def test_the_page_and_its_packs_are_handed_out(port: int) -> None:
    page_runs.lineage(10)
    status, page, headers = ask(port, "/")
    page = html.unescape(page)
    assert status == 200 and 'data-served="1"' in page and "GRPO" in page
    assert headers["Cache-Control"] == "no-store" and headers["X-Content-Type-Options"] == "nosniff"
    assert 'id="pack-run-0-0"' not in page
    current = ask(port, "/version")[1]
    for name in ("group-0", "run-0-0", "group-1", "tables-0/q-001"):
        assert ask(port, f"/pack/{current}/{name}")[0] == 200
    assert "connect-src 'self'" in page and "connect-src 'none'" not in page


@pytest.mark.parametrize(
    "host", ["attacker.invalid", "127.0.0.1", "127.0.0.1:1", "localhost.attacker.invalid"]
)
def test_another_host_is_refused(port: int, host: str) -> None:
    assert ask(port, "/", host=host)[0] == 403
    assert ask(port, "/version", host=host)[0] == 403


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_only_get_is_answered(port: int, method: str) -> None:
    assert ask(port, "/", method)[0] == 501


@pytest.mark.parametrize(
    "path",
    [
        *("/pack/none", "/../run.json", "/etc/passwd", "/pack/../../run.json", "/pack/{}/group-7"),
        *("/pack/{}/group-0/q", "/pack/{}/tables-7/q", "/pack/{}/tables-\u0663/q"),
        "/pack/{}/tables-" + 5000 * "9" + "/q",
    ],
)
def test_there_is_nothing_else(port: int, path: str) -> None:
    ask(port, "/")
    assert ask(port, quote(path.format(ask(port, "/version")[1])))[0] == 404


def test_a_pack_of_a_page_that_has_changed_since_is_refused(port: int) -> None:
    page_runs.lineage(5)
    ask(port, "/")
    before = ask(port, "/version")[1]
    page_runs.evaluation("newer", [page_runs.realistic(0, 1)])
    ask(port, "/")
    for name in ("group-0", "run-0-0", "tables-0/q-001"):
        assert ask(port, f"/pack/{before}/{name}")[0] == 409
        assert ask(port, f"/pack/{ask(port, '/version')[1]}/{name}")[0] == 200


def test_a_run_that_goes_on_changes_the_version_and_the_page(port: int) -> None:
    started = Run("going-on", "train", "m", "pocket", "d", "train", "strict", "1", "digest")
    versions = [ask(port, "/version")[1]]
    with store.open_run(started) as writer:
        writer.append_curve(page_runs.curve(3))
        versions.append(ask(port, "/version")[1])
        assert "3 steps so far" in ask(port, "/")[1]
        writer.append_curve(page_runs.curve(4))
        versions.append(ask(port, "/version")[1])
        assert "4 steps so far" in ask(port, "/")[1]
        writer.finish({})
    versions.append(ask(port, "/version")[1])
    assert len(set(versions)) == 4
    assert "steps so far" not in ask(port, "/")[1]


@pytest.mark.parametrize(
    "sent", ["GET / HT", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "", "GET /none HTTP/1.1\r\n\r\n"]
)
def test_a_browser_that_leaves_is_no_error(port: int, capfd: pytest.CaptureFixture[str], sent: str) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.send(sent.encode())
        time.sleep(0.1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # reset
    assert ask(port, "/version")[0] == 200
    time.sleep(0.2)
    assert capfd.readouterr().err == ""


def test_an_error_has_the_headers_of_a_page(port: int) -> None:
    for path, host in (("/none", ""), ("/", "attacker.invalid")):
        _, _, headers = ask(port, path, host=host)
        assert headers["X-Frame-Options"] == "DENY" and headers["X-Content-Type-Options"] == "nosniff"


def test_a_slow_question_holds_up_no_other_answer(port: int, home: Path) -> None:
    page_runs.shop(home)
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
    (home / "endless.jsonl").write_text(json.dumps({"id": "q0", "sql": endless}))
    limits = {"scoring.seconds": 3, "scoring.steps": 10**12}
    evaluate(f"replay:{home}/endless.jsonl", home / "shop.yaml", overrides=limits, limit=1)
    ask(port, "/")
    version = ask(port, "/version")[1]
    with ThreadPoolExecutor(1) as pool:
        question = pool.submit(ask, port, f"/pack/{version}/tables-0/q0")
        time.sleep(0.5)
        assert ask(port, "/")[0] == ask(port, f"/pack/{version}/run-0-0")[0] == 200
        assert not question.done()
        assert question.result()[0] == 200


def test_a_link_to_nothing_in_a_run_does_not_hide_its_changes(port: int) -> None:
    run = page_runs.evaluation("a", [page_runs.realistic(0, 1)])
    (store.folder(run) / "left").symlink_to("nowhere")
    before = ask(port, "/version")[1]
    (store.folder(run) / "curve.jsonl").write_text("{}")
    assert ask(port, "/version")[1] != before


def test_a_port_in_use_is_one_line(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with server(Collector(), 0) as running:
        port = str(running.server_address[1])
        assert main(["board", "--serve", "--port", port]) == 2
    assert f"--port {port}: Address already in use" in capsys.readouterr().err


@pytest.mark.parametrize("port", ["-1", "65536", "http"])
def test_a_port_that_is_none_is_refused(port: str) -> None:
    with pytest.raises(SystemExit):
        main(["board", "--serve", "--port", port])
