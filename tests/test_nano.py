"""nano: its corpus is valid, seeded and disjoint from pocket; the packing is exact; the build works."""

from __future__ import annotations

import hashlib
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerBase, Qwen3ForCausalLM

from runners.nano import FOLDER
from tasks.pocket.domains import DOMAINS
from tasks.pocket.families import FAMILIES
from tasks.prompts import quoted
from tools.nano import build
from tools.nano.corpus import pages
from tools.nano.evaluate import answer, held_out
from tools.nano.layout import IGNORED, collate, pack
from tools.nano.questions import SHAPES
from tools.nano.questions.grammar import CHOICES

CHOICE = re.compile(r"\[([^\[\]]*)\]|@([a-z]+)")
TINY = build.Recipe(
    steps=3, warmup=1, tokenizer_pages=20, layers=2, hidden=32, heads=1, inner=32, compiled=False
)


@pytest.fixture(scope="module")
def tokens() -> PreTrainedTokenizerBase:
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(FOLDER)
    return tokenizer


@pytest.fixture(scope="module")
def model() -> Qwen3ForCausalLM:
    loaded = AutoModelForCausalLM.from_pretrained(FOLDER, dtype=torch.float32)
    assert isinstance(loaded, Qwen3ForCausalLM)
    return loaded.eval()


def test_two_thousand_queries_run_on_their_empty_databases() -> None:
    asked = 0
    for page in islice(pages(7, 8), 250):
        with closing(sqlite3.connect(":memory:")) as connection:
            connection.executescript(page.world.ddl)
            for pair in page.pairs:
                connection.execute(pair.sql)
                asked += 1
    assert asked == 2000


def test_every_shape_occurs_and_fills_its_slots() -> None:
    pairs = [pair for page in islice(pages(8, 8), 600) for pair in page.pairs]
    assert {pair.shape for pair in pairs} == set(SHAPES)
    for pair in pairs:
        assert not re.search(r"[{}@\[\]]|  ", pair.question + pair.sql), pair
        assert not pair.sql.endswith(";")


def test_there_are_shapes_of_all_four_levels() -> None:
    assert len(SHAPES) >= 60
    assert {shape.level for shape in SHAPES} == {"easy", "medium", "hard", "extra"}


def test_the_corpus_is_seeded() -> None:
    first, again, other = (list(islice(pages(seed, 4), 20)) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_schemas_are_disjoint_from_pocket() -> None:
    tables = {frozenset(entity.name for entity in domain.entities) for domain in DOMAINS}
    columns = {
        frozenset(field.name for field in entity.fields) for domain in DOMAINS for entity in domain.entities
    }
    for page in islice(pages(build.Recipe().seed + 4, 1), 2000):
        schema = page.world.schema
        assert frozenset(table.name for table in schema.tables) not in tables
        assert not columns & {frozenset(column.name for column in table.columns) for table in schema.tables}


def test_question_templates_are_disjoint_from_pocket() -> None:
    theirs = {_bare(line) for family in FAMILIES for line in family.asks.strip().splitlines()}
    ours = {_bare(text) for shape in SHAPES for phrase in shape.phrases for text in _expanded(phrase)}
    assert len(ours) > 5000
    assert not ours & theirs


def _expanded(phrase: str) -> Iterator[str]:
    """Every wording of a phrase."""
    found = CHOICE.search(phrase)
    if not found:
        yield phrase
        return
    for option in CHOICES[found[2]] if found[2] else found[1].split("|"):
        yield from _expanded(phrase[: found.start()] + option + phrase[found.end() :])


def _bare(template: str) -> str:
    """A template without what its slots are called, case and punctuation."""
    return " ".join(re.sub(r"[^a-z#]+", " ", re.sub(r"\{[^}]*\}", "#", template.lower())).split())


def test_awkward_names_are_quoted_and_plain_ones_are_not() -> None:
    text = "\n".join(page.world.text for page in islice(pages(9, 1), 300))
    names = set(re.findall(r'"[^"]+"', text))
    assert any(" " in name for name in names)
    assert all(quoted(name[1:-1]) == name for name in names)


def test_the_layout_equals_separate_sequences(
    model: Qwen3ForCausalLM, tokens: PreTrainedTokenizerBase
) -> None:
    page = next(pages(11, 5))
    (packed,) = pack([page], tokens, 2048)
    batch = collate([packed], 0, len(packed.ids) + 7)
    with torch.inference_mode():
        together = model(input_ids=batch.ids, attention_mask=batch.mask, position_ids=batch.positions).logits[
            0
        ]
    for block, pair in enumerate(page.pairs, start=1):
        content = f"{page.world.text}\n\n{pair.question}"
        chat = [{"role": "user", "content": content}, {"role": "assistant", "content": pair.sql}]
        ids = tokens.apply_chat_template(chat, return_tensors="pt", return_dict=True)["input_ids"]
        with torch.inference_mode():
            alone = model(input_ids=ids).logits[0]
        own = [index for index, other in enumerate(packed.blocks) if other in (0, block)]
        assert [packed.ids[index] for index in own] == ids[0].tolist()
        torch.testing.assert_close(together[own], alone, rtol=1e-4, atol=1e-4)


def test_only_the_answers_are_learned(tokens: PreTrainedTokenizerBase) -> None:
    page = next(pages(12, 3))
    (packed,) = pack([page], tokens, 2048)
    learned = tokens.decode([target for target in packed.targets if target != IGNORED])
    assert learned == "".join(f"{pair.sql}<|end|>" for pair in page.pairs)


def test_a_tiny_build_is_a_folder_like_any_other(tmp_path: Path) -> None:
    build.build(TINY, tmp_path)
    (one,) = answer(tmp_path, held_out(1))
    assert isinstance(one.text, str)


def test_the_build_reproduces_itself(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        build.build(replace(TINY, seed=5 if name == "c" else 4), tmp_path / name)
    first, again, other = ((tmp_path / name / "model.safetensors").read_bytes() for name in "abc")
    assert first == again
    assert first != other


def test_the_chat_template_writes_what_the_model_was_trained_on(tokens: PreTrainedTokenizerBase) -> None:
    chat = [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]
    assert tokens.apply_chat_template(chat, tokenize=False) == "<|user|>Q<|end|><|assistant|>A<|end|>"
    asked = tokens.apply_chat_template(chat[:1], tokenize=False, add_generation_prompt=True)
    assert asked == "<|user|>Q<|end|><|assistant|>"
    system = [{"role": "system", "content": "S"}, *chat[:1]]
    assert (
        tokens.apply_chat_template(system, tokenize=False)
        == "<|system|>S<|end|><|user|>Q<|end|><|assistant|>"
    )
    assert (tokens.pad_token, tokens.eos_token, tokens.padding_side) == ("<|pad|>", "<|end|>", "left")


@pytest.mark.parametrize(
    "text", ["SELECT \"A b\" FROM t WHERE x = 'Zürich — 東京'", "a\n\n  b\t\x00", "é" * 50]
)
def test_the_tokenizer_loses_nothing(tokens: PreTrainedTokenizerBase, text: str) -> None:
    assert tokens.decode(tokens(text)["input_ids"]) == text


def test_auto_classes_keep_the_tokenizer_as_trained(tokens: PreTrainedTokenizerBase) -> None:
    text = "\n".join(page.world.text for page in islice(pages(13, 1), 20))
    assert tokens(text)["input_ids"] == Tokenizer.from_file(str(FOLDER / "tokenizer.json")).encode(text).ids


def test_a_name_has_the_same_tokens_wherever_it_occurs(tokens: PreTrainedTokenizerBase) -> None:
    alone = tokens("branch")["input_ids"]
    for text in ("FROM branch WHERE", "two branch rows", "branch_id", "(branch.name", "branchs"):
        assert _contains(tokens(text)["input_ids"], alone)


def _contains(ids: list[int], part: list[int]) -> bool:
    return any(ids[start : start + len(part)] == part for start in range(len(ids)))


def test_the_folder_is_small_and_complete(model: Qwen3ForCausalLM) -> None:
    assert (FOLDER / "model.safetensors").stat().st_size < 8_000_000
    assert (FOLDER / "README.md").is_file()
    assert 1_000_000 <= sum(parameter.numel() for parameter in model.parameters()) <= 4_000_000
    assert model.config.tie_word_embeddings


def test_it_writes_sql_that_runs() -> None:
    answers = list(answer(FOLDER, held_out(50)))
    assert sum(item.runs for item in answers) >= 25
    assert sum(item.exact for item in answers) >= 15


def test_the_weights_are_the_published_ones() -> None:
    """Every figure of the documentation depends on them."""
    digest = hashlib.sha256((FOLDER / "model.safetensors").read_bytes()).hexdigest()
    assert digest == "d3d3ef55ea20059b3098f4bc2839dbcc35ff2f53c87e8d56d07abc1d7044127b"


@pytest.mark.parametrize("arguments", [[], ["build"], ["evaluate"]])
def test_the_command_line_explains_itself(arguments: list[str]) -> None:
    command = [sys.executable, "-m", "tools.nano", *arguments, "--help"]
    root = Path(__file__).parent.parent
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"usage: {' '.join(['python -m tools.nano', *arguments])}")
