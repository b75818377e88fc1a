"""A runner that starts and stops a vLLM server, which data parallelism needs.

It uses the command line of vLLM 0.28 to 0.31.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from runners.chat_templates import set_template
from runners.decoding.tokens import special_tokens
from runners.endpoints.config import EndpointConfig
from runners.endpoints.openai import OpenAIRunner
from runners.settings import VllmConfig
from runners.types import Completion, Request, Sampling
from runners.vllm import chat_template, engine_arguments
from runners.vllm_start import last_error
from runners.weights.source import Source
from tasks.common.errors import ModelError
from tasks.thoughts import opening_tag

END_WITH_PARENT = """
import os, signal, sys
sys.stdin.read()  # ends when the parent does, however it does
try:
    os.killpg(int(sys.argv[1]), signal.SIGTERM)
except ProcessLookupError:
    pass
"""
"""Python code that waits for the end of its parent, and then ends a process group."""


class VllmServer:
    """Runs ``vllm serve`` in its own process until ``close`` or the end of this process, and asks it."""

    def __init__(self, source: Source, name: str, config: VllmConfig, endpoint: EndpointConfig) -> None:
        """Start the server. Raises ModelError: it does not start."""
        self.name = f"vllm:{name}"
        port = _free_port()
        self.url = f"http://127.0.0.1:{port}/v1"
        self.log = Path(mkdtemp(prefix="vllm-")) / "server.log"
        if template := chat_template(source):
            file = self.log.with_name("chat_template.jinja")
            file.write_text(template, encoding="utf-8")
        command = [program(), "serve", source.path, *flags(source, config), "--port", str(port)]
        command += ["--chat-template", str(file)] if template else []
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
        waiting = [sys.executable, "-I", "-S", "-c", END_WITH_PARENT, str(self._process.pid)]
        self._waiting = subprocess.Popen(waiting, stdin=subprocess.PIPE, start_new_session=True)
        try:
            self._wait(f"http://127.0.0.1:{port}/health", config.start_seconds)
        except BaseException:
            self.close()
            raise
        local_endpoint = endpoint.model_copy(
            update={
                "base_url": self.url,
                "key": "",
                "logprobs": True,
                **thoughts(source, endpoint),
            }
        )
        self._runner = OpenAIRunner("adapter" if source.adapter else source.path, local_endpoint)

    def _wait(self, url: str, seconds: float) -> None:
        import httpx

        deadline = time.monotonic() + seconds
        with httpx.Client(timeout=5, trust_env=False) as client:
            while time.monotonic() < deadline:
                if self._process.poll() is not None:
                    raise ModelError(
                        f"{self.name}: the server ended: {last_error(self.log)} (see {self.log})"
                    )
                try:
                    if client.get(url).status_code == 200:
                        return
                except httpx.TransportError:
                    pass
                time.sleep(0.2)
        raise ModelError(f"{self.name}: the server did not start within {seconds:g} s (see {self.log})")

    def generate(
        self, requests: Sequence[Request], sampling: Sampling
    ) -> Iterator[tuple[int, list[Completion]]]:
        """As ``OpenAIRunner``."""
        return self._runner.generate(requests, sampling)

    def close(self) -> None:
        """End the server with all its processes; its log is kept if it never started."""
        if hasattr(self, "_runner"):
            self._runner.close()
            shutil.rmtree(self.log.parent, ignore_errors=True)
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self._process.poll() is None:
                os.killpg(self._process.pid, number)
                try:
                    self._process.wait(timeout=30)
                except subprocess.TimeoutExpired:
                    continue
        self._waiting.kill()
        self._waiting.communicate()


def thoughts(source: Source, endpoint: EndpointConfig) -> dict[str, Any]:
    """The settings that separate the model's thoughts from its answers, from its tokenizer.

    The user's own settings take precedence. Empty if the tokenizer cannot be read here.
    """
    from transformers import AutoTokenizer

    body = endpoint.body
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            source.path, revision=source.revision, trust_remote_code=False, local_files_only=True
        )
        set_template(tokenizer, source.template, source.path)
        prompt = tokenizer.apply_chat_template(
            [{"role": "user", "content": "?"}],
            add_generation_prompt=True,
            tokenize=False,
            **body.get("chat_template_kwargs", {}),
        )
    except Exception:  # of any library: then the replies show it
        return {}
    shown = {"skip_special_tokens": False} if special_tokens(tokenizer)[1] else {}
    return {"thought": endpoint.thought or opening_tag(str(prompt)), "body": {**shown, **body}}


def program() -> str:
    """The command ``vllm``, that of this Python environment where it has one."""
    beside = Path(sys.executable).with_name("vllm")
    return str(beside) if beside.is_file() else "vllm"


def flags(source: Source, config: VllmConfig) -> list[str]:
    """vLLM's command line: engine arguments with dashes."""
    arguments = engine_arguments(source, config) | {"data_parallel_size": config.data_parallel}
    if source.revision:
        arguments["revision"] = source.revision
    options = ["--host", "127.0.0.1"]
    for name, value in arguments.items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            options.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            options += [f"--{flag}", value if isinstance(value, str) else json.dumps(value)]
    if source.adapter:
        options += ["--lora-modules", f"adapter={source.adapter}"]
    return options


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
