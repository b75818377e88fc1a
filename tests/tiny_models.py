"""Tiny random models with a small byte-level BPE tokenizer, for tests of runners and trainers."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

CORPUS = [
    "SELECT COUNT(*) FROM member WHERE joined > '2020-01-01' ORDER BY name DESC LIMIT 3",
    "member(member_id integer pk, name text, joined date) How many members are there?",
]
TEMPLATE = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
SPECIAL = ["<|pad|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>"]
SHAPES = {
    "qwen3": (Qwen3ForCausalLM, Qwen3Config),
    "qwen2": (Qwen2ForCausalLM, Qwen2Config),
    "llama": (LlamaForCausalLM, LlamaConfig),
    "mistral": (MistralForCausalLM, MistralConfig),
    "gemma3": (Gemma3ForCausalLM, Gemma3TextConfig),
}


def tokenizer() -> PreTrainedTokenizerFast:
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    bpe.train_from_iterator(
        CORPUS, trainers.BpeTrainer(vocab_size=400, special_tokens=SPECIAL, initial_alphabet=alphabet)
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=bpe, pad_token="<|pad|>", eos_token="<|end|>", padding_side="left"
    )
    fast.chat_template = TEMPLATE
    return fast


def model(shape: str = "qwen3", seed: int = 0, **sizes: int) -> torch.nn.Module:
    kind, config = SHAPES[shape]
    torch.manual_seed(seed)
    settings = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "vocab_size": 400,
        "max_position_embeddings": 512,
    }
    if shape in ("qwen3", "gemma3"):
        settings["head_dim"] = 8
    if shape in ("mistral", "gemma3"):  # one uniform window, and layers of two kinds
        settings["sliding_window"] = 8
    if shape == "gemma3":
        settings["sliding_window_pattern"] = 2
    return kind(
        config(
            **(settings | sizes), tie_word_embeddings=True, pad_token_id=0, eos_token_id=1, bos_token_id=None
        )
    ).eval()


def save(folder: Path, shape: str = "qwen3", seed: int = 0, **sizes: int) -> str:
    """Write a tiny model folder and return its name."""
    model(shape, seed, **sizes).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return str(folder)
