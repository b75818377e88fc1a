"""llama.cpp's server: its names of sampling parameters, its errors, and plain completions."""

from collections.abc import Iterator
from threading import Thread

import pytest
from servers.llama_cpp import LlamaCppServer

from runners.endpoints.config import EndpointConfig
from runners.endpoints.openai import OpenAIRunner
from runners.open import open_runner
from runners.settings import RunnerConfig
from runners.types import Completion, Request, Sampling
from tasks.common.errors import ModelError
from tasks.types import Message, Sample


@pytest.fixture
def server() -> Iterator[LlamaCppServer]:
    with LlamaCppServer() as opened:
        thread = Thread(target=opened.serve_forever, args=(0.01,))
        thread.start()
        yield opened
        opened.shutdown()
        thread.join()


def config(server: LlamaCppServer) -> EndpointConfig:
    return EndpointConfig(base_url=server.url, key="", concurrency=2, retries=1, backoff=0.01, logprobs=True)


def asked(runner: OpenAIRunner, count: int = 3, n: int = 1) -> list[Completion]:
    messages = (Message(role="system", content="Be brief."), Message(role="user", content="SQL:"))
    requests = [Request(Sample(str(i), "?", "d", ("SELECT 1",)), messages) for i in range(count)]
    sampling = Sampling(n=n, temperature=1.0 if n > 1 else 0.0)
    return [one for _, answers in runner.generate(requests, sampling) for one in answers]


def test_sampling_is_switched_off_by_the_server_s_own_names(
    server: LlamaCppServer, capsys: pytest.CaptureFixture[str]
) -> None:
    runner = OpenAIRunner("m", config(server))
    assert [one.text for one in asked(runner)] == ["SELECT 7"] * 3
    path, body = server.bodies[-1]
    assert path == "/v1/chat/completions"
    sent = {name: body.get(name) for name in ("top_k", "min_p", "repeat_penalty", "presence_penalty")}
    assert sent == {"top_k": 0, "min_p": 0.0, "repeat_penalty": 1.0, "presence_penalty": 0.0}
    assert runner.unsent == () and capsys.readouterr().err == ""
    assert len(server.bodies) < 12  # a parameter that is refused with status 500 is not repeated


def test_a_server_that_draws_one_answer_is_asked_again(server: LlamaCppServer) -> None:
    assert len(asked(OpenAIRunner("m", config(server)), count=2, n=3)) == 6
    seeds = [body["seed"] for _, body in server.bodies if "top_k" in body and body["top_k"] == 0]
    assert {0, 1, 2} <= set(seeds)


def test_a_base_model_is_asked_to_continue_text(server: LlamaCppServer) -> None:
    settings = RunnerConfig(endpoint=config(server), chat_template="completion")
    runner = open_runner("openai:m", settings)
    assert isinstance(runner, OpenAIRunner)
    found = asked(runner)
    assert [(one.text, one.logprob, one.tokens) for one in found] == [("SELECT 7", -0.75, 2)] * 3
    path, body = server.bodies[-1]
    assert path == "/v1/completions" and "messages" not in body
    assert body["prompt"] == "Be brief.\n\nSQL:"


def test_template_arguments_are_sent_and_another_template_is_refused(server: LlamaCppServer) -> None:
    arguments = {"enable_thinking": False}
    runner = open_runner("openai:m", RunnerConfig(endpoint=config(server), chat_template_kwargs=arguments))
    assert isinstance(runner, OpenAIRunner)
    asked(runner, count=1)
    assert server.bodies[-1][1]["chat_template_kwargs"] == arguments
    with pytest.raises(ModelError, match=r"start the server with it \(vllm serve --chat-template FILE\)"):
        open_runner("openai:m", RunnerConfig(endpoint=config(server), chat_template="own.jinja"))
