"""The repository is written in plain technical English: no word of ``fixtures/words.txt`` occurs anywhere.

To add a word: remove it from the tree first, then append it to ``tests/fixtures/words.txt``. Its first lines
explain the form. The list can only grow: ``REQUIRED`` names the words that must stay in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LIST = ROOT / "tests" / "fixtures" / "words.txt"
FOLDERS = ("harness", "tasks", "rewards", "runners", "leaderboards", "tools", "benchmarks", "tests", "docs")
SUFFIXES = {".py", ".md", ".yaml", ".jinja", ".toml"}
EXEMPT = {"tests/test_words.py"}
"""Files that must name the words themselves."""

REQUIRED = {
    "ballot*",
    "buried",
    "bury",
    "byname",
    "condemn*",
    "cuts well",
    "deadly",
    "deals out",
    "dealt",
    "door*",
    "dressed as",
    "floor",
    "floors",
    "foresaw",
    "grounds",
    "guard*",
    "harass*",
    "heard",
    "hears",
    "house",
    "idle group*",
    "is awaited",
    "is paid by",
    "keeper*",
    "kin",
    "kindred",
    "lesson*",
    "look of our own",
    "loud*",
    "mend*",
    "mid batch",
    "own doing",
    "paid",
    "payable",
    "payment*",
    "pays",
    "plant*",
    "poison*",
    "roof",
    "said",
    "shelf",
    "shelves",
    "slaughter*",
    "speak of",
    "speaks",
    "spoke",
    "spoken",
    "spoken of",
    "stands twice",
    "stillborn",
    "such as people have them",
    "swallow*",
    "swollen",
    "taken back",
    "talk*",
    "taught",
    "teach*",
    "tells",
    "the ground",
    "the query's doing",
    "the roof",
    "threw",
    "thrown away",
    "tired",
    "told",
    "unended",
    "unpaid",
    "untold",
    "watch*",
    "what a trainer is paid",
    "what others wrote",
    "witness*",
}


def words(text: str) -> dict[str, list[str]]:
    """Every listed word with the files (glob patterns) in which it is allowed."""
    listed: dict[str, list[str]] = {}
    for line in text.splitlines():
        word, _, files = line.partition("#")[0].partition(":")
        if word.strip():
            listed.setdefault(word.strip().lower(), []).extend(files.split())
    return listed


def pattern(listed: list[str]) -> re.Pattern[str]:
    """One expression for all: ``*`` is any ending, a space is any gap (a line break in a comment, too)."""
    forms = (re.escape(word).replace(r"\*", r"\w*").replace(r"\ ", r"[\s#>-]+") for word in listed)
    longest_first = sorted(forms, key=len, reverse=True)
    return re.compile(rf"\b(?:{'|'.join(longest_first) or '(?!)'})\b", re.IGNORECASE)


def split_identifiers(text: str) -> str:
    """``idle_group`` and ``IdleGroup`` as ``idle group``; line numbers stay as they are."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", text.replace("_", " "))


def occurrences(text: str, listed: dict[str, list[str]], file: str) -> Iterator[str]:
    """``file:line: match`` for every listed word in a text, except where the list allows it in this file."""
    allowed = [word for word, files in listed.items() if any(fnmatch(file, name) for name in files)]
    forbidden = pattern([word for word in listed if word not in allowed])
    plain = split_identifiers(text)
    for match in forbidden.finditer(plain):
        yield f"{file}:{plain.count(chr(10), 0, match.start()) + 1}: {' '.join(match[0].split())}"


def files() -> list[Path]:
    """Every source file and page of the repository."""
    inside = (path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.suffix in SUFFIXES)
    top = (path for path in ROOT.iterdir() if path.suffix in SUFFIXES or path.name == "Makefile")
    return sorted(path for path in (*inside, *top) if path.relative_to(ROOT).as_posix() not in EXEMPT)


def test_no_file_has_a_listed_word() -> None:
    listed = words(LIST.read_text(encoding="utf-8"))
    hits = [
        hit
        for path in files()
        for hit in occurrences(path.read_text(encoding="utf-8"), listed, path.relative_to(ROOT).as_posix())
    ]
    assert hits == []


def test_no_file_has_a_listed_word_in_its_name() -> None:
    listed = words(LIST.read_text(encoding="utf-8"))
    names = [path.relative_to(ROOT).as_posix() for path in files()]
    assert [hit for name in names for hit in occurrences(name, listed, name)] == []


def test_the_list_only_grows() -> None:
    assert REQUIRED - words(LIST.read_text(encoding="utf-8")).keys() == set()


def test_every_allowed_file_exists() -> None:
    allowed = {name for names in words(LIST.read_text(encoding="utf-8")).values() for name in names}
    assert [name for name in sorted(allowed) if not any(ROOT.glob(name))] == []


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a_plant = 1", 1),
        ("class PlantedGold: ...", 1),
        ("XMLPlant()", 1),
        ("x = 1  # they are dealt\n# out here", 1),
        ('"""First.\n\nThe idle-group rule."""', 3),
        ("the-ROOF\nThe Roof", 2),
    ],
)
def test_a_planted_word_is_found(text: str, line: int) -> None:
    listed = words("plant*\ndealt out  # a comment\n\nidle group: other.md\nthe roof: allowed/*.py")
    assert [hit.split(":")[1] for hit in occurrences(text, listed, "some/file.py")][-1] == str(line)


@pytest.mark.parametrize("text", ["a plane, a transplant", "dealt and out", "idle\n\n  = group", "roof"])
def test_other_words_are_not_found(text: str) -> None:
    listed = words("plant*\ndealt out\nidle group\nthe roof")
    assert list(occurrences(text, listed, "some/file.py")) == []


def test_a_word_is_allowed_only_in_the_files_that_the_list_names() -> None:
    listed = words("plant*: tasks/pocket/domains/*.py tests/a.py")
    assert list(occurrences("plants", listed, "tasks/pocket/domains/farm.py")) == []
    assert list(occurrences("plants", listed, "tasks/prompts.py")) == ["tasks/prompts.py:1: plants"]
