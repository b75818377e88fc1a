"""The column ``eval`` of ``architectures.py``: answers equal to ``model.generate`` of each prompt alone."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator, Sequence
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Any

import torch
from tiny_architectures import CONTEXT, ORIGINAL, WINDOW

from runners.types import Request, Sampling
from tasks.types import Sample

GREEDY = Sampling(max_new_tokens=24)
TIE = 1e-3
"""Difference in log-probability below which two tokens are equally likely: rounding decides."""
LENGTHS = (WINDOW - 2, ORIGINAL - 30, ORIGINAL - 8, ORIGINAL + 10, CONTEXT - 10)
"""Tokens of the schemas, without the chat template: around the boundaries of windows and embeddings."""
QUESTIONS = ("How many?", "Which names start with A, and how many are there?", "List all of them by name.")


def evaluation(folder: Path) -> str:
    """``shared``, ``plain: why`` or ``WRONG: what``. Raises ModelError: the model is refused."""
    from runners.hf import HfRunner
    from runners.weights.loading import load

    model, tokenizer = load(str(folder))
    fresh = copy.deepcopy(model)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        runner = HfRunner(model, tokenizer, name="MODEL")
    reasons = [
        str(one.message).partition("one by one: ")[2] for one in caught if "one by one" in str(one.message)
    ]
    requests = list(asked(tokenizer))
    with redirect_stderr(StringIO()):  # it says that some prompts exceed the context
        answers = dict(runner.generate(requests, GREEDY))
    refused = [answer.error for [answer] in answers.values() if answer.finish == "unanswered"]
    if len(refused) > len(requests) // 2:
        return f"WRONG: {len(refused)} of {len(requests)} prompts are refused: {refused[0]}"
    wrong, varied = 0, False
    for index, request in enumerate(requests):
        [answer] = answers[index]
        tokens, tied = reference(fresh, tokenizer, request, answer.text)
        expected = _text(tokenizer, tokens)
        varied |= len(set(tokens)) > 4
        wrong += answer.finish != "unanswered" and answer.text != expected and not tied
    if not varied:
        return "WRONG: the random model repeats itself, which shows nothing"
    if wrong:
        return f"WRONG: {wrong} of {len(requests)} answers differ from generate"
    if fault := _sampling_fault(runner, fresh, tokenizer, requests[:4]):
        return f"WRONG: {fault}"
    return f"plain: {reasons[0]}" if reasons else "shared"


def asked(tokenizer: Any) -> Iterator[Request]:
    """Questions on schemas of ``LENGTHS`` tokens."""
    words = tokenizer("table member (id integer, name text, joined date) table visit (member, day) " * 20)
    for length in LENGTHS:
        schema = tokenizer.decode(words.input_ids[:length])
        for question in QUESTIONS:
            sample = Sample(f"{length} {question}", question, "tiny", ("SELECT 1",))
            yield Request(sample, ({"role": "user", "content": f"{schema} {question}"},))


def reference(model: Any, tokenizer: Any, request: Request, found: str) -> tuple[list[int], bool]:
    """The answer of ``model.generate`` for this prompt alone, and whether ``found`` differs from it by a tie.

    The model is copied, because some rotary embeddings remember the longest text.
    """
    from runners.decoding.tokens import context_length, encode

    [prompt] = encode(tokenizer, [request])
    room = min(GREEDY.max_new_tokens, context_length(model.config) - len(prompt))
    if room < 1:
        return [], False
    ids = torch.tensor([prompt])
    output = copy.deepcopy(model).generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=room,
        do_sample=False,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        output_logits=True,
        return_dict_in_generate=True,
    )
    tokens = output.sequences[0, len(prompt) :].tolist()
    same = 0
    while same < len(tokens) and found.startswith(_text(tokenizer, tokens[: same + 1])):
        same += 1
    best = output.logits[min(same, len(tokens) - 1)][0].log_softmax(-1).topk(2).values
    return tokens, bool(best[0] - best[1] < TIE)


def _text(tokenizer: Any, tokens: Sequence[int]) -> str:
    return str(tokenizer.decode(tokens, skip_special_tokens=True))


def _sampling_fault(runner: Any, model: Any, tokenizer: Any, requests: Sequence[Request]) -> str:
    """What is wrong with several sampled answers: their number, or their log-probabilities; "": nothing."""
    from runners.decoding.generation import generate
    from runners.decoding.tokens import encode
    from runners.decoding.types import DecodingSettings

    prompts = encode(tokenizer, requests)
    settings = DecodingSettings(1.0, 1.0, 12, (tokenizer.eos_token_id,), longest_shared=runner.longest_shared)
    seeds = list(range(len(prompts)))
    drawn = dict(generate(runner.model, prompts, seeds, 3, settings))
    different = {i: {tuple(answer.tokens) for answer in answers} for i, answers in drawn.items()}
    if {len(answers) for answers in drawn.values()} != {3} or max(map(len, different.values())) == 1:
        return "sampled answers are missing, or all the same"
    for prompt, answers in ((prompts[i], drawn[i]) for i in seeds):
        for answer in answers:
            if answer.logprob is None:
                continue
            with torch.inference_mode():
                logits = copy.deepcopy(model)(torch.tensor([[*prompt, *answer.tokens]])).logits
            logprobs = logits[0, len(prompt) - 1 : -1].log_softmax(-1)
            expected = logprobs.gather(-1, torch.tensor(answer.tokens)[:, None]).sum().item()
            if abs(expected - answer.logprob) > 1e-3 * (1 + abs(expected)):
                return f"an answer's log-probability is {answer.logprob:.4f}, not {expected:.4f}"
    return ""
