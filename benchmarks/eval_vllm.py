"""vLLM's answers for ``eval.py``, in an environment that has vLLM: a job on stdin, JSON on stdout."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "2")
os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")
os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"  # so that CPU seconds are those of this process


def main() -> None:
    """Answer the requests of a job once, after a question that has nothing in common with them."""
    from vllm import LLM, SamplingParams

    job: dict[str, Any] = json.load(sys.stdin)
    out = os.dup(1)
    os.dup2(2, 1)  # vLLM prints to stdout
    llm = LLM(
        model=job["model"], dtype="float32", enforce_eager=True, max_model_len=job["context"],
        max_num_seqs=job["batch"], enable_prefix_caching=True, generation_config="vllm",
    )  # fmt: skip
    sampling = SamplingParams(temperature=0, max_tokens=job["new_tokens"])
    llm.chat([[{"role": "user", "content": "Hello"}]], sampling, use_tqdm=False)
    clock = time.process_time if job["cpu"] else time.perf_counter
    began = clock()
    answers = llm.chat(job["messages"], sampling, use_tqdm=False)
    seconds = clock() - began
    texts = [answer.outputs[0].text.strip() for answer in answers]
    os.write(out, json.dumps({"rate": len(texts) / seconds, "texts": texts}).encode())


if __name__ == "__main__":
    main()
