"""WikiTableQuestions' rules, case by case; the verdicts are those of the official ``evaluator.py`` 1.0.2."""

from __future__ import annotations

import pytest
from cpu_time import takes_less

from rewards.matching.denotation import LONGEST, equal, normalized
from tasks.types import Cell, Outcome, Status

NORMALIZED = {
    "Café": "cafe", "It\u2019s": "it's", "“Up”": "up", "a \u2013 b": "a - b", "  a \n b ": "a b",
    "The End.": "the end",
    "the end..": "the end.", "Paris[1]": "paris", "Paris [a] [b]": "paris", "[12]": "", "[a]": "[a]",
    "[a][1]": "[a]", "x[a[b]": "x", "Ada*†": "ada", "#1": "#1", "1#": "1", "Ada (race 3)": "ada",
    "Ada (a) (b)": "ada", "(a)": "(a)", "Ada(a)": "ada(a)", '"Ada"': "ada", '"A" "B"': '"a" "b"', '"': '"',
    'x "Ada" (b)[1]': 'x "ada"', '"Ada (b)"': "ada", "a (b) c": "a (b) c", "a) (b)": "a)", "+": "",
    "ⅷ": "viii",
}  # fmt: skip


@pytest.mark.parametrize("text", NORMALIZED)
def test_text_is_normalized(text: str) -> None:
    assert normalized(text) == NORMALIZED[text]


def result(*rows: tuple[Cell, ...], columns: tuple[str, ...] = ("value",)) -> Outcome:
    return Outcome(Status.OK, columns, rows)


@pytest.mark.parametrize(
    ("answers", "found", "right"),
    [
        (["Italy"], ["italy"], True),
        (["Italy"], ["Italy", "italy (a)"], True),
        (["Italy"], ["Italy", "Spain"], False),
        (["Italy", "Spain"], ["spain", "ITALY"], True),
        (["Italy", "Spain"], ["Italy"], False),
        (["Italy", "Italy"], ["Italy"], True),
        (["17"], [17], True),
        (["17"], [17.0], True),
        (["17"], ["17"], True),
        (["17.0"], ["17"], True),
        (["17"], ["17 years"], False),
        (["17 years"], [17], False),
        (["17 years"], ["17  Years"], True),
        (["12,467"], [12467], False),
        (["12,467"], ["12,467"], True),
        (["0.3"], [0.1 + 0.2], True),
        (["0.3"], [0.300002], False),
        (["1"], [0.9999999], False),
        (["0"], [0.9999999], True),
        (["1"], [1.0000001], True),
        (["1", "2"], [1.0, 1, 2], True),
        (["1e3"], [1000], True),
        (["1_000"], [1000], False),
        (["nan"], ["NaN"], True),
        (["-5"], ["-5"], True),
        (["1990-01-12"], ["1990-1-12"], True),
        (["xx-01-12"], ["1990-01-12"], False),
        (["xx-01-12"], ["XX-1-12"], True),
        (["1990-xx-xx"], [1990], True),
        (["xx-xx-xx"], ["xx-xx-xx."], True),
        (["2000-13-01"], ["2000-13-1"], False),
        ([""], [None], True),
        (["a"], [], False),
        (["a"], [b"A"], True),
        (["x"], ["x\udcff"], True),
    ],
)
def test_answers_match(answers: list[str], found: list[Cell], right: bool) -> None:
    gold = result(*((answer,) for answer in answers))
    assert equal(gold, result(*((cell,) for cell in found))) is right
    if found:
        assert equal(gold, result(tuple(found))) is right


@pytest.mark.parametrize(
    ("pairs", "found", "right"),
    [
        ([("100,000", "100000.0")], [100000], True),
        ([("100,000", "100000.0")], ["100,000"], True),
        ([("100,000", "100000.0")], ["100 000"], False),
        ([("January 26, 1995", "1995-01-26")], ["1995-1-26"], True),
        ([("January 26, 1995", "1995-01-26")], ["january 26, 1995"], True),
        ([("17 years", "17.0")], [17], True),
        ([("a", "a"), ("1,000", "1000.0")], ["A", "1,000"], True),
        ([("1,000", "1000.0"), ("1000", "1000.0")], [1000], True),
        ([("5", "")], [5.0], True),
    ],
)
def test_a_canonical_form_decides_what_an_answer_is(
    pairs: list[tuple[str, str]], found: list[Cell], right: bool
) -> None:
    gold = result(*pairs, columns=("value", "canonical"))
    assert equal(gold, result(*((cell,) for cell in found))) is right


def test_hostile_text_takes_linear_time() -> None:
    texts = "[1]" * 3000 + "x", "[" * LONGEST, " (a)" * 2000 + ")", "x" + " (a)[1]" * 1200, '"' * LONGEST

    def read() -> None:
        for text in texts:
            normalized(text[:LONGEST])
        assert not equal(result(("a",)), result(("a" + " " * 10**7,)))
        assert not equal(result(("1",)), result(("1" * 10**6,)))
        assert not equal(result(("1",)), result((10**400,)))

    assert takes_less(read, seconds=3)
