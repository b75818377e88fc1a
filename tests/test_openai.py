"""An endpoint asked over real sockets, by a server that misbehaves in every way we could think of."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from servers.hostile import Hostile, hostile

from runners.endpoint import EndpointConfig
from runners.failures import GIVE_UP
from runners.openai import OpenAIRunner
from runners.types import Completion, Request, Sampling
from tasks.errors import ModelError
from tasks.types import Sample

KEY = "sk-secret-0123456789"


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    for name in ("OPENAI_BASE_URL", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server() -> Iterator[Hostile]:
    with hostile() as running:
        yield running


def question(plan: str, answer: str = "SELECT 7", number: int = 0) -> Request:
    content = f"{number}\nplan: {plan}\nanswer: {answer}"
    return Request(Sample(str(number), "?", "d", ("SELECT 1",)), ({"role": "user", "content": content},))


def runner(server: Hostile, **settings: Any) -> OpenAIRunner:
    quick = {"base_url": server.url, "timeout": 0.5, "backoff": 0.01, "retries": 2}
    return OpenAIRunner("some/model", EndpointConfig(**(quick | settings)))


def answers(one: OpenAIRunner, requests: list[Request], **sampling: Any) -> list[list[Completion]]:
    found = dict(one.generate(requests, Sampling(**sampling)))
    one.close()
    return [found[index] for index in range(len(requests))]


PASSING = [
    *("429", "500", "502", "503", "529", "408", "half", "silent", "drip", "close", "garbage", "halfjson"),
    *("nesting", "list", "nochoices", "nomessage", "number", "inside", "binary", "gzip", "endless"),
]


@pytest.mark.parametrize("deed", PASSING)
def test_what_passes_is_asked_again(server: Hostile, deed: str) -> None:
    [[answer]] = answers(runner(server), [question(f"{deed} ok")])
    assert (answer.text, answer.finish, answer.error) == ("SELECT 7", "stop", "")
    assert len(server.bodies) == 2


@pytest.mark.parametrize("deed", [deed for deed in PASSING if deed not in ("silent", "drip", "endless")])
def test_what_does_not_pass_is_unscored_and_says_why(server: Hostile, deed: str) -> None:
    [[answer]] = answers(runner(server), [question(deed)])
    assert (answer.text, answer.finish) == ("", "error")
    assert "(asked 3 times)" in answer.error and "\n" not in answer.error and KEY not in answer.error
    assert len(server.bodies) == 3


def test_silence_ends_at_the_timeout(server: Hostile) -> None:
    began = time.monotonic()
    [[answer]] = answers(runner(server, retries=0, timeout=0.3), [question("silent")])
    assert answer.error == "no reply within 0.3 s (asked 1 times)"
    assert time.monotonic() - began < 1.5


@pytest.mark.parametrize("status", ["400", "413", "422"])
def test_a_refused_question_is_unscored_and_names_the_reply(server: Hostile, status: str) -> None:
    [[bad], [good]] = answers(runner(server), [question(status), question("ok", number=1)])
    assert bad.finish == "error" and bad.error == f"HTTP {status}: no, says {status}; you sent Bearer [key]"
    assert good.text == "SELECT 7"
    assert len(server.bodies) == 2


@pytest.mark.parametrize("status", ["401", "403", "404"])
def test_what_every_question_would_get_ends_the_run(server: Hostile, status: str) -> None:
    with pytest.raises(ModelError, match=f"/v1: HTTP {status}: no, says") as error:
        answers(runner(server, concurrency=1), [question(status, number=i) for i in range(50)])
    assert KEY not in str(error.value) and len(server.bodies) <= 3


def test_an_endpoint_that_is_gone_ends_the_run_with_what_it_had(server: Hostile) -> None:
    asked = [question("ok")] + [question("500", number=i + 1) for i in range(99)]
    found = []
    with pytest.raises(ModelError, match=f"{GIVE_UP} questions in a row got no answer: HTTP 500"):
        for index, _ in runner(server, concurrency=1, retries=0).generate(asked, Sampling()):
            found.append(index)
    assert found == list(range(GIVE_UP + 1))


def test_a_wrong_port_is_one_line() -> None:
    with hostile() as gone:
        pass
    [[answer]] = answers(runner(gone), [question("ok")])
    assert answer.error.startswith("ConnectError: ") and answer.finish == "error"


def test_retry_after_is_kept(server: Hostile) -> None:
    [[answer]] = answers(runner(server), [question("wait ok")])
    assert answer.text == "SELECT 7"
    assert server.times[1] - server.times[0] >= 1


def test_an_hour_is_not_waited_for(server: Hostile) -> None:
    [[answer]] = answers(runner(server), [question("waitlong ok")])
    assert answer.error == "HTTP 429: no, says 429; you sent Bearer [key] (asked 1 times)"


def test_closing_ends_a_wait_between_tries(server: Hostile) -> None:
    one = runner(server, backoff=60.0, concurrency=2)
    found = one.generate([question("ok"), question("500 ok", number=1)], Sampling())
    next(found)
    time.sleep(0.1)
    began = time.monotonic()
    one.close()
    assert next(found)[1][0].finish == "error"
    assert time.monotonic() - began < 1


def test_as_many_at_once_as_allowed_and_no_more(server: Hostile) -> None:
    found = answers(runner(server, concurrency=5), [question("slow", f"SELECT {i}", i) for i in range(40)])
    assert [one.text for [one] in found] == [f"SELECT {i}" for i in range(40)]
    assert server.most == 5
    assert len({headers.get("Authorization") for headers in server.headers}) == 1


def test_the_generator_can_be_left(server: Hostile) -> None:
    one = runner(server, concurrency=2)
    found = one.generate([question("slow", number=i) for i in range(50)], Sampling())
    next(found)
    found.close()
    time.sleep(0.3)
    assert len(server.bodies) < 10


def test_what_is_sent(server: Hostile) -> None:
    sampling = {"temperature": 0.7, "n": 3, "top_p": 0.9, "seed": 5, "stop": (";",), "max_new_tokens": 64}
    body = {"user": "me", "temperature": None}
    answers(runner(server, logprobs=True, body=body), [question("ok")], **sampling)
    [sent] = server.bodies
    assert sent.pop("messages")[0]["role"] == "user"
    assert sent == {
        "model": "some/model",
        "seed": 5,
        "max_tokens": 64,
        "n": 3,
        "top_p": 0.9,
        "stop": [";"],
        "logprobs": True,
        "user": "me",
    }


def test_a_greedy_question_is_sent_plain(server: Hostile) -> None:
    answers(runner(server), [question("ok")])
    assert sorted(server.bodies[0]) == ["max_tokens", "messages", "model", "seed", "temperature"]


def test_usage_cost_and_log_probability_are_counted(server: Hostile) -> None:
    one = runner(server, logprobs=True, input_price=2.0, output_price=8.0)
    [found] = answers(one, [question("ok")], n=4)
    assert [(a.prompt_tokens, a.tokens, a.logprob) for a in found] == [(100, 10, -0.75)] * 4
    assert sum(a.cost for a in found) == pytest.approx((100 * 2 + 40 * 8) / 1e6)
    assert all(a.seconds > 0 for a in found)


def test_a_server_that_ignores_n_is_asked_again_with_other_seeds(server: Hostile) -> None:
    [found] = answers(runner(server), [question("one")], n=3, temperature=1.0, seed=10)
    assert len(found) == 3
    assert [(body["seed"], body.get("n", 1)) for body in server.bodies] == [(10, 3), (11, 2), (12, 1)]


def test_what_came_before_a_failure_is_kept(server: Hostile) -> None:
    [found] = answers(runner(server), [question("one 400")], n=3)
    assert [one.finish for one in found] == ["stop", "error", "error"]


def test_a_refusal_is_an_answer_and_a_cut_one_says_so(server: Hostile) -> None:
    [[refusal], [cut]] = answers(runner(server), [question("refusal"), question("cut", number=1)])
    assert (refusal.text, refusal.finish) == ("", "stop")
    assert cut.finish == "length"


def test_a_key_that_comes_back_is_cut_out(server: Hostile) -> None:
    [[answer]] = answers(runner(server), [question("echo")])
    assert answer.text == "SELECT 'Bearer [key]'"


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("localhost:8000", "expected http://HOST"),
        ("ftp://x/v1", "expected http://HOST"),
        ("http://", "expected http://HOST"),
        ("http://[", "expected http://HOST"),
        ("http://x:y/v1", "expected http://HOST"),
        (f"https://user:{KEY}@x/v1", "keys belong in the environment"),
        (f"https://x/v1?key={KEY}", "keys belong in the environment"),
    ],
)
def test_a_wrong_url_is_one_line_without_the_key(url: str, says: str) -> None:
    with pytest.raises(ModelError, match=says) as error:
        OpenAIRunner("m", EndpointConfig(base_url=url))
    assert KEY not in str(error.value)


def test_openai_needs_a_key_and_others_do_not(monkeypatch: pytest.MonkeyPatch, server: Hostile) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(ModelError, match="set OPENAI_API_KEY, or name another --base-url"):
        OpenAIRunner("m")
    answers(runner(server), [question("ok")])
    assert "Authorization" not in server.headers[0]
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    [[answer]] = answers(OpenAIRunner("m"), [question("ok")])
    assert answer.text == "SELECT 7"


@pytest.mark.parametrize("key", ["sk-1234\n56789", "sk-1234 56789", "sk-schl\u00fcssel"])
def test_a_broken_key_is_not_printed(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with pytest.raises(ModelError, match="OPENAI_API_KEY holds characters that no key has") as error:
        OpenAIRunner("m", EndpointConfig(base_url="http://127.0.0.1:1/v1"))
    assert "sk-" not in str(error.value)
