"""How the texts of a pass are laid out: as trees of tokens, or as padded rows.

Texts often share a prefix: questions on one database share its schema, the answers of a group their prompt,
and some answers their first words. A tree has one slot for each distinct prefix, and a token attends to the
slots of its own text only, so it predicts what it would predict in a sequence of its own. Models whose layers
take no such mask get each text in a row of its own, padded on the right: what follows a token changes nothing
before it, in any architecture. Padding on the left, as TRL has it, moves the positions of some architectures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from runners.decoding.attention import layer_masks
from runners.decoding.prefix_cache import common_prefix_length
from runners.decoding.tokens import Tokens
from runners.training.attention import ancestors, tree_masks

NO_LABEL = -100


@dataclass(frozen=True, slots=True)
class Sizes:
    """The lengths in slots after which a new row begins."""

    tokens: int = 1024
    """For texts that share little: attention costs the square of a row's length."""
    limit: int = 4096
    """For texts that share more: the mask needs as many bytes as the square of a row's length, times the
    dtype's size. Where a text shares more than half of this, twice what it shares."""
    in_pieces: bool = False
    """Whether the model computes attention in pieces (``attention``), and so takes no mask in full."""


SIZES = Sizes()
WITHOUT_MASK = Sizes(tokens=2**31, in_pieces=True)
"""For attention in pieces (``attention``), whose costs do not depend on what else is in a row."""


@dataclass(frozen=True, slots=True)
class Text:
    """A text up to its last labelled token.

    ``fed``: the tokens that go through the model. ``labelled``: (position in the text, token, position in the
    flat batch) of each labelled token.
    """

    fed: Tokens
    labelled: tuple[tuple[int, int, int], ...]


@dataclass(slots=True)
class Layout:
    """Slots, each with a token that goes through the model once, and what is predicted from them."""

    counts: list[int] = field(default_factory=list)
    """The number of texts that a slot belongs to."""
    predictions: dict[tuple[int, int], int] = field(default_factory=dict)
    """(slot, next token) -> the number of this prediction."""
    labelled: list[tuple[int, int]] = field(default_factory=list)
    """For each labelled token its prediction and its position in the flat batch."""

    def inputs(self, model: Any, device: torch.device) -> dict[str, Any]:
        """The inputs of the model or its backbone; the slots are the cells of ``input_ids``, row by row."""
        raise NotImplementedError

    def _label(self, text: Text, path: Sequence[int]) -> None:
        """Add what a text predicts, whose tokens are in the slots of ``path``."""
        for slot in path:
            self.counts[slot] += 1
        for position, token, target in text.labelled:
            number = self.predictions.setdefault((path[position - 1], token), len(self.predictions))
            self.labelled.append((number, target))


@dataclass(slots=True)
class TokenTree(Layout):
    """A tree of tokens in depth-first order: the descendants of slot i are the slots up to ``ends[i]``."""

    tokens: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    in_pieces: bool = False
    """As in ``Sizes``."""

    def add(self, text: Text, path: list[int]) -> None:
        """Add a text whose first tokens are in the slots of ``path``; extends ``path`` to the whole text."""
        for position in range(len(path), len(text.fed)):
            path.append(len(self.tokens))
            self.tokens.append(text.fed[position])
            self.positions.append(position)
            self.ends.append(0)
            self.counts.append(0)
        for slot in path:
            self.ends[slot] = len(self.tokens)
        self._label(text, path)

    def inputs(self, model: Any, device: torch.device) -> dict[str, Any]:
        """One row, with positions in the texts and a mask for each kind of layer."""
        position = torch.tensor([self.positions], device=device)
        if self.in_pieces:
            masks = tree_masks(model, self.ends, self.positions)
        else:
            masks = layer_masks(model, ancestors(self.ends, device)[None, None], position, position)
        return {
            "input_ids": torch.tensor([self.tokens], device=device),
            "position_ids": position,
            "attention_mask": masks,
        }


@dataclass(slots=True)
class PaddedTexts(Layout):
    """Texts in rows of their own, padded on the right."""

    texts: list[Tokens] = field(default_factory=list)

    def fill(self, texts: Sequence[Text]) -> None:
        """Add the texts; equal ones share a row."""
        rows = {fed: row for row, fed in enumerate(dict.fromkeys(text.fed for text in texts))}
        self.texts = list(rows)
        width = max(map(len, rows))
        self.counts = [0] * (width * len(rows))
        for text in texts:
            start = rows[text.fed] * width
            self._label(text, range(start, start + len(text.fed)))

    def inputs(self, model: Any, device: torch.device) -> dict[str, Any]:
        """The rows, with a mask where they are padded."""
        width = max(map(len, self.texts))
        ids = torch.tensor([[*text, *[0] * (width - len(text))] for text in self.texts], device=device)
        lengths = torch.tensor([len(text) for text in self.texts], device=device)
        mask = (torch.arange(width, device=device) < lengths[:, None]).long()
        return {"input_ids": ids} | ({} if bool(mask.all()) else {"attention_mask": mask})


def pack(
    texts: Iterable[Text],
    sizes: Sizes = SIZES,
    shared: bool = True,
    length_class: Callable[[int], int] | None = None,
) -> list[Layout]:
    """Lay out texts, as trees if ``shared``. Texts of different ``length_class`` are kept apart."""
    parts: dict[int, list[Text]] = {}
    for text in texts:
        parts.setdefault(length_class(len(text.fed)) if length_class else 0, []).append(text)
    lay_out = _trees if shared else _padded
    return [layout for _, part in sorted(parts.items()) for layout in lay_out(part, sizes)]


def _trees(texts: Sequence[Text], sizes: Sizes) -> list[Layout]:
    rows, path, before = [TokenTree(in_pieces=sizes.in_pieces)], list[int](), Tokens()
    for text in sorted(texts, key=lambda text: text.fed):
        shared = common_prefix_length([before, text.fed])
        width, new = len(rows[-1].tokens), len(text.fed) - shared
        longest = max(sizes.limit, 2 * shared, sizes.tokens) if new < shared else sizes.tokens
        if width and width + new > longest:
            rows.append(TokenTree(in_pieces=sizes.in_pieces))
            shared = 0
        path = path[:shared]
        rows[-1].add(text, path)
        before = text.fed
    return list(rows)


def _padded(texts: Sequence[Text], sizes: Sizes) -> list[Layout]:
    """Rows of similar length together, at most ``sizes.limit`` tokens."""
    parts: list[list[Text]] = [[]]
    for text in sorted(texts, key=lambda text: (-len(text.fed), text.fed)):
        if parts[-1] and (len(parts[-1]) + 1) * len(parts[-1][0].fed) > sizes.limit:
            parts.append([])
        parts[-1].append(text)
    layouts = [PaddedTexts() for _ in parts]
    for layout, part in zip(layouts, parts, strict=True):
        layout.fill(part)
    return list(layouts)


def texts_of(ids: Tensor, mask: Tensor, labels: Tensor, whole: bool = False) -> Iterator[Text]:
    """The texts of a batch, tensors (rows, width) padded on either side, but for those without a label.

    NO_LABEL marks unlabelled tokens. ``whole`` feeds the last labelled token too, from which nothing is
    predicted.
    """
    tokens, starts = ids.tolist(), mask.int().argmax(1).tolist()
    labelled: list[list[int]] = [[] for _ in tokens]
    for number, column in (labels != NO_LABEL).nonzero().tolist():
        if column > starts[number]:  # the first token has none before it
            labelled[number].append(column)
    for number, columns in enumerate(labelled):
        if columns:
            start, row = starts[number], tokens[number]
            targets = tuple((at - start, row[at], number * ids.shape[1] + at) for at in columns)
            yield Text(tuple(row[start : columns[-1] + whole]), targets)


def group_order(batch: Mapping[str, Tensor], group: int) -> Tensor:
    """An order of a batch's rows, (rows,), with groups kept together and similar prompts side by side.

    Groups whose answers are all masked out are first.
    """
    prompts, masks = batch["prompt_ids"][::group], batch["prompt_mask"][::group].bool()
    tokens = [prompt[mask].tolist() for prompt, mask in zip(prompts, masks, strict=True)]
    has_loss = batch["completion_mask"].view(len(tokens), -1).any(1).tolist()
    groups = torch.tensor(
        sorted(range(len(tokens)), key=lambda i: (has_loss[i], tokens[i])), device=prompts.device
    )
    return (groups[:, None] * group + torch.arange(group, device=groups.device)).flatten()
