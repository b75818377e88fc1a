"""vLLM without a GPU, by a module with its interface: its arguments, and starting and ending its server."""

from __future__ import annotations

import os
import sys
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import tiny_models

from runners.endpoints.config import EndpointConfig
from runners.endpoints.vllm_server import VllmServer, flags, thoughts
from runners.open import open_runner
from runners.settings import RunnerConfig, VllmConfig
from runners.types import Request, Sampling
from runners.vllm import VllmRunner
from runners.weights import loading
from runners.weights.source import Source, resolve
from tasks.common.errors import MissingExtra, ModelError
from tasks.types import Sample

SERVER = """
    #!{python}
    import sys, threading
    sys.path.insert(0, {tests!r})
    print(*sys.argv[1:], flush=True)
    if "broken" in sys.argv[2]:
        sys.exit("no GPU was found")
    if "slow" in sys.argv[2]:
        threading.Event().wait()
    from http.server import ThreadingHTTPServer
    from servers.hostile import Handler, Hostile
    Handler.do_GET = lambda self: self.reply(200 if self.path == "/health" else 404, b"")
    port = int(sys.argv[sys.argv.index("--port") + 1])
    server = Hostile()
    server.server_close()
    ThreadingHTTPServer.__init__(server, ("127.0.0.1", port), Handler)
    server.serve_forever()
"""


@pytest.fixture
def vllm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ``vllm`` command: ``vllm serve MODEL ...`` answers as ``hostile`` does."""
    script = tmp_path / "bin" / "vllm"
    script.parent.mkdir()
    source = SERVER.format(python=sys.executable, tests=str(Path(__file__).parent))
    script.write_text(textwrap.dedent(source).lstrip())
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}{os.pathsep}{os.environ['PATH']}")
    if Path(sys.executable).with_name("vllm").is_file():
        pytest.skip("vllm is installed here: that one would be started")


def request(id: str) -> Request:
    content = f"plan: ok\nanswer: SELECT {id}"
    return Request(Sample(id, "?", "d", ("SELECT 1",)), ({"role": "user", "content": content},))


def test_a_server_is_started_asked_and_stopped(vllm: None) -> None:
    server = VllmServer(Source("some/model"), "some/model", VllmConfig(tensor_parallel=2), EndpointConfig())
    found = dict(server.generate([request("1"), request("2")], Sampling(n=2)))
    assert [[one.text for one in found[i]] for i in range(2)] == [["SELECT 1"] * 2, ["SELECT 2"] * 2]
    assert found[0][0].logprob == -0.75
    assert "serve some/model --host 127.0.0.1 --tensor-parallel-size 2" in server.log.read_text()
    process = server._process
    server.close()
    assert process.poll() is not None


def test_the_model_s_template_says_whether_it_opens_thoughts(vllm: None, tmp_path: Path) -> None:
    folder = tiny_models.save(tmp_path / "model")
    tokenizer = tiny_models.tokenizer()
    opening = "<|assistant|>{% if think is not defined or think %}<think>\n{% endif %}{% endif"
    tokenizer.chat_template = tiny_models.TEMPLATE.replace("<|assistant|>{% endif", opening)
    tokenizer.add_special_tokens({"extra_special_tokens": ["[THINK]", "[/THINK]"]})
    tokenizer.save_pretrained(folder)
    assert thoughts(Source(folder), EndpointConfig()) == {
        "thought": "<think>",
        "body": {"skip_special_tokens": False},
    }
    off = EndpointConfig(body={"chat_template_kwargs": {"think": False}})
    assert thoughts(Source(folder), off)["thought"] == ""
    server = VllmServer(Source(folder), folder, VllmConfig(), EndpointConfig())
    assert [one.text for _, (one,) in server.generate([request("1")], Sampling())] == ["<think>SELECT 1"]
    server.close()


def test_the_error_of_a_server_that_ends_names_the_reason(vllm: None) -> None:
    with pytest.raises(ModelError, match=r"vllm:m: the server ended: no GPU was found \(see /"):
        VllmServer(Source("broken"), "m", VllmConfig(), EndpointConfig())


def test_a_server_that_does_not_start_is_ended(vllm: None) -> None:
    began = time.monotonic()
    with pytest.raises(ModelError, match=r"vllm:m: the server did not start within 1 s"):
        VllmServer(Source("slow"), "m", VllmConfig(start_seconds=1), EndpointConfig())
    assert time.monotonic() - began < 30


@pytest.mark.parametrize(
    ("device", "dtype", "memory", "further"),
    [
        ("cuda", "auto", "0.9", ()),
        ("cpu", "float32", "0.3", ("--no-enable-chunked-prefill", "--max-num-batched-tokens", "8192")),
    ],
)
def test_flags_are_those_of_the_engine(
    monkeypatch: pytest.MonkeyPatch, device: str, dtype: str, memory: str, further: Sequence[str]
) -> None:
    monkeypatch.setattr(loading, "device", lambda: device)
    extra = {"enforce_eager": True, "async_scheduling": False, "hf_overrides": {"a": 1}}
    config = VllmConfig(data_parallel=4, max_model_len=4096, extra=extra)
    assert flags(Source("org/name", "v1"), config) == [
        *("--host", "127.0.0.1", "--tensor-parallel-size", "1", "--dtype", dtype),
        *("--gpu-memory-utilization", memory, "--enable-prefix-caching"),
        *("--generation-config", "vllm", "--max-model-len", "4096", *further),
        *("--enforce-eager", "--no-async-scheduling", "--hf-overrides", '{"a": 1}'),
        *("--data-parallel-size", "4", "--revision", "v1"),
    ]


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """A module ``vllm`` with the interface of vLLM 0.31 that we use; it records its arguments."""
    noted: list[dict[str, Any]] = []

    class LLM:
        def __init__(
            self, model: str, *, revision: str | None, trust_remote_code: bool, **engine: Any
        ) -> None:
            noted.append({"model": model, "revision": revision, "trust": trust_remote_code, **engine})

        def get_tokenizer(self) -> Any:
            return tiny_models.tokenizer()

        def chat(
            self, messages: Any, sampling_params: Any, *, use_tqdm: bool, lora_request: Any
        ) -> list[Any]:
            if any("too long" in one[-1]["content"] for one in messages):
                raise ValueError("The decoder prompt is longer than the maximum model length")
            noted.append({"asked": len(messages), "lora": lora_request, "parameters": sampling_params})
            return [
                SimpleNamespace(
                    prompt_token_ids=[1, 2, 3],
                    outputs=[
                        SimpleNamespace(
                            text=one[-1]["content"],
                            token_ids=[4, 5],
                            finish_reason="length",
                            cumulative_logprob=-1.5,
                        )
                    ]
                    * parameters["n"],
                )
                for one, parameters in zip(messages, sampling_params, strict=True)
            ]

    module = ModuleType("vllm")
    module.LLM, module.SamplingParams = LLM, dict  # type: ignore[attr-defined]
    lora, request_ = ModuleType("vllm.lora"), ModuleType("vllm.lora.request")
    request_.LoRARequest = lambda *given: given  # type: ignore[attr-defined]
    for one in (module, lora, request_):
        monkeypatch.setitem(sys.modules, one.__name__, one)
    return noted


def test_prompts_are_asked_together_and_a_failing_one_alone(engine: list[dict[str, Any]]) -> None:
    runner = VllmRunner(Source("org/name", "v1"), "org/name@v1", VllmConfig(extra={"seed": 3}))
    assert engine.pop(0) == {
        "model": "org/name",
        "revision": "v1",
        "trust": False,
        "tensor_parallel_size": 1,
        "dtype": "float32",
        "gpu_memory_utilization": 0.3,
        "enable_prefix_caching": True,
        "generation_config": "vllm",
        "enable_chunked_prefill": False,
        "max_num_batched_tokens": 8192,
        "seed": 3,
    }
    asked = [request(str(i)) for i in range(8)]
    asked[5] = request("5 is too long")
    found = dict(runner.generate(asked, Sampling(n=2, temperature=0.5, seed=1)))
    assert [found[i][0].finish for i in range(8)] == ["length"] * 5 + ["unanswered"] + ["length"] * 2
    assert found[5][0].error.startswith("ValueError: The decoder prompt is longer")
    one = found[0][1]
    assert (one.text, one.prompt_tokens, one.tokens, one.logprob) == (
        "plan: ok\nanswer: SELECT 0",
        3,
        2,
        -1.5,
    )
    assert [note["asked"] for note in engine] == [4, 1, 2]
    seeds = [parameters["seed"] for note in engine for parameters in note["parameters"]]
    assert len(set(seeds)) == 7
    runner.close()


def test_an_adapter_is_applied_without_merging(engine: list[dict[str, Any]], tmp_path: Path) -> None:
    folder = tiny_models.save(tmp_path / "base")
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "adapter_config.json").write_text('{"r": 32}')
    (tmp_path / "adapter" / "adapter_model.safetensors").write_bytes(b"")
    name = f"{folder}+{tmp_path / 'adapter'}"
    runner = VllmRunner(resolve(name), name, VllmConfig())
    assert (engine[0]["model"], engine[0]["enable_lora"], engine[0]["max_lora_rank"]) == (folder, True, 32)
    list(runner.generate([request("1")], Sampling()))
    assert engine[1]["lora"] == ("adapter", 1, str(tmp_path / "adapter"))


def test_without_vllm_the_error_names_what_to_install() -> None:
    pytest.importorskip("torch")
    if "vllm" in sys.modules:
        pytest.skip("vllm is installed")
    with pytest.raises(MissingExtra, match=r"pip install -e '\.\[vllm\]' in a clone"):
        open_runner("vllm:nano", RunnerConfig())
