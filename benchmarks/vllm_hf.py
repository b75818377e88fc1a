"""``hf`` and vLLM on the same questions: equal texts in float32 greedy decoding, and questions per second.

    .venv-vllm/bin/python benchmarks/vllm_hf.py --model smollm2 --limit 200

Each text that differs is examined at its first differing token: the two tokens that were chosen must be a
tie, that is, their log-probabilities by the model in transformers must be less than 1e-3 apart. Rates do not
include loading; each program answers ``--warm`` further questions before the clock starts.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from typing import Any

from runners.decoding.tokens import encode
from runners.open import open_runner
from runners.settings import RunnerConfig
from runners.types import Request, Runner, Sampling
from tasks.task import Task

TIE = 1e-3
"""Largest difference of two log-probabilities that is a tie: sums in another order differ by as much."""


def main() -> None:
    """Measure and print; exit code 1 where fewer than 99 % of the texts are equal, or one is no tie."""
    options = _options()
    task = Task.named(options.task, options.set)
    samples = task.samples(options.split, limit=options.limit + options.warm)
    requests = [Request(sample, task.messages(sample)) for sample in samples]
    names = {"hf": options.model, "vllm": f"vllm:{options.model}"}
    texts, rates = {}, {}
    for name in options.only or names:
        runner = open_runner(names[name], RunnerConfig.model_validate(_settings(options.threads)))
        answered(runner, requests[options.limit :], options.tokens)
        began = time.perf_counter()
        texts[name] = answered(runner, requests[: options.limit], options.tokens)
        rates[name] = options.limit / (time.perf_counter() - began)
        runner.close()
        print(f"{name}: {rates[name]:.2f} questions/s", flush=True)
    if len(texts) < 2:
        return
    gaps = differences(options.model, requests, texts["hf"], texts["vllm"])
    equal = 1 - len(gaps) / options.limit
    print(f"{equal:.1%} of {options.limit} texts are equal; hf/vllm {rates['hf'] / rates['vllm']:.2f}")
    for index, gap in gaps.items():
        print(f"question {samples[index].id}: log-probabilities {gap:.2e} apart")
    raise SystemExit(equal < 0.99 or any(gap > TIE for gap in gaps.values()))


def _settings(threads: int) -> dict[str, Any]:
    import torch

    torch.set_num_threads(threads)
    return {"hf": {"dtype": "float32"}, "vllm": {"dtype": "float32", "extra": {"enforce_eager": True}}}


def answered(runner: Runner, requests: Sequence[Request], tokens: int) -> list[str]:
    """The greedy answers to requests, in order, without an unfinished character at the end.

    Where an answer ends within the bytes of a character, vLLM leaves it out and transformers writes a
    replacement character.
    """
    found = dict(runner.generate(requests, Sampling(max_new_tokens=tokens))) if requests else {}
    return [found[index][0].text.rstrip("\N{REPLACEMENT CHARACTER}") for index in range(len(requests))]


def differences(
    model: str, requests: Sequence[Request], one: Sequence[str], other: Sequence[str]
) -> dict[int, float]:
    """Index of each pair of texts that differ -> the distance of the log-probabilities where they part."""
    from runners.weights.loading import load

    pairs = {index: pair for index, pair in enumerate(zip(one, other, strict=True)) if pair[0] != pair[1]}
    if not pairs:
        return {}
    loaded, tokenizer = load(model, "float32")
    (*prompts,) = encode(tokenizer, [requests[index] for index in pairs])
    return {
        index: gap(loaded, tokenizer, prompt, pair)
        for (index, pair), prompt in zip(pairs.items(), prompts, strict=True)
    }


def gap(model: Any, tokenizer: Any, prompt: Sequence[int], texts: tuple[str, str]) -> float:
    """The distance of the log-probabilities of the first tokens that differ in two answers to a prompt."""
    import torch

    ids = [
        tokenizer(text, add_special_tokens=False)["input_ids"] + [tokenizer.eos_token_id] for text in texts
    ]
    shared = next(i for i, (a, b) in enumerate(zip(*ids, strict=False)) if a != b)
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([[*prompt, *ids[0][:shared]]])).logits[0, -1]
    found = logits.log_softmax(-1)
    return abs(float(found[ids[0][shared]] - found[ids[1][shared]]))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--task", default="pocket")
    parser.add_argument("--split", default="dev")
    parser.add_argument("--limit", type=int, default=200, help="questions")
    parser.add_argument("--warm", type=int, default=4, help="questions before the clock starts")
    parser.add_argument("--tokens", type=int, default=64, help="most tokens of an answer")
    parser.add_argument("--threads", type=int, default=1, help="of torch, for hf; vLLM reads OMP_NUM_THREADS")
    parser.add_argument("--only", nargs="*", choices=("hf", "vllm"), help="measure one of them")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="of the task")
    return parser.parse_args()


if __name__ == "__main__":
    main()
