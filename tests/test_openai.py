"""The endpoint runner over real sockets, against a server with every failure that we know of."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from servers.hostile import Hostile, hostile

from runners.batching import MAX_FAILURES
from runners.endpoints.config import EndpointConfig
from runners.endpoints.openai import OpenAIRunner
from runners.types import Completion, Request, Sampling
from tasks.common.errors import ModelError
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
    quick = {"base_url": server.url, "timeout": 2.0, "backoff": 0.01, "retries": 2}
    return OpenAIRunner("some/model", EndpointConfig(**(quick | settings)))


def answers(one: OpenAIRunner, requests: list[Request], **sampling: Any) -> list[list[Completion]]:
    found = dict(one.generate(requests, Sampling(**sampling)))
    one.close()
    return [found[index] for index in range(len(requests))]


PASSING = [
    *("429", "500", "502", "503", "529", "408", "half", "silent", "drip", "close", "garbage", "halfjson"),
    *("nothing", "nesting", "list", "inside", "insideword", "insidetext", "binary", "gzip", "endless"),
]
BUSY = ["429", "503", "529", "408", "inside", "insideword"]
EMPTY = ["nochoices", "nomessage", "nullmessage", "number"]


@pytest.mark.parametrize("behaviour", PASSING + EMPTY)
def test_temporary_failures_are_retried(server: Hostile, behaviour: str) -> None:
    [[answer]] = answers(runner(server), [question(f"{behaviour} ok")])
    assert (answer.text, answer.finish, answer.error) == ("SELECT 7", "stop", "")
    assert len(server.bodies) == 2


@pytest.mark.parametrize(
    "behaviour", [behaviour for behaviour in PASSING if behaviour not in ("silent", "drip", "endless")]
)
def test_one_question_that_always_fails_is_asked_twice_then_unscored(server: Hostile, behaviour: str) -> None:
    """While the endpoint answers others. Where it is only busy, the next run asks again."""
    asked = [question("ok"), question(behaviour, number=1)]
    [[good], [bad]] = answers(runner(server), asked)
    assert (good.text, bad.text) == ("SELECT 7", "")
    assert bad.finish == ("error" if behaviour in BUSY else "failed")
    assert "(asked 3 times)" in bad.error and "\n" not in bad.error and KEY not in bad.error
    assert server.asked[asked[1].messages[0]["content"]] == 6


def test_many_questions_that_fail_stay_unanswered(server: Hostile) -> None:
    """More than one in twenty: the endpoint is at fault, and the next run asks them again."""
    asked = [question("500" if i < 3 else "ok", number=i) for i in range(40)]
    found = answers(runner(server), asked)
    assert [one.finish for [one] in found] == ["error"] * 3 + ["stop"] * 37
    assert [one.finish for [one] in answers(runner(server), asked[1:])] == ["error"] * 2 + ["stop"] * 37


@pytest.mark.parametrize("behaviour", EMPTY)
def test_a_reply_without_a_message_is_an_unanswered_question(server: Hostile, behaviour: str) -> None:
    [[answer]] = answers(runner(server), [question(behaviour)])
    assert (answer.text, answer.finish) == ("", "unanswered")
    assert "(asked 3 times)" in answer.error and "\n" not in answer.error


@pytest.mark.parametrize(
    ("behaviour", "text"),
    [
        *(
            (behaviour, "SELECT 7")
            for behaviour in ("parts", "thinkingparts", "strings", "onepart", "reasoning")
        ),
        *((behaviour, "SELECT 7") for behaviour in ("usagewords", "usageendless", "usagehuge", "usagelist")),
        *((behaviour, "SELECT 7") for behaviour in ("valuepart", "created", "marked", "nologprob")),
        *(
            (behaviour, "")
            for behaviour in ("nullcontent", "missingcontent", "noparts", "onlyreasoning", "tool")
        ),
        *[("filtered", ""), ("refused", "I will not.")],
    ],
)
def test_content_in_every_form_is_an_answer(server: Hostile, behaviour: str, text: str) -> None:
    [[answer]] = answers(runner(server), [question(behaviour)])
    assert (answer.text, answer.finish, answer.error) == (text, "stop", "")
    assert len(server.bodies) == 1


def test_a_silent_server_ends_at_the_timeout(server: Hostile) -> None:
    began = time.monotonic()
    [[answer]] = answers(runner(server, retries=0, timeout=0.3), [question("silent")])
    assert answer.error == "no reply within 0.3 s (asked 1 times)"
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("status", ["400", "413", "422"])
def test_a_refused_question_is_unanswered_and_names_the_reply(server: Hostile, status: str) -> None:
    """A plain question with the same settings shows that the question is refused, not the settings."""
    [[bad], [good]] = answers(runner(server), [question(status), question("ok", number=1)])
    assert bad.finish == "unanswered"
    assert bad.error == f"HTTP {status}: no, says {status}; you sent Bearer [key]"
    assert good.text == "SELECT 7"
    assert [body["messages"][0]["content"] for body in server.bodies].count("Hello") == 1


@pytest.mark.parametrize("behaviour", ["toolong", "toolong500", "inside400"])
def test_a_prompt_over_the_context_is_unanswered_whatever_the_status(server: Hostile, behaviour: str) -> None:
    asked = question(behaviour)
    [[bad]] = answers(runner(server), [asked])
    assert bad.finish == "unanswered" and server.asked[asked.messages[0]["content"]] == 1


def test_a_403_refuses_one_question_once_others_are_answered(server: Hostile) -> None:
    asked = [question("ok" if i != 5 else "403", number=i) for i in range(10)]
    found = answers(runner(server, concurrency=1), asked)
    assert [one.finish for [one] in found].count("unanswered") == 1


@pytest.mark.parametrize(
    ("name", "reply", "advice"),
    [
        (
            "temperature",
            "Unsupported value: 'temperature' does not support 0.0 with this model.",
            "set --temperature, or leave it out with --set runner.endpoint.body.temperature=null",
        ),
        ("seed", "unknown field `seed`", "leave it out with --set runner.endpoint.body.seed=null"),
        (
            "top_p",
            "top_p: not permitted",
            "set --top-p, or leave it out with --set runner.endpoint.body.top_p=",
        ),
    ],
)
def test_a_setting_that_is_refused_is_one_line_that_names_it(
    server: Hostile, name: str, reply: str, advice: str
) -> None:
    server.refuses[name] = reply
    with pytest.raises(ModelError) as error:
        answers(runner(server, concurrency=1), [question("ok", number=i) for i in range(40)])
    assert f"{server.url}: HTTP 400: {reply}" in str(error.value) and advice in str(error.value)
    assert len(server.bodies) < 8
    [[answer]] = answers(runner(server, body={name: None}), [question("ok")])
    assert answer.text == "SELECT 7"


def test_the_client_uses_the_parameter_names_that_the_server_takes(
    server: Hostile, capsys: pytest.CaptureFixture[str]
) -> None:
    server.refuses["max_tokens"] = "Unsupported parameter: use 'max_completion_tokens' instead."
    server.refuses["top_k"] = "Unrecognized request argument supplied"
    one = runner(server)
    assert one.unsent == ()
    found = answers(one, [question("ok", number=i) for i in range(10)])
    assert {answer.text for [answer] in found} == {"SELECT 7"}
    sent = server.bodies[-1]
    assert sent["max_completion_tokens"] == 256 and "min_p" not in sent
    assert (sent["presence_penalty"], sent["frequency_penalty"]) == (0, 0)
    assert one.unsent == ("top_k", "min_p", "repetition_penalty")
    assert "takes no top_k, min_p, repetition_penalty" in capsys.readouterr().err


@pytest.mark.parametrize("key", ["name", "se", "x", "select", "database"])
def test_a_key_that_is_a_word_changes_no_answer_and_no_message(
    server: Hostile, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    sql = "SELECT sex, name FROM database -- select x"
    [[answer], [bad]] = answers(runner(server), [question("ok", sql), question("400", number=1)])
    assert answer.text == sql
    assert bad.error == "HTTP 400: no, says 400; you sent Bearer [key]"


def test_secrets_that_are_sent_in_the_body_are_not_shown(server: Hostile) -> None:
    server.refuses["extra_headers"] = "refused: token tok-1234567890 of proxy"
    body = {"extra_headers": {"X-Api-Key": "tok-1234567890"}}
    with pytest.raises(ModelError, match=r"token \[key\] of proxy"):
        answers(runner(server, body=body), [question("ok")])


def test_a_moved_endpoint_ends_the_run_at_once(server: Hostile) -> None:
    with pytest.raises(ModelError, match=r"HTTP 301: .* \(it redirects: set --base-url to the new URL\)"):
        answers(runner(server, concurrency=1), [question("elsewhere", number=i) for i in range(9)])
    assert len(server.bodies) <= 3


@pytest.mark.parametrize("status", ["401", "403", "404"])
def test_an_error_that_every_question_would_get_ends_the_run(server: Hostile, status: str) -> None:
    with pytest.raises(ModelError, match=f"/v1: HTTP {status}: no, says") as error:
        answers(runner(server, concurrency=1), [question(status, number=i) for i in range(50)])
    assert KEY not in str(error.value) and len(server.bodies) <= 3


def test_an_endpoint_that_is_gone_ends_the_run_with_its_answers_so_far(server: Hostile) -> None:
    asked = [question("ok")] + [question("500", number=i + 1) for i in range(99)]
    found = []
    with pytest.raises(ModelError, match=f"{MAX_FAILURES} questions in a row got no answer: HTTP 500"):
        for index, _ in runner(server, concurrency=1, retries=0).generate(asked, Sampling()):
            found.append(index)
    assert found == list(range(MAX_FAILURES + 1))


@pytest.mark.parametrize("url", ["", "http://no.such.host.invalid/v1"])
def test_an_unreachable_endpoint_is_one_line_at_once(url: str) -> None:
    with hostile() as gone:
        pass
    one = runner(gone, base_url=url or gone.url, retries=6, backoff=1.0, timeout=120.0)
    began = time.monotonic()
    with pytest.raises(ModelError, match=f"{url or gone.url} cannot be reached: ") as error:
        answers(one, [question("ok", number=i) for i in range(40)])
    assert time.monotonic() - began < 20 and "\n" not in str(error.value)


def test_an_endpoint_that_goes_away_is_retried(server: Hostile) -> None:
    """Once it has replied, a lost connection is retried, and the next run asks the question again."""
    one = runner(server, concurrency=1)
    found = one.generate([question("ok"), question("ok", number=1)], Sampling())
    assert next(found)[1][0].text == "SELECT 7"
    one.close()
    assert [answer.finish for _, [answer] in found] == ["error"]


@pytest.mark.parametrize("proxy", ["http://127.0.0.1:9", "http://proxy.invalid:3128"])
def test_a_local_endpoint_is_asked_without_the_environment_s_proxy(
    server: Hostile, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, proxy)
    for host in ("127.0.0.1", "localhost"):
        url = server.url.replace("127.0.0.1", host)
        [[answer]] = answers(runner(server, base_url=url), [question("ok")])
        assert answer.text == "SELECT 7"


@pytest.mark.parametrize("end", ["", "/", "//", "/chat/completions", "/chat/completions/"])
def test_a_base_url_is_the_same_however_it_ends(server: Hostile, end: str) -> None:
    assert EndpointConfig(base_url=server.url + end).base_url == server.url
    [[answer]] = answers(runner(server, base_url=server.url + end), [question("ok")])
    assert answer.text == "SELECT 7"


def test_text_that_is_no_unicode_is_sent(server: Hostile) -> None:
    """A lone surrogate, which JSON can contain, and a model's name in any script."""
    one = OpenAIRunner("modèle/模型", EndpointConfig(base_url=server.url))
    [[answer]] = answers(one, [question("ok", "SELECT '\ud800'")])
    assert answer.text == "SELECT '?'" and server.bodies[0]["model"] == "modèle/模型"


def test_retry_after_is_respected(server: Hostile) -> None:
    [[answer]] = answers(runner(server), [question("wait ok")])
    assert answer.text == "SELECT 7"
    assert server.times[1] - server.times[0] >= 1


def test_a_retry_after_of_an_hour_is_not_waited_for(server: Hostile) -> None:
    [[answer]] = answers(runner(server), [question("waitlong")])
    assert answer.error == "HTTP 429: no, says 429; you sent Bearer [key] (asked 1 times)"
    assert answer.finish == "error"


def test_closing_ends_the_pause_between_tries(server: Hostile) -> None:
    one = runner(server, backoff=60.0, concurrency=2)
    found = one.generate([question("ok"), question("500 ok", number=1)], Sampling())
    next(found)
    time.sleep(0.1)
    began = time.monotonic()
    one.close()
    assert next(found)[1][0].finish == "error"
    assert time.monotonic() - began < 20


def test_the_concurrency_is_the_configured_one(server: Hostile) -> None:
    found = answers(runner(server, concurrency=5), [question("slow", f"SELECT {i}", i) for i in range(40)])
    assert [one.text for [one] in found] == [f"SELECT {i}" for i in range(40)]
    assert server.most == 5
    assert len({headers.get("Authorization") for headers in server.headers}) == 1


def test_the_generator_can_be_closed_early(server: Hostile) -> None:
    one = runner(server, concurrency=2)
    found = one.generate([question("slow", number=i) for i in range(50)], Sampling())
    next(found)
    found.close()
    time.sleep(0.3)
    assert len(server.bodies) < 10


def test_the_body_of_a_request(server: Hostile) -> None:
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
        "top_k": -1,
        "min_p": 0.0,
        "repetition_penalty": 1.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "stop": [";"],
        "logprobs": True,
        "user": "me",
    }


def test_all_recorded_sampling_parameters_are_sent(server: Hostile) -> None:
    answers(runner(server), [question("ok")])
    recorded = Sampling().settings()
    renamed = {"max_new_tokens": "max_tokens"}
    for name in recorded.keys() - {"samples", "stop"}:
        assert server.bodies[0][renamed.get(name, name)] == recorded[name], name


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


def test_answers_before_a_failure_are_kept(server: Hostile) -> None:
    [found] = answers(runner(server), [question("one 400")], n=3)
    assert [one.finish for one in found] == ["stop", "unanswered", "unanswered"]


def test_a_refusal_is_an_answer_and_a_cut_answer_is_marked(server: Hostile) -> None:
    [[refusal], [cut]] = answers(runner(server), [question("refusal"), question("cut", number=1)])
    assert (refusal.text, refusal.finish) == ("", "stop")
    assert cut.finish == "length"


def test_an_answer_is_never_redacted(server: Hostile) -> None:
    [[answer]] = answers(runner(server), [question("echo")])
    assert answer.text == f"SELECT 'Bearer {KEY}'"


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("localhost:8000", "expected http://HOST"),
        ("ftp://x/v1", "expected http://HOST"),
        ("http://", "expected http://HOST"),
        ("http://[", "expected http://HOST"),
        ("http://x:y/v1", "expected http://HOST"),
        (f"https://user:{KEY}@x/v1", "set keys in the environment"),
        (f"https://x/v1?key={KEY}", "set keys in the environment"),
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


def test_a_key_in_place_of_its_variable_s_name_is_not_printed() -> None:
    with pytest.raises(ModelError, match="is the name of an environment variable") as error:
        OpenAIRunner("m", EndpointConfig(base_url="http://127.0.0.1:1/v1", key=KEY))
    assert KEY not in str(error.value)


@pytest.mark.parametrize("key", ["sk-1234\n56789", "sk-1234 56789", "sk-schl\u00fcssel"])
def test_a_broken_key_is_not_printed(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with pytest.raises(ModelError, match="OPENAI_API_KEY has characters that no key has") as error:
        OpenAIRunner("m", EndpointConfig(base_url="http://127.0.0.1:1/v1"))
    assert "sk-" not in str(error.value)


OTHERS = {
    "a reply closes a thought it did not open": (["cut", "closed", "ok"], "<think>SELECT 0"),
    "the cut reply comes last": (["closed", "ok", "cut"], "<think>SELECT 0"),
    "many replies end without": (["cut", *["ok"] * 9], "SELECT 0"),
    "few replies, none closes one": (["cut", "ok"], "SELECT 0"),
    "thoughts stand apart": (["apart", "closed", "ok"], "SELECT 0"),
}


@pytest.mark.parametrize("case", OTHERS)
@pytest.mark.parametrize("at_once", [1, 4])
def test_a_cut_thought_is_inferred_from_other_replies(server: Hostile, case: str, at_once: int) -> None:
    plans, text = OTHERS[case]
    asked = [question(plan, "SELECT 0" if plan in ("cut", "apart") else "SELECT 7", number)
             for number, plan in enumerate(plans)]  # fmt: skip
    found = answers(runner(server, concurrency=at_once), asked)
    assert [one.text for (one,), plan in zip(found, plans, strict=True) if plan in ("cut", "apart")] == [text]
    assert plans.count("ok") == [one.text for (one,) in found].count("SELECT 7")


def test_where_no_reply_ends_it_is_reported_and_can_be_set(
    server: Hostile, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = [question("cut", number=number) for number in range(3)]
    assert [one.text for (one,) in answers(runner(server), asked)] == ["SELECT 7"] * 3
    assert "cut all 3 answers" in capsys.readouterr().err
    found = answers(runner(server, thought="<think>"), [*asked, question("ok", number=4), question("apart")])
    assert found[4][0].text == "SELECT 7" and not capsys.readouterr().err
    found = answers(runner(server, thought="[THINK]"), [*asked, question("ok", number=4)])
    assert [one.text for (one,) in found] == ["[THINK]SELECT 7"] * 4
