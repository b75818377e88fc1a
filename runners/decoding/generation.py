"""The decoding loop over prefix groups: greedy or sampled, and each answer reproducible."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from runners.decoding.alone import generate_alone
from runners.decoding.attention import HIDDEN
from runners.decoding.attention_sizes import attention_sizes
from runners.decoding.prefix_cache import PrefixGroup, joined, prefill, prefix_groups
from runners.decoding.tokens import Tokens
from runners.decoding.types import DecodingSettings, Generated
from runners.weights.loading import memory

BATCH_TOKENS = {"cpu": 100_000, "cuda": 400_000}
"""Most prompt and answer tokens in a batch by default, by device."""
CACHE_SHARE = {"cpu": 1 / 16, "cuda": 1 / 5}
"""Share of the memory for the keys and values of a batch by default; they take up to three times as much when
the cache grows."""

REFILL = {"cpu": 1.0, "cuda": 0.25}
"""Share of the batch's tokens that must be free before further rows join, by device. On a GPU a step costs
about the same for few rows as for many. On a CPU it does not, and joining copies the cache, so rows join only
when all others have ended."""

PADDING = (0, 0, HIDDEN, -1)
"""Token, position, owner and sequence of a grid cell without a running sequence."""


def generate(
    model: Any,
    prompts: Sequence[Tokens],
    seeds: Sequence[int],
    n: int,
    settings: DecodingSettings,
    batch_tokens: int = 0,
) -> Iterator[tuple[int, list[Generated]]]:
    """Yield ``(prompt's index, its n answers)`` as they end, with at most ``batch_tokens`` tokens in a batch.

    Rows whose answers have ended are replaced by further ones (``REFILL``). An answer depends on its prompt,
    the prompt's seed and its own number. The rest of the batch changes only the rounding, which in bfloat16
    can change an answer. Texts that can be longer than ``longest_shared`` are generated one by one.
    """
    fits = [len(prompt) + settings.max_new_tokens <= settings.longest_shared for prompt in prompts]
    together, alone = ([i for i, fit in enumerate(fits) if fit is kind] for kind in (True, False))
    if together:
        room = batch_tokens or default_batch_tokens(model)
        chosen, own_seeds = [prompts[i] for i in together], [seeds[i] for i in together]
        for number, answers in _generate_together(model, chosen, own_seeds, n, settings, room):
            yield together[number], answers
    for i in alone:
        yield i, generate_alone(model, prompts[i], seeds[i], n, settings)


def _generate_together(
    model: Any,
    prompts: Sequence[Tokens],
    seeds: Sequence[int],
    n: int,
    settings: DecodingSettings,
    batch_tokens: int,
) -> Iterator[tuple[int, list[Generated]]]:
    """As ``generate``, for texts that share prefixes."""
    unfinished: dict[int, dict[int, Generated]] = {}
    was_training = model.training
    model.eval()
    try:
        for number, answer in _generate(model, prompts, seeds, n, settings, batch_tokens):
            answers = unfinished.setdefault(number // n, {})
            answers[number % n] = answer
            if len(answers) == n:
                yield number // n, [answers[k] for k in range(n)]
    finally:
        model.train(was_training)


@torch.inference_mode()
def _generate(
    model: Any,
    prompts: Sequence[Tokens],
    seeds: Sequence[int],
    n: int,
    settings: DecodingSettings,
    capacity: int,
) -> Iterator[tuple[int, Generated]]:
    """Yield (number, answer) as they end, longest rows first: if memory is too small, it shows at once."""
    new_tokens = settings.max_new_tokens
    refill = capacity * (REFILL[model.device.type] if settings.refill is None else settings.refill)
    waiting = sorted(prefix_groups(prompts, n), key=lambda group: (len(group.prefix), group.prefix))
    batch: _Batch | None = None
    began = time.perf_counter()
    while waiting or batch:
        free = capacity - sum(batch.sizes) if batch else capacity
        if waiting and (batch is None or free >= max(refill, _size(waiting[-1], new_tokens))):
            groups = _take(waiting, free, new_tokens)
            joining = _Batch(model, groups, lambda i: _uniforms(seeds[i // n], i % n, new_tokens), settings)
            batch = batch.joined(joining) if batch else joining
        assert batch is not None
        if ended := batch.step():
            now = time.perf_counter()
            seconds = (now - began) / len(ended)
            yield from ((i, replace(answer, seconds=seconds)) for i, answer in ended)
            began = now
            batch = batch.shrunk()


def default_batch_tokens(model: Any) -> int:
    """The most tokens of a batch on the model's device, by the memory that their keys and values take."""
    device = model.device.type
    bytes_of_token = max(1, attention_sizes(model.config).cached * model.dtype.itemsize)
    return min(BATCH_TOKENS[device], int(CACHE_SHARE[device] * memory() / bytes_of_token))


def _take(waiting: list[PrefixGroup], free: int, new_tokens: int) -> list[PrefixGroup]:
    """Remove the last groups of ``waiting`` that fit into ``free`` tokens, at least one, and return them."""
    taken = [waiting.pop()]
    used = _size(taken[0], new_tokens)
    while waiting and (used := used + _size(waiting[-1], new_tokens)) <= free:
        taken.append(waiting.pop())
    return taken


def _size(group: PrefixGroup, new_tokens: int) -> int:
    """The most tokens that a row of this group can hold."""
    return len(group.prefix) + sum(len(rest) + new_tokens for _, rest in group.answers)


def _uniforms(seed: int, number: int, steps: int) -> Tensor:
    """The uniform random numbers in [0, 1) by which an answer's tokens are sampled."""
    generator = torch.Generator().manual_seed((seed * 1_000_003 + number) % 2**63)
    return torch.rand(steps, generator=generator)


def sample(logits: Tensor, uniforms: Tensor, settings: DecodingSettings) -> tuple[Tensor, Tensor]:
    """The next tokens (rows,), by inverting the cumulative distribution, and their log-probabilities.

    The log-probabilities are the model's own, at temperature 1.
    """
    logprobs = logits.float().log_softmax(-1)
    if settings.temperature == 0:
        tokens = logprobs.argmax(-1)
    else:
        probs = (logprobs / settings.temperature).softmax(-1)
        if settings.top_p < 1:
            probs = _nucleus(probs, settings.top_p)
        cumulative = probs.cumsum(-1)
        target = uniforms[:, None] * cumulative[:, -1:]
        tokens = torch.searchsorted(cumulative, target, right=True)[:, 0].clamp(max=probs.shape[-1] - 1)
    return tokens, logprobs.gather(-1, tokens[:, None])[:, 0]


def _nucleus(probs: Tensor, top_p: float) -> Tensor:
    """Set all but the likeliest tokens, which together reach ``top_p``, to 0 (Holtzman et al. 2020)."""
    ranked, order = probs.sort(-1, descending=True)
    ranked[ranked.cumsum(-1) - ranked >= top_p] = 0
    return torch.zeros_like(probs).scatter(-1, order, ranked)


class _Batch:
    """Running sequences: the newest token of each in a grid (rows, width), and what was generated so far."""

    def __init__(
        self,
        model: Any,
        groups: Sequence[PrefixGroup],
        uniforms: Callable[[int], Tensor],
        settings: DecodingSettings,
    ) -> None:
        """``uniforms``: the random numbers of an answer by its number, (steps,)."""
        self.settings = settings
        self.cache, groups = prefill(model, groups)
        self.answers = [number for group in groups for number, _ in group.answers]
        """The answer's number of each sequence."""
        self.uniforms = torch.stack([uniforms(number) for number in self.answers]).to(model.device)
        """(sequences, steps)."""
        width = max(len(group.answers) for group in groups)
        sequence, rows = 0, []
        for group in groups:
            row = []
            for number, rest in group.answers:
                row.append((rest[-1], len(group.prefix) + len(rest) - 1, number + 1, sequence))
                sequence += 1
            rows.append(row + [PADDING] * (width - len(row)))
        self.grid = torch.tensor(rows, device=model.device)
        """(rows, width, 4): token, position, owner and sequence."""
        self.sizes = [_size(group, settings.max_new_tokens) for group in groups]
        self.tokens: list[list[int]] = [[] for _ in range(sequence)]
        self.logprob = torch.zeros(sequence, device=model.device)
        self.length = torch.zeros(sequence, dtype=torch.long, device=model.device)
        self.cached = sequence
        """Sequences whose keys are in the cache, running or ended."""

    def step(self) -> list[tuple[int, Generated]]:
        """Generate the next token of every running sequence; return the answers that ended with it."""
        token, position, owner, sequence = self.grid.unbind(-1)
        logits = self.cache.forward(token, position, owner, logits_to_keep=token.shape[1])
        running = sequence >= 0
        sequences = sequence[running]
        uniforms = self.uniforms[sequences, self.length[sequences]]
        tokens, logprobs = sample(logits[running], uniforms, self.settings)
        self.logprob[sequences] += logprobs
        self.length[sequences] += 1
        token[running], position[running] = tokens, position[running] + 1
        stopped = torch.zeros_like(tokens, dtype=torch.bool)
        for end in self.settings.end_tokens:
            stopped |= tokens == end
        has_stop = self.settings.has_stop
        for i, (number, new) in enumerate(zip(sequences.tolist(), tokens.tolist(), strict=True)):
            self.tokens[number].append(new)
            if has_stop and has_stop(self.tokens[number]):
                stopped[i] = True
        ends = stopped | (self.length[sequences] == self.settings.max_new_tokens)
        removed = running.clone()
        removed[running] = ends
        self.grid[removed] = self.grid.new_tensor(PADDING)
        ended = sequences[ends]
        rows = zip(ended.tolist(), self.logprob[ended].tolist(), stopped[ends].tolist(), strict=True)
        return [
            (self.answers[number], Generated(self.tokens[number], logprob, "stop" if stop else "length"))
            for number, logprob, stop in rows
        ]

    def shrunk(self) -> _Batch | None:
        """Remove ended sequences if enough of them justify a copy of the cache; None if all have ended."""
        running = self.grid[..., 3] >= 0
        count = int(running.sum())
        if count == 0:
            return None
        if count > 0.75 * self.cached and self.cache.owner.shape[1] <= max(self.sizes):
            return self
        self.cached = count
        rows = running.any(1).nonzero()[:, 0]
        width = int(running.sum(1).max())
        first = running[rows].long().argsort(dim=1, descending=True, stable=True)[:, :width]
        self.grid = self.grid[rows[:, None], first]
        self.sizes = [self.sizes[row] for row in rows.tolist()]
        self.cache.select(rows, self.grid[..., 2])
        return self

    def joined(self, other: _Batch) -> _Batch:
        """This batch, extended by the rows of another one."""
        other.grid[..., 3][other.grid[..., 3] >= 0] += len(self.answers)
        width = max(self.grid.shape[1], other.grid.shape[1])
        self.grid = torch.cat([_widened(batch.grid, width) for batch in (self, other)])
        self.cache = joined([self.cache, other.cache])
        self.answers += other.answers
        self.tokens += other.tokens
        self.sizes += other.sizes
        self.uniforms = torch.cat([self.uniforms, other.uniforms])
        self.logprob = torch.cat([self.logprob, other.logprob])
        self.length = torch.cat([self.length, other.length])
        self.cached = int((self.grid[..., 3] >= 0).sum())
        return self


def _widened(grid: Tensor, width: int) -> Tensor:
    missing = grid.new_tensor(PADDING).expand(grid.shape[0], width - grid.shape[1], 4)
    return torch.cat([grid, missing], 1)
