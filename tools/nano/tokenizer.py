"""The tokenizer: byte-level BPE in which a name has the same tokens wherever it occurs.

A tiny model must copy names from the schema and the question into the SQL. So a word does not include the
space before it, a plural's ``s`` and an underscore are separate pieces, digits come in pairs, and a run of
SQL keywords may become one token.
"""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

USER, ASSISTANT, SYSTEM, END, PAD = "<|user|>", "<|assistant|>", "<|system|>", "<|end|>", "<|pad|>"
SPECIAL = (PAD, END, USER, ASSISTANT, SYSTEM)
SIZE = 2048
PIECES = "|".join(
    (
        r" (?:integer|real|text|date|boolean)(?: pk)?(?=[,)]| ->)",
        r" ?\b(?:the|of the|of|and the|and|with a|with|whose|in|for|is|are|have|has|by)(?= )",
        r" ?[A-Z]{2,}(?: [A-Z]{2,})*(?:\(\*\)| ?\(| )?",
        r"[A-Z]?[a-z]{2,}?(?=s(?![a-z]))",
        r"[A-Z]?[a-z]+",
        r"[A-Z]+",
        r"[0-9]{1,2}",
        r"[^A-Za-z0-9]+",
    )
)
"""In order: a column's type, small words, keywords, a word before a plural's s, words, numbers, the rest."""
TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'user' %}"
    "{{ '<|user|>' + message['content'] + '<|end|><|assistant|>' }}"
    "{% elif message['role'] == 'system' %}{{ '<|system|>' + message['content'] + '<|end|>' }}"
    "{% else %}{{ message['content'] + '<|end|>' }}{% endif %}"
    "{% endfor %}"
)


def train(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """A tokenizer of ``SIZE`` tokens trained on these texts."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=SIZE,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        additional_special_tokens=[USER, ASSISTANT, SYSTEM],
        padding_side="left",
        chat_template=TEMPLATE,
        clean_up_tokenization_spaces=False,
        model_max_length=2048,
    )
